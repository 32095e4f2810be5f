#include "plan/forecast_bounds.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "plan/forecast_replay.h"

namespace checkroom::plan {
namespace {

RunSpec top(std::int64_t k) {
  RunSpec spec;
  spec.save_top_k = k;
  spec.monitor = "loss";
  spec.checkpoint_bytes = Bytes(100);
  spec.seconds_per_step = 1800;
  spec.last_as = LastAs::kLink;  // for given scores 'auto' is a link, and the bounds span both
  return spec;
}

RetentionPolicy policy_of(const RunSpec& spec) { return retention_policy(spec); }

std::vector<FileRange> kept(const RunSpec& spec, int saves) {
  RuleBounds rules(policy_of(spec), Bytes(100));
  std::vector<FileRange> kept;
  for (int i = 0; i < saves; ++i) {
    rules.next(i, std::int64_t{10} * i, 3600.0 * i);
    kept.push_back(rules.kept());
  }
  return kept;
}

TEST(RuleBounds, OneTopKIsKnownExactly) {
  EXPECT_EQ(kept(top(2), 4), (std::vector<FileRange>{{1, 1}, {2, 2}, {2, 2}, {2, 2}}));
  EXPECT_EQ(kept(top(-1), 3), (std::vector<FileRange>{{1, 1}, {2, 2}, {3, 3}}));
}

TEST(RuleBounds, SeveralRulesHoldAtLeastTheMostOfOneAndAtMostTheirSum) {
  RunSpec spec = top(2);
  spec.keep = {KeepBest{1, "accuracy", Mode::kMax}, KeepLast{1}};
  EXPECT_EQ(kept(spec, 6).back(), (FileRange{2, 4}));
}

TEST(RuleBounds, ABudgetHoldsExceptForWhatMustStay) {
  RunSpec spec = top(5);
  spec.max_size = Bytes(400);  // one of which is the next file's
  EXPECT_EQ(kept(spec, 8).back(), (FileRange{3, 3}));
  spec.max_size = Bytes(100);
  EXPECT_EQ(kept(spec, 8).back(), (FileRange{1, 2}));  // the best and the newest
  spec.save_top_k = -1;
  EXPECT_EQ(kept(spec, 8).back(), (FileRange{1, 1}));
  spec.keep = {KeepLast{1}};
  EXPECT_EQ(kept(spec, 8).back(), (FileRange{1, 2}));
}

TEST(RuleBounds, TellAfterHowManyNothingChangesAnyMore) {
  EXPECT_EQ(RuleBounds(policy_of(top(3)), Bytes(100)).settles_after(), 6);
  EXPECT_FALSE(RuleBounds(policy_of(top(-1)), Bytes(100)).settles_after().has_value());
}

TEST(RuleBounds, TheProbabilityOfEnteringATopK) {
  RuleBounds rules(policy_of(top(2)), Bytes(100));
  EXPECT_TRUE(rules.next(0, 0, 0).certain);
  EXPECT_TRUE(rules.next(1, 1, 0).certain);
  const RuleBounds::Newcomer third = rules.next(2, 2, 0);
  EXPECT_FALSE(third.certain);
  EXPECT_TRUE(third.possible);
  EXPECT_DOUBLE_EQ(third.probability, 2.0 / 3);
}

// Every order of up to six scores, played by the engine itself: the bounds hold, and for one rule
// some order reaches each of them.
void compare_with_every_order(const RunSpec& spec, bool last_without_save, bool tight) {
  constexpr int kSaves = 6;
  std::vector<double> losses(kSaves);
  std::iota(losses.begin(), losses.end(), 1.0);
  std::vector<double> other = {3, 1, 4, 1, 5, 9};
  std::vector<TimelineRow> bounds;
  BoundsPlayer player(spec, last_without_save);
  FileTally tally;
  for (std::int64_t i = 0; i < kSaves; ++i) {
    const SaveOutcome& outcome = player.play({i, 2 * i, SaveKind::kRules});
    EXPECT_TRUE(i > 0 || player.turned());
    bounds.push_back(tally.row(outcome));
    bounds.back().expected = player.expected();
    tally.add(outcome);
  }
  std::vector<TimelineRow> reached(kSaves);
  double written = 0;
  double orders = 0;
  do {
    std::vector<std::span<const double>> scores = {losses};
    scores.resize(EngineCore(policy_of(spec)).metrics().size(), other);
    ReplayPlayer replay(spec, last_without_save, false, scores);
    FileTally exact;
    for (std::int64_t i = 0; i < kSaves; ++i) {
      const SaveOutcome& outcome = replay.play({i, 2 * i, SaveKind::kRules});
      const TimelineRow row = exact.row(outcome);
      exact.add(outcome);
      TimelineRow& seen = reached[static_cast<std::size_t>(i)];
      const auto compare = [&](LeastMost<std::uint32_t> TimelineRow::*field) {
        const LeastMost<std::uint32_t>& bound = bounds[static_cast<std::size_t>(i)].*field;
        const std::uint32_t value = (row.*field).least;
        EXPECT_LE(bound.least, value) << "event " << i;
        EXPECT_GE(bound.most, value) << "event " << i;
        LeastMost<std::uint32_t>& range = seen.*field;
        range = orders == 0 ? LeastMost<std::uint32_t>{value, value}
                            : LeastMost<std::uint32_t>{std::min(range.least, value),
                                                       std::max(range.most, value)};
      };
      compare(&TimelineRow::files);
      compare(&TimelineRow::peak);
      compare(&TimelineRow::written);
      if (i == kSaves - 1) written += row.written.least;
    }
    ++orders;
  } while (std::next_permutation(losses.begin(), losses.end()));
  if (!tight) return;
  for (std::size_t i = 0; i < reached.size(); ++i) {
    EXPECT_EQ(reached[i].files, bounds[i].files) << "event " << i;
    EXPECT_EQ(reached[i].peak, bounds[i].peak) << "event " << i;
    EXPECT_EQ(reached[i].written, bounds[i].written) << "event " << i;
  }
  EXPECT_NEAR(bounds.back().expected, written / orders, 1e-9);
}

TEST(BoundsPlayer, HoldsForEveryOrderOfTheScores) {
  for (const std::int64_t k : {1, 2, 3, 7, -1}) {
    for (const SaveLast last : {SaveLast::kNo, SaveLast::kYes, SaveLast::kLink}) {
      for (const Writer writer : {Writer::kCheckroom, Writer::kLightning}) {
        RunSpec spec = top(k);
        spec.save_last = last;
        spec.writer = writer;
        compare_with_every_order(spec, false, true);
        compare_with_every_order(spec, last != SaveLast::kNo, true);
      }
    }
  }
}

TEST(BoundsPlayer, HoldsForSeveralRulesAndABudget) {
  RunSpec spec = top(2);
  spec.keep = {KeepLast{1}, KeepEvery{2, {}, {}}};
  compare_with_every_order(spec, false, false);
  spec.keep = {KeepBest{2, "accuracy", Mode::kMax}, KeepEvery{{}, {}, 2.5}};
  compare_with_every_order(spec, false, false);
  spec.max_size = Bytes(400);
  compare_with_every_order(spec, false, false);
  spec = top(-1);
  spec.max_size = Bytes(100);
  compare_with_every_order(spec, false, false);
  spec.keep = {KeepLast{1}};
  compare_with_every_order(spec, false, false);
}

}  // namespace
}  // namespace checkroom::plan
