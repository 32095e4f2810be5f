#include "store/last_link.h"

#include <cerrno>
#include <functional>

#include "base/error.h"
#include "disk/file.h"
#include "disk/owner.h"
#include "disk/staged_file.h"

namespace checkroom::store {
namespace {

// Makes something under a temporary name, then gives it the final one.
std::optional<std::string> make_and_rename(disk::FileSystem& filesystem, const Layout& layout,
                                           const std::string& name, bool durable,
                                           const std::function<void(const std::string&)>& make) {
  const std::string staged =
      layout.staging() + "/" + disk::owned_name(name, disk::current_owner(), disk::kStagedSuffix);
  make(staged);
  try {
    return disk::take_name(filesystem, staged, layout.destination(name, durable));
  } catch (const Error&) {
    static_cast<void>(filesystem.unlink(staged));  // the sweep would find it as well
    throw;
  }
}

std::optional<LastMade> try_reflink(disk::FileSystem& filesystem, const Layout& layout,
                                    const std::string& target, const std::string& name,
                                    bool durable) {
  try {
    disk::StagedFile staged(filesystem, layout.staging(), name);
    if (!staged.share(layout.path(target))) return std::nullopt;
    return LastMade{LastKind::kReflink,
                    staged.publish(layout.destination(name, durable)).displaced};
  } catch (const Error& error) {
    // A new inode needs a little room of its own, a second name needs none: try that.
    if (error.code() == ErrorCode::kNoSpace) return std::nullopt;
    throw;
  }
}

LastMade hard_link(disk::FileSystem& filesystem, const Layout& layout, const std::string& target,
                   const std::string& name, bool durable) {
  const auto former = disk::status_if_exists(filesystem, layout.path(name));
  const disk::Result<disk::FileStatus> now = filesystem.status(layout.path(target));
  disk::check(now.errnum, "stat", layout.path(target));
  if (former && former->same_inode(now.value)) {
    // Renaming one name of a file over another does nothing, and leaves both.
    if (durable) disk::sync_directory(filesystem, layout.root);
    return {LastKind::kLink, std::nullopt};
  }
  auto displaced =
      make_and_rename(filesystem, layout, name, durable, [&](const std::string& staged) {
        disk::check(filesystem.link(layout.path(target), staged), "link to '" + name + "'",
                    layout.path(target));
      });
  return {LastKind::kLink, std::move(displaced)};
}

LastMade copy(disk::FileSystem& filesystem, const Layout& layout, const std::string& target,
              const std::string& name, bool durable) {
  disk::StagedFile staged(filesystem, layout.staging(), name);
  staged.copy(layout.path(target));
  return {LastKind::kCopy, staged.publish(layout.destination(name, durable)).displaced};
}

bool has_no_links(int errnum) {
  return errnum == EPERM || errnum == EOPNOTSUPP || errnum == ENOSYS || errnum == EMLINK;
}

}  // namespace

LastMade make_last(disk::FileSystem& filesystem, const Layout& layout, const std::string& target,
                   const std::string& name, LastAs how, bool durable) {
  if (target == name) throw Error::invalid("'" + name + "' cannot be `last` of itself");
  const disk::Result<disk::FileStatus> status = filesystem.status(layout.path(target));
  disk::check(status.errnum, "stat", layout.path(target));
  if (status.value.type != disk::FileType::kRegular) {
    throw Error::invalid("'" + target + "' is not a file: only a symbolic link can be its `last`");
  }
  if (how == LastAs::kCopy) return copy(filesystem, layout, target, name, durable);
  if (how == LastAs::kLink) return hard_link(filesystem, layout, target, name, durable);
  if (auto made = try_reflink(filesystem, layout, target, name, durable)) return *made;
  try {
    return hard_link(filesystem, layout, target, name, durable);
  } catch (const Error& error) {
    if (!has_no_links(error.errnum())) throw;
  }
  return copy(filesystem, layout, target, name, durable);
}

std::optional<std::string> make_symlink(disk::FileSystem& filesystem, const Layout& layout,
                                        const std::string& target, const std::string& name,
                                        bool durable) {
  if (target == name) throw Error::invalid("'" + name + "' cannot be `last` of itself");
  return make_and_rename(filesystem, layout, name, durable, [&](const std::string& staged) {
    disk::check(filesystem.symlink(target, staged), "make a symbolic link", layout.path(name));
  });
}

}  // namespace checkroom::store
