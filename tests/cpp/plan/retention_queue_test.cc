#include "plan/retention_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace checkroom::plan {
namespace {

// Pops, pushes and takes in a random order agree with a sorted list of the same entries.
void compare_with_a_sorted_list(std::size_t start, std::size_t steps, int distinct_keys,
                                std::uint32_t seed) {
  std::mt19937 random(seed);
  EvictionQueue queue;
  std::vector<Ranked> sorted;  // the next to be evicted at the back
  std::uint32_t order = 0;
  const auto push = [&] {
    const Ranked entry{static_cast<double>(random() % static_cast<unsigned>(distinct_keys)), order,
                       order};
    ++order;
    queue.push(entry);
    const auto place =
        std::upper_bound(sorted.begin(), sorted.end(), entry,
                         [](const Ranked& a, const Ranked& b) { return evicted_before(b, a); });
    sorted.insert(place, entry);
  };
  for (std::size_t i = 0; i < start; ++i) push();
  for (std::size_t i = 0; i < steps; ++i) {
    const auto action = random() % 20;
    if (action == 0 && !sorted.empty()) {
      const std::size_t index = random() % sorted.size();
      EXPECT_EQ(queue.take(sorted[index].id).order, sorted[index].order);
      sorted.erase(sorted.begin() + static_cast<std::ptrdiff_t>(index));
    } else if (action < 11 && !sorted.empty()) {
      queue.prepare();
      ASSERT_EQ(queue.next().id, sorted.back().id);
      queue.pop();
      sorted.pop_back();
    } else {
      push();
    }
    ASSERT_EQ(queue.size(), sorted.size());
  }
  std::vector<Ranked> entries;
  queue.append_to(entries);
  ASSERT_EQ(entries.size(), sorted.size());
  while (!sorted.empty()) {
    queue.prepare();
    ASSERT_EQ(queue.next().id, sorted.back().id);
    queue.pop();
    sorted.pop_back();
  }
}

TEST(EvictionQueue, AgreesWithASortedListWhileItIsSmall) {
  for (std::uint32_t seed = 0; seed < 50; ++seed) compare_with_a_sorted_list(0, 400, 5, seed);
}

TEST(EvictionQueue, AgreesWithASortedListWhenItMustBeSplit) {
  for (const int distinct : {1, 7, 1'000'000}) compare_with_a_sorted_list(6000, 9000, distinct, 1);
}

TEST(EvictionQueue, TakesEntriesInOrderOfTheirKeys) {
  EvictionQueue queue;
  for (std::uint32_t i = 0; i < 3000; ++i) queue.push({static_cast<double>(i), i, i});
  for (std::uint32_t i = 3000; i-- > 0;) {
    queue.prepare();
    ASSERT_EQ(queue.next().id, i);
    queue.pop();
  }
  EXPECT_EQ(queue.size(), 0U);
}

}  // namespace
}  // namespace checkroom::plan
