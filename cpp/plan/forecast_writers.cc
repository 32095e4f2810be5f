#include "plan/forecast_writers.h"

#include <algorithm>

namespace checkroom::plan {

SaveCost play_save(Writer writer, Staging staging, const SaveAct& act) {
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

LastWrite last_after_save(const RunSpec& spec) {
  if (!keeps_last(spec)) return LastWrite::kNone;
  if (spec.save_last == SaveLast::kLink) return LastWrite::kShared;
  if (spec.writer == Writer::kLightning) return LastWrite::kOwn;
  return spec.last_as == LastAs::kCopy ? LastWrite::kOwn : LastWrite::kShared;
}

LastWrite last_without_save(const RunSpec& spec, bool any_saved) {
  if (!keeps_last(spec)) return LastWrite::kNone;
  if (spec.save_last == SaveLast::kLink && spec.save_top_k != 0 && any_saved)
    return LastWrite::kNone;
  return LastWrite::kOwn;
}

}  // namespace checkroom::plan
