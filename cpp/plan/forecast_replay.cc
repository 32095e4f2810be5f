#include "plan/forecast_replay.h"

#include <algorithm>
#include <utility>

namespace checkroom::plan {

ReplayPlayer::ReplayPlayer(const RunSpec& spec, bool last_without_save,
                           std::vector<std::span<const double>> scores)
    : spec_(spec),
      engine_(retention_policy(spec)),
      scores_(std::move(scores)),
      last_without_save_(last_without_save),
      first_last_(plan::last_without_save(spec, false)),
      later_last_(plan::last_without_save(spec, true)),
      after_save_(last_after_save(spec)),
      file_(file_bytes(spec).count()),
      newcomer_(scores_.size()) {}

void ReplayPlayer::reserve(std::size_t events) { left_at_.reserve(events); }

bool ReplayPlayer::offer(const SaveEvent& event, double seconds) {
  const auto index = static_cast<std::uint32_t>(left_at_.size());
  for (std::size_t i = 0; i < scores_.size(); ++i) newcomer_[i] = scores_[i][index];
  Candidate candidate;
  candidate.id = free_.empty() ? static_cast<ItemId>(index_.size()) : free_.back();
  candidate.own_bytes = file_;
  candidate.epoch = std::max<std::int64_t>(event.epoch, 0);
  candidate.step = std::max<std::int64_t>(event.step, 0);
  candidate.saved_at = seconds;
  candidate.scores = newcomer_.data();
  candidate.has_score = (std::uint64_t{1} << scores_.size()) - 1;
  if (!engine_.decide(candidate).wanted) return false;

  if (free_.empty()) {
    index_.push_back(index);
  } else {
    free_.pop_back();
    index_[candidate.id] = index;
  }
  leaves_.clear();
  engine_.publish(candidate, leaves_);
  for (const Leave& leave : leaves_) {
    left_at_[index_[leave.id]] = index;
    free_.push_back(leave.id);
  }
  return true;
}

TimelineRow ReplayPlayer::play(const SaveEvent& event, double seconds) {
  SaveAct act;
  act.before = static_cast<std::int64_t>(engine_.size());
  act.saves = event.kind == SaveKind::kRules && offer(event, seconds);
  act.after = static_cast<std::int64_t>(engine_.size());
  act.last_is_own = last_is_own_;
  if (act.saves) {
    act.last = after_save_;
  } else if (event.kind == SaveKind::kLastOnly || last_without_save_) {
    act.last = any_written_ ? later_last_ : first_last_;
  }
  left_at_.push_back(act.saves ? kStillKept : static_cast<std::uint32_t>(left_at_.size()));

  const SaveCost cost = play_save(spec_.writer, spec_.staging, act);
  last_is_own_ = cost.last_is_own;
  any_written_ = any_written_ || cost.written > 0;
  const auto files = static_cast<std::uint32_t>(cost.at_rest);
  const auto peak = static_cast<std::uint32_t>(cost.peak);
  row_.files = {files, files};
  row_.peak = {peak, peak};
  row_.written.least += static_cast<std::uint32_t>(cost.written);
  row_.written.most = row_.written.least;
  row_.expected = row_.written.least;
  row_.saved = act.saves ? Saved::kYes : Saved::kNo;
  return row_;
}

}  // namespace checkroom::plan
