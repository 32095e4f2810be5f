#include "plan/retention_core.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <random>
#include <vector>

#include "base/error.h"

namespace checkroom::plan {
namespace {

// Publishes with one score, none when it is not a number to the caller (has_score false).
struct Player {
  explicit Player(const RetentionPolicy& policy) : core(policy) {}

  Candidate candidate(ItemId id, double with_score) {
    score = with_score;
    Candidate made;
    made.id = id;
    made.own_bytes = 10;
    made.epoch = epoch;
    made.scores = &score;
    made.has_score = 1;
    return made;
  }
  std::vector<ItemId> publish(ItemId id, double with_score) {
    leaves.clear();
    core.publish(candidate(id, with_score), leaves);
    ++epoch;
    std::vector<ItemId> ids;
    for (const Leave& leave : leaves) ids.push_back(leave.id);
    return ids;
  }
  std::vector<ItemId> stored() {
    std::vector<ItemId> ids;
    core.stored(ids);
    return ids;
  }
  std::vector<ItemId> top_k() {
    std::vector<ItemId> ids;
    core.top_k(ids);
    return ids;
  }

  EngineCore core;
  double score = 0;
  std::int64_t epoch = 0;
  std::vector<Leave> leaves;
};

using Ids = std::vector<ItemId>;

RetentionPolicy top(std::int64_t k) { return {{k, "loss", Mode::kMin}, {}, {}, {}}; }

TEST(EngineCore, ANewcomerDisplacesTheKth) {
  Player player(top(2));
  EXPECT_EQ(player.publish(0, 3), Ids{});
  EXPECT_EQ(player.publish(1, 2), Ids{});
  EXPECT_FALSE(player.core.decide(player.candidate(2, 3)).wanted);
  EXPECT_TRUE(player.core.decide(player.candidate(2, 1)).wanted);
  EXPECT_EQ(player.publish(2, 1), Ids{0});
  EXPECT_EQ(player.leaves[0].reason.kind, ReasonKind::kNotInTopK);
  EXPECT_EQ(player.leaves[0].reason.other, 1U);
  EXPECT_EQ(player.top_k(), (Ids{1, 2}));
  EXPECT_EQ(player.core.best(), 2U);
  EXPECT_EQ(player.core.size(), 2U);
  EXPECT_EQ(player.core.own_bytes().count(), 20);
}

// Lightning's dict: best_k_models.
TEST(EngineCore, AgreesWithLightningOnAMillionthOfWhatCanHappen) {
  std::mt19937 random(7);
  for (int run = 0; run < 300; ++run) {
    const std::int64_t k = std::vector<std::int64_t>{-1, 1, 2, 3, 5, 300}[random() % 6];
    const int saves = k == 300 ? 2000 : 60;
    const unsigned distinct = random() % 2 == 0 ? 4 : 100'000;
    Player player(top(k));
    std::vector<std::pair<ItemId, double>> dict;  // in the order of insertion
    for (int i = 0; i < saves; ++i) {
      const auto id = static_cast<ItemId>(i);
      const double score = random() % 10 == 0 ? std::numeric_limits<double>::quiet_NaN()
                                              : static_cast<double>(random() % distinct);
      const double key = score == score ? score : std::numeric_limits<double>::infinity();
      const auto worst = std::max_element(dict.begin(), dict.end(),
                                          [](auto& a, auto& b) { return a.second < b.second; });
      const bool full = k >= 0 && dict.size() == static_cast<std::size_t>(k);
      const bool enters = !full || key < worst->second;
      ASSERT_EQ(player.core.decide(player.candidate(id, score)).wanted, enters);
      if (!enters) continue;
      const Ids left = player.publish(id, score);
      ASSERT_EQ(left, full ? Ids{worst->first} : Ids{});
      if (full) dict.erase(worst);
      dict.emplace_back(id, key);
      ASSERT_EQ(player.core.best(),
                std::min_element(dict.begin(), dict.end(), [](auto& a, auto& b) {
                  return a.second < b.second;
                })->first);
    }
    Ids expected;
    for (const auto& entry : dict) expected.push_back(entry.first);
    ASSERT_EQ(player.top_k(), expected);
    ASSERT_EQ(player.stored(), expected);
  }
}

TEST(EngineCore, KeepLastCountsNamesNotWrites) {
  RetentionPolicy policy = top(0);
  policy.keep = {KeepLast{2}};
  Player player(policy);
  player.publish(0, 1);
  for (int i = 0; i < 500; ++i) EXPECT_EQ(player.publish(1, 1), Ids{});
  EXPECT_EQ(player.publish(2, 1), Ids{0});
  EXPECT_EQ(player.leaves[0].reason.kind, ReasonKind::kOlder);
  player.core.forget(1);
  EXPECT_EQ(player.publish(3, 1), Ids{});
  EXPECT_EQ(player.publish(4, 1), Ids{2});
}

TEST(EngineCore, WhatVanishedFreesItsSlotAndTheOneBeforeIsTheNewest) {
  Player player(top(2));
  for (const ItemId id : {0U, 1U, 2U}) player.publish(id, 3.0 - id);
  player.core.forget(2);
  player.core.forget(77);
  EXPECT_EQ(player.core.newest(), 1U);
  EXPECT_EQ(player.core.best(), 1U);
  EXPECT_TRUE(player.core.decide(player.candidate(3, 9)).wanted);
  player.core.forget(1);
  EXPECT_EQ(player.core.newest(), kNoItem);
  EXPECT_EQ(player.core.best(), kNoItem);
  EXPECT_EQ(player.core.own_bytes().count(), 0);
}

TEST(EngineCore, LastMayBeNamedBeforeItIsStored) {
  Player player(top(1));
  player.core.set_last(0);
  player.core.set_resumed_from(1);
  player.publish(0, 5);
  player.publish(1, 4);
  EXPECT_EQ(player.publish(2, 3), Ids{});
  player.core.set_last(2);
  player.core.set_resumed_from(kNoItem);
  Explanation why;
  player.core.explain(why);
  ASSERT_EQ(why.kept.size(), 3U);
  EXPECT_EQ(why.kept[0].begin, why.kept[0].end);  // nothing holds it: it leaves next
  EXPECT_EQ(player.publish(3, 9), (Ids{0, 1}));
}

TEST(EngineCore, ALooseItemThatIsWrittenAgainStays) {
  Player player(top(1));
  player.core.set_last(0);
  player.publish(0, 5);
  player.publish(1, 4);
  player.core.set_last(kNoItem);
  EXPECT_EQ(player.publish(0, 6), Ids{});
  EXPECT_EQ(player.stored(), (Ids{1, 0}));
}

TEST(EngineCore, WithoutAMonitorTheNewestCounts) {
  Player newest({{1, "", Mode::kMin}, {}, {}, {}});
  newest.publish(0, 1);
  EXPECT_EQ(newest.publish(1, 1), Ids{0});
  EXPECT_EQ(newest.leaves[0].reason.kind, ReasonKind::kReplaced);
  EXPECT_EQ(newest.core.best(), 1U);
  Player all({{-1, "", Mode::kMin}, {}, {}, {}});
  all.publish(0, 1);
  EXPECT_EQ(all.publish(1, 1), Ids{});
  EXPECT_EQ(all.top_k(), (Ids{0, 1}));
  Player none({{0, "", Mode::kMin}, {}, {}, {}});
  EXPECT_FALSE(none.core.decide(none.candidate(0, 1)).wanted);
  EXPECT_EQ(none.core.decide(none.candidate(0, 1)).reason.kind, ReasonKind::kNothingKept);
}

TEST(EngineCore, ASumThatOverflowsChangesNothing) {
  Player player(top(-1));
  player.publish(0, 1);
  Candidate huge = player.candidate(1, 2);
  huge.own_bytes = INT64_MAX;
  EXPECT_THROW(player.core.publish(huge, player.leaves), Error);
  EXPECT_FALSE(player.core.stores(1));
  EXPECT_EQ(player.stored(), Ids{0});
  EXPECT_EQ(player.core.own_bytes().count(), 10);
}

TEST(EngineCore, ACopyIsIndependent) {
  Player player(top(1));
  player.publish(0, 2);
  EngineCore copy = player.core;
  std::vector<Leave> leaves;
  copy.publish(player.candidate(1, 1), leaves);
  EXPECT_EQ(leaves.size(), 1U);
  EXPECT_TRUE(player.core.stores(0));
  EXPECT_FALSE(player.core.stores(1));
}

}  // namespace
}  // namespace checkroom::plan
