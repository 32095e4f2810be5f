// SerializationId: the 40 digits that PyTorch writes as the last record of its zip.
//
// They are two hashes: one over the names of the records, in the iteration order of the standard
// library's unordered_set, which is why it is one here too, and one over the checksums as PyTorch
// sees them go by: in every single write that looks like a data descriptor. One thread at a time.
// Source of the algorithm: PyTorch's caffe2/serialize/inline_container.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>

namespace checkroom::archive {

class SerializationId {
 public:
  // A record's name without the prefix; false: there is one of that name.
  bool add_name(std::string_view name);
  // The data descriptor of a record.
  void add_descriptor(std::uint32_t crc);
  // The data of a record, or its first 8 bytes: PyTorch takes data that begin like a descriptor for
  // one.
  void add_data(std::span<const std::byte> start);

  // Over all that was added so far.
  [[nodiscard]] std::string text() const;

 private:
  std::unordered_set<std::string> names_;  // no reserve(): it would change the order
  std::uint64_t checksums_ = 0;
};

}  // namespace checkroom::archive
