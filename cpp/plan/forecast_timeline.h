// The timeline of a forecast: what each save leaves and takes, in files.
//
// Rows are kept in files and turned into bytes when one is read, so that a million saves are one
// flat array. Values; any thread may read. at() throws std::out_of_range.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "plan/run_spec.h"
#include "plan/save_events.h"

namespace checkroom::plan {

// More saves than this are refused rather than played.
inline constexpr std::size_t kMostSaves = 50'000'000;

template <typename T>
struct LeastMost {
  T least{};
  T most{};
  friend bool operator==(const LeastMost&, const LeastMost&) = default;
};
using FileRange = LeastMost<std::int64_t>;
using ByteRange = LeastMost<Bytes>;
struct WrittenRange {
  Bytes least;
  Bytes most;
  double expected = 0;  // bytes, for independent scores
};

enum class Saved : std::uint8_t { kNo, kYes, kMaybe };

// One row. Without what already lies in the directory.
struct TimelineRow {
  std::int64_t step = 0;
  std::int32_t epoch = 0;
  Saved saved = Saved::kNo;  // a file beside `last`
  SaveKind kind = SaveKind::kRules;
  LeastMost<std::uint32_t> files;    // at rest, that own blocks
  LeastMost<std::uint32_t> peak;     // at the destination
  LeastMost<std::uint32_t> written;  // whole files since the start
  double expected = 0;               // written
};

// The state after one opportunity to save.
struct SavePoint {
  std::int64_t index = 0;
  std::int64_t epoch = 0;         // -1: not known, for want of steps_per_epoch
  std::int64_t step = 0;          // likewise
  std::optional<double> seconds;  // since the run's start
  std::optional<bool> saved;      // was a file beside `last` written? unset: the scores decide
  bool last_only = false;         // the rules are not asked: only `last` is written
  FileRange files;
  ByteRange at_rest;
  ByteRange peak;
  FileRange peak_files;
  WrittenRange written;
};

class Timeline {
 public:
  Timeline() = default;
  Timeline(const RunSpec& spec, std::int64_t start_step);

  void reserve(std::size_t rows) { rows_.reserve(rows); }
  // Throws Error(kInvalidArgument) beyond kMostSaves, Error(kOverflow) beyond 2^31 epochs.
  void append(const SaveEvent& event, const TimelineRow& row) {
    if (rows_.size() == kMostSaves || event.epoch > INT32_MAX) refuse(event);
    rows_.push_back(row);
    rows_.back().step = event.step;
    rows_.back().epoch = static_cast<std::int32_t>(event.epoch);
    rows_.back().kind = event.kind;
    peak_.least = std::max(peak_.least, row.peak.least);
    peak_.most = std::max(peak_.most, row.peak.most);
  }
  // The highest peak of any row.
  [[nodiscard]] const LeastMost<std::uint32_t>& peak() const { return peak_; }

  [[nodiscard]] std::size_t size() const { return rows_.size(); }
  [[nodiscard]] const TimelineRow& row(std::size_t index) const { return rows_[index]; }
  [[nodiscard]] const std::vector<TimelineRow>& rows() const { return rows_; }
  [[nodiscard]] SavePoint at(std::size_t index) const;
  // The same of a row that is not stored here.
  [[nodiscard]] SavePoint point(const TimelineRow& row, std::size_t index) const;

  // Files and bytes with what already lies there.
  [[nodiscard]] FileRange files(const LeastMost<std::uint32_t>& count) const;
  [[nodiscard]] ByteRange bytes(const LeastMost<std::uint32_t>& count) const;
  [[nodiscard]] WrittenRange written(const TimelineRow& row) const;

 private:
  [[noreturn]] static void refuse(const SaveEvent& event);

  std::vector<TimelineRow> rows_;
  LeastMost<std::uint32_t> peak_;
  Bytes file_;
  std::int64_t existing_files_ = 0;
  Bytes existing_bytes_;
  std::int64_t start_step_ = 0;
  std::optional<double> seconds_per_step_;
};

}  // namespace checkroom::plan
