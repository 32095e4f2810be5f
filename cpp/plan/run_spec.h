// RunSpec: what decides how many checkpoints a run will write, with Lightning's own argument names.
//
// A plain value; any thread. check() throws Error(kInvalidArgument) that quotes the value which is
// wrong; the other functions expect a spec that check() let pass and throw only on overflow.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "plan/retention.h"

namespace checkroom::plan {

enum class Writer { kCheckroom, kLightning };
enum class Staging { kSame, kOther };  // is $TMPDIR on the destination's filesystem?
enum class SaveLast { kUnset, kNo, kYes, kLink };
enum class LastAs { kAuto, kLink, kCopy };

struct RunSpec {
  // How long the run is. -1: without an end.
  std::optional<std::int64_t> max_epochs;  // unset: as Lightning, 1000 unless another limit is set
  std::int64_t max_steps = -1;
  std::optional<double> max_hours;
  std::optional<std::int64_t> steps_per_epoch;  // optimizer steps; unset: unknown
  // Training batches; unset: steps_per_epoch * accumulate_grad_batches. The last step of an epoch
  // may hold fewer batches than the others.
  std::optional<std::int64_t> batches_per_epoch;
  std::int64_t accumulate_grad_batches = 1;
  std::optional<double> seconds_per_step;
  std::int64_t start_epoch = 0;  // of a resumed run; one of the two is enough
  std::int64_t start_step = 0;

  // When it validates.
  bool validates = true;
  std::optional<std::int64_t> check_val_every_n_epoch = 1;
  std::variant<std::int64_t, double> val_check_interval = 1.0;  // batches, or a part of the epoch

  // When it saves. At most one of the three is more than 0; all unset: every epoch.
  std::optional<std::int64_t> every_n_epochs;
  std::optional<std::int64_t> every_n_train_steps;
  std::optional<double> train_time_interval_seconds;
  std::optional<bool> save_on_train_epoch_end;

  // What it keeps. `keep` and `max_size` are checkroom's own: for Lightning's writer they do not
  // count.
  std::int64_t save_top_k = 1;
  std::optional<std::string> monitor;
  Mode mode = Mode::kMin;
  SaveLast save_last = SaveLast::kUnset;
  std::vector<KeepRule> keep;
  std::optional<Bytes> max_size;

  // How large it is.
  Bytes checkpoint_bytes;
  std::optional<Bytes> weights_only_bytes;
  bool save_weights_only = false;
  Bytes tensorboard_bytes_per_epoch;  // at log_steps_per_epoch
  Bytes csv_bytes_per_epoch;
  std::optional<std::int64_t> log_steps_per_epoch;  // unset: steps_per_epoch
  Bytes dataset_bytes;
  Bytes model_files_bytes;
  Bytes misc_bytes;
  std::int64_t existing_files = 0;  // what already lies in the directory, and stays
  Bytes existing_bytes;

  // Who writes it.
  Writer writer = Writer::kCheckroom;
  std::string lightning_version = "2.6";
  Staging staging = Staging::kSame;
  LastAs last_as = LastAs::kAuto;
};

// Lightning 2.6 -> {2, 6, 0}. Text after the numbers ("post0", "rc1") does not count.
struct Version {
  std::int64_t major = 0, minor = 0, patch = 0;
  friend constexpr auto operator<=>(const Version&, const Version&) = default;
};
Version parse_version(const std::string& text);

void check(const RunSpec& spec);

[[nodiscard]] std::optional<std::int64_t> batches_of_epoch(const RunSpec& spec);
[[nodiscard]] bool keeps_last(const RunSpec& spec);
// The bytes of each file: with save_weights_only those of the weights, where they are given.
[[nodiscard]] Bytes file_bytes(const RunSpec& spec);
// Seconds from the start of training to a step; 0: not known.
[[nodiscard]] inline double seconds_at(const RunSpec& spec, std::int64_t step) {
  return spec.seconds_per_step && step >= 0 ? *spec.seconds_per_step * static_cast<double>(step)
                                            : 0;
}
// Lightning's trigger: every_n_epochs, which is 1 where no trigger is set.
[[nodiscard]] std::int64_t epoch_interval(const RunSpec& spec);
// Lightning's limit, with its default; -1: none.
[[nodiscard]] std::int64_t epoch_limit(const RunSpec& spec);
// Lightning's rule for save_on_train_epoch_end=None.
[[nodiscard]] bool saves_on_train_epoch_end(const RunSpec& spec);

// The rules that its writer follows. The budget is max_size less what must fit beside the kept
// files at the worst moment of a save: the next file, a `last` of its own, and what lies there
// already. It is never below 0.
[[nodiscard]] RetentionPolicy retention_policy(const RunSpec& spec);

}  // namespace checkroom::plan
