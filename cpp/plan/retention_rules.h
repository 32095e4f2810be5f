// BestRule and EveryRule: the state of one rule of the incremental retention engine.
//
// Values on integers and doubles; one engine a thread. Nothing here throws but std::bad_alloc; what
// a rule may be told is checked before, by check_policy().
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "plan/retention.h"

namespace checkroom::plan {

// Whose meaning the caller knows: a small integer, for an array as long as the largest is kept.
using ItemId = std::uint32_t;
inline constexpr ItemId kNoItem = UINT32_MAX;

// An entry of a top k. Smaller keys are better, whatever the mode; NaN is the worst, infinity.
struct Ranked {
  double key;
  std::uint32_t order;  // in which it entered
  ItemId id;
};

// Would `a` be evicted before `b`? The worst goes first; among equals the first that entered.
inline bool evicted_before(const Ranked& a, const Ranked& b) {
  return (a.key > b.key) | ((a.key == b.key) & (a.order < b.order));
}

// The k best by one metric, as Lightning's best_k_models keeps them: a newcomer enters while there
// are free slots, else only if it is strictly better than the kth.
class BestRule {
 public:
  BestRule(std::int64_t k, Mode mode) : k_(k), mode_(mode) {}  // k: at least 1, or -1: all

  [[nodiscard]] double key(double score) const;
  [[nodiscard]] std::size_t size() const { return heap_.size(); }
  [[nodiscard]] bool full() const { return k_ >= 0 && std::cmp_greater_equal(heap_.size(), k_); }
  // A full rule only compares; its heap is in order.
  [[nodiscard]] bool admits(double key) const { return !full() || key < heap_.front().key; }
  // The kth: the one that is evicted next.
  [[nodiscard]] const Ranked& worst_when_full() const { return heap_.front(); }
  // Among equals the first that entered; id kNoItem: the rule is empty.
  [[nodiscard]] const Ranked& best() const { return best_; }

  // A newcomer that is admitted. The id that it evicts, or kNoItem.
  ItemId enter(ItemId id, double key);
  // An id that is in the rule was written again. Where Lightning would pop the kth for it, so does
  // this; the id keeps its place in the order unless it was itself the kth.
  ItemId replace(ItemId id, double key);
  void erase(ItemId id);

  // Its entries, in no order.
  [[nodiscard]] const std::vector<Ranked>& entries() const { return heap_; }
  // Its entries from rank 1 on: the best, then in the reverse order of eviction.
  void ranked(std::vector<Ranked>& out) const;
  // 1 + how many are no worse.
  [[nodiscard]] std::uint32_t rank_of_newcomer(double key) const;

  // Calls visit(entry) from the next to be evicted on, until it says true. Costs what is visited.
  template <typename Visit>
  void walk_from_worst(Visit visit);

 private:
  static constexpr std::size_t kArity = 4;
  void put_in_order();
  void append(const Ranked& entry);
  void sift_up(std::size_t hole, const Ranked& entry);
  void sift_down(std::size_t hole, const Ranked& entry);
  void erase_at(std::size_t index);
  [[nodiscard]] std::size_t index_of(ItemId id) const;
  [[nodiscard]] std::size_t next_child(std::size_t first, std::size_t end) const;
  void find_best();

  std::int64_t k_;
  Mode mode_;
  std::uint32_t next_order_ = 0;
  bool in_order_ = false;     // is heap_ a heap yet? While slots are free nobody asks
  std::vector<Ranked> heap_;  // the next to be evicted at the front
  Ranked best_{0, 0, kNoItem};
};

template <typename Visit>
void BestRule::walk_from_worst(Visit visit) {
  if (heap_.empty()) return;
  put_in_order();
  const auto later = [this](std::size_t a, std::size_t b) {
    return evicted_before(heap_[b], heap_[a]);
  };
  std::vector<std::size_t> frontier{0};
  while (!frontier.empty()) {
    std::pop_heap(frontier.begin(), frontier.end(), later);
    const std::size_t index = frontier.back();
    frontier.pop_back();
    if (visit(heap_[index])) return;
    const std::size_t first = index * kArity + 1;
    for (std::size_t child = first; child < std::min(first + kArity, heap_.size()); ++child) {
      frontier.push_back(child);
      std::push_heap(frontier.begin(), frontier.end(), later);
    }
  }
}

// Greedy: keeps what comes at least `every` after the one that it kept before.
class EveryRule {
 public:
  explicit EveryRule(const KeepEvery& rule);

  // How far training is, in this rule's unit.
  [[nodiscard]] double clock(std::int64_t epoch, std::int64_t step, double saved_at) const;
  [[nodiscard]] bool due(double now) const;
  // Is it kept? A clock that went backwards stands still.
  bool publish(double now);

 private:
  enum class Unit { kEpochs, kSteps, kSeconds };
  Unit unit_;
  double every_;
  bool started_;       // seconds start with the first checkpoint
  double anchor_ = 0;  // when it last kept one
  double latest_ = 0;
};

}  // namespace checkroom::plan
