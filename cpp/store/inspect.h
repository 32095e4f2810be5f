// Inspect: is a file on the disk the archive that it should be?
//
// Reads it back from the disk itself. Any thread; what the disk refuses throws Error, what is wrong
// with the file is told.
#pragma once

#include <optional>
#include <string>

#include "archive/verify.h"
#include "disk/filesystem.h"

namespace checkroom::store {

enum class Depth {
  kStructure,  // the directory at its end, and every record's header
  kWhole,      // every byte, by the records' checksums
};

[[nodiscard]] std::optional<archive::Fault> inspect(disk::FileSystem& filesystem,
                                                    const std::string& path, Depth depth);

// For a person: "record 'archive/data/3' does not have ...".
[[nodiscard]] std::string describe(const archive::Fault& fault);

}  // namespace checkroom::store
