#include "disk/free_space.h"

#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "disk/file.h"

namespace checkroom::disk {
namespace {

struct KnownFilesystem {
  std::uint64_t magic;
  const char* name;
  bool local;
};

// statfs(2) and linux/magic.h. ext2, ext3 and ext4 share a number; the last is what is in use.
constexpr std::array<KnownFilesystem, 24> kKnown = {{
    {0xEF53, "ext4", true},      {0x58465342, "xfs", true},      {0x9123683E, "btrfs", true},
    {0x01021994, "tmpfs", true}, {0x858458F6, "ramfs", true},    {0x794C7630, "overlay", true},
    {0xF2F52010, "f2fs", true},  {0x2FC12FC1, "zfs", true},      {0xCA451A4E, "bcachefs", true},
    {0x3153464A, "jfs", true},   {0x52654973, "reiserfs", true}, {0x4D44, "vfat", true},
    {0x2011BAB0, "exfat", true}, {0x7366746E, "ntfs3", true},    {0x6969, "nfs", false},
    {0xFF534D42, "cifs", false}, {0xFE534D42, "smb2", false},    {0x65735546, "fuse", false},
    {0x00C36400, "ceph", false}, {0x0BD00BD0, "lustre", false},  {0x01021997, "9p", false},
    {0x47504653, "gpfs", false}, {0x19830326, "beegfs", false},  {0x5346414F, "afs", false},
}};

// 1 EiB: more than any filesystem that a checkpoint is written to; FUSE reports such figures.
constexpr std::uint64_t kAbsurd = std::uint64_t{1} << 60U;

std::string name_of(std::uint64_t magic) {
  const auto* known = std::find_if(kKnown.begin(), kKnown.end(),
                                   [magic](const auto& entry) { return entry.magic == magic; });
  if (known != kKnown.end()) return known->name;
  std::array<char, 32> text = {};
  static_cast<void>(
      std::snprintf(text.data(), text.size(), "0x%llx", static_cast<unsigned long long>(magic)));
  return text.data();
}

bool believable(const Volume& volume) {
  return volume.total > 0 && volume.total <= kAbsurd && volume.free <= volume.total &&
         volume.available <= volume.total;
}

std::string parent_of(const std::string& path) {
  const std::size_t end = path.find_last_not_of('/');
  if (end == std::string::npos) return "/";
  const std::size_t slash = path.rfind('/', end);
  if (slash == std::string::npos) return ".";
  const std::size_t last = path.find_last_not_of('/', slash);
  return last == std::string::npos ? "/" : path.substr(0, last + 1);
}

}  // namespace

std::optional<Bytes> FreeSpace::minus_floor(Bytes floor) const {
  if (!available) return std::nullopt;
  return std::max(Bytes(0), *available - floor);
}

FreeSpace free_space(FileSystem& filesystem, const std::string& path) {
  if (path.empty()) throw Error::invalid("the path whose free space is asked for is empty");
  std::string probed = path;
  Result<FileStatus> status = filesystem.status_of_target(probed);
  while (status.errnum == ENOENT || status.errnum == ENOTDIR) {
    std::string parent = parent_of(probed);
    if (parent == probed) break;
    probed = std::move(parent);
    status = filesystem.status_of_target(probed);
  }
  check(status.errnum, "stat", probed);
  const Result<Volume> volume = filesystem.volume(probed);
  check(volume.errnum, "ask for the free space", probed);

  FreeSpace space;
  space.path = probed;
  space.device =
      std::to_string(major(status.value.device)) + ":" + std::to_string(minor(status.value.device));
  space.filesystem = name_of(volume.value.magic);
  if (believable(volume.value)) {
    space.total = Bytes(static_cast<std::int64_t>(volume.value.total));
    space.free = Bytes(static_cast<std::int64_t>(volume.value.free));
    space.available = Bytes(static_cast<std::int64_t>(volume.value.available));
    if (volume.value.inodes > 0 && volume.value.inodes_available <= volume.value.inodes) {
      space.inodes = static_cast<std::int64_t>(volume.value.inodes_available);
    }
  }
  return space;
}

bool is_local_filesystem(const std::string& filesystem_name) {
  return std::any_of(kKnown.begin(), kKnown.end(), [&](const KnownFilesystem& entry) {
    return entry.local && filesystem_name == entry.name;
  });
}

}  // namespace checkroom::disk
