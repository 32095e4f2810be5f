#include "plan/forecast_timeline.h"

#include <string>

#include "base/error.h"

namespace checkroom::plan {

Timeline::Timeline(const RunSpec& spec, std::int64_t start_step)
    : file_(file_bytes(spec)),
      existing_files_(spec.existing_files),
      existing_bytes_(spec.existing_bytes),
      start_step_(start_step),
      seconds_per_step_(spec.seconds_per_step) {}

void Timeline::refuse(const SaveEvent& event) {
  if (event.epoch > INT32_MAX) {
    throw Error::overflow("epoch " + std::to_string(event.epoch) + " is too far to play ahead");
  }
  throw Error::invalid("the run has more than " + std::to_string(kMostSaves) +
                       " opportunities to save: too many to play ahead");
}

FileRange Timeline::files(const LeastMost<std::uint32_t>& count) const {
  return {existing_files_ + count.least, existing_files_ + count.most};
}

ByteRange Timeline::bytes(const LeastMost<std::uint32_t>& count) const {
  return {existing_bytes_ + file_ * count.least, existing_bytes_ + file_ * count.most};
}

WrittenRange Timeline::written(const TimelineRow& row) const {
  return {file_ * row.written.least, file_ * row.written.most,
          row.expected * static_cast<double>(file_.count())};
}

SavePoint Timeline::at(std::size_t index) const { return point(rows_.at(index), index); }

SavePoint Timeline::point(const TimelineRow& row, std::size_t index) const {
  SavePoint point;
  point.index = static_cast<std::int64_t>(index);
  point.epoch = row.epoch;
  point.step = row.step;
  if (seconds_per_step_ && row.step >= 0) {
    point.seconds = *seconds_per_step_ * static_cast<double>(row.step - start_step_);
  }
  if (row.saved != Saved::kMaybe) point.saved = row.saved == Saved::kYes;
  point.last_only = row.kind == SaveKind::kLastOnly;
  point.files = files(row.files);
  point.at_rest = bytes(row.files);
  point.peak = bytes(row.peak);
  point.peak_files = files(row.peak);
  point.written = written(row);
  return point;
}

}  // namespace checkroom::plan
