#include "plan/retention_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <random>
#include <set>
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
  queue.sorted(entries);
  ASSERT_EQ(entries.size(), sorted.size());
  for (std::size_t i = 0; i < entries.size(); ++i) ASSERT_EQ(entries[i].id, sorted[i].id);
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

TEST(EvictionQueue, AgreesWithASortedListWhenItMustBeParted) {
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

// A full top k: each newcomer pushes out the worst.
void evict_in_order(std::size_t k, std::size_t newcomers,
                    double (*key)(std::mt19937&, std::size_t)) {
  std::mt19937 random(1);
  EvictionQueue queue;
  const auto later = [](const Ranked& a, const Ranked& b) { return evicted_before(b, a); };
  std::set<Ranked, decltype(later)> expected(later);
  for (std::size_t i = 0; i < k + newcomers; ++i) {
    const auto order = static_cast<std::uint32_t>(i);
    const Ranked entry{key(random, i), order, order};
    if (i >= k) {
      queue.prepare();
      const auto worst = std::prev(expected.end());
      ASSERT_EQ(queue.next().id, worst->id) << i;
      if (!(entry.key < worst->key)) continue;
      queue.pop();
      expected.erase(worst);
    }
    queue.push(entry);
    expected.insert(entry);
  }
  std::vector<Ranked> sorted;
  queue.sorted(sorted);
  ASSERT_EQ(sorted.size(), expected.size());
  std::size_t place = 0;
  for (const Ranked& entry : expected) ASSERT_EQ(sorted[place++].id, entry.id);
}

double scattered(std::mt19937& random, std::size_t /*i*/) {
  return std::uniform_real_distribution<double>(-1, 1)(random);
}
double falling(std::mt19937& /*random*/, std::size_t i) { return 1e7 - static_cast<double>(i); }
double falling_with_noise(std::mt19937& random, std::size_t i) {
  return scattered(random, i) * 20'000 - static_cast<double>(i);
}
double coarse(std::mt19937& random, std::size_t i) { return std::round(scattered(random, i) * 5); }
double mostly_nan(std::mt19937& random, std::size_t i) {
  return random() % 4 != 0 ? std::numeric_limits<double>::infinity() : scattered(random, i);
}
double huge_and_tiny(std::mt19937& random, std::size_t i) {
  return scattered(random, i) * std::ldexp(1.0, static_cast<int>(random() % 2000) - 1000);
}
double signed_zeros(std::mt19937& random, std::size_t /*i*/) {
  return random() % 3 == 0 ? -0.0 : random() % 3 == 0 ? 1e-300 : 0.0;
}

TEST(EvictionQueue, EvictsTheWorstWhateverTheKeysAre) {
  for (const auto key :
       {scattered, falling, falling_with_noise, coarse, mostly_nan, huge_and_tiny, signed_zeros}) {
    for (const std::size_t k : {1U, 3U, 64U, 65U, 1000U}) evict_in_order(k, 4000, key);
    evict_in_order(20'000, 20'000, key);
  }
}

TEST(EvictionQueue, EvictsTheWorstOfSoManyThatTheyArePartedTwice) {
  for (const auto key : {scattered, falling, coarse}) evict_in_order(300'000, 200'000, key);
}

TEST(EvictionQueue, TellsOfThoseThatFollowWhileTheyAreThere) {
  EvictionQueue queue;
  std::set<ItemId> stored;
  std::set<ItemId> told;
  for (std::uint32_t i = 0; i < 2000; ++i) {
    queue.push({static_cast<double>(i % 10), i, i});
    stored.insert(i);
  }
  for (int i = 0; i < 2000; ++i) {
    queue.prepare();
    for (const ItemId id : queue.soon()) {
      EXPECT_TRUE(stored.contains(id));
      told.insert(id);
    }
    stored.erase(queue.next().id);
    queue.pop();
  }
  EXPECT_GT(told.size(), 1500U);  // all but the first ones of what was sorted at a time
}

}  // namespace
}  // namespace checkroom::plan
