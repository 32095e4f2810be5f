#include "plan/retention_rules.h"

#include <algorithm>

namespace checkroom::plan {

ItemId BestRule::replace(ItemId id, double key) {
  ItemId evicted = kNoItem;
  if (full() && key < queue_.next().key) {
    evicted = queue_.next().id;
    if (evicted == id) {
      enter(id, key);
      return kNoItem;
    }
    queue_.pop();
  }
  Ranked entry = queue_.take(id);
  entry.key = key;
  push(entry);
  find_best();
  return evicted;
}

void BestRule::erase(ItemId id) {
  queue_.take(id);
  if (best_.id == id) find_best();
}

std::vector<Ranked> BestRule::entries() const {
  std::vector<Ranked> entries;
  entries.reserve(queue_.size());
  queue_.for_each([&entries](const Ranked& entry) { entries.push_back(entry); });
  return entries;
}

void BestRule::ranked(std::vector<Ranked>& out) const {
  queue_.sorted(out);
  // The best is the first that entered among equals, which is also the first of them to go.
  const auto best =
      std::find_if(out.begin(), out.end(), [this](const Ranked& e) { return e.id == best_.id; });
  if (best != out.end()) std::rotate(out.begin(), best, best + 1);
}

std::uint32_t BestRule::rank_of_newcomer(double key) const {
  std::uint32_t rank = 1;
  queue_.for_each([&](const Ranked& entry) { rank += std::uint32_t{entry.key <= key}; });
  return rank;
}

void BestRule::find_best() {
  best_ = Ranked{};
  queue_.for_each([this](const Ranked& entry) {
    if (best_.id == kNoItem || entry.key < best_.key ||
        (entry.key == best_.key && entry.order < best_.order)) {
      best_ = entry;
    }
  });
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
