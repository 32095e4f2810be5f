// Verify: is a zip what it says? First its structure, then, record by record, the checksums.
//
// It reads through a source and takes no memory of its own beside the directory. One thread at a
// time. A fault is told, not thrown; what the source throws passes through.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "archive/directory.h"
#include "base/source.h"

namespace checkroom::archive {

struct Fault {
  std::string record;  // with the prefix; empty: the file as a whole
  std::string what;
};

// In the order of the file: then a source that reads ahead reads forwards.
[[nodiscard]] std::vector<const Entry*> in_file_order(const Directory& directory);

// Of records that follow each other in the file: the local headers agree with the directory, and
// they lie behind each other, inside of the file and between the bounds. `end`: where the record
// before them ends; moves on. The first thing that is wrong.
[[nodiscard]] std::optional<Fault> check_structure(Source& source, const Directory& directory,
                                                   std::span<const Entry* const> entries,
                                                   std::int64_t& end);
[[nodiscard]] std::optional<Fault> check_structure(Source& source, const Directory& directory);

// No record has a checksum: it was written with PyTorch's compute_crc32 off.
[[nodiscard]] bool lacks_checksums(const Directory& directory);

// Reads the data of one record, a view of the source at a time.
class RecordCheck {
 public:
  // Both must stay. `has_checksum`: is its checksum one, or just not there?
  RecordCheck(Source& source, const Entry& entry, bool has_checksum);

  // Reads on; the bytes that were read, 0: it is complete.
  std::int64_t step();
  // After the last step.
  [[nodiscard]] std::optional<Fault> fault() const;

 private:
  void begin();
  void finish();

  Source& source_;
  const Entry& entry_;
  bool has_checksum_;
  bool begun_ = false;
  bool complete_ = false;
  std::int64_t data_ = 0;
  std::int64_t done_ = 0;
  std::uint32_t crc_ = 0;
  std::optional<Fault> fault_;
};

}  // namespace checkroom::archive
