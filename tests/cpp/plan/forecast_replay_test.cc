#include "plan/forecast_replay.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

namespace checkroom::plan {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

RunSpec top(std::int64_t k, SaveLast last = SaveLast::kUnset) {
  RunSpec spec;
  spec.save_top_k = k;
  spec.monitor = "val_loss";
  spec.save_last = last;
  spec.checkpoint_bytes = Bytes(100);
  return spec;
}

// "files/peak/written" of each event at which a score is offered: 'y' saved, 'n' not, and a '+'
// where the event may do something else than the one before it.
std::string played(const RunSpec& spec, const std::vector<double>& scores,
                   bool last_without_save = false, bool last_may_be_own = false) {
  ReplayPlayer player(spec, last_without_save, last_may_be_own, {scores});
  FileTally tally;
  std::string text;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const auto epoch = static_cast<std::int64_t>(i);
    const SaveOutcome& outcome = player.play({epoch, 10 * epoch, SaveKind::kRules});
    const TimelineRow row = tally.row(outcome);
    tally.add(outcome);
    const auto range = [](const LeastMost<std::uint32_t>& files) {
      return std::to_string(files.least) +
             (files.least == files.most ? "" : ".." + std::to_string(files.most));
    };
    text += (text.empty() ? "" : " ") + std::string(player.turned() ? "+" : "") +
            (row.saved == Saved::kYes ? "y" : "n") + range(row.files) + "/" + range(row.peak) +
            "/" + range(row.written);
  }
  return text;
}

TEST(Replay, SavesWhatTheRulesWant) {
  // The second is not numbered as the first, before which nothing had been written.
  EXPECT_EQ(played(top(2), {0.5, 0.4, 0.6, 0.3, kNan, 0.2}),
            "+y1/1/1 +y2/2/2 +n2/2/2 +y2/3/3 +n2/2/3 +y2/3/4");
}

TEST(Replay, LastSharesBlocksOrIsAFileOfItsOwn) {
  EXPECT_EQ(played(top(1, SaveLast::kYes), {0.5, 0.4, 0.6}), "+y1/1/1 +y1/2/2 +n1/1/2");
  EXPECT_EQ(played(top(1, SaveLast::kYes), {0.5, 0.4, 0.6}, false, true),
            "+y1..2/1..2/1 +y1..2/2/2 +n1..2/1..2/2");
  RunSpec lightning = top(1, SaveLast::kYes);
  lightning.writer = Writer::kLightning;
  EXPECT_EQ(played(lightning, {0.5, 0.4, 0.4}, true), "+y2/2/2 +y2/3/4 +n2/3/5");
}

TEST(Replay, KeepsALogOfWhoseFilesAreKept) {
  const std::vector<double> scores = {0.5, 0.6, 0.4, 0.9, 0.1, 0.2};
  ReplayPlayer player(top(2), false, false, {scores});
  player.reserve(scores.size());
  std::vector<std::int64_t> saved;
  for (std::int64_t i = 0; i < 6; ++i) {
    if (player.play({i, i, SaveKind::kRules}).saved == Saved::kYes) saved.push_back(i);
  }
  EXPECT_EQ(saved, (std::vector<std::int64_t>{0, 1, 2, 4, 5}));
  const KeptLog log = player.take_log();
  KeptLog::Reader reader(log);
  std::vector<std::vector<std::int64_t>> kept;
  for (const std::int64_t opportunity : saved) {
    reader.save(opportunity);
    kept.push_back(reader.kept());
  }
  EXPECT_EQ(kept, (std::vector<std::vector<std::int64_t>>{{0}, {0, 1}, {0, 2}, {2, 4}, {4, 5}}));
}

TEST(Replay, AnEventForLastAloneAsksNoRule) {
  const std::vector<double> scores = {0.5, 0.1};
  ReplayPlayer player(top(1, SaveLast::kYes), true, false, {scores});
  EXPECT_EQ(player.play({0, 10, SaveKind::kLastOnly}).saved, Saved::kNo);
  EXPECT_EQ(player.play({1, 20, SaveKind::kRules}).saved, Saved::kYes);
}

TEST(Replay, LooksAtTheScoresOfEveryMetric) {
  RunSpec spec = top(1);
  spec.keep = {KeepBest{1, "accuracy", Mode::kMax}};
  const std::vector<double> losses = {0.5, 0.6, 0.7, 0.4};
  const std::vector<double> accuracies = {0.1, 0.2, 0.2, 0.1};
  ReplayPlayer player(spec, false, false, {losses, accuracies});
  std::vector<bool> saved;
  for (std::int64_t i = 0; i < 4; ++i) {
    saved.push_back(player.play({i, i, SaveKind::kRules}).saved == Saved::kYes);
  }
  EXPECT_EQ(saved, (std::vector<bool>{true, true, false, true}));
}

}  // namespace
}  // namespace checkroom::plan
