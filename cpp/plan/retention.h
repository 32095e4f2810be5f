// Retention: which checkpoints stay, and why. The one model of the rules: the guard prunes by it,
// the forecast plays a run ahead with it, `prune` plans with it.
//
// Pure values; any thread, one engine a thread. Rules that repeat or contradict each other throw
// Error(kInvalidArgument) when the engine is made.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"

namespace checkroom::plan {

enum class Mode { kMin, kMax };

// One checkpoint: a file or a directory.
struct Item {
  std::string name;
  Bytes bytes;                           // what it is long
  Bytes own_bytes;                       // what its removal would free
  std::int64_t epoch = 0;                // Lightning's current_epoch at the save, from 0
  std::int64_t step = 0;                 // Lightning's global_step at the save
  double saved_at = 0;                   // seconds since the Unix epoch
  std::map<std::string, double> scores;  // by metric; NaN ranks worst
  std::string run;
};

// Lightning's save_top_k. Without a monitor: -1 keeps all, 1 the newest, 0 nothing.
struct TopK {
  std::int64_t k = 1;   // -1: all
  std::string monitor;  // empty: none
  Mode mode = Mode::kMin;
};
struct KeepLast {
  std::int64_t n = 1;
};
// Kept when at least so much has passed since the previous item that this rule kept. Epochs and
// steps count from the start of training, hours from the first checkpoint. Exactly one is set.
struct KeepEvery {
  std::optional<std::int64_t> epochs;
  std::optional<std::int64_t> steps;
  std::optional<double> hours;
};
struct KeepBest {
  std::int64_t k = 1;
  std::string monitor;
  Mode mode = Mode::kMin;
};
using KeepRule = std::variant<KeepLast, KeepEvery, KeepBest>;

struct RetentionPolicy {
  TopK top_k;
  std::vector<KeepRule> keep;       // beyond the top k; rules combine by union
  std::vector<std::string> pinned;  // names that always stay
  std::optional<Bytes> budget;      // of own bytes, for everything that is kept
};

// Throws Error(kInvalidArgument), quoting the value, when a rule is impossible: n or k < 1, an
// interval that is not positive, none or several units, an empty monitor.
void check_rule(const KeepRule& rule);
// Likewise for a policy: one of its rules, k < -1, a k that needs a monitor, a negative budget, an
// empty name; and when rules repeat or contradict each other.
void check_policy(const RetentionPolicy& policy);
// Likewise for an item: an empty name, negative bytes, a time that is not a number.
void check_item(const Item& item);

// What an inventory says beside its items.
struct Standing {
  std::string last;          // the item that `last` is, or shares its blocks with; empty: none
  std::string resumed_from;  // empty: none
};

struct Verdict {
  std::size_t index;                 // into the inventory
  std::vector<std::string> reasons;  // why it is kept, or the one reason for which it goes
};

struct RetentionPlan {
  std::vector<Verdict> keep;       // in the order of saving
  std::vector<Verdict> remove;     // in the order in which they leave
  std::vector<std::string> top_k;  // names in the top k, in the order of saving
  std::string best;                // empty: none is known
  Bytes over_budget;               // how far what must stay exceeds the budget; 0: it holds
};

// As one would write it in Python: KeepBest(k=2, monitor='val_loss', mode='min').
std::string rule_text(const KeepRule& rule);
std::string mode_text(Mode mode);  // "min" or "max"

// The engine, run over an inventory in the order of saving, until nothing more leaves: planning
// what a plan keeps removes nothing. Throws Error(kInvalidArgument) as check_policy() and
// check_item(), and when a name occurs twice.
RetentionPlan plan(const std::vector<Item>& inventory, const RetentionPolicy& policy,
                   const Standing& standing = {});
// The same over items that lie elsewhere; none is null.
RetentionPlan plan(const std::vector<const Item*>& inventory, const RetentionPolicy& policy,
                   const Standing& standing = {});

}  // namespace checkroom::plan
