#include "plan/forecast_kept.h"

#include <algorithm>
#include <iterator>

namespace checkroom::plan {

void KeptLog::Reader::save(std::int64_t opportunity) {
  const ItemId slot = slots_.next();
  slots_.take();
  if (slot >= holders_.size()) holders_.resize(std::size_t{slot} + 1, kNobody);
  holders_[slot] = opportunity;
  const std::vector<std::uint32_t>& entries = log_.entries_;
  if ((entries[at_] & kOneLeft) == 0) {
    if (++quiet_ < entries[at_] / kOneQuietSave) return;
    quiet_ = 0;
    ++at_;
    return;
  }
  for (bool more = true; more; ++at_) {
    const ItemId left = entries[at_] >> 2;
    holders_[left] = kNobody;
    slots_.give_back(left);
    more = (entries[at_] & kLastOfSave) == 0;
  }
}

std::vector<std::int64_t> KeptLog::Reader::kept() const {
  std::vector<std::int64_t> kept;
  std::copy_if(holders_.begin(), holders_.end(), std::back_inserter(kept),
               [](std::int64_t holder) { return holder != kNobody; });
  std::sort(kept.begin(), kept.end());
  return kept;
}

}  // namespace checkroom::plan
