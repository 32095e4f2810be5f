// EvictionQueue: the entries of a top k, of which the next to be evicted is known. A heap would do;
// this is one that is built no further than it is asked, so that half a million entries cost few
// cache misses: an incremental quicksort.
//
// Values; one thread. Nothing here throws but std::bad_alloc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace checkroom::plan {

// Whose meaning the caller knows: a small integer, for an array as long as the largest is kept.
using ItemId = std::uint32_t;
inline constexpr ItemId kNoItem = UINT32_MAX;

// An entry of a top k. Smaller keys are better, whatever the mode; NaN is the worst, infinity.
struct Ranked {
  double key = 0;
  std::uint32_t order = 0;  // in which it entered
  ItemId id = kNoItem;
};

// Would `a` be evicted before `b`? The worst goes first; among equals the first that entered.
inline bool evicted_before(const Ranked& a, const Ranked& b) {
  return (a.key > b.key) | ((a.key == b.key) & (a.order < b.order));
}

class EvictionQueue {
 public:
  [[nodiscard]] std::size_t size() const { return size_; }
  void push(const Ranked& entry) {
    ++size_;
    for (Segment& segment : segments_) {
      if (!segment.fenced || evicted_before(segment.fence, entry)) {
        segment.entries.push_back(entry);
        return;
      }
    }
    push_front(entry);
  }
  // What next() and pop() ask for: puts so much in order as it takes. Not of an empty queue.
  void prepare() {
    while (front_.empty()) refill();
  }
  // The next to be evicted, once prepared.
  [[nodiscard]] const Ranked& next() const { return front_.front(); }
  void pop();
  // The entry of this id, which is in the queue.
  Ranked take(ItemId id);
  // Appends all entries, in no order.
  void append_to(std::vector<Ranked>& out) const;
  template <typename Visit>
  void for_each(Visit visit) const;

 private:
  // Unsorted. Every entry comes after the fence, and what comes later in segments_, and the front,
  // comes before it or is the fence itself.
  struct Segment {
    std::vector<Ranked> entries;
    Ranked fence;
    bool fenced = false;
  };
  static constexpr std::size_t kArity = 4;
  static constexpr std::size_t kFrontSize = 256;

  void refill();
  void split();
  void push_front(const Ranked& entry);
  void sift_up(std::size_t hole, const Ranked& entry);
  void sift_down(std::size_t hole, const Ranked& entry);
  void erase_front(std::size_t index);

  std::size_t size_ = 0;
  std::vector<Segment> segments_ = std::vector<Segment>(1);  // the last to be evicted first
  std::vector<Ranked> front_;                                // a heap of the next ones
};

template <typename Visit>
void EvictionQueue::for_each(Visit visit) const {
  for (const Segment& segment : segments_) {
    for (const Ranked& entry : segment.entries) visit(entry);
  }
  for (const Ranked& entry : front_) visit(entry);
}

}  // namespace checkroom::plan
