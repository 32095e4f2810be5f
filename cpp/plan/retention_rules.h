// BestRule and EveryRule: the state of one rule of the incremental retention engine.
//
// Values on integers and doubles; one engine a thread. Nothing here throws but std::bad_alloc; what
// a rule may be told is checked before, by check_policy().
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "plan/retention.h"
#include "plan/retention_queue.h"

namespace checkroom::plan {

// The k best by one metric, as Lightning's best_k_models keeps them: a newcomer enters while there
// are free slots, else only if it is strictly better than the kth.
class BestRule {
 public:
  BestRule(std::int64_t k, Mode mode)  // k: at least 1, or -1: all
      : k_(k < 0 ? SIZE_MAX : static_cast<std::size_t>(k)), sign_(mode == Mode::kMin ? 1 : -1) {}

  [[nodiscard]] double key(double score) const {
    return std::isnan(score) ? std::numeric_limits<double>::infinity() : sign_ * score;
  }
  // Makes room for so many entries, or as many as it may have.
  void reserve(std::size_t entries) { queue_.reserve(std::min(entries, k_)); }
  [[nodiscard]] std::size_t size() const { return queue_.size(); }
  [[nodiscard]] bool full() const { return queue_.size() >= k_; }
  [[nodiscard]] bool admits(double key) const { return !full() || key < queue_.next().key; }
  // The kth: the one that is evicted next.
  [[nodiscard]] const Ranked& worst_when_full() const { return queue_.next(); }
  // Among equals the first that entered; id kNoItem: the rule is empty.
  [[nodiscard]] const Ranked& best() const { return best_; }

  // Two that are evicted not long after it, or itself.
  [[nodiscard]] std::array<ItemId, 2> evicted_soon() const { return queue_.soon(); }
  // A newcomer that is admitted. The id that it evicts, or kNoItem.
  ItemId enter(ItemId id, double key);
  // An id that is in the rule was written again. Where Lightning would pop the kth for it, so does
  // this; the id keeps its place in the order unless it was itself the kth.
  ItemId replace(ItemId id, double key);
  void erase(ItemId id);

  // Its entries, in no order.
  [[nodiscard]] std::vector<Ranked> entries() const;
  template <typename Visit>
  void for_each(Visit visit) const {
    queue_.for_each(visit);
  }
  // Its entries from rank 1 on: the best, then in the reverse order of eviction.
  void ranked(std::vector<Ranked>& out) const;
  // 1 + how many are no worse.
  [[nodiscard]] std::uint32_t rank_of_newcomer(double key) const;
  // Calls visit(entry) from the next to be evicted on, until it says true. Costs what is visited.
  template <typename Visit>
  void walk_from_worst(Visit visit);

 private:
  void push(Ranked entry);
  void find_best();

  std::size_t k_;
  double sign_;
  std::uint32_t next_order_ = 0;
  EvictionQueue queue_;  // prepared when it is full
  Ranked best_;
};

inline ItemId BestRule::enter(ItemId id, double key) {
  const Ranked entry{key, next_order_++, id};
  ItemId evicted = kNoItem;
  if (full()) {
    evicted = queue_.next().id;
    queue_.pop();
  }
  push(entry);
  if (evicted != kNoItem && best_.id == evicted) {
    find_best();
  } else if (best_.id == kNoItem || key < best_.key) {
    best_ = entry;
  }
  return evicted;
}

inline void BestRule::push(Ranked entry) {
  queue_.push(entry);
  if (full()) queue_.prepare();
}

template <typename Visit>
void BestRule::walk_from_worst(Visit visit) {
  std::vector<Ranked> visited;
  for (bool found = false; !found && queue_.size() > 0;) {
    queue_.prepare();
    visited.push_back(queue_.next());
    queue_.pop();
    found = visit(visited.back());
  }
  for (const Ranked& entry : visited) push(entry);
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
