// Forecast: a run, played ahead by the code that prunes at run time.
//
// A value; any thread may read. forecast() throws Error(kInvalidArgument) for an impossible spec or
// scores that do not fit it, Error(kOverflow) for sums that leave 64 bits. Figures that a run
// without an end does not have throw Error(kInvalidArgument) that names what to ask instead.
//
// `files` counts what owns blocks. With save_last and last_as='auto' at rest is a pair: least is
// `last` sharing its blocks with a kept file, most `last` as a file of its own (a filesystem
// without links, a copy). last_as='link' and a symbolic link count the sharing, last_as='copy' and
// Lightning's writer the file of its own. The peak of 'auto' counts the sharing, but is never below
// what is at rest afterwards. Given scores, 'auto' is what checkroom does: it shares.
//
// Figures of the directory include what already lies there. A run that may end sooner than counted
// (a limit whose place is not known) has nothing certain: its least is what lies there already.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "plan/forecast_kept.h"
#include "plan/forecast_timeline.h"
#include "plan/run_calendar.h"
#include "plan/run_spec.h"
#include "plan/save_events.h"

namespace checkroom::plan {

struct FilesystemForecast {
  std::string name;  // "destination", "staging" ($TMPDIR on a filesystem of its own), "logs"
  ByteRange at_rest;
  ByteRange peak;
  ByteRange written;
};

// The monitored values, one for each opportunity to save: by metric.
using Scores = std::map<std::string, std::vector<double>>;

class Forecast {
 public:
  [[nodiscard]] const RunSpec& spec() const { return spec_; }
  // false: without an end, or with one that cannot be counted; the timeline is then the part after
  // which nothing changes any more, or a first part where it grows for ever.
  [[nodiscard]] bool has_end() const { return length().has_end; }
  // Does the directory stay bounded? Always, for a run with an end.
  [[nodiscard]] bool is_bounded() const { return bounded_; }

  // After the last save; of a run without an end, once nothing changes any more.
  [[nodiscard]] FileRange files() const;
  [[nodiscard]] ByteRange at_rest() const;
  // Over the whole run.
  [[nodiscard]] FileRange peak_files() const;
  [[nodiscard]] ByteRange peak() const;
  [[nodiscard]] WrittenRange written() const;
  [[nodiscard]] Bytes tensorboard() const;
  [[nodiscard]] Bytes csv() const;
  [[nodiscard]] ByteRange total() const;  // at rest, with the logs
  [[nodiscard]] Bytes fixed() const;      // dataset, model files, misc
  [[nodiscard]] std::optional<std::int64_t> epochs() const { return length().epochs; }
  [[nodiscard]] std::optional<std::int64_t> steps() const { return length().steps; }
  [[nodiscard]] std::optional<double> seconds() const;
  // What has no figure is left out: a run without an end has no "logs".
  [[nodiscard]] std::vector<FilesystemForecast> filesystems() const;
  [[nodiscard]] const Timeline& timeline() const { return timeline_; }

  // By how much what lies on the disks grows in an epoch, logs included, in the long run; of a run
  // without an end.
  [[nodiscard]] std::optional<double> bytes_per_epoch() const;
  // `have`: what the checkpoints may occupy, what lies there already included.
  [[nodiscard]] std::optional<SavePoint> first_save_that_may_not_fit(Bytes have) const;
  [[nodiscard]] std::optional<SavePoint> first_save_that_cannot_fit(Bytes have) const;
  // Whole epochs of this run after which checkpoints and logs, at the most, still fit. None: the
  // whole run fits.
  [[nodiscard]] std::optional<std::int64_t> epochs_until_full(Bytes have) const;

  // Opportunities whose files are kept after the one at `index`, or at the end; none: they depend
  // on scores that were not given.
  [[nodiscard]] std::optional<std::vector<std::int64_t>> kept_after(std::size_t index) const;
  [[nodiscard]] std::optional<std::vector<std::int64_t>> kept() const;

 private:
  friend Forecast forecast(const RunSpec& spec, const Scores* scores);
  explicit Forecast(const RunSpec& spec)
      : spec_(spec), calendar_(spec), timeline_(spec, calendar_.start_step()) {}
  [[nodiscard]] const RunLength& length() const { return calendar_.length(); }
  void play(const Scores* scores);
  void play_replay(SaveEvents& events, const Scores* scores, std::size_t most);
  void play_bounds(SaveEvents& events);
  void sum_up();
  [[nodiscard]] Bytes logs_at(Bytes per_epoch, std::int64_t steps) const;
  [[nodiscard]] Bytes logs(Bytes per_epoch) const;
  [[nodiscard]] std::optional<double> log_bytes_per_epoch() const;
  [[nodiscard]] std::optional<double> files_per_epoch() const;
  template <typename Visit>
  bool find_row(std::size_t most, Visit visit) const;
  [[nodiscard]] std::optional<SavePoint> first_beyond(Bytes have, bool most) const;
  void need_end(const char* figure) const;
  void need_bound(const char* figure) const;

  RunSpec spec_;
  RunCalendar calendar_;
  bool bounded_ = true;
  Timeline timeline_;
  std::optional<KeptLog> kept_log_;  // none: the scores were not given
  // Of the whole run, in files.
  TimelineRow last_;
  LeastMost<std::uint32_t> peak_;
};

// Without scores: bounds, exact where no rule asks for a score. `scores`: null or one value for
// each opportunity to save and each metric that a rule asks for (NaN is a value; where only `last`
// is written the value does not count).
Forecast forecast(const RunSpec& spec, const Scores* scores = nullptr);

// Opportunities to save; none: without an end, or not countable for want of lengths.
std::optional<std::int64_t> save_count(const RunSpec& spec);

}  // namespace checkroom::plan
