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

void check_intervals(const RunSpec& spec, const RunCalendar& calendar) {
  if (spec.writer != Writer::kCheckroom) return;
  for (const KeepRule& rule : spec.keep) {
    const auto* every = std::get_if<KeepEvery>(&rule);
    if (every == nullptr) continue;
    if (every->epochs ? !calendar.knows_epoch() : !calendar.knows_step()) {
      throw Error::invalid("keep: KeepEvery needs steps_per_epoch, which is not known");
    }
  }
}

void refuse_too_many(const RunCalendar& calendar) {
  const auto most = calendar.most_saves();
  if (most && std::cmp_greater(*most, 4 * kMostSaves)) {
    throw Error::invalid("the run may have " + std::to_string(*most) +
                         " opportunities to save: too many to play ahead");
  }
}

}  // namespace

std::optional<std::int64_t> save_count(const RunSpec& spec) {
  const RunCalendar calendar(spec);
  if (!calendar.length().has_end) return std::nullopt;
  refuse_too_many(calendar);
  SaveEvents events(calendar);
  std::int64_t count = 0;
  while (events.next()) ++count;
  return count;
}

Forecast forecast(const RunSpec& spec, const Scores* scores) {
  Forecast result(spec);
  result.play(scores);
  return result;
}

void Forecast::play(const Scores* scores) {
  check_intervals(spec_, calendar_);
  refuse_too_many(calendar_);
  SaveEvents events(calendar_);
  const bool needs_scores = !EngineCore(retention_policy(spec_)).metrics().empty();
  if (!length().has_end) {
    if (scores != nullptr) {
      throw Error::invalid("scores: a run without an end has no number of saves to give them for");
    }
    play_bounds(events);
  } else if (scores != nullptr || !needs_scores) {
    play_replay(events, scores, static_cast<std::size_t>(calendar_.most_saves().value_or(0)));
  } else {
    play_bounds(events);
  }
  sum_up();
}

void Forecast::play_replay(SaveEvents& events, const Scores* scores, std::size_t most) {
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
  ReplayPlayer player(spec_, calendar_.triggers().last_without_save, last_may_be_own,
                      std::move(series));
  const std::size_t room = std::min(given.value_or(most), kMostSaves);
  timeline_.reserve(room);
  player.reserve(room);
  std::size_t count = 0;
  events.for_each([&](const SaveEvent& event) {
    ++count;
    if (given && count > *given) return true;  // counted, for the error
    const SaveOutcome& outcome = player.play(event);
    if (player.turned()) timeline_.turn(player.outcome(), outcome);
    timeline_.append(event, 0);
    return true;
  });
  if (given && count != *given) {
    throw Error::invalid("scores: " + std::to_string(*given) + " values for " +
                         std::to_string(count) + " opportunities to save");
  }
  kept_log_ = player.take_log();
}

void Forecast::play_bounds(SaveEvents& events) {
  BoundsPlayer player(spec_, calendar_.triggers().last_without_save);
  std::int64_t stop_after = INT64_MAX;
  if (!length().has_end) {
    const auto settles = player.settles_after();
    bounded_ = settles.has_value();
    stop_after = settles.value_or(kShown);
    if (std::cmp_greater(stop_after, kMostSaves)) {
      throw Error::invalid("a run without an end that keeps " + std::to_string(stop_after) +
                           " files is too long to play ahead");
    }
  } else {
    timeline_.reserve(
        std::min(static_cast<std::size_t>(calendar_.most_saves().value_or(0)), kMostSaves));
  }
  events.for_each([&](const SaveEvent& event) {
    const SaveOutcome& outcome = player.play(event);
    if (player.turned()) timeline_.turn(player.outcome(), outcome);
    timeline_.append(event, player.expected());
    return std::cmp_less(timeline_.size(), stop_after);
  });
}

void Forecast::sum_up() {
  timeline_.close();
  if (timeline_.size() == 0) return;
  last_ = timeline_.row(timeline_.size() - 1);
  peak_ = timeline_.highest().peak;
  if (length().may_end_sooner) {
    last_.files.least = last_.written.least = peak_.least = 0;
    // It may also end where more is kept than at the end that was counted.
    last_.files.most = timeline_.highest().files;
  }
}

}  // namespace checkroom::plan
