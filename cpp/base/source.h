// Source: bytes that can be looked at in any place. The archive room reads from one and knows no
// paths.
//
// The source owns the memory that it shows. One thread at a time. view() throws Error when the
// bytes cannot be had.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace checkroom {

class Source {
 public:
  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  virtual ~Source() = default;

  [[nodiscard]] virtual std::int64_t size() const = 0;
  // Bytes from `offset` on, which lies before size(): one at least, valid until the next call.
  [[nodiscard]] virtual std::span<const std::byte> view(std::int64_t offset) = 0;

  // A copy of [offset, offset + bytes.size()), which lies inside of size().
  void read(std::int64_t offset, std::span<std::byte> bytes) {
    while (!bytes.empty()) {
      const std::span<const std::byte> seen = view(offset);
      const std::size_t count = std::min(seen.size(), bytes.size());
      std::memcpy(bytes.data(), seen.data(), count);
      offset += static_cast<std::int64_t>(count);
      bytes = bytes.subspan(count);
    }
  }
};

}  // namespace checkroom
