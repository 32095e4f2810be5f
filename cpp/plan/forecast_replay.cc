#include "plan/forecast_replay.h"

#include <algorithm>
#include <utility>

namespace checkroom::plan {

ReplayPlayer::ReplayPlayer(const RunSpec& spec, bool last_without_save, bool last_may_be_own,
                           std::vector<std::span<const double>> scores)
    : spec_(spec),
      engine_(retention_policy(spec)),
      scores_(std::move(scores)),
      last_without_save_(last_without_save),
      last_may_be_own_(last_may_be_own),
      first_last_(plan::last_without_save(spec, false)),
      later_last_(plan::last_without_save(spec, true)),
      after_save_(last_after_save(spec)),
      newcomer_(scores_.size()) {
  candidate_.own_bytes = file_bytes(spec).count();
  candidate_.scores = newcomer_.data();
  candidate_.has_score = (std::uint64_t{1} << scores_.size()) - 1;
}

void ReplayPlayer::reserve(std::size_t events) {
  log_.reserve(events);
  engine_.reserve(events);
}

void ReplayPlayer::turn(const SaveAct& act, SaveKind kind) {
  outcome_ = causes_.number_of(cause_);
  if (outcome_ == turns_.size()) turns_.push_back(price(act, kind));
  last_is_own_ = turns_[outcome_].last_is_own;
  any_written_ = turns_[outcome_].any_written;
}

ReplayPlayer::Turn ReplayPlayer::price(const SaveAct& act, SaveKind kind) const {
  const SaveCost cost = play_save(spec_.writer, spec_.staging, act);
  Turn turn;
  turn.last_is_own = cost.last_is_own;
  turn.any_written = any_written_ || cost.written > 0;
  const auto both = [](std::int64_t files) {
    const auto count = static_cast<std::int32_t>(files);
    return LeastMost<std::int32_t>{count, count};
  };
  SaveOutcome& outcome = turn.outcome;
  outcome.saved = act.saves ? Saved::kYes : Saved::kNo;
  outcome.kind = kind;
  outcome.gained = both(act.after);
  outcome.files = both(cost.at_rest);
  outcome.peak = both(cost.peak);
  outcome.written = both(cost.written);
  if (last_may_be_own_ && turn.any_written) {
    outcome.files.most = outcome.gained.most + 1;
    outcome.peak.most = std::max(outcome.peak.most, outcome.files.most);
  }
  return turn;
}

}  // namespace checkroom::plan
