// Decide: what one save does to a directory of checkpoints. Pure: no disk, clock or global.
//
// Values in, values out; any thread, one engine a thread. Sums that leave 64 bits throw
// Error(kOverflow).
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "plan/admission.h"
#include "plan/retention_engine.h"

namespace checkroom::store {

struct Removal {
  std::string name;
  std::string reason;
};

// What is known of the directory and its filesystem when a save asks to start.
struct Surroundings {
  std::optional<Bytes> available;      // to us; empty: unknown
  std::optional<std::int64_t> inodes;  // available; empty: not counted
  Bytes used;                          // everything in the directory, for the cap
  Bytes beside;                        // of it, what is no item: foreign files, a `last` of its own
  std::set<std::string> vanished;      // items of which somebody else removed the file
};

struct Limits {
  Bytes floor = Bytes(0);
  std::optional<Bytes> cap = std::nullopt;
  std::optional<Bytes> budget = std::nullopt;  // the policy's own, for what is kept
  bool prune_first = true;
  bool copies_last = false;  // `last` will be written a second time
};

// A save that asks to start.
struct SaveRequest {
  plan::Item candidate;
  bool forced = false;                // whatever the rules say of it
  bool own_last = false;              // it is `last` itself: a file beside the inventory
  bool becomes_last = false;          // `last` will share its blocks
  std::set<std::string> never_first;  // `last` and the file resumed from, beside the best
};

struct SavePlan {
  bool wanted = false;
  std::vector<std::string> reasons;
  std::optional<plan::Admission> admission;  // empty: not wanted, so not asked
  std::vector<Removal> removes;              // once the file is published
  std::vector<Removal> removes_first;        // before, because the file only fits then
  std::vector<std::string> top_k;            // after the save, in the order of saving
  std::string best;                          // likewise; empty: none
};

// What may be kept when one more file of `next` bytes is always to fit under the cap; never below
// 0. Empty: without bound.
std::optional<Bytes> retention_budget(const Limits& limits, Bytes next, Bytes beside);

// May this save start, and what leaves because of it? `engine` is the state before it and is not
// changed.
SavePlan plan_save(const plan::RetentionEngine& engine, const SaveRequest& request,
                   const Surroundings& surroundings, const Limits& limits);

// The file is published: it enters the engine. What leaves now, and why.
std::vector<Removal> commit(plan::RetentionEngine& engine, const plan::Item& item,
                            bool becomes_last, Bytes beside, const Limits& limits);

}  // namespace checkroom::store
