// RunCalendar: where a run's epochs, steps, validations and triggers lie, as Lightning's loops
// place them.
//
// The unit is the training batch, counted from the start of training: batch t is the b-th, from 1,
// of its epoch: t = epoch * batches + b. A value that does not change; any thread. The constructor
// throws Error(kInvalidArgument) for an impossible spec; a run whose positions leave 64 bits is
// Error(kOverflow). The rest throws nothing.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>

#include "plan/run_spec.h"

namespace checkroom::plan {

// How far a run goes, as far as the spec tells.
struct RunLength {
  bool has_end = true;          // false: without an end, or not countable for want of lengths
  bool countable = true;        // false: lengths or times are missing
  bool may_end_sooner = false;  // another limit exists whose place is not known
  std::optional<std::int64_t> epochs;  // that this run begins
  std::optional<std::int64_t> steps;   // that this run takes
};

// What makes it save. At most one of the three intervals is more than 0.
struct SaveTriggers {
  std::int64_t every_epochs = 1;
  std::int64_t every_steps = 0;
  std::int64_t every_batches = 0;  // the time interval
  bool on_train_epoch_end = true;  // else where a validation ends
  bool defers = false;             // a trigger on the last batch waits for validation
  bool last_every_epoch = false;   // `last` is written when an epoch or a validation ends
  bool last_needs_former = false;  // ... but not as the first file
  bool last_at_train_end = false;  // ... or at the end, where nothing else was written
  bool last_without_save = false;  // with save_last, a rejected newcomer writes `last` all the same
};

// Where a batch, from 1 on, lies. Where epochs or steps are not known they count in a unit of their
// own.
struct BatchPlace {
  std::int64_t batch = 0;
  std::int64_t epoch = 0;   // from 0
  std::int64_t inside = 0;  // of its epoch, from 1
  std::int64_t step = 0;    // steps that are done with it
};

class RunCalendar {
 public:
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

  explicit RunCalendar(const RunSpec& spec);

  [[nodiscard]] const RunLength& length() const { return length_; }
  [[nodiscard]] const SaveTriggers& triggers() const { return triggers_; }
  // An upper bound of the opportunities to save; none: without an end.
  [[nodiscard]] std::optional<std::int64_t> most_saves() const;

  // Batches done before this run, and the one after which it ends (kNever: none is known).
  [[nodiscard]] std::int64_t start() const { return start_; }
  [[nodiscard]] std::int64_t end() const { return end_; }
  [[nodiscard]] std::int64_t batches_per_epoch() const { return batches_; }
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

  [[nodiscard]] BatchPlace place_of(std::int64_t batch) const {
    const std::int64_t epoch = epoch_of(batch);
    const std::int64_t inside = batch - epoch * batches_;
    const std::int64_t steps = inside == batches_ ? steps_
                               : accumulate_ == 1 ? inside
                                                  : inside / accumulate_;
    return {batch, epoch, inside, step_offset_ + epoch * steps_ + steps};
  }
  [[nodiscard]] std::int64_t epoch_of(std::int64_t batch) const { return (batch - 1) / batches_; }
  // The step with which so many epochs are done, counted from the start of training.
  [[nodiscard]] std::int64_t step_of_epoch(std::int64_t epochs) const {
    return step_offset_ + epochs * steps_;
  }
  [[nodiscard]] bool is_last_of_epoch(const BatchPlace& at) const { return at.inside == batches_; }
  [[nodiscard]] std::int64_t step_at(std::int64_t batch) const {
    return batch == 0 ? step_offset_ : place_of(batch).step;
  }
  // The batch that completes a step; 0: it was complete before the first one.
  [[nodiscard]] std::int64_t batch_of_step(std::int64_t step) const;
  [[nodiscard]] bool may_validate_in(std::int64_t epoch) const {
    return validates_ && (validate_epochs_ <= 1 || (epoch + 1) % validate_epochs_ == 0);
  }
  [[nodiscard]] bool validates_at(const BatchPlace& at) const;

  // The first batch after `after` at which the thing happens, or kNever.
  [[nodiscard]] std::int64_t next_trigger(std::int64_t after) const;  // of steps or time
  [[nodiscard]] std::int64_t next_validation(std::int64_t after) const;
  [[nodiscard]] std::int64_t next_epoch_save(std::int64_t after) const;

 private:
  void set_triggers(const RunSpec& spec);
  void set_epoch(const RunSpec& spec);
  void set_start(const RunSpec& spec);
  void set_end(const RunSpec& spec);
  void measure(const RunSpec& spec);

  std::int64_t batches_ = 1;  // of an epoch
  std::int64_t steps_ = 1;    // of an epoch
  std::int64_t accumulate_ = 1;
  std::int64_t step_offset_ = 0;  // of a resume whose step does not follow from its epoch
  std::int64_t start_ = 0;
  std::int64_t end_ = kNever;
  bool stopped_by_time_ = false;  // Lightning then validates once more
  bool knows_epoch_ = true;
  bool knows_step_ = true;
  bool countable_ = true;
  std::int64_t validate_every_ = 1;   // batches
  std::int64_t validate_epochs_ = 1;  // 0: counted across epochs
  bool validates_ = true;
  SaveTriggers triggers_;
  RunLength length_;
};

// The first multiple of `of` after `after`, neither of them negative; kNever beyond 64 bits.
[[nodiscard]] std::int64_t next_multiple(std::int64_t of, std::int64_t after);

}  // namespace checkroom::plan
