#include "plan/run_calendar.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>

#include "base/error.h"

namespace checkroom::plan {
namespace {

constexpr std::int64_t kMost = RunCalendar::kNever;
// Stands for an epoch whose length is not known: longer than any run that is played.
constexpr std::int64_t kLongEpoch = std::int64_t{1} << 40;

std::int64_t times(std::int64_t a, std::int64_t b) { return (Bytes(a) * b).count(); }
std::int64_t times_or_never(std::int64_t a, std::int64_t b) {
  std::int64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? kMost : product;
}

// How many periods of `unit` seconds pass before `seconds` have; at least 1. Durations are decimal
// fractions that doubles do not hold exactly: a hair above a whole number is that number.
std::int64_t periods(double seconds, double unit) {
  const double count = std::ceil(seconds / unit * (1 - 1e-12));
  if (!(count < 0x1p62)) {
    throw Error::overflow("a run of " + std::to_string(seconds) + " seconds with steps of " +
                          std::to_string(unit) + " seconds is too long to count");
  }
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(count));
}

}  // namespace

std::int64_t next_multiple(std::int64_t of, std::int64_t after) {
  std::int64_t sum = 0;
  return __builtin_add_overflow(after / of * of, of, &sum) ? kMost : sum;
}

RunCalendar::RunCalendar(const RunSpec& spec) {
  check(spec);
  set_triggers(spec);
  set_epoch(spec);
  set_start(spec);
  set_end(spec);
  measure(spec);
}

void RunCalendar::set_triggers(const RunSpec& spec) {
  const Version version = parse_version(spec.lightning_version);
  SaveTriggers& t = triggers_;
  const bool last_follows_save = version >= Version{2, 6, 0};
  const bool waits_for_validation = version >= Version{2, 5, 3};
  const bool has_last = keeps_last(spec);
  t.every_epochs = epoch_interval(spec);
  t.every_steps = spec.every_n_train_steps.value_or(0);
  t.on_train_epoch_end = saves_on_train_epoch_end(spec);
  validates_ = spec.validates;
  validate_epochs_ = spec.check_val_every_n_epoch.value_or(0);
  t.defers = waits_for_validation && spec.monitor && validates_ && !t.on_train_epoch_end;
  t.last_every_epoch = has_last && !last_follows_save;
  t.last_at_train_end = has_last && waits_for_validation;
  t.last_without_save =
      has_last && (!last_follows_save || t.every_steps > 0 || spec.train_time_interval_seconds);
  if (const auto& interval = spec.train_time_interval_seconds) {
    t.every_batches = 1;
    countable_ = spec.seconds_per_step.has_value();
    if (countable_ && *interval > 0) {
      const double batch =
          *spec.seconds_per_step / static_cast<double>(spec.accumulate_grad_batches);
      t.every_batches = periods(*interval, batch);
    } else if (*interval == 0) {
      countable_ = true;
      if (!waits_for_validation) t.every_batches = 0;  // a zero interval was no interval then
    }
  }
  const bool keeps_any =
      spec.save_top_k != 0 || (spec.writer == Writer::kCheckroom && !spec.keep.empty());
  if (keeps_any) return;
  // Nothing but `last` can be written, in epoch mode from 2.6 on only at the train end.
  if (!has_last || last_follows_save) t.every_epochs = 0;
  if (!has_last) t.every_steps = t.every_batches = 0;
  // Lightning renews the link at every epoch's end, and without a file to link to writes one.
  if (spec.save_last == SaveLast::kLink && last_follows_save) {
    t.last_every_epoch = t.last_needs_former = t.every_steps > 0 || t.every_batches > 0;
  }
}

void RunCalendar::set_epoch(const RunSpec& spec) {
  accumulate_ = spec.accumulate_grad_batches;
  const bool by_epochs =
      triggers_.every_epochs > 0 || (triggers_.every_steps == 0 && triggers_.every_batches == 0);
  if (const auto batches = batches_of_epoch(spec)) {
    batches_ = *batches;
    steps_ = batches_ / accumulate_ + (batches_ % accumulate_ != 0 ? 1 : 0);
    if (const auto* count = std::get_if<std::int64_t>(&spec.val_check_interval)) {
      validate_every_ = *count;
    } else {
      const double part = std::get<double>(spec.val_check_interval);
      validate_every_ = std::max<std::int64_t>(
          1, static_cast<std::int64_t>(static_cast<double>(batches_) * part));
    }
  } else if (by_epochs) {  // one batch stands for an epoch
    knows_step_ = false;
    accumulate_ = 1;
    const bool in_epoch = std::holds_alternative<std::int64_t>(spec.val_check_interval);
    if (validates_ && !triggers_.on_train_epoch_end && in_epoch && triggers_.every_epochs > 0)
      countable_ = false;
  } else {  // one epoch stands for the run
    knows_epoch_ = false;
    triggers_.defers = false;
    if (triggers_.last_every_epoch) countable_ = false;
    triggers_.last_every_epoch = false;
    steps_ = kLongEpoch;
    batches_ = times(kLongEpoch, accumulate_);
    validate_every_ = batches_;
  }
}

void RunCalendar::set_start(const RunSpec& spec) {
  std::int64_t epoch = spec.start_epoch;
  if (!knows_step_) {
    start_ = epoch;
    return;
  }
  if (!knows_epoch_) epoch = 0;
  if (epoch == 0) epoch = spec.start_step / steps_;
  const std::int64_t begun = times(epoch, steps_);
  const std::int64_t step = spec.start_step == 0 ? begun : spec.start_step;
  const std::int64_t inside = step - begun;
  const std::int64_t steps = inside >= 0 && inside <= steps_ ? inside : 0;
  step_offset_ = inside - steps;
  if (std::abs(step_offset_) > kMost / 4) {
    throw Error::overflow("start_step=" + std::to_string(step) + " is too far from start_epoch=" +
                          std::to_string(epoch) + " to count on from");
  }
  start_ = (Bytes(times(epoch, batches_)) + Bytes(steps == steps_ ? batches_ : steps * accumulate_))
               .count();
}

void RunCalendar::set_end(const RunSpec& spec) {
  const auto limit = [this](std::int64_t batch) { end_ = std::min(end_, std::max(batch, start_)); };
  const std::int64_t epochs = epoch_limit(spec);
  if (epochs >= 0) {
    if (knows_epoch_) {
      limit(times(epochs, batches_));
    } else {
      length_.may_end_sooner = true;
    }
  }
  if (spec.max_steps >= 0) {
    if (knows_step_) {
      limit(batch_of_step(spec.max_steps));
    } else {
      length_.may_end_sooner = true;
    }
  }
  if (spec.max_hours) {
    if (knows_step_ && spec.seconds_per_step) {
      const double batch = *spec.seconds_per_step / static_cast<double>(accumulate_);
      const std::int64_t last = periods(*spec.max_hours * 3600, batch);
      stopped_by_time_ = last < end_;
      limit(last);
    } else {
      length_.may_end_sooner = true;
    }
  }
}

void RunCalendar::measure(const RunSpec& spec) {
  length_.countable = countable_;
  length_.has_end = end_ != kNever && countable_;
  if (end_ == kNever) return;
  (void)(Bytes(end_) + Bytes(std::max<std::int64_t>(step_offset_, 0)));  // no step is beyond that
  const std::int64_t first = start_ / batches_;
  if (knows_epoch_) length_.epochs = end_ == start_ ? 0 : epoch_of(end_) + 1 - first;
  if (knows_step_) length_.steps = step_at(end_) - step_at(start_);
  if (!knows_epoch_ && spec.max_epochs.value_or(-1) >= 0) length_.epochs.reset();
}

std::int64_t RunCalendar::batch_of_step(std::int64_t step) const {
  if (step == kNever) return kNever;
  const std::int64_t taken = step - step_offset_;
  if (taken <= 0) return 0;
  const std::int64_t epoch = (taken - 1) / steps_;
  const std::int64_t inside = taken - epoch * steps_;
  const std::int64_t batches = times_or_never(epoch, batches_);
  const std::int64_t rest = inside == steps_ ? batches_ : inside * accumulate_;
  return batches > kMost - rest ? kNever : batches + rest;
}

bool RunCalendar::validates_at(const BatchPlace& at) const {
  if (!may_validate_in(at.epoch)) return false;
  if (stopped_by_time_ && at.batch == end_) return true;
  return (validate_epochs_ == 0 ? at.batch : at.inside) % validate_every_ == 0;
}

std::int64_t RunCalendar::next_trigger(std::int64_t after) const {
  if (triggers_.every_steps > 0) {
    return batch_of_step(next_multiple(triggers_.every_steps, step_at(after)));
  }
  if (triggers_.every_batches > 0) {
    const std::int64_t batch = next_multiple(triggers_.every_batches, after - start_);
    return batch > kMost - start_ ? kNever : start_ + batch;
  }
  return kNever;
}

std::int64_t RunCalendar::next_validation(std::int64_t after) const {
  if (!validates_ || after >= end_) return kNever;
  const bool once_more = stopped_by_time_ && may_validate_in(epoch_of(end_));
  const std::int64_t at_stop = once_more ? end_ : kNever;
  if (validate_epochs_ == 0) return std::min(at_stop, next_multiple(validate_every_, after));
  std::int64_t epoch = after / batches_;
  if (may_validate_in(epoch)) {
    const std::int64_t inside = next_multiple(validate_every_, after - epoch * batches_);
    if (inside <= batches_) return std::min(at_stop, epoch * batches_ + inside);
  }
  if (validate_every_ > batches_) return at_stop;
  epoch = next_multiple(validate_epochs_, epoch + 1);  // its number, from 1
  const std::int64_t begun = times_or_never(epoch - 1, batches_);
  return std::min(at_stop, begun > kMost - validate_every_ ? kNever : begun + validate_every_);
}

// The first batch after `after` that may save because an epoch or a validation ends there.
std::int64_t RunCalendar::next_epoch_save(std::int64_t after) const {
  if (triggers_.every_epochs == 0 && !triggers_.last_every_epoch) return kNever;
  const std::int64_t every = triggers_.last_every_epoch ? 1 : triggers_.every_epochs;
  if (triggers_.on_train_epoch_end) {
    const std::int64_t end = times_or_never(next_multiple(every, after / batches_), batches_);
    if (end_ == kNever || end <= end_) return end;
    // The run stops in mid-epoch, which ends that epoch.
    return after < end_ && (epoch_of(end_) + 1) % every == 0 ? end_ : kNever;
  }
  std::int64_t batch = after;
  // Each round is a later epoch; intervals that have no common epoch within reach yield nothing.
  for (int rounds = 0; rounds < 1'000'000; ++rounds) {
    batch = next_validation(batch);
    if (batch == kNever || batch > end_) return kNever;
    if (every == 1) return batch;
    const std::int64_t number = epoch_of(batch) + 1;
    if (number % every == 0) return batch;
    const std::int64_t begun = times_or_never(next_multiple(every, number) - 1, batches_);
    if (begun == kMost) return kNever;
    batch = begun;
  }
  return kNever;
}

std::optional<std::int64_t> RunCalendar::most_saves() const {
  if (end_ == kNever) return std::nullopt;
  const std::int64_t left = end_ - start_;
  const std::int64_t epochs = left / batches_ + 2;
  std::int64_t count = 2;
  if (triggers_.every_steps > 0)
    count += (step_at(end_) - step_at(start_)) / triggers_.every_steps + 2;
  if (triggers_.every_batches > 0) count += left / triggers_.every_batches + 2;
  const std::int64_t every = triggers_.last_every_epoch ? 1 : triggers_.every_epochs;
  if (every > 0) {
    const std::int64_t inside = triggers_.on_train_epoch_end || validate_every_ > batches_
                                    ? 1
                                    : batches_ / std::min(validate_every_, batches_) + 1;
    count += times_or_never(epochs / every + 1, inside);
  }
  return count < 0 ? kMost : count;
}

}  // namespace checkroom::plan
