// Directory: what a zip says about its records, read without their data.
//
// Values. One thread at a time reads from a source. What is no zip, or none that can be read as
// one, throws Error(kInvalidArgument) that says what is wrong with it; whatever the file says, no
// more memory is taken than its directory is long.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/source.h"

namespace checkroom::archive {

struct Entry {
  std::string name;         // with the prefix
  std::int64_t size = 0;    // bytes of the data
  std::int64_t packed = 0;  // bytes of them in the file: the same, unless it is compressed
  std::int64_t header = 0;  // where its local header starts
  std::uint32_t crc = 0;
  std::uint16_t flags = 0;
  std::uint16_t method = 0;  // 0: stored
};

struct Directory {
  std::vector<Entry> entries;  // as the directory lists them
  std::int64_t start = 0;      // where it starts, and the records end
};

[[nodiscard]] Directory read_directory(Source& source);

}  // namespace checkroom::archive
