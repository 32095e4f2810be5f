// EvictionQueue: the entries of a top k, of which the next to be evicted is known.
//
// Only what goes next is sorted, so that half a million entries cost few cache misses. The others
// lie in unsorted heaps: the first holds those that are evicted last; when nothing is sorted any
// more, a quarter of the last heap is parted off and sorted, or becomes the next heap where it is
// large. Newcomers that belong among the sorted ones wait beside them in a priority queue.
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
  void reserve(std::size_t entries) { piles_.front().entries.reserve(entries); }
  // By value, and put together in place: an entry that is built in one place and copied to another
  // stalls the processor.
  void push(Ranked entry) {
    ++size_;
    for (std::size_t i = 0; i < used_; ++i) {
      if (entry.key < piles_[i].fence) {
        piles_[i].entries.emplace_back(entry.key, entry.order, entry.id);
        return;
      }
    }
    push_between(entry);
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
      if (sooner_.empty()) __builtin_unreachable();  // it was prepared
      sooner_.pop_back();
    }
  }
  // The entry of this id, which is in the queue.
  Ranked take(ItemId id);
  template <typename Visit>
  void for_each(Visit visit) const;
  // All entries, the last to be evicted first.
  void sorted(std::vector<Ranked>& out) const;

 private:
  static constexpr std::size_t kSoon = 16;
  static constexpr std::size_t kArity = 4;  // of the heap

  // Unsorted. The keys are below the fence; those of the piles after it, and of all that is in
  // order, are not.
  struct Pile {
    std::vector<Ranked> entries;
    double fence = std::numeric_limits<double>::infinity();
  };

  void refill();
  static void part(Pile& from, std::vector<Ranked>& to);
  void push_between(Ranked entry);
  void erase_between(std::size_t index);
  void sift_up(std::size_t hole, Ranked entry);

  std::size_t size_ = 0;
  std::vector<Pile> piles_ = std::vector<Pile>(1);  // those that are evicted last first
  std::size_t used_ = 1;                            // of the piles; the others keep their memory
  std::vector<Ranked> sooner_;                      // the next at the back
  std::vector<Ranked> between_;                     // the next at the front
  std::vector<Ranked> scratch_;
  Ranked next_;  // once prepared
  bool next_is_between_ = false;
};

template <typename Visit>
void EvictionQueue::for_each(Visit visit) const {
  for (const Pile& pile : piles_) {
    for (const Ranked& entry : pile.entries) visit(entry);
  }
  for (const Ranked& entry : sooner_) visit(entry);
  for (const Ranked& entry : between_) visit(entry);
}

}  // namespace checkroom::plan
