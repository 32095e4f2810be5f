// SaveEvents: the moments at which a run may write a checkpoint, in order, as Lightning's
// ModelCheckpoint triggers them.
//
// It jumps from one moment to the next, so a run of a billion batches with a thousand saves costs a
// thousand steps. One stream a thread; the spec is copied. The constructor throws
// Error(kInvalidArgument) for an impossible spec; a run whose positions leave 64 bits is
// Error(kOverflow).
//
// Not counted, because nothing is written: the renewal of a symbolic `last`. Counted as one:
// several triggers at one global step, since Lightning saves at most once a step. The monitored
// metric is taken to be there at every trigger.
#pragma once

#include <cstdint>
#include <optional>

#include "plan/run_spec.h"

namespace checkroom::plan {

enum class SaveKind : std::uint8_t {
  kRules,     // the rules are asked, then `last` is written or linked
  kLastOnly,  // only `last` is written: by Lightning < 2.6 at an epoch's end, or at the train end
};

struct SaveEvent {
  std::int64_t epoch = 0;  // Lightning's current_epoch; -1: not known, for want of steps_per_epoch
  std::int64_t step = 0;   // global_step at the save; -1: likewise
  SaveKind kind = SaveKind::kRules;
};

// How far a run goes, as far as the spec tells.
struct RunLength {
  bool has_end = true;          // false: without an end, or not countable for want of lengths
  bool countable = true;        // false: lengths or times are missing
  bool may_end_sooner = false;  // another limit exists whose place is not known
  std::optional<std::int64_t> epochs;  // that this run begins
  std::optional<std::int64_t> steps;   // that this run takes
};

class SaveEvents {
 public:
  explicit SaveEvents(const RunSpec& spec);

  // The next event; none at the run's end. A run without an end never runs out.
  std::optional<SaveEvent> next();

  [[nodiscard]] const RunLength& length() const { return length_; }
  // An upper bound of what next() has yet to yield; none: without an end.
  [[nodiscard]] std::optional<std::int64_t> at_most() const;

  // global_step and epoch before this run's first batch.
  [[nodiscard]] std::int64_t start_step() const { return knows_step_ ? step_at(start_) : 0; }
  [[nodiscard]] std::int64_t start_epoch() const { return knows_epoch_ ? start_ / batches_ : 0; }
  // Are epochs, and steps, known, so that positions can be told in them?
  [[nodiscard]] bool knows_epoch() const { return knows_epoch_; }
  [[nodiscard]] bool knows_step() const { return knows_step_; }
  // Optimizer steps of an epoch; none: not known.
  [[nodiscard]] std::optional<std::int64_t> steps_per_epoch() const {
    return knows_epoch_ && knows_step_ ? std::optional(steps_) : std::nullopt;
  }

  // With save_last, does a rejected newcomer write `last` at a kRules event all the same?
  [[nodiscard]] bool last_without_save() const { return last_without_save_; }

 private:
  static constexpr std::int64_t kNever = INT64_MAX;

  // The units are batches, counted from the start of training: batch t is the
  // b-th, from 1, of its epoch: t = epoch * batches_ + b.
  [[nodiscard]] std::int64_t epoch_of(std::int64_t batch) const { return (batch - 1) / batches_; }
  [[nodiscard]] bool is_last_of_epoch(std::int64_t batch) const { return batch % batches_ == 0; }
  [[nodiscard]] bool may_validate_in(std::int64_t epoch) const {
    return validates_ && (validate_epochs_ == 0 || (epoch + 1) % validate_epochs_ == 0);
  }
  [[nodiscard]] std::int64_t step_at(std::int64_t batch) const;
  [[nodiscard]] std::int64_t batch_of_step(std::int64_t step) const;
  [[nodiscard]] bool validates_at(std::int64_t batch) const;
  // The first batch after `after` at which the thing happens.
  [[nodiscard]] std::int64_t next_trigger(std::int64_t after) const;
  [[nodiscard]] std::int64_t next_validation(std::int64_t after) const;
  [[nodiscard]] std::int64_t next_epoch_save(std::int64_t after) const;
  void set_triggers(const RunSpec& spec);
  void set_epoch(const RunSpec& spec);
  void set_start(const RunSpec& spec);
  void set_end(const RunSpec& spec);
  void measure(const RunSpec& spec);
  [[nodiscard]] std::optional<SaveKind> visit(std::int64_t batch);
  [[nodiscard]] SaveEvent event_at(std::int64_t batch, SaveKind kind) const;

  // The run
  std::int64_t batches_ = 1;  // of an epoch
  std::int64_t steps_ = 1;    // of an epoch
  std::int64_t accumulate_ = 1;
  std::int64_t step_offset_ = 0;  // of a resume whose step does not follow from its epoch
  std::int64_t start_ = 0;        // batches done before this run
  std::int64_t end_ = kNever;     // the batch after which the run ends
  bool stopped_by_time_ = false;  // Lightning then validates once more
  bool knows_epoch_ = true;
  bool knows_step_ = true;
  bool countable_ = true;
  // When it validates and saves
  std::int64_t validate_every_ = 1;   // batches
  std::int64_t validate_epochs_ = 1;  // 0: counted across epochs
  bool validates_ = true;
  std::int64_t every_epochs_ = 1;  // 0: no epoch trigger
  std::int64_t every_steps_ = 0;
  std::int64_t every_batches_ = 0;  // the time interval
  bool on_train_epoch_end_ = true;
  bool defers_ = false;             // a trigger on the last batch waits for validation
  bool last_every_epoch_ = false;   // `last` is written when an epoch or a validation ends
  bool last_needs_former_ = false;  // ... but not as the first file
  bool last_at_train_end_ = false;
  bool last_without_save_ = false;
  RunLength length_;

  // Where it is
  std::int64_t at_ = 0;  // the batch that was looked at last
  std::int64_t saved_step_ = 0;
  std::int64_t retry_ = kNever;    // a batch of the step at which a trigger was deferred
  std::int64_t trigger_ = kNever;  // the next batch that triggers, as next() found it
  bool deferred_ = false;
  bool any_ = false;
  bool ended_ = false;
};

}  // namespace checkroom::plan
