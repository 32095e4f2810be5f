#include "plan/retention.h"

#include <string_view>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "plan/retention_core.h"
#include "plan/retention_engine.h"
#include "plan/retention_reasons.h"

namespace checkroom::plan {
namespace {

void check_inventory(const std::vector<const Item*>& inventory) {
  std::unordered_set<std::string_view> names;
  names.reserve(inventory.size());
  for (const Item* item : inventory) {
    check_item(*item);
    if (!names.insert(item->name).second) {
      throw Error::invalid("the inventory holds '" + item->name + "' twice");
    }
  }
}

// One run of the engine over the items of an inventory whose indices are given.
class Run {
 public:
  Run(const std::vector<const Item*>& inventory, const RetentionPolicy& policy,
      const Standing& standing)
      : inventory_(inventory),
        standing_(standing),
        pinned_(policy.pinned.begin(), policy.pinned.end()),
        core_(policy),
        candidate_of_(core_.metrics()) {
    core_.reserve(inventory.size());
  }

  void over(const std::vector<ItemId>& ids, std::vector<Leave>& leaves) {
    for (const ItemId id : ids) {
      const Item& item = *inventory_[id];
      if (!standing_.last.empty() && item.name == standing_.last) core_.set_last(id);
      if (!standing_.resumed_from.empty() && item.name == standing_.resumed_from) {
        core_.set_resumed_from(id);
      }
      core_.publish(candidate_of_(item, id, !pinned_.empty() && pinned_.contains(item.name)),
                    leaves);
    }
  }

  [[nodiscard]] const EngineCore& core() const { return core_; }

 private:
  const std::vector<const Item*>& inventory_;
  const Standing& standing_;
  std::unordered_set<std::string_view> pinned_;
  EngineCore core_;
  CandidateOf candidate_of_;
};

}  // namespace

RetentionPlan plan(const std::vector<const Item*>& inventory, const RetentionPolicy& policy,
                   const Standing& standing) {
  check_inventory(inventory);
  std::vector<ItemId> ids(inventory.size());
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<ItemId>(i);

  // Ties, or what the budget took, can make a second run over what is left let go of one more.
  std::vector<Leave> leaves;
  std::optional<Run> run;
  for (std::size_t before = SIZE_MAX; before != leaves.size();) {
    before = leaves.size();
    run.emplace(inventory, policy, standing);
    run->over(ids, leaves);
    run->core().stored(ids);
  }
  const EngineCore& core = run->core();

  const ReasonText text(policy);
  RetentionPlan plan;
  plan.remove.reserve(leaves.size());
  for (const Leave& leave : leaves) {
    const ItemId other = leave.reason.other;
    Verdict& verdict = plan.remove.emplace_back(Verdict{leave.id, {}});
    verdict.reasons.push_back(
        text(leave.reason, *inventory[leave.id], other == kNoItem ? nullptr : inventory[other]));
  }
  Explanation explanation;
  core.explain(explanation);
  plan.keep.reserve(explanation.kept.size());
  for (const Explanation::Kept& kept : explanation.kept) {
    Verdict& verdict = plan.keep.emplace_back(Verdict{kept.id, {}});
    verdict.reasons.reserve(kept.end - kept.begin);
    for (std::size_t i = kept.begin; i < kept.end; ++i) {
      verdict.reasons.push_back(text(explanation.reasons[i], *inventory[kept.id], nullptr));
    }
  }
  core.top_k(ids);
  for (const ItemId id : ids) plan.top_k.push_back(inventory[id]->name);
  if (core.best() != kNoItem) plan.best = inventory[core.best()]->name;
  plan.over_budget = core.over_budget();
  return plan;
}

RetentionPlan plan(const std::vector<Item>& inventory, const RetentionPolicy& policy,
                   const Standing& standing) {
  std::vector<const Item*> items;
  items.reserve(inventory.size());
  for (const Item& item : inventory) items.push_back(&item);
  return plan(items, policy, standing);
}

}  // namespace checkroom::plan
