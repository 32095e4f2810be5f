#include "plan/retention.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "plan/retention_core.h"
#include "plan/retention_engine.h"
#include "plan/retention_reasons.h"

namespace checkroom::plan {
namespace {

// Names are told apart by their hashes first, in a table with room for twice as many.
void check_inventory(const std::vector<const Item*>& inventory) {
  struct Slot {
    std::uint32_t hash = 0;
    ItemId id = kNoItem;
  };
  std::vector<Slot> slots(std::bit_ceil(2 * inventory.size() + 1));
  const std::size_t mask = slots.size() - 1;
  for (ItemId id = 0; id < inventory.size(); ++id) {
    const std::string& name = inventory[id]->name;
    check_item(*inventory[id]);
    const std::size_t hash = std::hash<std::string>()(name);
    const auto high = static_cast<std::uint32_t>(hash >> 32);
    std::size_t place = hash & mask;
    for (; slots[place].id != kNoItem; place = (place + 1) & mask) {
      if (slots[place].hash == high && inventory[slots[place].id]->name == name) {
        throw Error::invalid("the inventory holds '" + name + "' twice");
      }
    }
    slots[place] = {high, id};
  }
}

// The scores of an inventory by the metrics of an engine, side by side: an item's own lie far from
// those of the next.
class ScoreTable {
 public:
  ScoreTable(const std::vector<const Item*>& inventory, const std::vector<std::string>& metrics)
      : metrics_(metrics) {
    CandidateOf candidate_of(metrics);
    scores_.reserve(inventory.size() * metrics.size());
    recorded_.reserve(inventory.size());
    for (const Item* item : inventory) {
      const Candidate candidate = candidate_of(*item, kNoItem, false);
      recorded_.push_back(candidate.has_score);
      scores_.insert(scores_.end(), candidate.scores, candidate.scores + metrics.size());
    }
  }

  [[nodiscard]] const double* of(ItemId id) const { return scores_.data() + id * metrics_.size(); }
  [[nodiscard]] std::uint64_t recorded(ItemId id) const { return recorded_[id]; }
  // NaN: none is recorded.
  [[nodiscard]] double of(ItemId id, const std::string* metric) const {
    if (metric == nullptr) return std::nan("");
    const auto index = static_cast<std::size_t>(
        std::find(metrics_.begin(), metrics_.end(), *metric) - metrics_.begin());
    const bool known = index < metrics_.size() && (recorded(id) >> index & 1) != 0;
    return known ? of(id)[index] : std::nan("");
  }

 private:
  std::vector<std::string> metrics_;
  std::vector<double> scores_;
  std::vector<std::uint64_t> recorded_;
};

// One run of the engine over the items of an inventory whose indices are given.
class Run {
 public:
  Run(const std::vector<const Item*>& inventory, const ScoreTable& scores,
      const RetentionPolicy& policy, const Standing& standing)
      : inventory_(inventory),
        scores_(scores),
        standing_(standing),
        pinned_(policy.pinned.begin(), policy.pinned.end()),
        core_(policy) {
    core_.reserve(inventory.size());
  }

  void over(const std::vector<ItemId>& ids, std::vector<Leave>& leaves) {
    for (const ItemId id : ids) {
      const Item& item = *inventory_[id];
      if (!standing_.last.empty() && item.name == standing_.last) core_.set_last(id);
      if (!standing_.resumed_from.empty() && item.name == standing_.resumed_from) {
        core_.set_resumed_from(id);
      }
      core_.publish({id, !pinned_.empty() && pinned_.contains(item.name), item.own_bytes.count(),
                     item.epoch, item.step, item.saved_at, scores_.of(id), scores_.recorded(id)},
                    leaves);
    }
  }

  [[nodiscard]] const EngineCore& core() const { return core_; }

 private:
  const std::vector<const Item*>& inventory_;
  const ScoreTable& scores_;
  const Standing& standing_;
  std::unordered_set<std::string_view> pinned_;
  EngineCore core_;
};

}  // namespace

RetentionPlan plan(const std::vector<const Item*>& inventory, const RetentionPolicy& policy,
                   const Standing& standing) {
  check_inventory(inventory);
  std::vector<ItemId> ids(inventory.size());
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<ItemId>(i);

  const ScoreTable scores(inventory, EngineCore(policy).metrics());
  // Ties, or what the budget took, can make a second run over what is left let go of one more.
  std::vector<Leave> leaves;
  std::optional<Run> run;
  for (std::size_t before = SIZE_MAX; before != leaves.size();) {
    before = leaves.size();
    run.emplace(inventory, scores, policy, standing);
    run->over(ids, leaves);
    run->core().stored(ids);
  }
  const EngineCore& core = run->core();

  const ReasonText text(policy);
  RetentionPlan plan;
  plan.remove.reserve(leaves.size());
  for (const Leave& leave : leaves) {
    const std::string* const monitor = text.monitor_of(leave.reason.rule);
    std::optional<double> other;
    if (leave.reason.other != kNoItem) other = scores.of(leave.reason.other, monitor);
    Verdict& verdict = plan.remove.emplace_back(Verdict{leave.id, {}});
    verdict.reasons.push_back(text(leave.reason, scores.of(leave.id, monitor), other));
  }
  Explanation explanation;
  core.explain(explanation);
  plan.keep.reserve(explanation.kept.size());
  for (const Explanation::Kept& kept : explanation.kept) {
    Verdict& verdict = plan.keep.emplace_back(Verdict{kept.id, {}});
    verdict.reasons.reserve(kept.end - kept.begin);
    for (std::size_t i = kept.begin; i < kept.end; ++i) {
      const Reason& reason = explanation.reasons[i];
      const double score = scores.of(kept.id, text.monitor_of(reason.rule));
      verdict.reasons.push_back(text(reason, score, std::nullopt));
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
