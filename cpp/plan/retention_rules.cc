#include "plan/retention_rules.h"

#include <cmath>
#include <limits>

namespace checkroom::plan {

double BestRule::key(double score) const {
  if (std::isnan(score)) return std::numeric_limits<double>::infinity();
  return mode_ == Mode::kMin ? score : -score;
}

ItemId BestRule::enter(ItemId id, double key) {
  const Ranked entry{key, next_order_++, id};
  ItemId evicted = kNoItem;
  if (full()) {
    evicted = heap_.front().id;
    sift_down(0, entry);
    if (best_.id == evicted) find_best();
  } else {
    append(entry);
    if (full()) put_in_order();
  }
  if (best_.id == kNoItem || key < best_.key) best_ = entry;
  return evicted;
}

ItemId BestRule::replace(ItemId id, double key) {
  ItemId evicted = kNoItem;
  if (full() && key < heap_.front().key) {
    evicted = heap_.front().id;
    erase_at(0);
    if (evicted == id) {
      if (best_.id == id) find_best();
      enter(id, key);
      return kNoItem;
    }
  }
  const std::size_t index = index_of(id);
  const Ranked entry{key, heap_[index].order, id};
  erase_at(index);
  append(entry);
  find_best();
  return evicted;
}

void BestRule::erase(ItemId id) {
  erase_at(index_of(id));
  if (best_.id == id) find_best();
}

void BestRule::ranked(std::vector<Ranked>& out) const {
  out.assign(heap_.begin(), heap_.end());
  std::sort(out.begin(), out.end(),
            [](const Ranked& a, const Ranked& b) { return evicted_before(b, a); });
  // The best is the first that entered among equals, which is also the first of them to go.
  const auto best =
      std::find_if(out.begin(), out.end(), [this](const Ranked& e) { return e.id == best_.id; });
  if (best != out.end()) std::rotate(out.begin(), best, best + 1);
}

std::uint32_t BestRule::rank_of_newcomer(double key) const {
  return 1 + static_cast<std::uint32_t>(std::count_if(
                 heap_.begin(), heap_.end(), [key](const Ranked& e) { return e.key <= key; }));
}

void BestRule::put_in_order() {
  if (in_order_) return;
  in_order_ = true;
  if (heap_.size() < 2) return;
  for (std::size_t index = (heap_.size() - 2) / kArity + 1; index-- > 0;) {
    sift_down(index, Ranked(heap_[index]));
  }
}

void BestRule::append(const Ranked& entry) {
  heap_.push_back(entry);
  if (in_order_) sift_up(heap_.size() - 1, entry);
}

void BestRule::sift_up(std::size_t hole, const Ranked& entry) {
  while (hole > 0) {
    const std::size_t parent = (hole - 1) / kArity;
    if (!evicted_before(entry, heap_[parent])) break;
    heap_[hole] = heap_[parent];
    hole = parent;
  }
  heap_[hole] = entry;
}

std::size_t BestRule::next_child(std::size_t first, std::size_t end) const {
  std::size_t best = first;
  for (std::size_t child = first + 1; child < end; ++child) {
    if (evicted_before(heap_[child], heap_[best])) best = child;
  }
  return best;
}

void BestRule::sift_down(std::size_t hole, const Ranked& entry) {
  for (;;) {
    const std::size_t first = hole * kArity + 1;
    if (first >= heap_.size()) break;
    const std::size_t child = next_child(first, std::min(first + kArity, heap_.size()));
    if (!evicted_before(heap_[child], entry)) break;
    heap_[hole] = heap_[child];
    hole = child;
  }
  heap_[hole] = entry;
}

void BestRule::erase_at(std::size_t index) {
  const Ranked moved = heap_.back();
  heap_.pop_back();
  if (index == heap_.size()) return;
  if (!in_order_) {
    heap_[index] = moved;
  } else if (index > 0 && evicted_before(moved, heap_[(index - 1) / kArity])) {
    sift_up(index, moved);
  } else {
    sift_down(index, moved);
  }
}

std::size_t BestRule::index_of(ItemId id) const {
  std::size_t index = 0;
  while (heap_[index].id != id) ++index;
  return index;
}

void BestRule::find_best() {
  best_ = Ranked{0, 0, kNoItem};
  for (const Ranked& entry : heap_) {
    if (best_.id == kNoItem || entry.key < best_.key ||
        (entry.key == best_.key && entry.order < best_.order)) {
      best_ = entry;
    }
  }
}

EveryRule::EveryRule(const KeepEvery& rule)
    : unit_(rule.epochs  ? Unit::kEpochs
            : rule.steps ? Unit::kSteps
                         : Unit::kSeconds),
      every_(rule.epochs  ? static_cast<double>(*rule.epochs)
             : rule.steps ? static_cast<double>(*rule.steps)
                          : rule.hours.value_or(0) * 3600),
      started_(unit_ != Unit::kSeconds) {}

double EveryRule::clock(std::int64_t epoch, std::int64_t step, double saved_at) const {
  switch (unit_) {
    case Unit::kEpochs:
      return static_cast<double>(epoch) + 1;  // an epoch is done when it is saved
    case Unit::kSteps:
      return static_cast<double>(step);
    case Unit::kSeconds:
      break;
  }
  return saved_at;
}

bool EveryRule::due(double now) const {
  if (!started_) return true;
  return std::max(now, latest_) - anchor_ >= every_;
}

bool EveryRule::publish(double now) {
  const bool kept = due(now);
  latest_ = started_ ? std::max(now, latest_) : now;
  started_ = true;
  if (kept) anchor_ = latest_;
  return kept;
}

}  // namespace checkroom::plan
