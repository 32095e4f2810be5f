#include "plan/save_events.h"

#include <algorithm>

namespace checkroom::plan {

SaveWalk::SaveWalk(const RunCalendar& calendar)
    : calendar_(calendar), triggers_(calendar.triggers()), at_(calendar.start()) {
  // A run that goes on in the middle of a step meets that step's trigger again.
  const std::int64_t step = calendar_.step_at(at_);
  const bool at_trigger = triggers_.every_steps > 0 && step % triggers_.every_steps == 0;
  if (at_trigger && step != saved_step_ && calendar_.step_at(at_ + 1) == step) retry_ = at_ + 1;
}

std::optional<SaveEvent> SaveWalk::next() {
  const std::int64_t end = calendar_.end();
  while (!ended_) {
    trigger_ = std::min(retry_, calendar_.next_trigger(at_));
    std::int64_t batch = std::min(trigger_, calendar_.next_epoch_save(at_));
    if (deferred_) batch = std::min(batch, calendar_.next_validation(at_));
    if (batch == kNever || batch > end) break;
    at_ = batch;
    const BatchPlace place = calendar_.place_of(batch);
    const std::optional<SaveKind> kind = visit(place);
    if (!kind) continue;
    saved_step_ = place.step;
    any_ = true;
    return event_of(place, *kind);
  }
  if (ended_ || end == kNever) return std::nullopt;
  ended_ = true;
  if (any_ || !triggers_.last_at_train_end || end == calendar_.start()) return std::nullopt;
  return event_of(calendar_.place_of(end), SaveKind::kLastOnly);
}

SaveEvent SaveWalk::event_of(const BatchPlace& at, SaveKind kind) const {
  return {calendar_.knows_epoch() ? at.epoch : -1, calendar_.knows_step() ? at.step : -1, kind};
}

// What Lightning does in the hooks after one batch: at most one save.
std::optional<SaveKind> SaveWalk::visit(const BatchPlace& at) {
  const bool is_last = calendar_.is_last_of_epoch(at);
  if (at.batch == retry_) retry_ = kNever;
  if (at.batch == trigger_) {
    if (triggers_.defers && is_last && calendar_.may_validate_in(at.epoch)) {
      deferred_ = true;
      const bool again =
          triggers_.every_steps > 0 && at.step != saved_step_ && at.batch < calendar_.end();
      if (again && !calendar_.validates_at(at) && calendar_.step_at(at.batch + 1) == at.step) {
        retry_ = at.batch + 1;
      }
    } else if (at.step != saved_step_) {
      return SaveKind::kRules;
    }
  }
  if (at.step == saved_step_) return std::nullopt;
  if (triggers_.on_train_epoch_end) {
    if (!is_last && at.batch != calendar_.end()) return std::nullopt;
  } else {
    if (!calendar_.validates_at(at)) return std::nullopt;
    if (deferred_) {
      deferred_ = false;
      return SaveKind::kRules;
    }
  }
  const std::int64_t every = triggers_.every_epochs;
  if (every == 1 || (every > 1 && (at.epoch + 1) % every == 0)) return SaveKind::kRules;
  if (triggers_.last_every_epoch && (any_ || !triggers_.last_needs_former)) {
    return SaveKind::kLastOnly;
  }
  return std::nullopt;
}

// Where one interval of steps, or of whole epochs, is all that makes the run save. An epoch that
// the run's end cuts short is left to next(), and so is a step that was begun.
SaveStride SaveWalk::take_stride() {
  SaveStride stride;
  const bool other_reasons =
      triggers_.defers || triggers_.last_every_epoch || triggers_.every_batches > 0;
  if (ended_ || other_reasons || retry_ != kNever) return stride;
  const bool by_steps = triggers_.every_steps > 0;
  if (!by_steps && !(triggers_.every_epochs > 0 && triggers_.on_train_epoch_end)) return stride;
  const std::int64_t every = by_steps ? triggers_.every_steps : triggers_.every_epochs;
  // Of a run without an end a part, so that no position in it leaves 64 bits.
  const std::int64_t end = std::min(calendar_.end(), at_ + (kNever - at_) / 4);
  const auto done_at = [&](std::int64_t batch) {
    return by_steps ? calendar_.step_at(batch) : batch / calendar_.batches_per_epoch();
  };
  const auto batch_of = [&](std::int64_t done) {
    return by_steps ? calendar_.batch_of_step(done) : done * calendar_.batches_per_epoch();
  };
  const std::int64_t first = next_multiple(every, done_at(at_));
  const std::int64_t done = done_at(end);
  if (first > done) return stride;
  stride.count = (done - first) / every + 1;
  const SaveEvent event = event_of(calendar_.place_of(batch_of(first)), SaveKind::kRules);
  stride.epoch = event.epoch;
  stride.step = event.step;
  const std::int64_t length = calendar_.steps_per_epoch().value_or(0);
  if (!by_steps) {
    stride.more_epochs = every;
    stride.more_steps = every * length;
  } else {
    stride.more_steps = every;
    if (length > 0) {
      stride.more_epochs = every / length;
      stride.more_inside = every % length;
      stride.inside = event.step - calendar_.step_of_epoch(event.epoch);
      stride.length = length;
    }
  }
  // As if next() had yielded them.
  at_ = batch_of(first + (stride.count - 1) * every);
  saved_step_ = calendar_.step_at(at_);
  any_ = true;
  return stride;
}

bool SaveEvents::go_on() {
  stride_ = walk_.take_stride();
  if (stride_.count > 0) return true;
  const std::optional<SaveEvent> event = walk_.next();
  if (!event) return false;
  stride_.count = 1;
  stride_.kind = event->kind;
  stride_.epoch = event->epoch;
  stride_.step = event->step;
  return true;
}

}  // namespace checkroom::plan
