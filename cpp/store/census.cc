#include "store/census.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "disk/file.h"

namespace checkroom::store {
namespace {

// The places on the device that were counted already.
class ClaimedExtents {
 public:
  // Claims [physical, physical + length); how much of it was claimed before.
  std::uint64_t claim(const disk::Extent& extent) {
    std::uint64_t start = extent.physical;
    std::uint64_t end = extent.physical + extent.length;
    std::uint64_t before = 0;
    auto next = ends_.lower_bound(start);
    while (next != ends_.end() && next->second <= end) {
      const std::uint64_t low = std::max(next->second, extent.physical);
      const std::uint64_t high = std::min(next->first, extent.physical + extent.length);
      if (high > low) before += high - low;
      start = std::min(start, next->second);
      end = std::max(end, next->first);
      next = ends_.erase(next);
    }
    ends_[end] = start;
    return before;
  }

 private:
  std::map<std::uint64_t, std::uint64_t> ends_;  // end -> start; they do not touch
};

// Something is not there any more, or none of our business.
bool is_out_of_sight(int errnum) {
  return errnum == ENOENT || errnum == ENOTDIR || errnum == EACCES || errnum == EPERM;
}

class Counter {
 public:
  explicit Counter(disk::FileSystem& filesystem) : filesystem_(filesystem) {}

  // Do blocks that are reserved beyond a file's end count as well?
  void count_reserved(bool yes) { reserved_ = yes; }

  Bytes count(const std::string& path, const disk::FileStatus& status) {
    if (status.type == disk::FileType::kDirectory) return count_below(path);
    if (status.type != disk::FileType::kRegular) return Bytes(0);
    if (status.links > 1 && !seen_.emplace(status.device, status.inode).second) return Bytes(0);
    const std::int64_t bytes = reserved_ ? std::max(status.size, status.allocated) : status.size;
    return Bytes(std::max<std::int64_t>(0, bytes - shared_before(path, status)));
  }

  Bytes count_below(const std::string& path) {
    const disk::Result<std::vector<std::string>> names = filesystem_.list(path);
    if (is_out_of_sight(names.errnum)) return Bytes(0);
    disk::check(names.errnum, "list the directory", path);
    Bytes sum;
    for (const std::string& name : names.value) {
      const std::string child = path + "/" + name;
      if (const auto status = look(child)) sum += count(child, *status);
    }
    return sum;
  }

  // lstat of what a directory listed; nullopt where it is out of sight.
  std::optional<disk::FileStatus> look(const std::string& path) {
    const disk::Result<disk::FileStatus> status = filesystem_.status(path);
    if (is_out_of_sight(status.errnum)) return std::nullopt;
    disk::check(status.errnum, "stat", path);
    return status.value;
  }

 private:
  std::int64_t shared_before(const std::string& path, const disk::FileStatus& status) {
    if (!sharing_ || status.allocated == 0) return 0;
    const disk::Result<int> opened = filesystem_.open_read(path);
    if (is_out_of_sight(opened.errnum)) return 0;
    disk::check(opened.errnum, "open", path);
    const disk::Result<std::vector<disk::Extent>> shared = filesystem_.shared_extents(opened.value);
    static_cast<void>(filesystem_.close(opened.value));
    if (shared.errnum == EOPNOTSUPP || shared.errnum == ENOTTY || shared.errnum == EINVAL) {
      sharing_ = false;  // a filesystem without extents shares none
      return 0;
    }
    disk::check(shared.errnum, "ask for the extents of", path);
    std::uint64_t before = 0;
    for (const disk::Extent& extent : shared.value) before += claimed_.claim(extent);
    return static_cast<std::int64_t>(before);
  }

  disk::FileSystem& filesystem_;
  std::set<std::pair<std::uint64_t, std::uint64_t>> seen_;  // device, inode
  ClaimedExtents claimed_;
  bool sharing_ = true;
  bool reserved_ = false;
};

}  // namespace

Bytes Census::bytes_beside(const std::vector<std::string>& names) const {
  const std::set<std::string> named(names.begin(), names.end());
  Bytes sum;
  for (const Entry& entry : entries) {
    if (!named.contains(entry.name)) sum += entry.bytes;
  }
  return sum;
}

Census take_census(disk::FileSystem& filesystem, const Layout& layout,
                   const std::vector<std::string>& first) {
  // The directory may be a link of the user's: the slash makes the listing follow it.
  const disk::Result<std::vector<std::string>> listed = filesystem.list(layout.root + "/");
  if (listed.errnum == ENOENT) return {};
  disk::check(listed.errnum, "list the directory", layout.root);
  const std::set<std::string> early(first.begin(), first.end());
  std::vector<std::string> names;
  for (const bool now : {true, false}) {
    for (const std::string& name : listed.value) {
      if (early.contains(name) == now) names.push_back(name);
    }
  }

  Census census;
  Counter counter(filesystem);
  bool housed = false;
  for (std::string& name : names) {
    if (name == kHouseName) {
      housed = true;
      continue;
    }
    const std::string path = layout.path(name);
    const auto status = counter.look(path);
    if (!status) continue;
    const Bytes bytes = counter.count(path, *status);
    census.used += bytes;
    census.entries.push_back({std::move(name), *status, bytes});
  }
  if (housed) {
    census.used += counter.count_below(layout.trash()) + counter.count_below(layout.damaged());
    counter.count_reserved(true);
    census.used += counter.count_below(layout.staging());
  }
  return census;
}

Bytes measure(disk::FileSystem& filesystem, const std::string& path) {
  const std::optional<disk::FileStatus> status = disk::status_if_exists(filesystem, path);
  if (!status) return Bytes(0);
  return Counter(filesystem).count(path, *status);
}

}  // namespace checkroom::store
