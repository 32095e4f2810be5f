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

// Events that follow each other at one distance, in steps or in whole epochs.
struct SaveStride {
  std::int64_t count = 0;
  SaveKind kind = SaveKind::kRules;
  std::int64_t epoch = 0;        // of the next one
  std::int64_t more_epochs = 0;  // from one to the next
  std::int64_t step = 0;
  std::int64_t more_steps = 0;
  std::int64_t inside = 0;  // steps of its epoch that are done
  std::int64_t more_inside = 0;
  std::int64_t length = 0;  // steps of an epoch

  // The next one, of at least one. Put together where it goes: a copy would stall the processor.
  SaveEvent take() {
    const std::int64_t its_epoch = epoch;
    const std::int64_t its_step = step;
    --count;
    // After the last one they may leave 64 bits, and are not read.
    (void)__builtin_add_overflow(epoch, more_epochs, &epoch);
    (void)__builtin_add_overflow(step, more_steps, &step);
    if (inside > length - more_inside) {
      inside -= length - more_inside;
      (void)__builtin_add_overflow(epoch, 1, &epoch);
    } else {
      inside += more_inside;
    }
    return {its_epoch, its_step, kind};
  }
};

class SaveWalk {
 public:
  explicit SaveWalk(const RunCalendar& calendar);

  // The next event; none at the run's end. A run without an end never runs out.
  std::optional<SaveEvent> next();
  // Takes those events from next() that are at one distance; there may be none.
  SaveStride take_stride();

 private:
  static constexpr std::int64_t kNever = RunCalendar::kNever;

  [[nodiscard]] std::optional<SaveKind> visit(const BatchPlace& at);
  [[nodiscard]] SaveEvent event_of(const BatchPlace& at, SaveKind kind) const;

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
  explicit SaveEvents(const RunCalendar& calendar) : walk_(calendar) {}
  // Throws as RunCalendar.
  explicit SaveEvents(const RunSpec& spec) : SaveEvents(RunCalendar(spec)) {}

  // As SaveWalk::next().
  std::optional<SaveEvent> next() {
    if (stride_.count == 0 && !go_on()) return std::nullopt;
    return stride_.take();
  }
  // Calls visit(event) for what next() has yet to yield, until it says false.
  template <typename Visit>
  void for_each(Visit visit);

 private:
  // Finds the next stride, be it a single event. False: there is none.
  bool go_on();

  SaveWalk walk_;  // beyond the stride
  SaveStride stride_;
};

template <typename Visit>
void SaveEvents::for_each(Visit visit) {
  do {
    while (stride_.count > 0) {
      if (!visit(stride_.take())) return;
    }
  } while (go_on());
}

}  // namespace checkroom::plan
