// The timeline of a forecast: what each save leaves and takes, in files.
//
// Saves that follow each other mostly do the same, so a timeline keeps what is done and for how
// many rows: a handful of runs where the rules settle, a few bytes a row where scores scatter. Rows
// are put together, and turned into bytes, when one is read. Values; any thread may read what was
// closed. at() throws std::out_of_range.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "plan/event_positions.h"
#include "plan/run_spec.h"
#include "plan/save_events.h"

namespace checkroom::plan {

// More saves than this are refused rather than played. No count of files then leaves 32 bits.
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

// What one opportunity does, in files.
struct SaveOutcome {
  Saved saved = Saved::kNo;  // a file beside `last`
  SaveKind kind = SaveKind::kRules;
  LeastMost<std::int32_t> gained;  // kept after it, less those kept before it
  LeastMost<std::int32_t> files;   // at rest after it, less those kept before it
  LeastMost<std::int32_t> peak;    // at the destination, likewise
  LeastMost<std::int32_t> written;
  friend bool operator==(const SaveOutcome&, const SaveOutcome&) = default;
};

// One row. Without what already lies in the directory.
struct TimelineRow {
  std::int64_t epoch = 0;
  std::int64_t step = 0;
  Saved saved = Saved::kNo;
  SaveKind kind = SaveKind::kRules;
  LeastMost<std::uint32_t> files;    // at rest, that own blocks
  LeastMost<std::uint32_t> peak;     // at the destination
  LeastMost<std::uint32_t> written;  // whole files since the start
  double expected = 0;               // written
};

// Counts of files, while one outcome follows the other.
struct FileTally {
  LeastMost<std::uint32_t> kept;
  LeastMost<std::uint32_t> written;

  void add(const SaveOutcome& outcome, std::size_t times = 1);
  // The row of the outcome that comes next, without its place, which is not added yet.
  [[nodiscard]] TimelineRow row(const SaveOutcome& outcome) const;
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

  // Room for so many rows, of which only what is used is touched.
  void reserve(std::size_t rows);
  // What the rows that are appended from here on do, and its number: each number stands for one
  // outcome, and a new one is the next from 0 on.
  void turn(std::uint32_t number, const SaveOutcome& outcome);
  // `expected`: written up to here, for independent scores; it counts once the least and the most
  // have parted. Throws Error(kInvalidArgument) beyond kMostSaves.
  void append(const SaveEvent& event, double expected) {
    if (size_ == kMostSaves) refuse();
    positions_.append(event.epoch, event.step);
    if (parted_) expected_.push_back(expected);
    ++size_;
  }

  // That was the last row. What follows is asked only after it.
  void close();

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] TimelineRow row(std::size_t index) const;  // which is less than size()
  // Calls visit(row, index) for each, until it says true. Did it?
  template <typename Visit>
  bool find(Visit visit) const;
  // The most at rest after any row, and the highest peaks.
  struct Highest {
    std::uint32_t files = 0;
    LeastMost<std::uint32_t> peak;
  };
  [[nodiscard]] const Highest& highest() const { return highest_; }

  [[nodiscard]] SavePoint at(std::size_t index) const;
  // The same of a row that is not stored here.
  [[nodiscard]] SavePoint point(const TimelineRow& row, std::size_t index) const;

  // Files and bytes with what already lies there.
  [[nodiscard]] FileRange files(const LeastMost<std::uint32_t>& count) const;
  [[nodiscard]] ByteRange bytes(const LeastMost<std::uint32_t>& count) const;
  [[nodiscard]] WrittenRange written(const TimelineRow& row) const;

 private:
  struct Run {
    std::uint32_t begin = 0;    // the index of its first row
    std::uint32_t outcome = 0;  // its number
  };
  static constexpr std::size_t kRunsPerTally = 64;

  [[noreturn]] static void refuse();
  [[nodiscard]] std::size_t end_of(std::size_t run) const {
    return run + 1 < runs_.size() ? runs_[run + 1].begin : size_;
  }
  [[nodiscard]] const SaveOutcome& outcome_of(std::size_t run) const {
    return outcomes_[runs_[run].outcome];
  }
  void complete(TimelineRow& row, std::size_t index, const EventPosition& position) const;

  std::size_t size_ = 0;
  EventPositions positions_;
  std::vector<Run> runs_;
  std::vector<SaveOutcome> outcomes_;  // by number
  std::vector<FileTally> tallies_;     // before every kRunsPerTally-th run
  Highest highest_;
  // What is expected is a number of its own from the row on in which the least and the most part.
  bool parted_ = false;
  std::size_t expected_from_ = 0;
  std::vector<double> expected_;
  std::size_t room_ = 0;

  Bytes file_;
  std::int64_t existing_files_ = 0;
  Bytes existing_bytes_;
  std::int64_t start_step_ = 0;
  std::optional<double> seconds_per_step_;
};

template <typename Visit>
bool Timeline::find(Visit visit) const {
  FileTally tally;
  EventPositions::Reader positions(positions_);
  for (std::size_t run = 0; run < runs_.size(); ++run) {
    const SaveOutcome& outcome = outcome_of(run);
    const std::size_t end = end_of(run);
    for (std::size_t index = runs_[run].begin; index < end; ++index) {
      TimelineRow row = tally.row(outcome);
      complete(row, index, positions.next());
      if (visit(row, index)) return true;
      tally.add(outcome);
    }
  }
  return false;
}

}  // namespace checkroom::plan
