#include "plan/run_spec.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>

#include "base/error.h"

namespace checkroom::plan {
namespace {

std::string shown(std::int64_t value) { return std::to_string(value); }
std::string shown(double value) {
  std::string text(32, '\0');
  const auto [end, code] = std::to_chars(text.data(), text.data() + text.size(), value);
  text.resize(static_cast<std::size_t>(end - text.data()));
  return code == std::errc() ? text : std::to_string(value);
}

[[noreturn]] void refuse(std::string_view name, const std::string& value, std::string_view rule) {
  throw Error::invalid(std::string(name) + "=" + value + ": " + std::string(rule));
}

void at_least(std::string_view name, std::int64_t value, std::int64_t least) {
  if (value < least) refuse(name, shown(value), "must be " + shown(least) + " or more");
}
void at_least(std::string_view name, const std::optional<std::int64_t>& value, std::int64_t least) {
  if (value) at_least(name, *value, least);
}
void not_negative(std::string_view name, Bytes value) { at_least(name, value.count(), 0); }
void not_negative(std::string_view name, const std::optional<Bytes>& value) {
  if (value) not_negative(name, *value);
}
void positive(std::string_view name, const std::optional<double>& value) {
  if (value && !(std::isfinite(*value) && *value > 0)) {
    refuse(name, shown(*value), "must be more than 0 and finite");
  }
}

void check_length(const RunSpec& spec) {
  at_least("max_epochs", spec.max_epochs, -1);
  at_least("max_steps", spec.max_steps, -1);
  positive("max_hours", spec.max_hours);
  at_least("steps_per_epoch", spec.steps_per_epoch, 1);
  at_least("batches_per_epoch", spec.batches_per_epoch, 1);
  at_least("accumulate_grad_batches", spec.accumulate_grad_batches, 1);
  positive("seconds_per_step", spec.seconds_per_step);
  at_least("start_epoch", spec.start_epoch, 0);
  at_least("start_step", spec.start_step, 0);
  if (spec.batches_per_epoch && spec.steps_per_epoch) {
    const std::int64_t batches = *spec.batches_per_epoch;
    const std::int64_t each = spec.accumulate_grad_batches;
    const std::int64_t steps = batches / each + (batches % each != 0 ? 1 : 0);
    if (steps != *spec.steps_per_epoch) {
      refuse("batches_per_epoch", shown(batches),
             "are " + shown(steps) + " steps with accumulate_grad_batches=" + shown(each) +
                 ", not steps_per_epoch=" + shown(*spec.steps_per_epoch));
    }
  }
}

void check_validation(const RunSpec& spec) {
  at_least("check_val_every_n_epoch", spec.check_val_every_n_epoch, 1);
  if (const auto* batches = std::get_if<std::int64_t>(&spec.val_check_interval)) {
    at_least("val_check_interval", *batches, 1);
    const auto epoch = batches_of_epoch(spec);
    if (spec.validates && spec.check_val_every_n_epoch && epoch && *batches > *epoch) {
      refuse("val_check_interval", shown(*batches),
             "must not exceed the " + shown(*epoch) +
                 " batches of an epoch (check_val_every_n_epoch=None counts across epochs)");
    }
    return;
  }
  const double part = std::get<double>(spec.val_check_interval);
  if (!(part > 0 && part <= 1)) {
    refuse("val_check_interval", shown(part), "a part of the epoch must be in (0, 1]");
  }
  if (!spec.check_val_every_n_epoch && spec.validates) {
    refuse("val_check_interval", shown(part),
           "must be a number of batches where check_val_every_n_epoch=None");
  }
  if (part != 1.0 && !spec.steps_per_epoch && !spec.batches_per_epoch && spec.validates) {
    refuse("val_check_interval", shown(part),
           "must be 1.0 or a number of batches where steps_per_epoch is unknown");
  }
}

void check_triggers(const RunSpec& spec) {
  at_least("every_n_epochs", spec.every_n_epochs, 0);
  at_least("every_n_train_steps", spec.every_n_train_steps, 0);
  const auto& interval = spec.train_time_interval_seconds;
  if (interval && !(std::isfinite(*interval) && *interval >= 0)) {
    refuse("train_time_interval_seconds", shown(*interval), "must be 0 or more and finite");
  }
  const bool epochs = spec.every_n_epochs.value_or(0) > 0;
  const bool steps = spec.every_n_train_steps.value_or(0) > 0;
  if (int{epochs} + int{steps} + int{interval.has_value()} > 1) {
    throw Error::invalid("every_n_train_steps=" + shown(spec.every_n_train_steps.value_or(0)) +
                         ", every_n_epochs=" + shown(spec.every_n_epochs.value_or(0)) +
                         " and train_time_interval_seconds=" +
                         (interval ? shown(*interval) : "None") + ": only one of them may be set");
  }
}

void check_policy_of(const RunSpec& spec) {
  at_least("save_top_k", spec.save_top_k, -1);
  if (!spec.monitor && spec.save_top_k > 1) {
    refuse("save_top_k", shown(spec.save_top_k),
           "without a monitor it must be -1 (all), 0 (none) or 1 (the newest)");
  }
  if (spec.monitor && spec.monitor->empty()) {
    refuse("monitor", "''", "must be the name of a metric, or None");
  }
  not_negative("max_size", spec.max_size);
  RetentionPolicy policy;
  policy.top_k = TopK{spec.save_top_k, spec.monitor.value_or(std::string()), spec.mode};
  policy.keep = spec.keep;
  check_policy(policy);
  for (const KeepRule& rule : spec.keep) {
    const auto* every = std::get_if<KeepEvery>(&rule);
    if (every != nullptr && every->hours && !spec.seconds_per_step) {
      refuse("keep", "KeepEvery(hours=" + shown(*every->hours) + ")", "needs seconds_per_step");
    }
  }
}

void check_sizes(const RunSpec& spec) {
  not_negative("checkpoint_bytes", spec.checkpoint_bytes);
  not_negative("weights_only_bytes", spec.weights_only_bytes);
  not_negative("tensorboard_bytes_per_epoch", spec.tensorboard_bytes_per_epoch);
  not_negative("csv_bytes_per_epoch", spec.csv_bytes_per_epoch);
  at_least("log_steps_per_epoch", spec.log_steps_per_epoch, 1);
  not_negative("dataset_bytes", spec.dataset_bytes);
  not_negative("model_files_bytes", spec.model_files_bytes);
  not_negative("misc_bytes", spec.misc_bytes);
  at_least("existing_files", spec.existing_files, 0);
  not_negative("existing_bytes", spec.existing_bytes);
}

}  // namespace

Version parse_version(const std::string& text) {
  Version version;
  std::int64_t* const parts[] = {&version.major, &version.minor, &version.patch};
  const char* at = text.data();
  const char* const end = at + text.size();
  int read = 0;
  for (std::int64_t* part : parts) {
    const auto [next, code] = std::from_chars(at, end, *part);
    if (code != std::errc() || *part < 0) break;
    ++read;
    at = next;
    if (at == end || *at != '.') break;
    ++at;
  }
  if (read < 2) refuse("lightning_version", "'" + text + "'", "is not a version such as '2.6'");
  return version;
}

void check(const RunSpec& spec) {
  check_length(spec);
  check_validation(spec);
  check_triggers(spec);
  check_policy_of(spec);
  check_sizes(spec);
  parse_version(spec.lightning_version);
}

std::optional<std::int64_t> batches_of_epoch(const RunSpec& spec) {
  if (spec.batches_per_epoch || !spec.steps_per_epoch) return spec.batches_per_epoch;
  return (Bytes(*spec.steps_per_epoch) * spec.accumulate_grad_batches).count();
}

bool keeps_last(const RunSpec& spec) {
  return spec.save_last == SaveLast::kYes || spec.save_last == SaveLast::kLink;
}

Bytes file_bytes(const RunSpec& spec) {
  return spec.save_weights_only ? spec.weights_only_bytes.value_or(spec.checkpoint_bytes)
                                : spec.checkpoint_bytes;
}

std::int64_t epoch_interval(const RunSpec& spec) {
  if (spec.every_n_epochs) return *spec.every_n_epochs;
  return spec.every_n_train_steps || spec.train_time_interval_seconds ? 0 : 1;
}

std::int64_t epoch_limit(const RunSpec& spec) {
  if (spec.max_epochs) return *spec.max_epochs;
  return spec.max_steps == -1 && !spec.max_hours ? 1000 : -1;
}

bool saves_on_train_epoch_end(const RunSpec& spec) {
  if (spec.save_on_train_epoch_end) return *spec.save_on_train_epoch_end;
  if (spec.check_val_every_n_epoch != 1) return false;
  if (!spec.validates) return true;
  // Python's `val_check_interval == 1.0` holds for the integer 1 too.
  return std::visit([](auto interval) { return interval == 1; }, spec.val_check_interval);
}

RetentionPolicy retention_policy(const RunSpec& spec) {
  RetentionPolicy policy;
  policy.top_k = TopK{spec.save_top_k, spec.monitor.value_or(std::string()), spec.mode};
  if (spec.writer == Writer::kLightning) return policy;
  policy.keep = spec.keep;
  if (spec.max_size) {
    const Bytes file = file_bytes(spec);
    Bytes beside = file + spec.existing_bytes;
    if (keeps_last(spec) && spec.last_as == LastAs::kCopy) beside += file;
    policy.budget = Bytes(std::max<std::int64_t>(0, (*spec.max_size - beside).count()));
  }
  return policy;
}

}  // namespace checkroom::plan
