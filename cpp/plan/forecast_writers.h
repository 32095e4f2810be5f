// What one save occupies while it happens, in files, for each of the two writers.
//
// Pure functions of values; any thread; nothing fails. Files are those that own blocks.
//
// Lightning's writer stages the whole file in $TMPDIR, moves it to its name, then removes the file
// that left the top k, then writes `last` in the same way as a second file, or renews a symbolic
// link. Checkroom's stages in the directory itself, publishes, lets `last` share the blocks of the
// file that it just published, then removes; a `last` of its own is a second staged file, written
// once the removed ones are gone.
#pragma once

#include <algorithm>
#include <cstdint>

#include "plan/run_spec.h"

namespace checkroom::plan {

// What becomes of `last` at a save.
enum class LastWrite : std::uint8_t {
  kNone,    // untouched
  kShared,  // another name of the file of this save: symbolic or hard link, or shared extents
  kOwn,     // a file of its own
};

// One save: what there was, and what it does.
struct SaveAct {
  std::int64_t before = 0;   // files kept before it
  std::int64_t after = 0;    // files kept after it
  bool saves = false;        // it writes a file beside `last`
  bool overwrites = false;   // ... onto the name of the one that leaves
  bool last_is_own = false;  // before it, `last` is a file of its own
  LastWrite last = LastWrite::kNone;
};

struct SaveCost {
  std::int64_t at_rest = 0;       // after it
  std::int64_t peak = 0;          // at the destination; with Staging::kSame that is all there is
  std::int64_t staging_peak = 0;  // in $TMPDIR on a filesystem of its own
  std::int64_t written = 0;       // whole files written to the destination
  bool last_is_own = false;       // after it
};

// Inline: a forecast plays it for each of a million saves.
inline SaveCost play_save(Writer writer, Staging staging, const SaveAct& act) {
  // A staged file lies at the destination unless Lightning stages it elsewhere.
  const bool elsewhere = writer == Writer::kLightning && staging == Staging::kOther;
  SaveCost cost;
  std::int64_t files = act.before + (act.last_is_own ? 1 : 0);
  cost.peak = files;
  cost.last_is_own = act.last_is_own;
  const auto write = [&](bool replaces) {
    ++cost.written;
    if (elsewhere) cost.staging_peak = 1;
    const bool beside = !replaces || !elsewhere;  // two files until the rename
    cost.peak = std::max(cost.peak, files + (beside ? 1 : 0));
    files += replaces ? 0 : 1;
  };
  if (act.saves) {
    write(act.overwrites);
    files -= act.before + (act.overwrites ? 0 : 1) - act.after;  // what left
  }
  if (act.last == LastWrite::kOwn) {
    write(cost.last_is_own);
    cost.last_is_own = true;
  } else if (act.last == LastWrite::kShared) {
    files -= cost.last_is_own ? 1 : 0;
    cost.last_is_own = false;
  }
  cost.at_rest = files;
  return cost;
}

// What the spec's writer does with `last` when the rules took the newcomer, and when they did not
// (or were not asked). `any_written`: it wrote a file before, be it `last`.
LastWrite last_after_save(const RunSpec& spec);
LastWrite last_without_save(const RunSpec& spec, bool any_written);

}  // namespace checkroom::plan
