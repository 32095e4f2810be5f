#include "plan/forecast_writers.h"

namespace checkroom::plan {

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
