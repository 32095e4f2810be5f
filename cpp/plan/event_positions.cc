#include "plan/event_positions.h"

#include <algorithm>

namespace checkroom::plan {

// The event at hand is not where the last stretch would have it.
void EventPositions::turn(std::int64_t epoch, std::int64_t step) {
  if (!stretches_.empty() && size_ - stretches_.back().begin == 1) {
    // The second of a stretch says how far apart its events are.
    Stretch& last = stretches_.back();
    distance_ = {epoch - last.first.epoch, step - last.first.step};
    last.distance = distances_.number_of(distance_);
  } else {
    distance_ = {};
    stretches_.push_back(
        {{epoch, step}, static_cast<std::uint32_t>(size_), distances_.number_of(distance_)});
  }
  next_ = {epoch, step};
}

EventPosition EventPositions::at(const Stretch& stretch, std::size_t index) const {
  const auto passed = static_cast<std::int64_t>(index - stretch.begin);
  const EventPosition& distance = distances_[stretch.distance];
  return {stretch.first.epoch + passed * distance.epoch,
          stretch.first.step + passed * distance.step};
}

EventPosition EventPositions::at(std::size_t index) const {
  const auto after = std::upper_bound(
      stretches_.begin(), stretches_.end(), index,
      [](std::size_t wanted, const Stretch& stretch) { return wanted < stretch.begin; });
  return at(*(after - 1), index);
}

EventPosition EventPositions::Reader::next() {
  const std::vector<Stretch>& stretches = positions_.stretches_;
  if (stretch_ + 1 < stretches.size() && index_ == stretches[stretch_ + 1].begin) ++stretch_;
  return positions_.at(stretches[stretch_], index_++);
}

}  // namespace checkroom::plan
