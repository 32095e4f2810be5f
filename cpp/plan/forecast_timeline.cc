#include "plan/forecast_timeline.h"

#include <stdexcept>
#include <string>

#include "base/error.h"

namespace checkroom::plan {
namespace {

std::uint32_t sum(std::uint32_t files, std::int32_t more) {
  return files + static_cast<std::uint32_t>(more);
}

LeastMost<std::uint32_t> sum(const LeastMost<std::uint32_t>& files,
                             const LeastMost<std::int32_t>& more) {
  return {sum(files.least, more.least), sum(files.most, more.most)};
}

}  // namespace

void FileTally::add(const SaveOutcome& outcome, std::size_t times) {
  const auto add = [times](LeastMost<std::uint32_t>& files, const LeastMost<std::int32_t>& each) {
    files.least += static_cast<std::uint32_t>(times) * static_cast<std::uint32_t>(each.least);
    files.most += static_cast<std::uint32_t>(times) * static_cast<std::uint32_t>(each.most);
  };
  add(kept, outcome.gained);
  add(written, outcome.written);
}

TimelineRow FileTally::row(const SaveOutcome& outcome) const {
  TimelineRow row;
  row.saved = outcome.saved;
  row.kind = outcome.kind;
  row.files = sum(kept, outcome.files);
  row.peak = sum(kept, outcome.peak);
  row.written = sum(written, outcome.written);
  return row;
}

Timeline::Timeline(const RunSpec& spec, std::int64_t start_step)
    : file_(file_bytes(spec)),
      existing_files_(spec.existing_files),
      existing_bytes_(spec.existing_bytes),
      start_step_(start_step),
      seconds_per_step_(spec.seconds_per_step) {}

void Timeline::refuse() {
  throw Error::invalid("the run has more than " + std::to_string(kMostSaves) +
                       " opportunities to save: too many to play ahead");
}

void Timeline::reserve(std::size_t rows) {
  room_ = rows;
  positions_.reserve(rows);
  runs_.reserve(rows / 2);  // scattered scores in a top k of half as many rows take two fifths
}

void Timeline::turn(std::uint32_t number, const SaveOutcome& outcome) {
  if (number == outcomes_.size()) outcomes_.push_back(outcome);
  runs_.push_back({static_cast<std::uint32_t>(size_), number});
  if (parted_ || outcome.written.least == outcome.written.most) return;
  parted_ = true;
  expected_from_ = size_;
  if (room_ > size_) expected_.reserve(room_ - size_);
}

void Timeline::complete(TimelineRow& row, std::size_t index, const EventPosition& position) const {
  row.epoch = position.epoch;
  row.step = position.step;
  const bool apart = parted_ && index >= expected_from_;
  row.expected = apart ? expected_[index - expected_from_] : row.written.least;
}

TimelineRow Timeline::row(std::size_t index) const {
  const auto after =
      std::upper_bound(runs_.begin(), runs_.end(), index,
                       [](std::size_t wanted, const Run& run) { return wanted < run.begin; });
  const auto last = static_cast<std::size_t>(after - runs_.begin()) - 1;
  std::size_t run = last / kRunsPerTally * kRunsPerTally;
  FileTally tally = tallies_[last / kRunsPerTally];
  for (; run < last; ++run) tally.add(outcome_of(run), end_of(run) - runs_[run].begin);
  tally.add(outcome_of(last), index - runs_[last].begin);
  TimelineRow row = tally.row(outcome_of(last));
  complete(row, index, positions_.at(index));
  return row;
}

void Timeline::close() {
  const auto consider = [this](const TimelineRow& row) {
    highest_.files = std::max(highest_.files, row.files.most);
    highest_.peak.least = std::max(highest_.peak.least, row.peak.least);
    highest_.peak.most = std::max(highest_.peak.most, row.peak.most);
  };
  FileTally tally;
  tallies_.reserve(runs_.size() / kRunsPerTally + 1);
  for (std::size_t run = 0; run < runs_.size(); ++run) {
    if (run % kRunsPerTally == 0) tallies_.push_back(tally);
    const SaveOutcome& outcome = outcome_of(run);
    const std::size_t rows = end_of(run) - runs_[run].begin;
    if (rows == 0) continue;
    // In between it only grows, or only falls.
    consider(tally.row(outcome));
    tally.add(outcome, rows - 1);
    consider(tally.row(outcome));
    tally.add(outcome);
  }
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

SavePoint Timeline::at(std::size_t index) const {
  if (index >= size_) {
    throw std::out_of_range("row " + std::to_string(index) + " of a timeline of " +
                            std::to_string(size_));
  }
  return point(row(index), index);
}

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
