// Layout: where each record of PyTorch's zip lies and how long the file is, without writing it.
//
// It owns the running offsets of one archive; records go in once, in file order. One thread at a
// time, no I/O. A prefix or a name that does not fit into 16 bits, an alignment that PyTorch cannot
// express, a negative size and a record whose padding would overflow the zip header throw
// Error(kInvalidArgument); a file beyond 64 bits throws Error(kOverflow).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace checkroom::archive {

// Bytes of padding are counted in a 16-bit field of the record's header. Any value from 1 on is
// taken, powers of two or not: PyTorch does the same.
inline constexpr std::int64_t kMostAlignment = 65536;
inline constexpr std::int64_t kDefaultAlignment = 64;

// Where one record lies: its header, its data and the first byte behind it.
struct Placement {
  std::int64_t header = 0;
  std::int64_t data = 0;
  std::int64_t end = 0;
  std::int64_t zip64_extra = 0;  // bytes of the zip64 field; 0: a small record near the start
  std::int64_t padding = 0;      // bytes that align the data
};

class Layout {
 public:
  // `prefix` is the folder inside of the zip: "archive" for every file object.
  explicit Layout(std::string prefix = "archive", std::int64_t alignment = kDefaultAlignment);

  // The next record in file order; `name` without the prefix.
  Placement add(std::string_view name, std::int64_t size);

  // Bytes of the whole file if no other record follows: records, directory and the three trailers.
  [[nodiscard]] Bytes file_size() const;

 private:
  std::string prefix_;
  std::int64_t alignment_;
  Bytes next_;       // where the next header starts
  Bytes directory_;  // length of the central directory so far
};

struct Record {
  std::string name;  // without the prefix
  std::int64_t size = 0;
};

// Bytes of the file that holds exactly these records, in this order.
Bytes archive_size(const std::vector<Record>& records, const std::string& prefix = "archive",
                   std::int64_t alignment = kDefaultAlignment);

}  // namespace checkroom::archive
