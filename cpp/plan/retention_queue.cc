#include "plan/retention_queue.h"

#include <algorithm>
#include <array>
#include <utility>

namespace checkroom::plan {

void EvictionQueue::pop() {
  --size_;
  erase_front(0);
}

Ranked EvictionQueue::take(ItemId id) {
  const auto find = [id](const std::vector<Ranked>& entries) {
    const auto found = std::find_if(entries.begin(), entries.end(),
                                    [id](const Ranked& entry) { return entry.id == id; });
    return static_cast<std::size_t>(found - entries.begin());
  };
  --size_;
  if (const std::size_t index = find(front_); index < front_.size()) {
    const Ranked taken = front_[index];
    erase_front(index);
    return taken;
  }
  for (Segment& segment : segments_) {
    std::vector<Ranked>& entries = segment.entries;
    if (const std::size_t index = find(entries); index < entries.size()) {
      const Ranked taken = std::exchange(entries[index], entries.back());
      entries.pop_back();
      return taken;
    }
  }
  ++size_;  // unreachable: the caller knows that it is here
  return {};
}

void EvictionQueue::append_to(std::vector<Ranked>& out) const {
  out.reserve(out.size() + size_);
  for_each([&out](const Ranked& entry) { out.push_back(entry); });
}

// The last segment becomes the front, or is split so that half of it may.
void EvictionQueue::refill() {
  if (segments_.back().entries.size() > kFrontSize) return split();
  for (const Ranked& entry : segments_.back().entries) push_front(entry);
  segments_.pop_back();
}

void EvictionQueue::split() {
  std::vector<Ranked>& entries = segments_.back().entries;
  std::array<Ranked, 9> sample;
  const std::size_t stride = entries.size() / sample.size();
  for (std::size_t i = 0; i < sample.size(); ++i) sample[i] = entries[i * stride + stride / 2];
  std::nth_element(sample.begin(), sample.begin() + 4, sample.end(), evicted_before);
  const Ranked fence = sample[4];

  // Both targets are written every time: which one counts is not worth a branch to guess.
  Segment sooner;
  sooner.entries.resize(entries.size());
  std::size_t stay = 0;
  std::size_t go = 0;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const Ranked entry = entries[i];
    const bool later = evicted_before(fence, entry);
    entries[stay] = entry;
    sooner.entries[go] = entry;
    stay += std::size_t{later};
    go += std::size_t{!later};
  }
  entries.resize(stay);
  sooner.entries.resize(go);
  sooner.fence = segments_.back().fence;
  sooner.fenced = segments_.back().fenced;
  segments_.back().fence = fence;
  segments_.back().fenced = true;
  segments_.push_back(std::move(sooner));
}

void EvictionQueue::push_front(const Ranked& entry) {
  front_.push_back(entry);
  sift_up(front_.size() - 1, entry);
}

void EvictionQueue::sift_up(std::size_t hole, const Ranked& entry) {
  while (hole > 0) {
    const std::size_t parent = (hole - 1) / kArity;
    if (!evicted_before(entry, front_[parent])) break;
    front_[hole] = front_[parent];
    hole = parent;
  }
  front_[hole] = entry;
}

void EvictionQueue::sift_down(std::size_t hole, const Ranked& entry) {
  for (;;) {
    const std::size_t first = hole * kArity + 1;
    if (first >= front_.size()) break;
    const std::size_t end = std::min(first + kArity, front_.size());
    std::size_t child = first;
    for (std::size_t i = first + 1; i < end; ++i) {
      if (evicted_before(front_[i], front_[child])) child = i;
    }
    if (!evicted_before(front_[child], entry)) break;
    front_[hole] = front_[child];
    hole = child;
  }
  front_[hole] = entry;
}

void EvictionQueue::erase_front(std::size_t index) {
  const Ranked moved = front_.back();
  front_.pop_back();
  if (index == front_.size()) return;
  if (index > 0 && evicted_before(moved, front_[(index - 1) / kArity])) {
    sift_up(index, moved);
  } else {
    sift_down(index, moved);
  }
}

}  // namespace checkroom::plan
