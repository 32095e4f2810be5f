#include "plan/forecast_bounds.h"

#include <algorithm>
#include <limits>
#include <map>
#include <string>
#include <utility>

#include "base/error.h"

namespace checkroom::plan {
RuleBounds::RuleBounds(const RetentionPolicy& policy, Bytes file) {
  check_policy(policy);
  std::map<std::pair<std::string, Mode>, std::size_t> metrics;
  const auto add = [&](std::int64_t k, const std::string& monitor, Mode mode) {
    best_.push_back({k, metrics.emplace(std::pair(monitor, mode), metrics.size()).first->second});
  };
  const TopK& top = policy.top_k;
  keeps_all_ = top.k < 0;
  newest_ = top.monitor.empty() && top.k == 1;
  // Where it keeps all, a budget still does not take the best, while other rules hold another one.
  const bool has_best = top.k > 0 || (top.k < 0 && !policy.keep.empty());
  if (!top.monitor.empty() && has_best) add(top.k, top.monitor, top.mode);
  for (const KeepRule& rule : policy.keep) {
    if (const auto* last = std::get_if<KeepLast>(&rule)) {
      last_n_ = last->n;
    } else if (const auto* every = std::get_if<KeepEvery>(&rule)) {
      every_.emplace_back(*every);
    } else {
      const auto& best = std::get<KeepBest>(rule);
      add(best.k, best.monitor, best.mode);
    }
  }
  metrics_ = metrics.size();
  if (policy.budget && file > Bytes(0)) room_ = policy.budget->count() / file.count();
}

// The budget takes files until it holds, but never the newest or the best of a metric.
void RuleBounds::apply_budget() {
  budget_bites_ = budget_bites_ || kept_.most > *room_;
  if (!budget_bites_) return;
  const bool one_rule =
      best_.size() == 1 && every_.empty() && !keeps_all_ && !newest_ && last_n_ == 0;
  const auto stay = static_cast<std::int64_t>(metrics_) + 1;
  kept_.least = one_rule ? std::min(kept_.least, std::max<std::int64_t>(*room_, 1)) : 1;
  kept_.most = std::min(kept_.most, std::max(*room_, stay));
}

std::optional<std::int64_t> RuleBounds::settles_after() const {
  std::int64_t files = newest_ ? 1 : 0;
  if (!room_) {
    if (keeps_all_ || !every_.empty()) return std::nullopt;
    for (const Best& best : best_) {
      if (best.k < 0) return std::nullopt;
      files = capped_sum(files, best.k);
    }
    files = capped_sum(files, last_n_);
  } else {
    files = *room_ + static_cast<std::int64_t>(metrics_) + 1;
  }
  return capped_sum(files, 3);  // and the turns in which `last` may change hands
}

BoundsPlayer::BoundsPlayer(const RunSpec& spec, bool last_without_save)
    : spec_(spec),
      rules_(retention_policy(spec), file_bytes(spec)),
      last_without_save_(last_without_save),
      first_last_(plan::last_without_save(spec, false)),
      later_last_(plan::last_without_save(spec, true)),
      last_may_be_own_(spec.writer == Writer::kCheckroom && spec.save_last == SaveLast::kYes &&
                       spec.last_as == LastAs::kAuto),
      after_save_(last_after_save(spec)) {}

void BoundsPlayer::price(const Turn& turn) {
  const bool writes_anyway = turn.kind == SaveKind::kLastOnly || last_without_save_;
  const LastWrite without =
      writes_anyway ? (turn.any_written ? later_last_ : first_last_) : LastWrite::kNone;
  SaveCost low;
  SaveCost high;
  bool started = false;
  const auto consider = [&](bool saves, LastWrite last) {
    const auto cost = [&](std::int64_t gained, bool own) {
      return play_save(spec_.writer, spec_.staging,
                       {0, saves ? gained : 0, saves, false, own, last});
    };
    const SaveCost least = cost(turn.gained.least, turn.last_is_own.least);
    const SaveCost most = cost(turn.gained.most, turn.last_is_own.most);
    low.peak = started ? std::min(low.peak, least.peak) : least.peak;
    high.peak = started ? std::max(high.peak, most.peak) : most.peak;
    low.written = started ? std::min(low.written, least.written) : least.written;
    high.written = started ? std::max(high.written, most.written) : most.written;
    low.last_is_own = started ? low.last_is_own && least.last_is_own : least.last_is_own;
    high.last_is_own = started ? high.last_is_own || most.last_is_own : most.last_is_own;
    started = true;
  };
  turn_ = turn;
  played_ = true;
  when_saved_ = when_not_ = 0;
  if (turn.possible) {
    consider(true, after_save_);
    when_saved_ = static_cast<double>(high.written);
  }
  if (!turn.certain) {
    consider(false, without);
    when_not_ = without == LastWrite::kOwn ? 1 : 0;
  }
  last_is_own_ = {low.last_is_own, high.last_is_own};
  any_written_ = turn.any_written || high.written > 0;
  const std::int64_t least = turn.gained.least + (low.last_is_own ? 1 : 0);
  std::int64_t most = turn.gained.most + (high.last_is_own ? 1 : 0);
  if (last_may_be_own_ && any_written_) most = std::max(most, turn.gained.most + 1);
  const auto range = [](std::int64_t a, std::int64_t b) {
    return LeastMost<std::int32_t>{static_cast<std::int32_t>(a), static_cast<std::int32_t>(b)};
  };
  outcome_.saved = turn.certain ? Saved::kYes : turn.possible ? Saved::kMaybe : Saved::kNo;
  outcome_.kind = turn.kind;
  outcome_.gained = range(turn.gained.least, turn.gained.most);
  outcome_.files = range(least, most);
  outcome_.peak = range(std::max(low.peak, least), std::max(high.peak, most));
  outcome_.written = range(low.written, high.written);
  number_ = outcomes_.number_of(outcome_);
}

}  // namespace checkroom::plan
