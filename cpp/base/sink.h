// Sink: where bytes go. The archive room writes to one and knows no paths; the disk room is one.
//
// The sink owns the memory into which bytes are put: what a caller does with them there, such as
// taking their checksum, is of the very bytes that will be written, whatever happens to the source.
// One thread at a time. Both calls throw Error; after that the sink is only good for being
// destroyed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>

namespace checkroom {

class Sink {
 public:
  Sink() = default;
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;
  virtual ~Sink() = default;

  // Where the next bytes belong: one at least.
  [[nodiscard]] virtual std::span<std::byte> room() = 0;
  // The first `bytes` of room() are there.
  virtual void commit(std::size_t bytes) = 0;

  // All of them.
  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const std::span<std::byte> into = room();
      const std::size_t count = std::min(into.size(), bytes.size());
      std::memcpy(into.data(), bytes.data(), count);
      commit(count);
      bytes = bytes.subspan(count);
    }
  }
};

}  // namespace checkroom
