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
#include "plan/interned.h"
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
  // What the next event does. Good until the next call.
  const SaveOutcome& play(const SaveEvent& event);
  // May it do something else than the event before it? And the number of what it does, from 0 on;
  // the same may have several.
  [[nodiscard]] bool turned() const { return turned_; }
  [[nodiscard]] std::uint32_t outcome() const { return outcome_; }
  // What was kept after each event, for those that saved.
  [[nodiscard]] KeptLog take_log() { return std::move(log_); }

 private:
  [[nodiscard]] bool offer(const SaveEvent& event);

  void turn(const SaveAct& act, SaveKind kind);

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
  // What an event does, and what `last` is then, by number. They are numbered by what they depend
  // on, which is little and compared as one.
  struct Turn {
    SaveOutcome outcome;
    bool last_is_own = false;
    bool any_written = false;
  };
  [[nodiscard]] Turn price(const SaveAct& act, SaveKind kind) const;
  Interned<std::uint64_t> causes_;
  std::vector<Turn> turns_;
  std::uint64_t cause_ = 0;  // of the last event
  std::uint32_t outcome_ = 0;
  bool turned_ = false;
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
  const auto gained = static_cast<std::uint32_t>(act.after);
  const std::uint64_t cause =
      std::uint64_t{gained} << 32 | std::uint64_t{act.saves} << 16 |
      std::uint64_t{act.last_is_own} << 17 | std::uint64_t{any_written_} << 18 |
      static_cast<std::uint64_t>(act.last) << 8 | static_cast<std::uint64_t>(event.kind);
  turned_ = cause != cause_ || played_ == 0;
  if (turned_) {
    cause_ = cause;
    turn(act, event.kind);
  }
  ++played_;
  return turns_[outcome_].outcome;
}

}  // namespace checkroom::plan
