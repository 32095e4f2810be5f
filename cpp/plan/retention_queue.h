// EvictionQueue: the entries of a top k, of which the next to be evicted is known.
//
// Three parts, so that half a million entries cost few cache misses: those that are evicted late
// lie unsorted; a quarter of all, those that go next, is sorted; newcomers that would belong there
// lie in a heap beside it. When the sorted ones are used up, the next quarter is.
//
// Values; one thread. Nothing here throws but std::bad_alloc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
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
  void reserve(std::size_t entries) { later_.reserve(entries); }
  // By value, and put together in place: an entry that is built in one place and copied to another
  // stalls the processor.
  void push(Ranked entry) {
    ++size_;
    if (entry.key < fence_) {
      later_.emplace_back(entry.key, entry.order, entry.id);
    } else {
      push_between(entry);
    }
  }
  // What the next three ask for, after each change: puts so much in order as it takes. Not of an
  // empty queue.
  void prepare() {
    if (sooner_.empty() && between_.empty()) refill();
    next_is_between_ =
        !between_.empty() && (sooner_.empty() || evicted_before(between_.front(), sooner_.back()));
    next_ = next_is_between_ ? between_.front() : sooner_.back();
  }
  // The next to be evicted.
  [[nodiscard]] const Ranked& next() const { return next_; }
  // Two that are evicted not long after it, or itself: in time each entry is among them.
  [[nodiscard]] std::array<ItemId, 2> soon() const {
    return {sooner_.size() > kSoon ? sooner_[sooner_.size() - 1 - kSoon].id : next_.id,
            between_.empty() ? next_.id : between_.front().id};
  }
  void pop() {
    --size_;
    if (next_is_between_) {
      erase_between(0);
    } else {
      sooner_.pop_back();
    }
  }
  // The entry of this id, which is in the queue.
  Ranked take(ItemId id);
  // Appends all entries, in no order.
  void append_to(std::vector<Ranked>& out) const;
  template <typename Visit>
  void for_each(Visit visit) const;

 private:
  static constexpr std::size_t kSoon = 16;
  static constexpr std::size_t kArity = 4;  // of the heap

  void refill();
  void part_later();
  void sort_sooner();
  void push_between(Ranked entry);
  void erase_between(std::size_t index);
  void sift_up(std::size_t hole, Ranked entry);

  std::size_t size_ = 0;
  std::vector<Ranked> later_;  // their keys are below the fence, those of all others are not
  double fence_ = std::numeric_limits<double>::infinity();
  std::vector<Ranked> sooner_;   // the next at the back
  std::vector<Ranked> between_;  // the next at the front
  std::vector<Ranked> scratch_;
  Ranked next_;  // once prepared
  bool next_is_between_ = false;
};

template <typename Visit>
void EvictionQueue::for_each(Visit visit) const {
  for (const Ranked& entry : later_) visit(entry);
  for (const Ranked& entry : sooner_) visit(entry);
  for (const Ranked& entry : between_) visit(entry);
}

}  // namespace checkroom::plan
