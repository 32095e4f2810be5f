#include "plan/forecast_bounds.h"

#include <algorithm>
#include <limits>
#include <map>
#include <string>
#include <utility>

#include "base/error.h"

namespace checkroom::plan {
namespace {

std::int64_t capped_sum(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<std::int64_t>::max() : sum;
}

std::uint32_t count(std::int64_t files) {
  if (files > std::numeric_limits<std::uint32_t>::max()) {
    throw Error::overflow(std::to_string(files) + " files are too many to play ahead");
  }
  return static_cast<std::uint32_t>(files);
}

std::uint32_t sum(std::uint32_t a, std::uint32_t b) {
  std::uint32_t result = 0;
  if (__builtin_add_overflow(a, b, &result)) {
    throw Error::overflow("more files are written than can be counted");
  }
  return result;
}

}  // namespace

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

RuleBounds::Newcomer RuleBounds::next(std::int64_t epoch, std::int64_t step, double seconds) {
  ++seen_;
  Newcomer newcomer;
  newcomer.certain = keeps_all_ || newest_ || last_n_ > 0;
  std::int64_t most = 0;
  std::int64_t least = 0;
  const auto holds = [&](std::int64_t files) {
    most = capped_sum(most, files);
    least = std::max(least, files);
  };
  bool due = false;
  for (EveryRule& rule : every_) due = rule.publish(rule.clock(epoch, step, seconds)) || due;
  if (due) {
    ++held_by_every_;
    newcomer.certain = true;
  }
  holds(held_by_every_);
  if (keeps_all_) holds(seen_);
  if (newest_) holds(1);
  if (last_n_ > 0) holds(std::min(last_n_, seen_));
  // Rules by one metric take a newcomer together, those by several one by one.
  double nobody = 1;
  for (std::size_t metric = 0; metric < metrics_; ++metric) {
    double takes = 0;
    for (const Best& best : best_) {
      if (best.metric != metric) continue;
      const std::int64_t k = best.k < 0 ? seen_ : best.k;
      holds(std::min(k, seen_));
      if (k >= seen_) newcomer.certain = true;
      takes = std::max(takes, std::min(1.0, static_cast<double>(k) / static_cast<double>(seen_)));
    }
    nobody *= 1 - takes;
  }
  newcomer.possible = newcomer.certain || !best_.empty();
  newcomer.probability = newcomer.certain ? 1 : 1 - nobody;
  kept_ = {least, std::min(most, seen_)};
  if (room_) {
    apply_budget();
    if (budget_bites_) newcomer.certain = false;
  }
  return newcomer;
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
    const auto cost = [&](std::int64_t from, std::int64_t to, bool own) {
      return play_save(spec_.writer, spec_.staging,
                       {from, saves ? to : from, saves, false, own, last});
    };
    const SaveCost least = cost(turn.before.least, turn.after.least, turn.last_is_own.least);
    const SaveCost most = cost(turn.before.most, turn.after.most, turn.last_is_own.most);
    low.peak = started ? std::min(low.peak, least.peak) : least.peak;
    high.peak = started ? std::max(high.peak, most.peak) : most.peak;
    low.written = started ? std::min(low.written, least.written) : least.written;
    high.written = started ? std::max(high.written, most.written) : most.written;
    low.last_is_own = started ? low.last_is_own && least.last_is_own : least.last_is_own;
    high.last_is_own = started ? high.last_is_own || most.last_is_own : most.last_is_own;
    started = true;
  };
  price_ = Price();
  if (turn.possible) {
    consider(true, after_save_);
    price_.when_saved = static_cast<double>(high.written);
  }
  if (!turn.certain) {
    consider(false, without);
    price_.when_not = without == LastWrite::kOwn ? 1 : 0;
  }
  price_.last_is_own = {low.last_is_own, high.last_is_own};
  price_.any_written = turn.any_written || high.written > 0;
  price_.written = {count(low.written), count(high.written)};
  const std::int64_t least = turn.after.least + (low.last_is_own ? 1 : 0);
  std::int64_t most = turn.after.most + (high.last_is_own ? 1 : 0);
  if (last_may_be_own_ && price_.any_written) most = std::max(most, turn.after.most + 1);
  price_.files = {count(least), count(most)};
  price_.peak = {count(std::max(low.peak, least)), count(std::max(high.peak, most))};
}

TimelineRow BoundsPlayer::play(const SaveEvent& event, double seconds) {
  Turn turn;
  turn.kind = event.kind;
  turn.before = rules_.kept();
  RuleBounds::Newcomer newcomer;
  if (event.kind == SaveKind::kRules) newcomer = rules_.next(event.epoch, event.step, seconds);
  turn.after = rules_.kept();
  turn.certain = newcomer.certain;
  turn.possible = newcomer.possible;
  turn.last_is_own = price_.last_is_own;
  turn.any_written = price_.any_written;
  // Once the rules are full every turn is like the one before it.
  if (!priced_ || !(turn == turn_)) {
    price(turn);
    turn_ = turn;
    priced_ = true;
  }
  row_.files = price_.files;
  row_.peak = price_.peak;
  row_.written.least = sum(row_.written.least, price_.written.least);
  row_.written.most = sum(row_.written.most, price_.written.most);
  row_.expected +=
      newcomer.probability * price_.when_saved + (1 - newcomer.probability) * price_.when_not;
  row_.saved = newcomer.certain ? Saved::kYes : newcomer.possible ? Saved::kMaybe : Saved::kNo;
  return row_;
}

}  // namespace checkroom::plan
