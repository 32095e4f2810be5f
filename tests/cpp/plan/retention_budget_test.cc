#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <vector>

#include "base/error.h"
#include "plan/retention_core.h"

namespace checkroom::plan {
namespace {

struct Save {
  std::vector<double> scores;
  std::int64_t own_bytes = 10;
  bool pinned = false;
};

Candidate candidate(ItemId id, const Save& save) {
  Candidate made;
  made.id = id;
  made.pinned = save.pinned;
  made.own_bytes = save.own_bytes;
  made.epoch = id;
  made.scores = save.scores.data();
  made.has_score = (std::uint64_t{1} << save.scores.size()) - 1;
  return made;
}

std::vector<ItemId> publish(EngineCore& core, ItemId id, const Save& save) {
  std::vector<Leave> leaves;
  core.publish(candidate(id, save), leaves);
  std::vector<ItemId> ids;
  for (const Leave& leave : leaves) ids.push_back(leave.id);
  return ids;
}

using Ids = std::vector<ItemId>;

RetentionPolicy top(std::int64_t k, std::int64_t budget) {
  return {{k, "loss", Mode::kMin}, {}, {}, Bytes(budget)};
}

TEST(RetentionBudget, TakesTheWorstButNeitherTheBestNorTheNewest) {
  EngineCore core(top(5, 20));
  EXPECT_EQ(publish(core, 0, {{1}}), Ids{});
  EXPECT_EQ(publish(core, 1, {{3}}), Ids{});
  EXPECT_EQ(publish(core, 2, {{4}}), Ids{1});  // 2 is worse, and the newest
  EXPECT_EQ(publish(core, 3, {{2}}), Ids{2});
  EXPECT_EQ(core.over_budget().count(), 0);
}

TEST(RetentionBudget, ACandidateThatItWouldTakeFirstIsNotWanted) {
  EngineCore core(top(5, 30));
  for (const ItemId id : {0U, 1U, 2U}) publish(core, id, {{1.0 + id}});
  const Decision worse = core.decide(candidate(3, {{4}}));
  EXPECT_FALSE(worse.wanted);
  EXPECT_EQ(worse.reason.kind, ReasonKind::kNoRoom);
  EXPECT_EQ(worse.reason.rank, 3U);
  EXPECT_FALSE(core.decide(candidate(3, {{3}})).wanted);  // an equal one would only change places
  EXPECT_TRUE(core.decide(candidate(3, {{2.5}})).wanted);
  EXPECT_TRUE(core.decide(candidate(3, {{0.5}})).wanted);
  EXPECT_TRUE(core.decide(candidate(3, {{9}, 10, true})).wanted);
  EXPECT_TRUE(core.decide(candidate(3, {{9}, 0})).wanted);  // it needs no room
  EXPECT_EQ(publish(core, 3, {{2.5}}), Ids{2});
}

TEST(RetentionBudget, ForOneKeepsTheBestAlone) {
  EngineCore core(top(3, 10));
  publish(core, 0, {{2}});
  EXPECT_FALSE(core.decide(candidate(1, {{3}})).wanted);
  EXPECT_TRUE(core.decide(candidate(1, {{1}})).wanted);
  EXPECT_EQ(publish(core, 1, {{1}}), Ids{0});
}

TEST(RetentionBudget, ARuleThatDoesNotRankWantsItsItemsAllTheSame) {
  RetentionPolicy policy = top(3, 20);
  policy.keep = {KeepEvery{4, {}, {}}};
  EngineCore core(policy);
  publish(core, 0, {{1}});
  publish(core, 1, {{2}});
  EXPECT_FALSE(core.decide(candidate(2, {{9}})).wanted);
  EXPECT_TRUE(core.decide(candidate(3, {{9}})).wanted);  // the fourth epoch
  policy.keep = {KeepLast{1}};
  EngineCore last(policy);
  publish(last, 0, {{1}});
  publish(last, 1, {{2}});
  EXPECT_TRUE(last.decide(candidate(2, {{9}})).wanted);
}

TEST(RetentionBudget, WhatNoMetricHoldsGoesFirstOldestFirst) {
  RetentionPolicy policy = top(2, 50);
  policy.keep = {KeepLast{4}};
  EngineCore core(policy);
  publish(core, 0, {{1}});
  publish(core, 1, {{9}});
  publish(core, 2, {{8}});
  publish(core, 3, {{2}});
  publish(core, 4, {{7}});
  EXPECT_EQ(core.own_bytes().count(), 50);
  core.set_budget(Bytes(30));
  std::vector<Leave> leaves;
  core.settle(leaves);
  ASSERT_EQ(leaves.size(), 2U);
  EXPECT_EQ(leaves[0].id, 1U);
  EXPECT_EQ(leaves[1].id, 2U);
  EXPECT_EQ(leaves[0].reason.rank, 0U);
}

TEST(RetentionBudget, ProtectionThatEndsExposes) {
  EngineCore core(top(0, 10));
  core.set_last(0);
  publish(core, 0, {{}});
  publish(core, 1, {{}, 10, true});
  EXPECT_EQ(core.over_budget().count(), 10);
  core.set_last(1);
  std::vector<Leave> leaves;
  core.settle(leaves);
  ASSERT_EQ(leaves.size(), 1U);
  EXPECT_EQ(leaves[0].id, 0U);
  EXPECT_EQ(core.over_budget().count(), 0);
}

TEST(RetentionBudget, ANegativeOneIsRefused) {
  EngineCore core(top(1, 10));
  EXPECT_THROW(core.set_budget(Bytes(-1)), Error);
}

// The whole of the rules again, as plainly as it can be said, for two metrics and equal sizes.
class Naive {
 public:
  Naive(std::size_t k, std::size_t room) : k_(k), room_(room) {}

  std::set<ItemId> publish(ItemId id, const std::vector<double>& scores) {
    scores_.push_back(scores);
    for (std::size_t m = 0; m < 2; ++m) {
      std::vector<ItemId>& top = top_[m];
      if (top.size() == k_ && scores[m] >= scores_[worst(m)][m]) continue;
      if (top.size() == k_) top.erase(std::find(top.begin(), top.end(), worst(m)));
      top.push_back(id);
    }
    for (;;) {
      std::set<ItemId> stored{id};
      for (const auto& top : top_) stored.insert(top.begin(), top.end());
      if (stored.size() <= room_) return stored;
      ItemId victim = kNoItem;
      std::size_t victim_rank = 0;
      for (const ItemId one : stored) {
        if (one == id || one == best(0) || one == best(1)) continue;
        const std::size_t rank = std::min(rank_of(0, one), rank_of(1, one));
        if (rank > victim_rank) {
          victim = one;
          victim_rank = rank;
        }
      }
      if (victim == kNoItem) return stored;
      for (auto& top : top_) top.erase(std::remove(top.begin(), top.end(), victim), top.end());
    }
  }

 private:
  // Distinct scores, so that no tie needs a rule.
  [[nodiscard]] ItemId extreme(std::size_t m, bool best) const {
    ItemId found = kNoItem;
    for (const ItemId id : top_[m]) {
      if (found == kNoItem || (scores_[id][m] < scores_[found][m]) == best) found = id;
    }
    return found;
  }
  [[nodiscard]] ItemId worst(std::size_t m) const { return extreme(m, false); }
  [[nodiscard]] ItemId best(std::size_t m) const { return extreme(m, true); }
  [[nodiscard]] std::size_t rank_of(std::size_t m, ItemId id) const {
    if (std::find(top_[m].begin(), top_[m].end(), id) == top_[m].end()) return SIZE_MAX;
    std::size_t rank = 1;
    for (const ItemId other : top_[m]) rank += scores_[other][m] < scores_[id][m] ? 1 : 0;
    return rank;
  }

  std::size_t k_;
  std::size_t room_;
  std::vector<ItemId> top_[2];
  std::vector<std::vector<double>> scores_;
};

TEST(RetentionBudget, OfTwoMetricsAgreesWithTheRulesSaidPlainly) {
  std::mt19937 random(3);
  for (int run = 0; run < 200; ++run) {
    const std::size_t k = 1 + random() % 4;
    const std::size_t room = 1 + random() % 7;
    RetentionPolicy policy =
        top(static_cast<std::int64_t>(k), static_cast<std::int64_t>(10 * room));
    policy.keep = {KeepBest{static_cast<std::int64_t>(k), "accuracy", Mode::kMax}};
    EngineCore core(policy);
    Naive naive(k, room);
    for (ItemId id = 0; id < 30; ++id) {
      const std::vector<double> scores{static_cast<double>(random()),
                                       static_cast<double>(random())};
      publish(core, id, {{scores[0], -scores[1]}});
      const std::set<ItemId> expected = naive.publish(id, scores);
      Ids stored;
      core.stored(stored);
      ASSERT_EQ(std::set<ItemId>(stored.begin(), stored.end()), expected) << run << " " << id;
    }
  }
}

// decide() against its definition: suppose that the budget did not act while the candidate came,
// and that it is no longer the newest; is it the first that the budget takes?
TEST(RetentionBudget, DecideRefusesWhatTheBudgetWouldTakeFirst) {
  std::mt19937 random(5);
  int refused = 0;
  int wanted = 0;
  for (int run = 0; run < 400; ++run) {
    RetentionPolicy policy = top(static_cast<std::int64_t>(1 + random() % 6),
                                 static_cast<std::int64_t>(10 * (1 + random() % 5)));
    if (run % 2 == 0) policy.keep = {KeepBest{2, "accuracy", Mode::kMax}};
    EngineCore core(policy);
    for (ItemId id = 0; id < 40; ++id) {
      const Save save{{static_cast<double>(random()), static_cast<double>(random())},
                      5 + static_cast<std::int64_t>(random() % 10)};
      const Decision decision = core.decide(candidate(id, save));
      if (decision.wanted || decision.reason.kind == ReasonKind::kNoRoom) {
        EngineCore trial = core;
        trial.set_budget({});
        publish(trial, id, save);
        publish(trial, id + 1, {{}, 0, true});
        trial.set_budget(policy.budget);
        std::vector<Leave> leaves;
        trial.settle(leaves);
        const bool goes_first = !leaves.empty() && leaves[0].id == id;
        ASSERT_EQ(decision.wanted, !goes_first) << run << " " << id;
        ++(decision.wanted ? wanted : refused);
      }
      // Now and then one that is not wanted is saved all the same.
      if (decision.wanted || random() % 10 == 0) publish(core, id, save);
    }
  }
  EXPECT_GT(refused, 100);
  EXPECT_GT(wanted, 100);
}

}  // namespace
}  // namespace checkroom::plan
