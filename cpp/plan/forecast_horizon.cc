// Forecast's questions about when a disk is full, which reach beyond what the timeline shows.

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "base/error.h"
#include "plan/forecast.h"
#include "plan/forecast_bounds.h"
#include "plan/save_events.h"

namespace checkroom::plan {
namespace {

// Rows over which growth is measured: enough for intervals of thousands of saves.
constexpr std::size_t kMeasured = 65'536;

}  // namespace

// Calls visit(row, index) for each save, until it says true; in a run that grows without an end
// beyond the timeline, up to `most` saves.
template <typename Visit>
bool Forecast::find_row(std::size_t most, Visit visit) const {
  if (timeline_.find(visit)) return true;
  if (bounded_) return false;
  SaveEvents events(calendar_);
  BoundsPlayer player(spec_, calendar_.triggers().last_without_save);
  FileTally tally;
  std::size_t index = 0;
  bool found = false;
  events.for_each([&](const SaveEvent& event) {
    const SaveOutcome& outcome = player.play(event);
    if (index >= timeline_.size()) {
      TimelineRow row = tally.row(outcome);
      row.epoch = event.epoch;
      row.step = event.step;
      row.expected = player.expected();
      found = visit(row, index);
    }
    tally.add(outcome);
    return !found && ++index < most;
  });
  return found;
}

std::optional<SavePoint> Forecast::first_beyond(Bytes have, bool most) const {
  const Bytes file = file_bytes(spec_);
  std::optional<SavePoint> found;
  const Bytes room = have - spec_.existing_bytes;
  // With nothing to write every save is like the first.
  const bool grows = file > Bytes(0);
  const std::int64_t files = grows && room >= Bytes(0) ? room.count() / file.count() : 0;
  if (!grows && room >= Bytes(0)) return found;
  if (!bounded_ && std::cmp_greater(files, kMostSaves)) {
    throw Error::invalid("more than " + std::to_string(kMostSaves) +
                         " saves fit: too many to play ahead");
  }
  find_row(kMostSaves, [&](const TimelineRow& row, std::size_t index) {
    const std::int64_t peak = most ? row.peak.most : row.peak.least;
    if (room >= Bytes(0) && peak <= files) return false;
    found = timeline_.point(row, index);
    return true;
  });
  return found;
}

std::optional<SavePoint> Forecast::first_save_that_may_not_fit(Bytes have) const {
  return first_beyond(have, true);
}

std::optional<SavePoint> Forecast::first_save_that_cannot_fit(Bytes have) const {
  return first_beyond(have, false);
}

std::optional<double> Forecast::log_bytes_per_epoch() const {
  const Bytes logged = spec_.tensorboard_bytes_per_epoch + spec_.csv_bytes_per_epoch;
  if (!spec_.log_steps_per_epoch || !calendar_.steps_per_epoch()) {
    if (!calendar_.knows_epoch() && logged > Bytes(0)) return std::nullopt;
    return static_cast<double>(logged.count());
  }
  return static_cast<double>(logged.count()) * static_cast<double>(*calendar_.steps_per_epoch()) /
         static_cast<double>(*spec_.log_steps_per_epoch);
}

// Growth between two saves at which it grew, as far apart as is measured.
std::optional<double> Forecast::files_per_epoch() const {
  if (bounded_) return 0;
  if (!calendar_.knows_epoch() || !length().countable) return std::nullopt;
  const bool by_epochs = epoch_interval(spec_) > 0;
  if (!by_epochs && !calendar_.steps_per_epoch()) return std::nullopt;
  std::optional<TimelineRow> first;
  TimelineRow last;
  TimelineRow before;
  find_row(kMeasured, [&](const TimelineRow& row, std::size_t index) {
    const bool grew = row.files.most > before.files.most;
    const bool is_phase = !by_epochs || row.epoch != before.epoch;  // the first of its epoch
    if (index > 0 && grew && is_phase) {
      if (!first) first = row;
      last = row;
    }
    before = row;
    return false;
  });
  if (!first) return std::nullopt;
  const auto position = [&](const TimelineRow& row) {
    return by_epochs
               ? static_cast<double>(row.epoch)
               : static_cast<double>(row.step) / static_cast<double>(*calendar_.steps_per_epoch());
  };
  const double span = position(last) - position(*first);
  if (!(span > 0)) return std::nullopt;
  return static_cast<double>(last.files.most - first->files.most) / span;
}

std::optional<double> Forecast::bytes_per_epoch() const {
  if (length().has_end) return std::nullopt;
  const auto files = files_per_epoch();
  const auto logged = log_bytes_per_epoch();
  if (!files || !logged) return std::nullopt;
  return *files * static_cast<double>(file_bytes(spec_).count()) + *logged;
}

std::optional<std::int64_t> Forecast::epochs_until_full(Bytes have) const {
  if (!calendar_.knows_epoch()) {
    throw Error::invalid("epochs_until_full: steps_per_epoch is not known");
  }
  const Bytes tensorboard = spec_.tensorboard_bytes_per_epoch;
  const Bytes csv = spec_.csv_bytes_per_epoch;
  const auto logged_by = [&](const TimelineRow& row) {
    const bool by_steps =
        row.step >= 0 && (spec_.log_steps_per_epoch || calendar_.steps_per_epoch());
    if (by_steps) {
      return logs_at(tensorboard, row.step - calendar_.start_step()) +
             logs_at(csv, row.step - calendar_.start_step());
    }
    return (tensorboard + csv) * (row.epoch + 1 - calendar_.start_epoch());
  };
  std::optional<std::int64_t> epochs;
  Bytes peak = spec_.existing_bytes;
  const auto is_full = [&](const TimelineRow& row, std::size_t /*index*/) {
    const Bytes here = timeline_.bytes(row.peak).most;
    peak = std::max(peak, here);
    if (here + logged_by(row) <= have) return false;
    epochs = row.epoch - calendar_.start_epoch();
    return true;
  };
  if (find_row(kMostSaves, is_full)) return epochs;
  if (!bounded_ && file_bytes(spec_) > Bytes(0)) {
    throw Error::invalid("epochs_until_full: more than " + std::to_string(kMostSaves) +
                         " saves fit: too many to play ahead");
  }
  // The checkpoints fit for ever: what is left for the logs?
  if (length().has_end) {
    const ByteRange all = total();
    if (all.most <= have) return std::nullopt;
    peak = at_rest().most;
  }
  const auto logged = log_bytes_per_epoch();
  if (peak > have) return 0;
  if (!logged || *logged == 0) return std::nullopt;
  const double fit = static_cast<double>((have - peak).count()) / *logged;
  return fit < 0x1p62 ? std::optional(static_cast<std::int64_t>(fit)) : std::nullopt;
}

}  // namespace checkroom::plan
