// Sink: where bytes go. The archive room writes to one and knows no paths; the disk room is one.
//
// One thread at a time. write() takes all bytes or throws Error; after an Error the sink is only
// good for being destroyed.
#pragma once

#include <cstddef>
#include <span>

namespace checkroom {

class Sink {
 public:
  Sink() = default;
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;
  virtual ~Sink() = default;

  virtual void write(std::span<const std::byte> bytes) = 0;
};

}  // namespace checkroom
