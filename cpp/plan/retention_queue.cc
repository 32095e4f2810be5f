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

constexpr std::size_t kFew = 64;        // not worth being parted
constexpr std::size_t kMany = 131'072;  // too many to be sorted a quarter at a time
constexpr std::size_t kBlock = 256;     // what a stack holds easily
constexpr std::size_t kRadix = 1024;    // as many are sorted faster by their bits
constexpr int kDigitBits = 11;
constexpr std::size_t kDigits = std::size_t{1} << kDigitBits;

// An integer that is ordered as the key is; both zeros are one.
std::uint64_t bits_of(double key) {
  const auto bits = std::bit_cast<std::uint64_t>(key + 0.0);
  constexpr std::uint64_t kSign = std::uint64_t{1} << 63;
  return (bits & kSign) != 0 ? ~bits : bits | kSign;
}

// The last to be evicted first. By the highest bits in which the keys differ, two digits of them,
// the lower one first; then those that are equal in these.
void sort(std::vector<Ranked>& entries, std::vector<Ranked>& scratch) {
  // A metric that only gets better comes in order: the first goes first.
  if (std::is_sorted(entries.begin(), entries.end(), kBefore)) {
    std::reverse(entries.begin(), entries.end());
    return;
  }
  if (entries.size() < kRadix) {
    std::sort(entries.begin(), entries.end(), kAfter);
    return;
  }
  std::uint64_t least = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t most = 0;
  for (const Ranked& entry : entries) {
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
  for (const Ranked& entry : entries) {
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
  scratch.reserve(entries.capacity());
  if (scratch.size() < entries.size()) scratch.resize(entries.size());
  Ranked* const by_low = scratch.data();
  for (const Ranked& entry : entries) by_low[low[digits(entry) % kDigits]++] = entry;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    entries[high[digits(by_low[i]) / kDigits]++] = by_low[i];
  }
  for (auto begin = entries.begin(); begin != entries.end();) {
    const std::size_t same = digits(*begin);
    auto end = begin + 1;
    while (end != entries.end() && digits(*end) == same) ++end;
    if (end - begin > 1) std::sort(begin, end, kAfter);
    begin = end;
  }
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
  } else {
    for (Pile& pile : piles_) {
      if (const auto later = find(pile.entries); later != pile.entries.end()) {
        taken = std::exchange(*later, pile.entries.back());
        pile.entries.pop_back();
        break;
      }
    }
  }
  --size_;
  return taken;
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

void EvictionQueue::refill() {
  while (used_ > 1 && piles_[used_ - 1].entries.empty()) --used_;
  while (piles_[used_ - 1].entries.size() > kMany) {
    if (used_ == piles_.size()) piles_.emplace_back();
    const double fence = piles_[used_ - 1].fence;
    part(piles_[used_ - 1], piles_[used_].entries);
    piles_[used_].fence = fence;
    ++used_;
    if (piles_[used_ - 2].entries.empty()) break;  // they are all equal
  }
  Pile& last = piles_[used_ - 1];
  if (last.entries.size() > kFew) {
    part(last, sooner_);
  } else {
    sooner_.assign(last.entries.begin(), last.entries.end());
    last.entries.clear();
  }
  sort(sooner_, scratch_);
  last.fence = sooner_.front().key;
}

// Moves those that are evicted first, a quarter or so, to another list, which is empty.
void EvictionQueue::part(Pile& from, std::vector<Ranked>& to) {
  Ranked* const all = from.entries.data();
  const std::size_t size = from.entries.size();
  std::array<Ranked, 31> sample;
  const std::size_t stride = size / sample.size();
  for (std::size_t i = 0; i < sample.size(); ++i) sample[i] = all[i * stride + stride / 2];
  Ranked* const quarter = sample.data() + sample.size() / 4;
  std::nth_element(sample.begin(), quarter, sample.end(), kBefore);
  const double fence = quarter->key;

  to.reserve(size + size / 2);  // what is not used is not touched
  std::array<Ranked, kBlock> block;
  std::size_t stay = 0;
  for (std::size_t begin = 0; begin < size; begin += kBlock) {
    const std::size_t end = std::min(begin + kBlock, size);
    const std::size_t ahead = end + kBlock <= size ? kBlock : 0;
    std::size_t go = 0;
    for (std::size_t i = begin; i < end; ++i) {
      // By itself a processor fetches ahead no further than to a page's end.
      __builtin_prefetch(all + i + ahead, 1);
      // Both places are written every time: which one counts is not worth a branch to guess.
      const bool stays = all[i].key < fence;
      all[stay] = all[i];
      block[go] = all[i];
      stay += std::size_t{stays};
      go += std::size_t{!stays};
    }
    to.insert(to.end(), block.data(), block.data() + go);
  }
  from.entries.resize(stay);
  from.fence = fence;
}

void EvictionQueue::sorted(std::vector<Ranked>& out) const {
  out.clear();
  out.reserve(size_);
  for_each([&out](const Ranked& entry) { out.push_back(entry); });
  std::vector<Ranked> scratch;
  sort(out, scratch);
}

}  // namespace checkroom::plan
