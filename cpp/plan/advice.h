// Advice: the forecast turned round. Given the space, which arguments fit?
//
// Pure values; any thread. Every figure comes from a forecast of the very spec that is advised.
// Throws Error(kInvalidArgument) for a spec that check() refuses, a negative `have`, and a run
// without an end that writes logs (no space is enough for it).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "plan/run_spec.h"

namespace checkroom::plan {

// What suits a run of a length: see strategy_for().
struct Strategy {
  std::string name;              // "short", "medium", "long"
  std::int64_t from_epochs = 0;  // of this length and longer
  std::int64_t save_top_k = 1;
  std::int64_t every_n_epochs = 1;
  bool save_last = false;
};

// In the order of the rule: best first.
enum class AdviceKind {
  kStrategy,  // the strategy for a run of this length
  kLast,      // the most best files that fit with a `last`
  kNewest,    // likewise, and the newest epoch as well
  kNoLast,    // the most best files that fit without a `last`
  kCap,       // the arguments as they are, under a cap of the directory
};

struct Advised {
  RunSpec spec;
  std::optional<Bytes> need;  // checkpoints and logs, at the most, at once; none: without bound
  Bytes margin;               // what is left of `have`; negative: what is short (0 without bound)
};

struct Advice {
  struct Choice : Advised {
    AdviceKind kind = AdviceKind::kStrategy;
  };

  Strategy strategy;
  Advised own;               // the spec as it was asked about
  std::vector<Choice> fits;  // best first
  // What needs the least of all that was tried, the spec itself included: does not even that fit,
  // nothing does.
  Advised smallest;
  // With save_weights_only, where its size is known and only then `smallest` fits.
  std::optional<Advised> weights_only;
  Bytes fitting_file;  // `smallest` would fit with checkpoints of so many bytes
};

// No more best files than this are advised.
inline constexpr std::int64_t kMostBest = 10;

// The strategy for a run of so many epochs; none: without an end, or unknown.
[[nodiscard]] Strategy strategy_for(std::optional<std::int64_t> epochs);

// What the run's checkpoints and logs occupy at once, at the most. None: without bound.
[[nodiscard]] std::optional<Bytes> need_of(const RunSpec& spec);

// `have`: what checkpoints and logs may occupy, what lies in the directory already included. The
// trigger's unit, the metric and everything else of the run stay as they are; no interval finer
// than the spec's own is advised.
[[nodiscard]] Advice advise(const RunSpec& spec, Bytes have);

// The rule by which `advice` is ordered, in one sentence.
[[nodiscard]] std::string rule_of(const Advice& advice);

}  // namespace checkroom::plan
