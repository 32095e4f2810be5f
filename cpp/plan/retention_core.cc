#include "plan/retention_core.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "base/error.h"

namespace checkroom::plan {
namespace {

std::int64_t sum(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? (Bytes(a) + Bytes(b)).count() : sum;  // or throws
}

}  // namespace

EngineCore::EngineCore(const RetentionPolicy& policy)
    : top_k_(policy.top_k.k), monitored_(!policy.top_k.monitor.empty()), budget_(policy.budget) {
  check_policy(policy);
  int bit = kFirstRuleBit;
  const auto next_bit = [&bit] { return Holds{1} << bit++; };
  const auto add_metric = [&](std::int64_t k, const std::string& monitor, Mode mode,
                              std::size_t rule) {
    const Holds scored = next_bit();
    scored_bits_ |= scored;
    best_.push_back({BestRule(k, mode), static_cast<std::uint8_t>(best_.size()),
                     static_cast<std::uint8_t>(rule), scored, next_bit()});
    metrics_.push_back(monitor);
  };
  if (monitored_ && top_k_ != 0) add_metric(top_k_, policy.top_k.monitor, policy.top_k.mode, 0);
  for (std::size_t i = 0; i < policy.keep.size(); ++i) {
    const auto rule = static_cast<std::uint8_t>(i + 1);
    if (const auto* last = std::get_if<KeepLast>(&policy.keep[i])) {
      last_n_ = static_cast<std::size_t>(last->n);
      last_n_rule_ = rule;
    } else if (const auto* every = std::get_if<KeepEvery>(&policy.keep[i])) {
      every_.push_back({EveryRule(*every), rule, next_bit()});
    } else {
      const auto& best = std::get<KeepBest>(policy.keep[i]);
      add_metric(best.k, best.monitor, best.mode, rule);
    }
  }
  if (!monitored_ && top_k_ < 0) always_ |= kHeldByAll;
  releases_.resize(best_.size() + 2);  // one by each metric, by KeepLast, and the former newest
  // The rule that is named when something goes that no rule ever held.
  if (top_k_ != 0) {
    primary_.kind = monitored_ ? ReasonKind::kNotInTopK : ReasonKind::kReplaced;
  } else if (policy.keep.empty()) {
    primary_.kind = ReasonKind::kNothingKept;
  } else {
    primary_.rule = 1;
    primary_.kind = last_n_rule_ == 1                                   ? ReasonKind::kOlder
                    : std::holds_alternative<KeepEvery>(policy.keep[0]) ? ReasonKind::kNotDue
                                                                        : ReasonKind::kNotInTopK;
  }
}

template <typename Visit>
inline void EngineCore::visit_wants(const Candidate& candidate, Visit visit) const {
  for (const Metric& metric : best_) {
    if (!has_score(candidate, metric)) {
      if (visit(ReasonKind::kUnscored, metric.rule)) return;
    } else if (metric.best.admits(key(candidate, metric))) {
      if (visit(ReasonKind::kTopK, metric.rule)) return;
    }
  }
  if (!monitored_ && top_k_ != 0) {
    if (visit(top_k_ < 0 ? ReasonKind::kAll : ReasonKind::kNewest, 0)) return;
  }
  for (const Interval& interval : every_) {
    const double now = interval.every.clock(candidate.epoch, candidate.step, candidate.saved_at);
    if (interval.every.due(now) && visit(ReasonKind::kEvery, interval.rule)) return;
  }
  if (last_n_ > 0 && visit(ReasonKind::kLastN, last_n_rule_)) return;
  if (candidate.id == last_ && last_ != kNoItem && visit(ReasonKind::kLast, 0)) return;
  if (candidate.pinned && visit(ReasonKind::kPinned, 0)) return;
  if (candidate.id == resumed_ && resumed_ != kNoItem) visit(ReasonKind::kResumedFrom, 0);
}

void EngineCore::reserve(std::size_t ids) {
  records_.reserve(ids);
  for (Metric& metric : best_) metric.best.reserve(ids);
}

// The first reason for which it is wanted, as decide() gives it; false: it is not.
inline bool EngineCore::judge(const Candidate& candidate, Reason& reason) {
  bool wanted = false;
  visit_wants(candidate, [&](ReasonKind kind, std::uint8_t rule) {
    wanted = true;
    reason.kind = kind;
    reason.rule = rule;
    return true;
  });
  if (!wanted || !budget_) return wanted;
  if (const auto full = no_room(candidate, reason)) {
    reason = *full;
    return false;
  }
  return true;
}

Decision EngineCore::decide(const Candidate& candidate) {
  Decision decision;
  decision.wanted = judge(candidate, decision.reason);
  if (!decision.wanted && decision.reason.kind != ReasonKind::kNoRoom) {
    explain_unheld(decision.reason);
  }
  return decision;
}

bool EngineCore::decide(const Candidate& candidate, std::vector<Reason>& reasons) {
  reasons.clear();
  const Decision decision = decide(candidate);
  if (!decision.wanted) {
    reasons.push_back(decision.reason);
    return false;
  }
  visit_wants(candidate, [&reasons](ReasonKind kind, std::uint8_t rule) {
    reasons.push_back({kind, rule});
    return false;
  });
  for (Reason& reason : reasons) {
    if (reason.kind != ReasonKind::kTopK) continue;
    const auto metric = std::find_if(best_.begin(), best_.end(),
                                     [&reason](const Metric& m) { return m.rule == reason.rule; });
    reason.rank = metric->best.rank_of_newcomer(key(candidate, *metric));
    if (reason.rank == 1) reason.kind = ReasonKind::kBest;
  }
  return true;
}

// Inline: publish() does these for each metric and for each item that goes.
// It loses a hold. Was that the last one?
inline bool EngineCore::drop(ItemId id, Holds bit) {
  const Holds left = records_[id].holds &= ~bit;
  if (budget_ && left != 0) note_unranked(id);
  return left == 0;
}

inline void EngineCore::remove(ItemId id) {
  const Holds holds = std::exchange(records_[id], Record{}).holds;
  --size_;
  bytes_ -= sizes_.of(id);
  if (holds != 0) leave_rules(id, holds);
}

inline void EngineCore::judge(Metric& metric, const Candidate& candidate, Holds before) {
  const ItemId id = candidate.id;
  const bool inside = (before & metric.scored) != 0;
  if (!has_score(candidate, metric)) {
    if (inside) metric.best.erase(id);
    records_[id].holds |= metric.unscored;
    return;
  }
  const double score = key(candidate, metric);
  if (!inside && !metric.best.admits(score)) return;
  const ItemId evicted = inside ? metric.best.replace(id, score) : metric.best.enter(id, score);
  records_[id].holds |= metric.scored;
  if (evicted == kNoItem) return;
  drop(evicted, metric.scored);
  releases_[released_++] = {evicted, &metric};
  // A large top k evicts at random places, which take long to reach.
  if (metric.best.full()) {
    for (const ItemId soon : metric.best.evicted_soon()) __builtin_prefetch(&records_[soon], 1);
  }
}

inline void EngineCore::put_in(const Candidate& candidate, std::vector<Leave>& out) {
  const ItemId id = candidate.id;
  if (id == records_.size()) {
    records_.emplace_back();
  } else if (id > records_.size()) {
    records_.resize(std::size_t{id} + 1);
  }
  Record& record = records_[id];
  const Holds before = record.holds;
  const bool again = record.order != 0;
  bytes_ = sum(bytes_ - (again ? sizes_.of(id) : 0), candidate.own_bytes);
  size_ += again ? 0 : 1;
  if ((before & kHeldByLastN) != 0) --last_n_count_;
  const ItemId former = std::exchange(tail_, id);
  sizes_.set(id, candidate.own_bytes);
  record.order = ++published_;
  record.holds = always_ | (candidate.pinned ? kHeldAsPinned : 0) |
                 (id == last_ ? kHeldAsLast : 0) | (id == resumed_ ? kHeldAsResumed : 0);
  next_victim_.reset();
  released_ = 0;
  for (Metric& metric : best_) judge(metric, candidate, before);
  for (Interval& interval : every_) {
    const double now = interval.every.clock(candidate.epoch, candidate.step, candidate.saved_at);
    if (interval.every.publish(now)) record.holds |= interval.bit;
  }
  if (last_n_ > 0) hold_as_last_n(id);
  // Last: what it holds now it keeps.
  if (former != kNoItem && former != id && drop(former, kHeldAsNewest)) {
    releases_[released_++] = {former};
  }
  for (std::size_t i = 0; i < released_; ++i) {
    const Release& released = releases_[i];
    if (records_[released.id].holds != 0 || !stores(released.id)) continue;
    Leave& leave = out.emplace_back();
    leave.id = released.id;
    if (released.metric != nullptr) {
      explain_left(*released.metric, leave.reason);
    } else if (released.by_last_n) {
      leave.reason.kind = ReasonKind::kOlder;
      leave.reason.rule = last_n_rule_;
    } else {
      explain_unheld(leave.reason);
    }
    remove(released.id);
  }
  if (budget_ || !loose_.empty()) settle(out);
}

void EngineCore::publish(const Candidate& candidate, std::vector<Leave>& out) {
  put_in(candidate, out);
}

bool EngineCore::offer(const Candidate& candidate, std::vector<Leave>& out) {
  Reason reason;
  if (!judge(candidate, reason)) return false;
  put_in(candidate, out);
  return true;
}

void EngineCore::hold_as_last_n(ItemId id) {
  records_[id].holds |= kHeldByLastN;
  last_n_queue_.push_back({records_[id].order, id});
  if (++last_n_count_ > last_n_) {
    while (!is_current(last_n_queue_[last_n_begin_])) ++last_n_begin_;
    const ItemId old = last_n_queue_[last_n_begin_++].id;
    --last_n_count_;
    drop(old, kHeldByLastN);
    releases_[released_++] = {old, nullptr, true};
  }
  if (last_n_queue_.size() > 2 * last_n_count_ + 64) {
    std::vector<Published> current;
    current.reserve(last_n_queue_.size());
    std::copy_if(last_n_queue_.begin() + static_cast<std::ptrdiff_t>(last_n_begin_),
                 last_n_queue_.end(), std::back_inserter(current),
                 [this](const Published& entry) { return is_current(entry); });
    last_n_queue_.swap(current);
    last_n_begin_ = 0;
  }
}

void EngineCore::settle(std::vector<Leave>& out) {
  next_victim_.reset();
  for (const ItemId id : loose_) {
    if (!stores(id) || records_[id].holds != 0) continue;
    out.push_back({id, {}});
    explain_unheld(out.back().reason);
    remove(id);
  }
  loose_.clear();
  supposed_.tail_is_newest = true;
  supposed_.gone.clear();
  supposed_.displaced.clear();
  while (budget_ && bytes_ > budget_->count()) {
    const Victim victim = find_victim();
    if (victim.id == kNoItem) return;
    out.push_back({victim.id, {ReasonKind::kOverBudget, victim.rule, victim.rank}});
    remove(victim.id);
  }
}

void EngineCore::forget(ItemId id) {
  if (!stores(id)) return;
  next_victim_.reset();
  remove(id);
  if (id != tail_) return;
  tail_ = kNoItem;
  for (ItemId other = 0; other < records_.size(); ++other) {
    const std::uint32_t newest = tail_ == kNoItem ? 0 : records_[tail_].order;
    if (records_[other].order > newest) tail_ = other;
  }
  if (tail_ != kNoItem) records_[tail_].holds |= kHeldAsNewest;
}

void EngineCore::set_last(ItemId id) { set_standing(last_, id, kHeldAsLast); }

void EngineCore::set_resumed_from(ItemId id) { set_standing(resumed_, id, kHeldAsResumed); }

void EngineCore::set_standing(ItemId& place, ItemId id, Holds bit) {
  next_victim_.reset();
  if (place != id && place != kNoItem && stores(place)) {
    records_[place].holds &= ~bit;
    loose_.push_back(place);
    note_unranked(place);
  }
  place = id;
  if (id != kNoItem && stores(id)) records_[id].holds |= bit;
}

void EngineCore::set_budget(std::optional<Bytes> budget) {
  if (budget && *budget < Bytes(0)) {
    throw Error::invalid("a budget of " + std::to_string(budget->count()) + " bytes is negative");
  }
  next_victim_.reset();
  budget_ = budget;
  list_unranked();
}

Bytes EngineCore::over_budget() const {
  return budget_ && bytes_ > budget_->count() ? Bytes(bytes_ - budget_->count()) : Bytes(0);
}

ItemId EngineCore::best() const {
  if (top_k_ == 0) return kNoItem;
  return monitored_ ? best_[0].best.best().id : tail_;
}

void EngineCore::stored(std::vector<ItemId>& out) const {
  out.clear();
  out.reserve(size_);
  for (ItemId id = 0; id < records_.size(); ++id) {
    if (stores(id)) out.push_back(id);
  }
  const auto older = [this](ItemId a, ItemId b) { return records_[a].order < records_[b].order; };
  if (!std::is_sorted(out.begin(), out.end(), older)) std::sort(out.begin(), out.end(), older);
}

void EngineCore::top_k(std::vector<ItemId>& out) const {
  out.clear();
  if (top_k_ == 0) return;
  if (!monitored_) {
    if (top_k_ < 0) {
      stored(out);
    } else if (tail_ != kNoItem) {
      out.push_back(tail_);
    }
    return;
  }
  std::vector<Ranked> entries = best_[0].best.entries();
  std::sort(entries.begin(), entries.end(),
            [](const Ranked& a, const Ranked& b) { return a.order < b.order; });
  for (const Ranked& entry : entries) out.push_back(entry.id);
}

void EngineCore::explain(Explanation& out) const {
  out.kept.clear();
  out.reasons.clear();
  std::vector<std::vector<std::uint32_t>> ranks(best_.size());
  std::vector<Ranked> entries;
  for (std::size_t i = 0; i < best_.size(); ++i) {
    ranks[i].resize(records_.size());
    best_[i].best.ranked(entries);
    for (std::size_t rank = 0; rank < entries.size(); ++rank) {
      ranks[i][entries[rank].id] = static_cast<std::uint32_t>(rank + 1);
    }
  }
  std::vector<ItemId> ids;
  stored(ids);
  for (const ItemId id : ids) {
    const Holds holds = records_[id].holds;
    const std::size_t begin = out.reasons.size();
    const auto add_if = [&out, holds](Holds bit, const Reason& reason) {
      if ((holds & bit) != 0) out.reasons.push_back(reason);
    };
    for (std::size_t i = 0; i < best_.size(); ++i) {
      const std::uint32_t rank = ranks[i][id];
      add_if(best_[i].scored,
             {rank == 1 ? ReasonKind::kBest : ReasonKind::kTopK, best_[i].rule, rank});
      add_if(best_[i].unscored, {ReasonKind::kUnscored, best_[i].rule});
    }
    add_if(kHeldByAll, {ReasonKind::kAll});
    for (const Interval& interval : every_)
      add_if(interval.bit, {ReasonKind::kEvery, interval.rule});
    add_if(kHeldByLastN, {ReasonKind::kLastN, last_n_rule_});
    add_if(kHeldAsNewest, {ReasonKind::kNewest});
    add_if(kHeldAsLast, {ReasonKind::kLast});
    add_if(kHeldAsPinned, {ReasonKind::kPinned});
    add_if(kHeldAsResumed, {ReasonKind::kResumedFrom});
    out.kept.push_back({id, begin, out.reasons.size()});
  }
}

// Field by field: a Reason that is built in one place and copied to another stalls the processor.
void EngineCore::explain_unheld(Reason& reason) const {
  if (primary_.kind == ReasonKind::kNotInTopK) return explain_left(best_[0], reason);
  reason.kind = primary_.kind;
  reason.rule = primary_.rule;
}

void EngineCore::explain_left(const Metric& metric, Reason& reason) const {
  reason.kind = ReasonKind::kNotInTopK;
  reason.rule = metric.rule;
  if (metric.best.full()) reason.other = metric.best.worst_when_full().id;
}

// What the rules keep of an item that goes while they hold it.
void EngineCore::leave_rules(ItemId id, Holds holds) {
  if ((holds & kHeldByLastN) != 0) --last_n_count_;
  for (Metric& metric : best_) {
    if ((holds & metric.scored) != 0) metric.best.erase(id);
  }
}

}  // namespace checkroom::plan
