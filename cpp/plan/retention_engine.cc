#include "plan/retention_engine.h"

#include <utility>

#include "plan/retention_reasons.h"

namespace checkroom::plan {

Candidate CandidateOf::operator()(const Item& item, ItemId id, bool pinned) {
  Candidate candidate{id, pinned, item.own_bytes.count(), item.epoch, item.step, item.saved_at};
  for (std::size_t i = 0; i < metrics_.size(); ++i) {
    const auto found = item.scores.find(metrics_[i]);
    if (found == item.scores.end()) continue;
    scores_[i] = found->second;
    candidate.has_score |= std::uint64_t{1} << i;
  }
  candidate.scores = scores_.data();
  return candidate;
}

RetentionEngine::RetentionEngine(RetentionPolicy policy)
    : policy_(std::move(policy)),
      pinned_(policy_.pinned.begin(), policy_.pinned.end()),
      core_(policy_),
      candidate_of_(core_.metrics()) {}

RetentionEngine::Judgement RetentionEngine::decide(const Item& item) {
  check_item(item);
  const auto known = ids_.find(item.name);
  const ItemId id = known == ids_.end() ? kNoItem : known->second;
  std::vector<Reason> reasons;
  Judgement judgement;
  judgement.wanted = core_.decide(candidate(item, id), reasons);
  const ReasonText text(policy_);
  for (const Reason& reason : reasons) {
    judgement.reasons.push_back(text(reason, item, other(reason)));
  }
  return judgement;
}

std::vector<RetentionEngine::Left> RetentionEngine::publish(const Item& item) {
  check_item(item);
  std::vector<Leave> leaves;
  const ItemId id = id_of(item.name);
  try {
    core_.publish(candidate(item, id), leaves);
  } catch (...) {
    free_if_unused(id);
    throw;
  }
  slots_[id] = item;
  std::vector<Left> left;
  left.reserve(leaves.size());
  const ReasonText text(policy_);
  for (const Leave& leave : leaves) {
    const Item& gone = slots_[leave.id];
    left.push_back({gone, text(leave.reason, gone, other(leave.reason))});
  }
  for (const Leave& leave : leaves) free_if_unused(leave.id);
  return left;
}

void RetentionEngine::forget(const std::string& name) {
  const auto known = ids_.find(name);
  if (known == ids_.end()) return;
  const ItemId id = known->second;
  core_.forget(id);
  free_if_unused(id);
}

void RetentionEngine::set_last(const std::string& name) {
  set_standing(last_, name, &EngineCore::set_last);
}

void RetentionEngine::set_resumed_from(const std::string& name) {
  set_standing(resumed_from_, name, &EngineCore::set_resumed_from);
}

void RetentionEngine::set_standing(ItemId& place, const std::string& name,
                                   void (EngineCore::*set)(ItemId)) {
  const ItemId former = place;
  place = name.empty() ? kNoItem : id_of(name);
  (core_.*set)(place);
  if (former != kNoItem) free_if_unused(former);
}

void RetentionEngine::set_budget(std::optional<Bytes> budget) {
  core_.set_budget(budget);
  policy_.budget = budget;
}

std::vector<const Item*> RetentionEngine::items() const {
  std::vector<ItemId> ids;
  core_.stored(ids);
  std::vector<const Item*> items;
  items.reserve(ids.size());
  for (const ItemId id : ids) items.push_back(&slots_[id]);
  return items;
}

RetentionPlan RetentionEngine::plan() const {
  std::vector<ItemId> ids;
  core_.stored(ids);
  std::vector<std::size_t> index(slots_.size());
  for (std::size_t i = 0; i < ids.size(); ++i) index[ids[i]] = i;

  EngineCore core = core_;
  std::vector<Leave> leaves;
  core.settle(leaves);
  Explanation explanation;
  core.explain(explanation);

  const ReasonText text(policy_);
  RetentionPlan plan;
  for (const Leave& leave : leaves) {
    plan.remove.push_back(
        {index[leave.id], {text(leave.reason, slots_[leave.id], other(leave.reason))}});
  }
  for (const Explanation::Kept& kept : explanation.kept) {
    Verdict verdict{index[kept.id], {}};
    for (std::size_t i = kept.begin; i < kept.end; ++i) {
      verdict.reasons.push_back(text(explanation.reasons[i], slots_[kept.id], nullptr));
    }
    plan.keep.push_back(std::move(verdict));
  }
  core.top_k(ids);
  for (const ItemId id : ids) plan.top_k.push_back(slots_[id].name);
  if (core.best() != kNoItem) plan.best = slots_[core.best()].name;
  plan.over_budget = core.over_budget();
  return plan;
}

ItemId RetentionEngine::id_of(const std::string& name) {
  const auto known = ids_.find(name);
  if (known != ids_.end()) return known->second;
  if (free_.empty()) {
    free_.push_back(static_cast<ItemId>(slots_.size()));
    slots_.emplace_back();
  }
  const ItemId id = free_.back();
  slots_[id].name = name;
  ids_.emplace(name, id);
  free_.pop_back();
  return id;
}

void RetentionEngine::free_if_unused(ItemId id) {
  if (core_.stores(id) || id == last_ || id == resumed_from_) return;
  ids_.erase(slots_[id].name);
  slots_[id] = Item{};
  free_.push_back(id);
}

Candidate RetentionEngine::candidate(const Item& item, ItemId id) {
  return candidate_of_(item, id, pinned_.contains(item.name));
}

const Item* RetentionEngine::other(const Reason& reason) const {
  return reason.other == kNoItem ? nullptr : &slots_[reason.other];
}

}  // namespace checkroom::plan
