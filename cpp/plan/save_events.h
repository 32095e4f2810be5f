// SaveEvents: the moments at which a run may write a checkpoint, in order, as Lightning's
// ModelCheckpoint triggers them.
//
// It goes from one moment to the next, so a run of a billion batches with a thousand saves costs a
// thousand steps: SaveWalk finds each by Lightning's rules, SaveEvents counts those that follow at
// one distance. One stream a thread; the calendar is copied. Nothing here throws.
//
// Not counted, because nothing is written: the renewal of a symbolic `last`. Counted as one:
// several triggers at one global step, since Lightning saves at most once a step. The monitored
// metric is taken to be there at every trigger.
#pragma once

#include <cstdint>
#include <optional>

#include "plan/run_calendar.h"

namespace checkroom::plan {

enum class SaveKind : std::uint8_t {
  kRules,     // the rules are asked, then `last` is written or linked
  kLastOnly,  // only `last` is written: by Lightning < 2.6 at an epoch's end, or at the train end
};

struct SaveEvent {
  std::int64_t epoch = 0;  // Lightning's current_epoch; -1: not known, for want of steps_per_epoch
  std::int64_t step = 0;   // global_step at the save; -1: likewise
  SaveKind kind = SaveKind::kRules;
  friend bool operator==(const SaveEvent&, const SaveEvent&) = default;
};

// Events of kRules that follow each other at one distance, in epochs or in steps.
struct SaveStride {
  std::int64_t count = 0;
  std::int64_t first = 0;  // so many epochs, or steps, are done at the first
  std::int64_t every = 1;
  bool by_steps = false;
};

class SaveWalk {
 public:
  explicit SaveWalk(const RunCalendar& calendar);

  // The next event; none at the run's end. A run without an end never runs out.
  std::optional<SaveEvent> next();
  // What next() is about to yield, as far as it is at one distance.
  [[nodiscard]] SaveStride stride() const;
  // The event of a stride at which so many epochs, or steps, are done.
  [[nodiscard]] SaveEvent event_at(const SaveStride& stride, std::int64_t done) const {
    if (stride.by_steps) {
      return {calendar_.knows_epoch() ? calendar_.epoch_of_step(done) : -1, done, SaveKind::kRules};
    }
    return {done - 1, calendar_.knows_step() ? calendar_.step_of_epoch(done) : -1,
            SaveKind::kRules};
  }
  // Takes the events of stride(), which are one or more, as yielded.
  void skip(const SaveStride& stride);

 private:
  static constexpr std::int64_t kNever = RunCalendar::kNever;

  [[nodiscard]] std::optional<SaveKind> visit(std::int64_t batch);
  [[nodiscard]] SaveEvent event_of(std::int64_t batch, SaveKind kind) const;

  RunCalendar calendar_;
  SaveTriggers triggers_;
  std::int64_t at_;  // the batch that was looked at last
  std::int64_t saved_step_ = 0;
  std::int64_t retry_ = kNever;    // a batch of the step at which a trigger was deferred
  std::int64_t trigger_ = kNever;  // the next batch that triggers, as next() found it
  bool deferred_ = false;
  bool any_ = false;
  bool ended_ = false;
};

class SaveEvents {
 public:
  explicit SaveEvents(const RunCalendar& calendar) : walk_(calendar) { find_stride(); }
  // Throws as RunCalendar.
  explicit SaveEvents(const RunSpec& spec) : SaveEvents(RunCalendar(spec)) {}

  // As SaveWalk::next().
  std::optional<SaveEvent> next() { return left_ > 0 ? next_of_stride() : walk(); }
  // Calls visit(event) for what next() has yet to yield, until it says false.
  template <typename Visit>
  void for_each(Visit visit);

 private:
  SaveEvent next_of_stride() {
    const std::int64_t done = done_;
    if (--left_ > 0) done_ += stride_.every;
    return walk_.event_at(stride_, done);
  }
  std::optional<SaveEvent> walk();
  void find_stride();

  SaveWalk walk_;  // beyond the stride
  SaveStride stride_;
  std::int64_t left_ = 0;  // of the stride
  std::int64_t done_ = 0;  // epochs, or steps, at its next one
};

// The strides in a loop of their own, whose events need not pass through memory.
template <typename Visit>
void SaveEvents::for_each(Visit visit) {
  for (;;) {
    while (left_ > 0) {
      if (!visit(next_of_stride())) return;
    }
    const std::optional<SaveEvent> event = walk();
    if (!event || !visit(*event)) return;
  }
}

}  // namespace checkroom::plan
