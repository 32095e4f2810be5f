#include "plan/save_events.h"

#include <gtest/gtest.h>

#include <limits>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"

namespace checkroom::plan {
namespace {

RunSpec epochs_of(std::int64_t epochs, std::int64_t steps) {
  RunSpec spec;
  spec.max_epochs = epochs;
  spec.steps_per_epoch = steps;
  return spec;
}

// "epoch:step" of each event; a '+' marks one at which only `last` is written.
std::string played(const RunSpec& spec) {
  SaveEvents events(spec);
  std::string text;
  while (const auto event = events.next()) {
    text += (text.empty() ? "" : " ") + std::to_string(event->epoch) + ":" +
            std::to_string(event->step) + (event->kind == SaveKind::kLastOnly ? "+" : "");
  }
  return text;
}

TEST(EpochTrigger, SavesAtEveryNthEpochsEnd) {
  RunSpec spec = epochs_of(7, 10);
  EXPECT_EQ(played(spec), "0:10 1:20 2:30 3:40 4:50 5:60 6:70");
  spec.every_n_epochs = 3;
  EXPECT_EQ(played(spec), "2:30 5:60");
  spec.every_n_epochs = 0;
  EXPECT_EQ(played(spec), "");
}

TEST(EpochTrigger, AStopInMidEpochEndsThatEpoch) {
  RunSpec spec = epochs_of(-1, 10);
  spec.max_steps = 25;
  EXPECT_EQ(played(spec), "0:10 1:20 2:25");
  spec.every_n_epochs = 2;
  EXPECT_EQ(played(spec), "1:20");
}

TEST(EpochTrigger, FollowsValidationWhereItIsNotEachEpochsEnd) {
  RunSpec spec = epochs_of(4, 10);
  spec.val_check_interval = 0.5;
  EXPECT_EQ(played(spec), "0:5 0:10 1:15 1:20 2:25 2:30 3:35 3:40");
  spec.val_check_interval = std::int64_t{4};
  EXPECT_EQ(played(spec), "0:4 0:8 1:14 1:18 2:24 2:28 3:34 3:38");
  spec.every_n_epochs = 2;
  EXPECT_EQ(played(spec), "1:14 1:18 3:34 3:38");
  spec = epochs_of(6, 10);
  spec.check_val_every_n_epoch = 2;
  EXPECT_EQ(played(spec), "1:20 3:40 5:60");
  spec.every_n_epochs = 3;
  EXPECT_EQ(played(spec), "5:60");
  spec.check_val_every_n_epoch.reset();
  spec.val_check_interval = std::int64_t{7};
  spec.every_n_epochs = 1;
  EXPECT_EQ(played(spec), "0:7 1:14 2:21 2:28 3:35 4:42 4:49 5:56");
}

TEST(EpochTrigger, IsTheTrainEpochsEndWhereAskedFor) {
  RunSpec spec = epochs_of(2, 10);
  spec.val_check_interval = 0.5;
  spec.save_on_train_epoch_end = true;
  EXPECT_EQ(played(spec), "0:10 1:20");
  spec.validates = false;
  spec.save_on_train_epoch_end = false;  // then there is no moment to save
  EXPECT_EQ(played(spec), "");
}

TEST(StepTrigger, SavesOnceAStep) {
  RunSpec spec = epochs_of(3, 10);
  spec.every_n_train_steps = 4;
  EXPECT_EQ(played(spec), "0:4 0:8 1:12 1:16 1:20 2:24 2:28");
  spec.accumulate_grad_batches = 3;
  EXPECT_EQ(played(spec), "0:4 0:8 1:12 1:16 1:20 2:24 2:28");
  spec.max_steps = 16;
  EXPECT_EQ(played(spec), "0:4 0:8 1:12 1:16");
}

TEST(StepTrigger, OnTheLastBatchWaitsForTheNextValidation) {
  RunSpec spec = epochs_of(3, 10);
  spec.monitor = "loss";
  spec.every_n_train_steps = 5;
  spec.val_check_interval = std::int64_t{4};  // validates at 4 and 8 of each epoch
  EXPECT_EQ(played(spec), "0:5 1:14 1:15 2:24 2:25");
  spec.lightning_version = "2.5.0";  // which did not wait
  EXPECT_EQ(played(spec), "0:5 0:10 1:15 1:20 2:25 2:30");
}

TEST(TimeTrigger, SavesAtTheFirstBatchAfterEachInterval) {
  RunSpec spec = epochs_of(2, 100);
  spec.seconds_per_step = 0.1;
  spec.train_time_interval_seconds = 3.6;  // 36.000000000000004 steps in doubles
  EXPECT_EQ(played(spec), "0:36 0:72 1:108 1:144 1:180");
  spec.train_time_interval_seconds = 3.65;
  EXPECT_EQ(played(spec), "0:37 0:74 1:111 1:148 1:185");
}

TEST(Limits, MaxHoursEndsWithAValidation) {
  RunSpec spec = epochs_of(-1, 10);
  spec.seconds_per_step = 60;
  spec.max_hours = 0.4;  // 24 steps
  spec.val_check_interval = 0.5;
  EXPECT_EQ(played(spec), "0:5 0:10 1:15 1:20 2:24");
}

TEST(Resume, StartsWhereItWasLeft) {
  RunSpec spec = epochs_of(5, 10);
  spec.start_epoch = 3;
  EXPECT_EQ(played(spec), "3:40 4:50");
  spec.start_epoch = 0;
  spec.start_step = 45;
  EXPECT_EQ(played(spec), "4:50");
  spec.start_epoch = 4;
  spec.start_step = 1000;  // the epochs were longer then
  EXPECT_EQ(played(spec), "4:1010");
  spec.start_epoch = 5;
  EXPECT_EQ(played(spec), "");
}

TEST(Last, IsWrittenAtTheTrainEndWhereNothingElseWas) {
  RunSpec spec = epochs_of(3, 10);
  spec.save_last = SaveLast::kYes;
  spec.every_n_epochs = 5;
  EXPECT_EQ(played(spec), "2:30+");
  spec.every_n_epochs = 1;
  spec.save_top_k = 0;
  EXPECT_EQ(played(spec), "2:30+");
  spec.save_last = SaveLast::kNo;
  EXPECT_EQ(played(spec), "");
}

TEST(Last, IsWrittenAtEveryEpochsEndBefore26) {
  RunSpec spec = epochs_of(4, 10);
  spec.save_last = SaveLast::kYes;
  spec.every_n_epochs = 2;
  spec.lightning_version = "2.5.6";
  EXPECT_EQ(played(spec), "0:10+ 1:20 2:30+ 3:40");
  spec.every_n_epochs.reset();
  spec.every_n_train_steps = 15;
  EXPECT_EQ(played(spec), "0:10+ 1:15 1:20+ 2:30 3:40+");
}

TEST(UnknownLength, CountsWhatCanBeCounted) {
  RunSpec spec;
  spec.max_epochs = 3;
  EXPECT_EQ(played(spec), "0:-1 1:-1 2:-1");
  spec.every_n_train_steps = 10;
  spec.max_steps = 25;
  EXPECT_EQ(played(spec), "-1:10 -1:20");
}

TEST(Reach, BillionsOfBatchesCostAsMuchAsTheirSaves) {
  RunSpec spec = epochs_of(-1, 1'000'000'000);
  spec.every_n_train_steps = 400'000'000'000;
  spec.max_steps = 1'000'000'000'000;
  EXPECT_EQ(played(spec), "399:400000000000 799:800000000000");
  spec = epochs_of(std::numeric_limits<std::int64_t>::max(), 1000);
  EXPECT_THROW(SaveEvents{spec}, Error);
}

// A run of any kind that a spec can describe, most of them short.
class RandomSpec {
 public:
  explicit RandomSpec(std::uint32_t seed) : random_(seed) {}

  RunSpec operator()() {
    RunSpec spec;
    if (one_in(2)) spec.max_epochs = one_in(6) ? -1 : between(0, 25);
    if (one_in(3)) spec.max_steps = one_in(6) ? -1 : between(0, 200);
    if (one_in(6)) spec.max_hours = static_cast<double>(between(1, 40)) / 10;
    spec.accumulate_grad_batches = one_in(2) ? 1 : between(1, 4);
    if (!one_in(6)) {
      (one_in(3) ? spec.batches_per_epoch : spec.steps_per_epoch) = between(1, 12);
    }
    if (one_in(2)) spec.seconds_per_step = static_cast<double>(between(1, 400));
    if (one_in(3)) spec.start_epoch = between(0, 8);
    if (one_in(3)) spec.start_step = between(0, 90);
    spec.validates = !one_in(4);
    spec.check_val_every_n_epoch = one_in(2) ? 1 : between(1, 4);
    if (one_in(5)) spec.check_val_every_n_epoch.reset();
    if (one_in(3) || !spec.check_val_every_n_epoch) spec.val_check_interval = between(1, 8);
    const auto trigger = between(0, 4);
    if (trigger <= 1) spec.every_n_epochs = between(0, 5);
    if (trigger == 2) spec.every_n_train_steps = between(0, 30);
    if (trigger == 3) spec.train_time_interval_seconds = static_cast<double>(between(0, 900));
    if (one_in(3)) spec.save_on_train_epoch_end = one_in(2);
    if (one_in(2)) spec.monitor = "loss";
    spec.save_top_k = between(-1, 1);
    spec.save_last = static_cast<SaveLast>(between(0, 3));
    static const char* const versions[] = {"2.6", "2.5.6", "2.5.0"};
    spec.lightning_version = versions[between(0, 2)];
    return spec;
  }

 private:
  std::int64_t between(std::int64_t least, std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(least, most)(random_);
  }
  bool one_in(std::int64_t n) { return between(1, n) == 1; }

  std::mt19937 random_;
};

// The events that are counted in strides are the events that are found one by one.
TEST(Stride, IsWhatTheWalkYields) {
  RandomSpec random_spec(1);
  int played = 0;
  int in_strides = 0;
  for (int round = 0; round < 20'000; ++round) {
    const RunSpec spec = random_spec();
    std::optional<RunCalendar> calendar;
    try {
      calendar.emplace(spec);
    } catch (const Error&) {
      continue;  // impossible
    }
    ++played;
    SaveEvents events(*calendar);
    SaveWalk walk(*calendar);
    SaveWalk strides(*calendar);
    in_strides += strides.take_stride().count > 1 ? 1 : 0;
    for (int i = 0; i < 300; ++i) {  // a run without an end goes on for ever
      const auto event = events.next();
      ASSERT_EQ(event, walk.next()) << "round " << round << ", event " << i;
      if (!event) break;
    }
  }
  EXPECT_GT(played, 10'000);
  EXPECT_GT(in_strides, 3000);
}

TEST(Stride, GoesOnAfterAStepThatTheResumedRunHadBegun) {
  RunSpec spec = epochs_of(3, 10);
  spec.accumulate_grad_batches = 2;
  spec.every_n_train_steps = 3;
  spec.start_step = 6;
  EXPECT_EQ(played(spec), "0:6 0:9 1:12 1:15 1:18 2:21 2:24 2:27 2:30");
}

TEST(Stride, EndsWhereTheRunDoes) {
  RunSpec spec = epochs_of(-1, 10);
  spec.every_n_epochs = 2;
  spec.max_steps = 45;  // in the fifth epoch
  EXPECT_EQ(played(spec), "1:20 3:40");
  spec.every_n_epochs.reset();
  EXPECT_EQ(played(spec), "0:10 1:20 2:30 3:40 4:45");
  spec.every_n_train_steps = 45;
  EXPECT_EQ(played(spec), "4:45");
  spec.every_n_train_steps = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(played(spec), "");
  spec.every_n_train_steps.reset();
  spec.every_n_epochs = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(played(spec), "");
}

TEST(Stride, EndsWhereTheNextOneWouldLeave64Bits) {
  RunSpec spec = epochs_of(-1, 10);
  spec.every_n_train_steps = std::int64_t{1} << 62;
  spec.max_steps = (std::int64_t{1} << 62) + 5;
  EXPECT_EQ(played(spec), "461168601842738790:4611686018427387904");
}

TEST(Stride, OfARunWithoutAnEndNeverRunsOut) {
  RunSpec spec = epochs_of(-1, 1);
  spec.every_n_epochs = std::int64_t{1} << 58;
  SaveEvents events(spec);
  for (std::int64_t i = 1; i <= 20; ++i) {
    const auto event = events.next();
    ASSERT_TRUE(event.has_value()) << i;
    EXPECT_EQ(event->step, i * *spec.every_n_epochs);
  }
}

TEST(ForEach, StopsWhereItIsToldToAndGoesOnFromThere) {
  const RunSpec spec = epochs_of(7, 10);
  SaveEvents events(spec);
  std::vector<std::int64_t> steps;
  const auto until = [&steps](std::int64_t last) {
    return [&steps, last](const SaveEvent& event) {
      steps.push_back(event.step);
      return event.step < last;
    };
  };
  events.for_each(until(30));
  EXPECT_EQ(events.next()->step, 40);
  events.for_each(until(1000));
  EXPECT_EQ(steps, (std::vector<std::int64_t>{10, 20, 30, 50, 60, 70}));
  EXPECT_FALSE(events.next().has_value());
}

}  // namespace
}  // namespace checkroom::plan
