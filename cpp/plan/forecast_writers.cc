#include "plan/forecast_writers.h"

namespace checkroom::plan {

LastWrite last_after_save(const RunSpec& spec) {
  if (!keeps_last(spec)) return LastWrite::kNone;
  if (spec.save_last == SaveLast::kLink) return LastWrite::kShared;
  if (spec.writer == Writer::kLightning) return LastWrite::kOwn;
  return spec.last_as == LastAs::kCopy ? LastWrite::kOwn : LastWrite::kShared;
}

LastWrite last_without_save(const RunSpec& spec, bool any_written) {
  if (!keeps_last(spec)) return LastWrite::kNone;
  if (spec.save_last != SaveLast::kLink || spec.save_top_k == 0 || !any_written) {
    return LastWrite::kOwn;
  }
  // Lightning renews the link to the file that it wrote last. Before 2.6 that may be `last` itself,
  // which it then removes for a link to nothing.
  const bool loses_own =
      spec.writer == Writer::kLightning && parse_version(spec.lightning_version) < Version{2, 6, 0};
  return loses_own ? LastWrite::kShared : LastWrite::kNone;
}

}  // namespace checkroom::plan
