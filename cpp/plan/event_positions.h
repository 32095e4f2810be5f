// EventPositions: the epochs and steps of a run's save events, as many as were appended.
//
// Events follow each other at one distance for long stretches, so it keeps stretches: where one
// begins, and the distance. At the worst that is one for every two events. Values; any thread may
// read. Nothing here throws but std::bad_alloc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace checkroom::plan {

struct EventPosition {
  std::int64_t epoch = 0;
  std::int64_t step = 0;
  friend bool operator==(const EventPosition&, const EventPosition&) = default;
};

class EventPositions {
 public:
  [[nodiscard]] std::size_t size() const { return size_; }
  void append(std::int64_t epoch, std::int64_t step) {
    if (epoch != next_.epoch || step != next_.step || size_ == 0) turn(epoch, step);
    next_.epoch += distance_.epoch;
    next_.step += distance_.step;
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
    std::size_t begin = 0;  // the index of its first event
    EventPosition first;
    EventPosition distance;
    [[nodiscard]] EventPosition at(std::size_t index) const;
  };
  void turn(std::int64_t epoch, std::int64_t step);

  std::vector<Stretch> stretches_;
  std::size_t size_ = 0;
  EventPosition next_;      // in the last stretch
  EventPosition distance_;  // likewise
};

}  // namespace checkroom::plan
