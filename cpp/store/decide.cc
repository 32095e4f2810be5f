#include "store/decide.h"

#include <algorithm>
#include <utility>

namespace checkroom::store {
namespace {

plan::Admission ask(const SaveRequest& request, const Surroundings& surroundings,
                    const Limits& limits, Bytes displaced) {
  plan::AdmissionRequest question;
  question.file = request.candidate.bytes;
  if (limits.copies_last && !request.own_last) question.last_copy = request.candidate.bytes;
  question.available = surroundings.available;
  question.inodes = surroundings.inodes;
  question.cap = limits.cap;
  question.used = surroundings.used;
  question.floor = limits.floor;
  question.displaced = displaced;
  return plan::admit(question);
}

// As few as needed of what this very save displaces, in the order of leaving. Never the best before
// the save, `last` or the file resumed from: the save may still fail, and they must outlive it.
// What is no longer on the disk neither frees a byte nor counts as the checkpoint that must stay.
void prune_first(const plan::RetentionEngine& engine, const SaveRequest& request,
                 const Surroundings& surroundings, const Limits& limits,
                 const std::vector<plan::RetentionEngine::Left>& displaced, SavePlan& plan) {
  const std::string best = engine.plan().best;
  const auto items = engine.items();
  auto published = std::count_if(items.begin(), items.end(), [&](const plan::Item* item) {
    return !surroundings.vanished.contains(item->name);
  });
  Bytes freed;
  std::vector<Removal> first;
  for (const auto& [item, reason] : displaced) {
    if (published <= 1) return;  // one checkpoint stays, whatever the new one becomes
    if (item.name == best || item.name == request.candidate.name) continue;
    if (request.never_first.contains(item.name)) continue;
    if (surroundings.vanished.contains(item.name)) continue;
    freed += item.own_bytes;
    --published;
    first.push_back({item.name, reason});
    const plan::Admission admission = ask(request, surroundings, limits, freed);
    if (admission.verdict != plan::AdmissionVerdict::kPruneFirst) continue;
    plan.admission = admission;
    plan.removes_first = std::move(first);
    std::erase_if(plan.removes, [&plan](const Removal& removal) {
      return std::any_of(plan.removes_first.begin(), plan.removes_first.end(),
                         [&](const Removal& gone) { return gone.name == removal.name; });
    });
    return;
  }
}

}  // namespace

std::optional<Bytes> retention_budget(const Limits& limits, Bytes next, Bytes beside) {
  if (!limits.cap) return limits.budget;
  const Bytes room = std::max(Bytes(0), *limits.cap - next - beside);
  return limits.budget ? std::min(*limits.budget, room) : room;
}

SavePlan plan_save(const plan::RetentionEngine& engine, const SaveRequest& request,
                   const Surroundings& surroundings, const Limits& limits) {
  SavePlan plan;
  plan::RetentionEngine after = engine;
  std::vector<plan::RetentionEngine::Left> displaced;
  if (request.own_last) {
    plan.wanted = true;
    plan.reasons = {"`last` as a file of its own"};
  } else {
    const plan::Item& candidate = request.candidate;
    after.set_budget(retention_budget(limits, candidate.bytes, surroundings.beside));
    // The former `last` lets go before the rules are asked: its item may be the one that leaves.
    if (request.becomes_last) after.set_last("");
    const auto judgement = after.decide(candidate);
    plan.wanted = judgement.wanted || request.forced;
    plan.reasons = judgement.reasons;
    if (!plan.wanted) return plan;
    if (request.becomes_last) after.set_last(candidate.name);
    displaced = after.publish(candidate);
    for (const auto& [item, reason] : displaced) plan.removes.push_back({item.name, reason});
  }
  const plan::RetentionPlan kept = after.plan();
  plan.top_k = kept.top_k;
  plan.best = kept.best;
  plan.admission = ask(request, surroundings, limits, Bytes(0));
  if (plan.admission->verdict != plan::AdmissionVerdict::kAdmit && limits.prune_first) {
    prune_first(engine, request, surroundings, limits, displaced, plan);
  }
  return plan;
}

std::vector<Removal> commit(plan::RetentionEngine& engine, const plan::Item& item,
                            bool becomes_last, Bytes beside, const Limits& limits) {
  engine.set_budget(retention_budget(limits, item.bytes, beside));
  if (becomes_last) engine.set_last(item.name);
  std::vector<Removal> removals;
  for (auto& left : engine.publish(item)) {
    removals.push_back({std::move(left.item.name), std::move(left.reason)});
  }
  return removals;
}

}  // namespace checkroom::store
