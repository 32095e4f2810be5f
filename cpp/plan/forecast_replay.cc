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

// Fills in the outcome of act_.
void ReplayPlayer::price() {
  const SaveCost cost = play_save(spec_.writer, spec_.staging, act_);
  last_is_own_ = cost.last_is_own;
  any_written_ = any_written_ || cost.written > 0;
  const auto both = [](std::int64_t files) {
    const auto count = static_cast<std::int32_t>(files);
    return LeastMost<std::int32_t>{count, count};
  };
  outcome_.saved = act_.saves ? Saved::kYes : Saved::kNo;
  outcome_.gained = both(act_.after);
  outcome_.files = both(cost.at_rest);
  outcome_.peak = both(cost.peak);
  outcome_.written = both(cost.written);
  if (last_may_be_own_ && any_written_) {
    outcome_.files.most = outcome_.gained.most + 1;
    outcome_.peak.most = std::max(outcome_.peak.most, outcome_.files.most);
  }
}

}  // namespace checkroom::plan
