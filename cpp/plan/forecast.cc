#include "plan/forecast.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include "base/error.h"
#include "plan/forecast_bounds.h"
#include "plan/forecast_replay.h"
#include "plan/save_events.h"

namespace checkroom::plan {
namespace {

// How much of a run that grows without an end its timeline shows.
constexpr std::int64_t kShown = 1024;

// Where a save stands in time, for KeepEvery(hours): seconds since the start of training.
double seconds_at(const RunSpec& spec, const SaveEvent& event) {
  return spec.seconds_per_step && event.step >= 0
             ? *spec.seconds_per_step * static_cast<double>(event.step)
             : 0;
}

void check_intervals(const RunSpec& spec, const SaveEvents& events) {
  if (spec.writer != Writer::kCheckroom) return;
  for (const KeepRule& rule : spec.keep) {
    const auto* every = std::get_if<KeepEvery>(&rule);
    if (every == nullptr) continue;
    if (every->epochs ? !events.knows_epoch() : !events.knows_step()) {
      throw Error::invalid("keep: KeepEvery needs steps_per_epoch, which is not known");
    }
  }
}

void refuse_too_many(const SaveEvents& events) {
  const auto most = events.at_most();
  if (most && std::cmp_greater(*most, 4 * kMostSaves)) {
    throw Error::invalid("the run may have " + std::to_string(*most) +
                         " opportunities to save: too many to play ahead");
  }
}

}  // namespace

std::optional<std::int64_t> save_count(const RunSpec& spec) {
  SaveEvents events(spec);
  if (!events.length().has_end) return std::nullopt;
  refuse_too_many(events);
  std::int64_t count = 0;
  while (events.next()) ++count;
  return count;
}

Forecast forecast(const RunSpec& spec, const Scores* scores) {
  Forecast result;
  result.spec_ = spec;
  result.play(scores);
  return result;
}

void Forecast::play(const Scores* scores) {
  SaveEvents events(spec_);
  check_intervals(spec_, events);
  refuse_too_many(events);
  length_ = events.length();
  knows_epoch_ = events.knows_epoch();
  start_epoch_ = events.start_epoch();
  start_step_ = events.start_step();
  steps_per_epoch_ = events.steps_per_epoch();
  timeline_ = Timeline(spec_, start_step_);
  const bool needs_scores = !EngineCore(retention_policy(spec_)).metrics().empty();
  if (!length_.has_end) {
    if (scores != nullptr) {
      throw Error::invalid("scores: a run without an end has no number of saves to give them for");
    }
    play_bounds(events);
  } else if (scores != nullptr || !needs_scores) {
    play_replay(events, scores, static_cast<std::size_t>(events.at_most().value_or(0)));
  } else {
    play_bounds(events);
  }
  sum_up();
}

void Forecast::play_replay(SaveEvents& events, const Scores* scores, std::size_t count) {
  std::vector<std::span<const double>> series;
  std::optional<std::size_t> given;
  const auto check_length = [&](const std::string& metric, std::size_t length) {
    if (given && *given != length) {
      throw Error::invalid("scores of '" + metric + "': " + std::to_string(length) +
                           " values, but another metric has " + std::to_string(*given));
    }
    given = length;
  };
  if (scores != nullptr) {
    for (const auto& [metric, values] : *scores) check_length(metric, values.size());
    const EngineCore engine(retention_policy(spec_));
    for (const std::string& metric : engine.metrics()) {
      const auto found = scores->find(metric);
      if (found == scores->end()) throw Error::invalid("scores: none for '" + metric + "'");
      series.emplace_back(found->second);
    }
  }
  const bool last_may_be_own = scores == nullptr && spec_.writer == Writer::kCheckroom &&
                               spec_.save_last == SaveLast::kYes && spec_.last_as == LastAs::kAuto;
  ReplayPlayer player(spec_, events.last_without_save(), std::move(series));
  const std::size_t room = std::min(given.value_or(count), kMostSaves);
  timeline_.reserve(room);
  player.reserve(room);
  while (const auto event = events.next()) {
    if (given && timeline_.size() == *given) {
      std::size_t more = timeline_.size() + 1;
      while (events.next()) ++more;
      throw Error::invalid("scores: " + std::to_string(*given) + " values for " +
                           std::to_string(more) + " opportunities to save");
    }
    TimelineRow row = player.play(*event, seconds_at(spec_, *event));
    if (last_may_be_own && row.written.most > 0) {
      row.files.most = player.kept() + 1;
      row.peak.most = std::max(row.peak.most, row.files.most);
    }
    timeline_.append(*event, row);
  }
  if (given && timeline_.size() != *given) {
    throw Error::invalid("scores: " + std::to_string(*given) + " values for " +
                         std::to_string(timeline_.size()) + " opportunities to save");
  }
  left_at_ = player.take_left_at();
  knows_kept_ = true;
}

void Forecast::play_bounds(SaveEvents& events) {
  BoundsPlayer player(spec_, events.last_without_save());
  std::int64_t stop_after = INT64_MAX;
  if (!length_.has_end) {
    const auto settles = player.settles_after();
    bounded_ = settles.has_value();
    stop_after = settles.value_or(kShown);
    if (std::cmp_greater(stop_after, kMostSaves)) {
      throw Error::invalid("a run without an end that keeps " + std::to_string(stop_after) +
                           " files is too long to play ahead");
    }
  } else {
    timeline_.reserve(
        static_cast<std::size_t>(std::min<std::int64_t>(events.at_most().value_or(0), kMostSaves)));
  }
  for (std::int64_t played = 0; played < stop_after; ++played) {
    const auto event = events.next();
    if (!event) break;
    timeline_.append(*event, player.play(*event, seconds_at(spec_, *event)));
  }
}

void Forecast::sum_up() {
  if (timeline_.size() == 0) return;
  last_ = timeline_.rows().back();
  peak_ = timeline_.peak();
  if (length_.may_end_sooner) {
    last_.files.least = last_.written.least = peak_.least = 0;
    // It may also end where more is kept than at the end that was counted.
    for (const TimelineRow& row : timeline_.rows()) {
      last_.files.most = std::max(last_.files.most, row.files.most);
    }
  }
}

}  // namespace checkroom::plan
