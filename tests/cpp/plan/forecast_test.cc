#include "plan/forecast.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "base/error.h"

namespace checkroom::plan {
namespace {

RunSpec top(std::int64_t k, std::int64_t epochs) {
  RunSpec spec;
  spec.max_epochs = epochs;
  spec.steps_per_epoch = 10;
  spec.save_top_k = k;
  spec.monitor = "val_loss";
  spec.save_last = SaveLast::kYes;
  spec.checkpoint_bytes = Bytes(100);
  return spec;
}

std::string error_of(const RunSpec& spec, const Scores& scores) {
  try {
    (void)forecast(spec, &scores);
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

TEST(Forecast, ExactForGivenScores) {
  const Scores scores = {{"val_loss", {0.5, 0.6, 0.4, 0.9, 0.1}}};
  const Forecast played = forecast(top(2, 5), &scores);
  EXPECT_EQ(played.files(), (FileRange{2, 2}));
  EXPECT_EQ(played.peak(), (ByteRange{Bytes(300), Bytes(300)}));
  EXPECT_EQ(played.written().least, Bytes(400));
  EXPECT_EQ(played.kept(), (std::vector<std::int64_t>{2, 4}));
  EXPECT_EQ(played.kept_after(1), (std::vector<std::int64_t>{0, 1}));
  EXPECT_EQ(played.kept_after(3), (std::vector<std::int64_t>{0, 2}));
  EXPECT_EQ(played.timeline().at(3).saved, false);
}

TEST(Forecast, BoundsWithoutScores) {
  const Forecast played = forecast(top(2, 5));
  EXPECT_EQ(played.files(), (FileRange{2, 3}));
  EXPECT_EQ(played.peak(), (ByteRange{Bytes(200), Bytes(300)}));
  EXPECT_EQ(played.written().least, Bytes(200));
  EXPECT_EQ(played.written().most, Bytes(500));
  EXPECT_FALSE(played.kept().has_value());
  EXPECT_FALSE(played.timeline().at(4).saved.has_value());
}

TEST(Forecast, ScoresThatDoNotFitTheRunAreRefused) {
  EXPECT_EQ(error_of(top(2, 3), {{"val_loss", {1, 2}}}),
            "scores: 2 values for 3 opportunities to save");
  EXPECT_EQ(error_of(top(2, 3), {{"val_loss", {1, 2, 3, 4, 5}}}),
            "scores: 5 values for 3 opportunities to save");
  EXPECT_EQ(error_of(top(2, 3), {{"loss", {1, 2, 3}}}), "scores: none for 'val_loss'");
  EXPECT_NE(error_of(top(2, -1), {{"val_loss", {1, 2, 3}}}), "none");
}

TEST(Forecast, FindsTheFirstSaveThatDoesNotFit) {
  const Forecast played = forecast(top(5, 20));
  EXPECT_EQ(played.first_save_that_may_not_fit(Bytes(450))->index, 3);
  EXPECT_EQ(played.first_save_that_cannot_fit(Bytes(450))->index, 4);
  EXPECT_FALSE(played.first_save_that_may_not_fit(Bytes(600)).has_value());
}

TEST(Forecast, ARunThatGrowsForEverIsPlayedOnBeyondItsTimeline) {
  const Forecast played = forecast(top(-1, -1));
  EXPECT_FALSE(played.has_end());
  EXPECT_FALSE(played.is_bounded());
  EXPECT_THROW((void)played.files(), Error);
  EXPECT_EQ(played.bytes_per_epoch(), 100);
  const auto full = played.first_save_that_cannot_fit(Bytes(1'000'000));
  EXPECT_EQ(full->index, 10'000);
  EXPECT_EQ(full->epoch, 10'000);
  EXPECT_EQ(full->step, 100'010);
  EXPECT_EQ(full->written.least, Bytes(1'000'100));
  EXPECT_EQ(played.epochs_until_full(Bytes(1'000'000)), 9999);
  RunSpec rare = top(-1, -1);
  rare.every_n_epochs = 1'000'000'000;
  EXPECT_EQ(forecast(rare).first_save_that_cannot_fit(Bytes(1000))->epoch, 10'999'999'999);
}

TEST(Forecast, ARunWithoutAnEndThatSettlesHasFigures) {
  const Forecast played = forecast(top(3, -1));
  EXPECT_TRUE(played.is_bounded());
  EXPECT_EQ(played.peak().most, Bytes(400));
}

// Whatever the scores are, what is played with them lies within what is played without.
TEST(Forecast, LiesWithinItsBounds) {
  std::mt19937 random(1);
  const auto below = [&random](std::uint32_t n) { return static_cast<std::int64_t>(random() % n); };
  for (int round = 0; round < 300; ++round) {
    RunSpec spec = top(below(6) - 1, 10 + below(30));
    spec.save_last = static_cast<SaveLast>(below(4));
    spec.last_as = static_cast<LastAs>(below(3));
    spec.writer = static_cast<Writer>(below(2));
    if (below(2) == 0) spec.every_n_train_steps = 1 + below(25);
    if (below(3) == 0) spec.keep.emplace_back(KeepLast{1 + below(3)});
    if (below(3) == 0) spec.keep.emplace_back(KeepBest{1 + below(3), "accuracy", Mode::kMax});
    if (below(3) == 0) spec.max_size = Bytes(100 * below(9));
    const auto count = static_cast<std::size_t>(save_count(spec).value());
    Scores scores;
    for (const char* metric : {"val_loss", "accuracy"}) {
      auto& values = scores[metric];
      for (std::size_t i = 0; i < count; ++i) values.push_back(static_cast<double>(below(20)));
    }
    const Forecast exact = forecast(spec, &scores);
    const Forecast bounds = forecast(spec);
    ASSERT_EQ(exact.timeline().size(), count);
    ASSERT_EQ(bounds.timeline().size(), count);
    for (std::size_t i = 0; i < count; ++i) {
      const SavePoint in = exact.timeline().at(i);
      const SavePoint around = bounds.timeline().at(i);
      EXPECT_EQ(in.step, around.step);
      EXPECT_EQ(in.epoch, around.epoch);
      const auto within = [&](Bytes value, Bytes least, Bytes most) {
        EXPECT_LE(least, value) << "round " << round << ", row " << i;
        EXPECT_GE(most, value) << "round " << round << ", row " << i;
      };
      within(in.at_rest.most, around.at_rest.least, around.at_rest.most);
      within(in.peak.most, around.peak.least, around.peak.most);
      within(in.written.most, around.written.least, around.written.most);
      if (around.saved) {
        EXPECT_EQ(in.saved, around.saved);
      }
    }
    EXPECT_EQ(exact.kept()->size(), exact.kept_after(count - 1)->size());
  }
}

}  // namespace
}  // namespace checkroom::plan
