// Bounds of a forecast: least and most over all orders in which the scores may come.
//
// RuleBounds knows how many files the rules keep. It models no rule: sizes of a top k follow from
// its k alone, and intervals are asked of the engine's own EveryRule. For one top k the bounds are
// tight; for several rules `most` is the sum of what each holds, capped by the saves so far, and
// `least` the largest of them: it may be loose, never wrong. BoundsPlayer adds the writer.
//
// Every item is taken to have a score for each metric (NaN is one). One a thread. It plays no
// more than kMostSaves events.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "plan/forecast_timeline.h"
#include "plan/forecast_writers.h"
#include "plan/interned.h"
#include "plan/retention_rules.h"

namespace checkroom::plan {

class RuleBounds {
 public:
  RuleBounds(const RetentionPolicy& policy, Bytes file);

  // One more opportunity: is the newcomer saved whatever the scores are, and how likely is it for
  // independent scores (exact for one rule)?
  struct Newcomer {
    bool certain = false;
    bool possible = false;
    double probability = 0;
  };
  Newcomer next(std::int64_t epoch, std::int64_t step, double seconds);

  // Files kept after it.
  [[nodiscard]] FileRange kept() const { return kept_; }
  // After how many opportunities the bounds no longer move; none: they grow for ever.
  [[nodiscard]] std::optional<std::int64_t> settles_after() const;

 private:
  struct Best {
    std::int64_t k;
    std::size_t metric;  // those of one metric and mode decide alike
  };
  void apply_budget();

  std::vector<Best> best_;
  std::vector<EveryRule> every_;
  std::size_t metrics_ = 0;
  std::int64_t last_n_ = 0;
  bool keeps_all_ = false;            // save_top_k=-1
  bool newest_ = false;               // save_top_k=1 without a monitor
  std::optional<std::int64_t> room_;  // the budget, in files

  std::int64_t seen_ = 0;
  std::int64_t held_by_every_ = 0;
  bool budget_bites_ = false;
  FileRange kept_;
};

class BoundsPlayer {
 public:
  BoundsPlayer(const RunSpec& spec, bool last_without_save);

  // What the next event does. Good until the next call.
  const SaveOutcome& play(const SaveEvent& event);
  // May it do something else than the event before it? And the number of what it does, from 0 on;
  // the same may have several.
  [[nodiscard]] bool turned() const { return turned_; }
  [[nodiscard]] std::uint32_t outcome() const { return number_; }
  // Files written so far, for independent scores.
  [[nodiscard]] double expected() const { return expected_; }
  [[nodiscard]] std::optional<std::int64_t> settles_after() const { return rules_.settles_after(); }

 private:
  // What an outcome depends on: files beside those kept before it.
  struct Turn {
    SaveKind kind = SaveKind::kRules;
    bool certain = false;
    bool possible = false;
    bool any_written = false;
    LeastMost<bool> last_is_own;
    FileRange gained;
    friend bool operator==(const Turn&, const Turn&) = default;
  };
  void price(const Turn& turn);

  RunSpec spec_;
  RuleBounds rules_;
  bool last_without_save_;
  LastWrite first_last_;  // what `last` becomes where nothing was written before it
  LastWrite later_last_;
  bool last_may_be_own_;  // last_as='auto': the most counts `last` as a file of its own
  LastWrite after_save_;

  bool played_ = false;
  bool turned_ = false;
  Turn turn_;
  SaveOutcome outcome_;
  Interned<SaveOutcome> outcomes_;
  std::uint32_t number_ = 0;  // of outcome_
  double when_saved_ = 0;     // files written
  double when_not_ = 0;
  LeastMost<bool> last_is_own_;
  bool any_written_ = false;
  double expected_ = 0;
};

inline std::int64_t capped_sum(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<std::int64_t>::max() : sum;
}

// Inline: a forecast plays these for each of a million saves.
inline RuleBounds::Newcomer RuleBounds::next(std::int64_t epoch, std::int64_t step,
                                             double seconds) {
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

inline const SaveOutcome& BoundsPlayer::play(const SaveEvent& event) {
  const FileRange before = rules_.kept();
  RuleBounds::Newcomer newcomer;
  if (event.kind == SaveKind::kRules) {
    newcomer = rules_.next(event.epoch, event.step, seconds_at(spec_, event.step));
  }
  const FileRange after = rules_.kept();
  const Turn turn{event.kind,        newcomer.certain,
                  newcomer.possible, any_written_,
                  last_is_own_,      {after.least - before.least, after.most - before.most}};
  // Once the rules are full, or while they only grow, every turn is like the one before it.
  turned_ = !played_ || !(turn == turn_);
  if (turned_) price(turn);
  expected_ += newcomer.probability * when_saved_ + (1 - newcomer.probability) * when_not_;
  return outcome_;
}

}  // namespace checkroom::plan
