#include "plan/advice.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "base/error.h"
#include "plan/forecast.h"

namespace checkroom::plan {
namespace {

constexpr std::int64_t kFile = 6'900'000'000;

RunSpec run(std::int64_t epochs) {
  RunSpec spec;
  spec.max_epochs = epochs;
  spec.monitor = "val_loss";
  spec.checkpoint_bytes = Bytes(kFile);
  return spec;
}

const Advice::Choice* of_kind(const Advice& advice, AdviceKind kind) {
  const auto found = std::find_if(advice.fits.begin(), advice.fits.end(),
                                  [&](const Advice::Choice& one) { return one.kind == kind; });
  return found == advice.fits.end() ? nullptr : &*found;
}

TEST(Advice, TheStrategyOfTheRunsLengthComesFirst) {
  for (const auto& [epochs, k, every, last] :
       std::vector<std::tuple<std::int64_t, std::int64_t, std::int64_t, bool>>{
           {5, 2, 1, false},
           {10, 2, 1, false},
           {20, 3, 5, true},
           {50, 3, 5, true},
           {100, 3, 10, true}}) {
    const Advice advice = advise(run(epochs), Bytes(50'000'000'000));
    ASSERT_FALSE(advice.fits.empty());
    const Advice::Choice& first = advice.fits.front();
    EXPECT_EQ(first.kind, AdviceKind::kStrategy);
    EXPECT_EQ(first.spec.save_top_k, k);
    EXPECT_EQ(epoch_interval(first.spec), every);
    EXPECT_EQ(keeps_last(first.spec), last);
  }
}

TEST(Advice, EveryFigureIsThatOfTheForecastOfTheSameSpec) {
  const Bytes have(50'000'000'000);
  for (const Advice::Choice& choice : advise(run(20), have).fits) {
    ASSERT_TRUE(choice.need);
    EXPECT_EQ(*choice.need, forecast(choice.spec).peak().most);
    EXPECT_EQ(choice.margin, have - *choice.need);
    EXPECT_GE(choice.margin.count(), 0);
  }
}

TEST(Advice, LogsCountBesideTheCheckpoints) {
  RunSpec spec = run(20);
  spec.steps_per_epoch = 100;
  spec.csv_bytes_per_epoch = Bytes(1000);
  EXPECT_EQ(*need_of(spec), forecast(spec).peak().most + Bytes(20'000));
  const Bytes exactly(4 * kFile + 20'000);
  ASSERT_NE(of_kind(advise(spec, exactly), AdviceKind::kStrategy), nullptr);
  EXPECT_EQ(of_kind(advise(spec, exactly - Bytes(1)), AdviceKind::kStrategy), nullptr);
}

TEST(Advice, ATightDiskKeepsLastBeforeMoreBestFiles) {
  const Advice advice = advise(run(20), Bytes(3 * kFile));
  const Advice::Choice* first = &advice.fits.front();
  EXPECT_EQ(first->kind, AdviceKind::kLast);
  EXPECT_TRUE(keeps_last(first->spec));
  EXPECT_EQ(first->spec.save_top_k, 2);
  EXPECT_EQ(epoch_interval(first->spec), 1);
}

TEST(Advice, NoIntervalIsFinerThanTheOneAskedAbout) {
  RunSpec spec = run(100);
  spec.every_n_epochs = 20;
  for (const Advice::Choice& choice : advise(spec, Bytes(1'000'000'000'000)).fits) {
    EXPECT_GE(epoch_interval(choice.spec), 20);
  }
}

TEST(Advice, ACapIsOfferedOnlyWhereTheArgumentsThemselvesDoNotFit) {
  RunSpec spec = run(20);
  spec.save_top_k = -1;
  const Advice tight = advise(spec, Bytes(50'000'000'000));
  const Advice::Choice* cap = of_kind(tight, AdviceKind::kCap);
  ASSERT_NE(cap, nullptr);
  EXPECT_EQ(cap->spec.save_top_k, -1);
  EXPECT_EQ(*cap->spec.max_size, Bytes(50'000'000'000));
  EXPECT_LE(*cap->need, Bytes(50'000'000'000));
  EXPECT_EQ(of_kind(advise(spec, Bytes(200'000'000'000)), AdviceKind::kCap), nullptr);
}

TEST(Advice, LightningsWriterGetsNoArgumentOfCheckrooms) {
  RunSpec spec = run(20);
  spec.save_top_k = -1;
  spec.writer = Writer::kLightning;
  for (const Advice::Choice& choice : advise(spec, Bytes(50'000'000'000)).fits) {
    EXPECT_TRUE(choice.spec.keep.empty());
    EXPECT_FALSE(choice.spec.max_size);
  }
}

TEST(Advice, WithoutAMetricTheNewestAreKeptByARule) {
  RunSpec spec = run(20);
  spec.monitor.reset();
  const Advice advice = advise(spec, Bytes(5 * kFile));
  const Advice::Choice* last = of_kind(advice, AdviceKind::kLast);
  ASSERT_NE(last, nullptr);
  ASSERT_EQ(last->spec.keep.size(), 1U);
  EXPECT_EQ(rule_text(last->spec.keep.front()), "KeepLast(n=4)");
  EXPECT_EQ(last->spec.save_top_k, 1);
  spec.writer = Writer::kLightning;
  for (const Advice::Choice& choice : advise(spec, Bytes(5 * kFile)).fits) {
    EXPECT_EQ(choice.spec.save_top_k, 1);
  }
}

TEST(Advice, WhereNothingFitsItSaysByHowMuchAndWhatWould) {
  RunSpec spec = run(20);
  spec.weights_only_bytes = Bytes(2'000'000'000);
  const Bytes have(6'000'000'000);
  const Advice advice = advise(spec, have);
  EXPECT_TRUE(advice.fits.empty());
  EXPECT_EQ(*advice.smallest.need, Bytes(2 * kFile));
  EXPECT_EQ(advice.smallest.margin, have - Bytes(2 * kFile));
  EXPECT_EQ(advice.fitting_file, Bytes(3'000'000'000));
  ASSERT_TRUE(advice.weights_only);
  EXPECT_EQ(*advice.weights_only->need, Bytes(4'000'000'000));
  RunSpec smaller = advice.smallest.spec;
  smaller.checkpoint_bytes = advice.fitting_file;
  EXPECT_EQ(*need_of(smaller), have);
}

TEST(Advice, ARunWithoutAnEndThatKeepsEverythingHasNoNeed) {
  RunSpec spec = run(-1);
  spec.save_top_k = -1;
  const Advice advice = advise(spec, Bytes(50'000'000'000));
  EXPECT_FALSE(advice.own.need);
  ASSERT_FALSE(advice.fits.empty());
  EXPECT_EQ(advice.fits.front().kind, AdviceKind::kStrategy);
  EXPECT_EQ(advice.strategy.name, "long");
}

TEST(Advice, ARunWithoutAnEndThatOnlyWritesLastComesToAnEnd) {
  RunSpec spec = run(-1);
  spec.every_n_epochs = 0;
  spec.save_last = SaveLast::kYes;
  spec.lightning_version = "2.5.6";  // which writes `last` at every epoch's end
  const Advice advice = advise(spec, Bytes(50'000'000'000));
  EXPECT_EQ(advice.own.need, forecast(spec).peak().most);
  EXPECT_TRUE(advice.fits.empty());
}

TEST(Advice, ARunWithoutAnEndThatWritesLogsIsRefused) {
  RunSpec spec = run(-1);
  spec.steps_per_epoch = 10;
  spec.csv_bytes_per_epoch = Bytes(1);
  EXPECT_THROW(static_cast<void>(advise(spec, Bytes(1))), Error);
  EXPECT_THROW(static_cast<void>(advise(run(20), Bytes(-1))), Error);
}

TEST(Advice, TheRuleNamesTheStrategy) {
  EXPECT_NE(
      rule_of(advise(run(20), Bytes(0))).find("medium run (20 to 99 epochs: the 3 best, every 5"),
      std::string::npos);
}

}  // namespace
}  // namespace checkroom::plan
