// Free space: what a filesystem has for us, judged.
//
// Values; any thread. A failure to look throws Error; figures that cannot be true (a FUSE
// filesystem may report none, or more free than there is) become unknown, never a guess.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "disk/filesystem.h"

namespace checkroom::disk {

struct FreeSpace {
  std::string path;                // what was looked at: the path, or its nearest parent
  std::optional<Bytes> available;  // to us (f_bavail); empty: unknown, as the next two
  std::optional<Bytes> free;
  std::optional<Bytes> total;
  std::optional<std::int64_t> inodes;  // available; empty: not counted
  std::string device;                  // "major:minor"
  std::string filesystem;              // "ext4", "xfs", ..., or statfs' number as "0x..."

  // What is left above the floor; never below 0; empty where unknown.
  [[nodiscard]] std::optional<Bytes> minus_floor(Bytes floor) const;
};

// Of the filesystem that `path` lies on, or would lie on: where it does not exist yet, its nearest
// existing parent is asked.
FreeSpace free_space(FileSystem& filesystem, const std::string& path);

// Do only this machine's kernel and nobody else's write to it? What is not known is not local.
bool is_local_filesystem(const std::string& filesystem_name);

}  // namespace checkroom::disk
