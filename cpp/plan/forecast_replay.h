// Replay: a run whose scores are known, played exactly by the engine that prunes at run time.
//
// It owns the engine, whose ids are slots that are used again. One a thread. Scores are read, not
// copied, and must outlive it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "plan/forecast_kept.h"
#include "plan/forecast_timeline.h"
#include "plan/forecast_writers.h"
#include "plan/retention_core.h"

namespace checkroom::plan {

class ReplayPlayer {
 public:
  // `last_may_be_own`: where it is not known whether `last` can share blocks, the most counts it as
  // a file of its own. `scores`: one series for each of the engine's metrics, in its order.
  ReplayPlayer(const RunSpec& spec, bool last_without_save, bool last_may_be_own,
               std::vector<std::span<const double>> scores);
  ReplayPlayer(const ReplayPlayer&) = delete;
  ReplayPlayer& operator=(const ReplayPlayer&) = delete;

  void reserve(std::size_t events);
  // What the next event does.
  const SaveOutcome& play(const SaveEvent& event);
  // Does it do something else than the event before it?
  [[nodiscard]] bool turned() const { return turned_; }
  // What was kept after each event, for those that saved.
  [[nodiscard]] KeptLog take_log() { return std::move(log_); }

 private:
  [[nodiscard]] bool offer(const SaveEvent& event);

  void price();

  RunSpec spec_;
  EngineCore engine_;
  std::vector<std::span<const double>> scores_;
  bool last_without_save_;
  bool last_may_be_own_;
  LastWrite first_last_;  // what `last` becomes where nothing was written before it
  LastWrite later_last_;
  LastWrite after_save_;

  std::size_t played_ = 0;
  Candidate candidate_;
  std::vector<double> newcomer_;  // its scores, where there are several
  std::vector<Leave> leaves_;
  SlotPool slots_;
  KeptLog log_;
  SaveAct act_;  // the last one; files beside those kept before it
  bool turned_ = false;
  SaveOutcome outcome_;
  bool last_is_own_ = false;
  bool any_written_ = false;
};

// Inline: a forecast plays these for each of a million saves.
inline bool ReplayPlayer::offer(const SaveEvent& event) {
  if (scores_.size() == 1) {
    candidate_.scores = &scores_.front()[played_];
  } else {
    for (std::size_t i = 0; i < scores_.size(); ++i) newcomer_[i] = scores_[i][played_];
  }
  candidate_.id = slots_.next();
  candidate_.epoch = std::max<std::int64_t>(event.epoch, 0);
  candidate_.step = std::max<std::int64_t>(event.step, 0);
  candidate_.saved_at = seconds_at(spec_, event.step);
  leaves_.clear();
  if (!engine_.offer(candidate_, leaves_)) return false;
  slots_.take();
  for (const Leave& leave : leaves_) slots_.give_back(leave.id);
  log_.add(leaves_);
  return true;
}

inline const SaveOutcome& ReplayPlayer::play(const SaveEvent& event) {
  const std::size_t before = engine_.size();
  SaveAct act;
  act.saves = event.kind == SaveKind::kRules && offer(event);
  act.after = static_cast<std::int64_t>(engine_.size() - before);
  act.last_is_own = last_is_own_;
  if (act.saves) {
    act.last = after_save_;
  } else if (event.kind == SaveKind::kLastOnly || last_without_save_) {
    act.last = any_written_ ? later_last_ : first_last_;
  }
  turned_ = (act.saves != act_.saves) | (act.after != act_.after) |
            (act.last_is_own != act_.last_is_own) | (act.last != act_.last) |
            (event.kind != outcome_.kind) | (played_ == 0);
  if (turned_) {
    // One by one: a whole that was put together just now would stall the processor when copied.
    act_.saves = act.saves;
    act_.after = act.after;
    act_.last_is_own = act.last_is_own;
    act_.last = act.last;
    outcome_.kind = event.kind;
    price();
  }
  ++played_;
  return outcome_;
}

}  // namespace checkroom::plan
