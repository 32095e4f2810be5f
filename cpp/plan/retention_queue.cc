#include "plan/retention_queue.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

namespace checkroom::plan {
namespace {

// Objects, not functions: what sorts can then compare inline.
constexpr auto kBefore = [](const Ranked& a, const Ranked& b) { return evicted_before(a, b); };
constexpr auto kAfter = [](const Ranked& a, const Ranked& b) { return evicted_before(b, a); };

constexpr std::size_t kFew = 64;  // not worth being parted
constexpr std::size_t kMany = 65'536;
constexpr std::size_t kBlock = 256;   // what a stack holds easily
constexpr std::size_t kRadix = 1024;  // as many are sorted faster by their bits
constexpr int kDigitBits = 11;
constexpr std::size_t kDigits = std::size_t{1} << kDigitBits;

// An integer that is ordered as the key is; both zeros are one.
std::uint64_t bits_of(double key) {
  const auto bits = std::bit_cast<std::uint64_t>(key + 0.0);
  constexpr std::uint64_t kSign = std::uint64_t{1} << 63;
  return (bits & kSign) != 0 ? ~bits : bits | kSign;
}

}  // namespace

Ranked EvictionQueue::take(ItemId id) {
  const auto find = [id](std::vector<Ranked>& entries) {
    return std::find_if(entries.begin(), entries.end(),
                        [id](const Ranked& entry) { return entry.id == id; });
  };
  Ranked taken;
  if (const auto sooner = find(sooner_); sooner != sooner_.end()) {
    taken = *sooner;
    sooner_.erase(sooner);
  } else if (const auto between = find(between_); between != between_.end()) {
    taken = *between;
    erase_between(static_cast<std::size_t>(between - between_.begin()));
  } else if (const auto later = find(later_); later != later_.end()) {
    taken = std::exchange(*later, later_.back());
    later_.pop_back();
  } else {
    return taken;  // unreachable: the caller knows that it is here
  }
  --size_;
  return taken;
}

void EvictionQueue::append_to(std::vector<Ranked>& out) const {
  out.reserve(out.size() + size_);
  for_each([&out](const Ranked& entry) { out.push_back(entry); });
}

void EvictionQueue::push_between(Ranked entry) {
  between_.push_back(entry);
  sift_up(between_.size() - 1, entry);
}

void EvictionQueue::sift_up(std::size_t hole, Ranked entry) {
  while (hole > 0) {
    const std::size_t parent = (hole - 1) / kArity;
    if (!evicted_before(entry, between_[parent])) break;
    between_[hole] = between_[parent];
    hole = parent;
  }
  between_[hole] = entry;
}

// The hole goes down to a leaf, which the last entry takes; from there that hardly has to rise.
void EvictionQueue::erase_between(std::size_t index) {
  const Ranked moved = between_.back();
  between_.pop_back();
  if (index == between_.size()) return;
  Ranked* const all = between_.data();
  std::size_t hole = index;
  for (std::size_t first = hole * kArity + 1; first < between_.size(); first = hole * kArity + 1) {
    const std::size_t end = std::min(first + kArity, between_.size());
    std::size_t child = first;
    for (std::size_t i = first + 1; i < end; ++i) {
      child = evicted_before(all[i], all[child]) ? i : child;
    }
    all[hole] = all[child];
    hole = child;
  }
  sift_up(hole, moved);
}

// Sorts those of later_ that go next: a quarter, or all where they are few.
void EvictionQueue::refill() {
  if (later_.size() > kFew) {
    part_later();
  } else {
    sooner_.assign(later_.begin(), later_.end());
    later_.clear();
  }
  sort_sooner();
  fence_ = sooner_.front().key;
}

void EvictionQueue::part_later() {
  std::array<Ranked, 15> sample;
  const std::size_t stride = later_.size() / sample.size();
  for (std::size_t i = 0; i < sample.size(); ++i) sample[i] = later_[i * stride + stride / 2];
  const std::size_t parts = later_.size() > kMany ? 8 : 4;
  Ranked* const first = sample.data() + sample.size() / parts;
  std::nth_element(sample.begin(), first, sample.end(), kBefore);
  const double fence = first->key;

  sooner_.reserve(later_.size() / parts / 2 * 3);
  std::array<Ranked, kBlock> block;
  Ranked* const all = later_.data();
  const std::size_t size = later_.size();
  std::size_t stay = 0;
  for (std::size_t begin = 0; begin < size; begin += kBlock) {
    const std::size_t end = std::min(begin + kBlock, size);
    std::size_t go = 0;
    // The next page: a processor fetches ahead by itself no further than a page's end.
    for (std::size_t i = end; i < std::min(end + kBlock, size); i += 4) __builtin_prefetch(all + i, 1);
    for (std::size_t i = begin; i < end; ++i) {
      // Both places are written every time: which one counts is not worth a branch to guess.
      const bool stays = all[i].key < fence;
      all[stay] = all[i];
      block[go] = all[i];
      stay += std::size_t{stays};
      go += std::size_t{!stays};
    }
    sooner_.insert(sooner_.end(), block.data(), block.data() + go);
  }
  later_.resize(stay);
}

// By the highest bits in which the keys differ, two digits of them, the lower one first; then those
// that are equal in these.
void EvictionQueue::sort_sooner() {
  if (sooner_.size() < kRadix) {
    std::sort(sooner_.begin(), sooner_.end(), kAfter);
    return;
  }
  std::uint64_t least = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t most = 0;
  for (const Ranked& entry : sooner_) {
    least = std::min(least, bits_of(entry.key));
    most = std::max(most, bits_of(entry.key));
  }
  const auto width = static_cast<int>(std::bit_width(most - least));
  const int shift = std::max(0, width - 2 * kDigitBits);
  const auto digits = [least, shift](const Ranked& entry) {
    return static_cast<std::size_t>((bits_of(entry.key) - least) >> shift);
  };
  std::array<std::uint32_t, kDigits> low{};
  std::array<std::uint32_t, kDigits> high{};
  for (const Ranked& entry : sooner_) {
    const std::size_t both = digits(entry);
    ++low[both % kDigits];
    ++high[both / kDigits];
  }
  std::uint32_t below_low = 0;
  std::uint32_t below_high = 0;
  for (std::size_t i = 0; i < kDigits; ++i) {
    below_low += std::exchange(low[i], below_low);
    below_high += std::exchange(high[i], below_high);
  }
  if (scratch_.size() < sooner_.size()) scratch_.resize(sooner_.size());
  Ranked* const by_low = scratch_.data();
  for (const Ranked& entry : sooner_) by_low[low[digits(entry) % kDigits]++] = entry;
  for (std::size_t i = 0; i < sooner_.size(); ++i) {
    sooner_[high[digits(by_low[i]) / kDigits]++] = by_low[i];
  }
  for (auto begin = sooner_.begin(); begin != sooner_.end();) {
    auto end = begin + 1;
    while (end != sooner_.end() && digits(*end) == digits(*begin)) ++end;
    if (end - begin > 1) std::sort(begin, end, kAfter);
    begin = end;
  }
}

}  // namespace checkroom::plan
