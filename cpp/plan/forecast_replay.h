// Replay: a run whose scores are known, played exactly by the engine that prunes at run time.
//
// It owns the engine and which of its slots stands for which opportunity. One a thread. Scores are
// read, not copied, and must outlive it.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "plan/forecast_timeline.h"
#include "plan/forecast_writers.h"
#include "plan/retention_core.h"

namespace checkroom::plan {

// No save has left while it stands here.
inline constexpr std::uint32_t kStillKept = UINT32_MAX;

class ReplayPlayer {
 public:
  // `scores`: one series for each of the engine's metrics, in its order.
  ReplayPlayer(const RunSpec& spec, bool last_without_save,
               std::vector<std::span<const double>> scores);

  void reserve(std::size_t events);
  // The row of the next event. `seconds`: since the start of training.
  TimelineRow play(const SaveEvent& event, double seconds);

  [[nodiscard]] std::uint32_t kept() const { return static_cast<std::uint32_t>(engine_.size()); }
  // For each opportunity the one at which its file left: itself where it was never saved,
  // kStillKept where it is kept.
  [[nodiscard]] std::vector<std::uint32_t> take_left_at() { return std::move(left_at_); }

 private:
  [[nodiscard]] bool offer(const SaveEvent& event, double seconds);

  RunSpec spec_;
  EngineCore engine_;
  std::vector<std::span<const double>> scores_;
  bool last_without_save_;
  LastWrite first_last_;  // what `last` becomes where nothing was written before it
  LastWrite later_last_;
  LastWrite after_save_;
  std::int64_t file_;

  std::vector<double> newcomer_;  // its scores
  std::vector<Leave> leaves_;
  std::vector<std::uint32_t> index_;  // by slot: the opportunity
  std::vector<ItemId> free_;          // slots
  std::vector<std::uint32_t> left_at_;
  bool last_is_own_ = false;
  bool any_written_ = false;
  TimelineRow row_;
};

}  // namespace checkroom::plan
