// Bounds of a forecast: least and most over all orders in which the scores may come.
//
// RuleBounds knows how many files the rules keep. It models no rule: sizes of a top k follow from
// its k alone, and intervals are asked of the engine's own EveryRule. For one top k the bounds are
// tight; for several rules `most` is the sum of what each holds, capped by the saves so far, and
// `least` the largest of them: it may be loose, never wrong. BoundsPlayer adds the writer.
//
// Every item is taken to have a score for each metric (NaN is one). One a thread.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "plan/forecast_timeline.h"
#include "plan/forecast_writers.h"
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

  // The row of one event. `seconds`: since the start of training.
  TimelineRow play(const SaveEvent& event, double seconds);
  [[nodiscard]] std::optional<std::int64_t> settles_after() const { return rules_.settles_after(); }

 private:
  // What the price of an event depends on, and the price.
  struct Turn {
    SaveKind kind = SaveKind::kRules;
    bool certain = false;
    bool possible = false;
    bool any_written = false;
    LeastMost<bool> last_is_own;
    FileRange before;
    FileRange after;
    friend bool operator==(const Turn&, const Turn&) = default;
  };
  struct Price {
    LeastMost<std::uint32_t> files;
    LeastMost<std::uint32_t> peak;
    LeastMost<std::uint32_t> written;  // by this event
    double when_saved = 0;             // files written
    double when_not = 0;
    LeastMost<bool> last_is_own;
    bool any_written = false;  // up to here
  };
  void price(const Turn& turn);

  RunSpec spec_;
  RuleBounds rules_;
  bool last_without_save_;
  LastWrite first_last_;  // what `last` becomes where nothing was written before it
  LastWrite later_last_;
  bool last_may_be_own_;  // last_as='auto': the most counts `last` as a file of its own
  LastWrite after_save_;
  bool priced_ = false;
  Turn turn_;
  Price price_;
  TimelineRow row_;
};

}  // namespace checkroom::plan
