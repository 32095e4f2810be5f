// EventPositions: the epochs and steps of a run's save events, as many as were appended.
//
// Events follow each other at one distance for long stretches, so it keeps stretches: where one
// begins, and the distance. At the worst that is one for every two events. Values; any thread may
// read. Nothing here throws but std::bad_alloc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "plan/interned.h"

namespace checkroom::plan {

struct EventPosition {
  std::int64_t epoch = 0;
  std::int64_t step = 0;
  friend bool operator==(const EventPosition&, const EventPosition&) = default;
};

class EventPositions {
 public:
  // Room for so many, of which only what is used is touched.
  void reserve(std::size_t events) { stretches_.reserve(events / 2); }
  [[nodiscard]] std::size_t size() const { return size_; }
  // Of fewer than 2^32, from -1 on.
  void append(std::int64_t epoch, std::int64_t step) {
    if (epoch != next_.epoch || step != next_.step || size_ == 0) turn(epoch, step);
    // There may be no next one, and its place beyond 64 bits: it wraps, and is never met.
    (void)__builtin_add_overflow(next_.epoch, distance_.epoch, &next_.epoch);
    (void)__builtin_add_overflow(next_.step, distance_.step, &next_.step);
    ++size_;
  }
  [[nodiscard]] EventPosition at(std::size_t index) const;  // which is less than size()

  // One after the other, faster than at().
  class Reader {
   public:
    explicit Reader(const EventPositions& positions) : positions_(positions) {}
    EventPosition next();

   private:
    const EventPositions& positions_;
    std::size_t index_ = 0;
    std::size_t stretch_ = 0;
  };

 private:
  struct Stretch {
    EventPosition first;
    std::uint32_t begin = 0;     // the index of its first event
    std::uint32_t distance = 0;  // into distances_
  };
  [[nodiscard]] EventPosition at(const Stretch& stretch, std::size_t index) const;
  void turn(std::int64_t epoch, std::int64_t step);

  std::vector<Stretch> stretches_;
  Interned<EventPosition> distances_;
  std::size_t size_ = 0;
  EventPosition next_;      // in the last stretch
  EventPosition distance_;  // likewise
};

}  // namespace checkroom::plan
