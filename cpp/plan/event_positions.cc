#include "plan/event_positions.h"

#include <algorithm>

namespace checkroom::plan {

// The event at hand is not where the last stretch would have it.
void EventPositions::turn(std::int64_t epoch, std::int64_t step) {
  if (!stretches_.empty() && size_ - stretches_.back().begin == 1) {
    // The second of a stretch says how far apart its events are.
    Stretch& last = stretches_.back();
    last.distance = {epoch - last.first.epoch, step - last.first.step};
    distance_ = last.distance;
  } else {
    stretches_.push_back({size_, {epoch, step}, {}});
    distance_ = {};
  }
  next_ = {epoch, step};
}

EventPosition EventPositions::Stretch::at(std::size_t index) const {
  const auto passed = static_cast<std::int64_t>(index - begin);
  return {first.epoch + passed * distance.epoch, first.step + passed * distance.step};
}

EventPosition EventPositions::at(std::size_t index) const {
  const auto after = std::upper_bound(
      stretches_.begin(), stretches_.end(), index,
      [](std::size_t wanted, const Stretch& stretch) { return wanted < stretch.begin; });
  return (after - 1)->at(index);
}

EventPosition EventPositions::Reader::next() {
  const std::vector<Stretch>& stretches = positions_.stretches_;
  if (stretch_ + 1 < stretches.size() && index_ == stretches[stretch_ + 1].begin) ++stretch_;
  return stretches[stretch_].at(index_++);
}

}  // namespace checkroom::plan
