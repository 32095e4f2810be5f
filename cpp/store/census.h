// Census: what a directory of checkpoints holds, in bytes.
//
// Values; any thread. What vanishes while it is counted is not counted; what may not be looked into
// is counted as far as it can be seen. A directory that does not exist is empty. Every other
// failure throws Error: files are removed by these figures, so half of them would cost checkpoints.
//
// A file counts its length, once, however many names it has; of a file that shares blocks with one
// counted before (a reflink) only the rest counts. Files being staged count the blocks reserved for
// them where those are more. Links and the directories themselves count nothing.
#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "disk/filesystem.h"
#include "store/layout.h"

namespace checkroom::store {

struct Entry {
  std::string name;
  disk::FileStatus status;
  Bytes bytes;  // that no entry before it has counted; of a directory: all below it
};

struct Census {
  std::vector<Entry> entries;  // those in the house of ours left out
  Bytes used;                  // everything, the staged files and the trash included

  // Of the entries that are not named.
  [[nodiscard]] Bytes bytes_beside(const std::vector<std::string>& names) const;
};

// `first`: names counted before all others, so that what they share is theirs.
Census take_census(disk::FileSystem& filesystem, const Layout& layout,
                   const std::vector<std::string>& first);

// One entry's length, its own names counted once; of a directory: all below it.
Bytes measure(disk::FileSystem& filesystem, const std::string& path);

}  // namespace checkroom::store
