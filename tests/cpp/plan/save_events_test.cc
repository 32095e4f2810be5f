#include "plan/save_events.h"

#include <gtest/gtest.h>

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
  spec.seconds_per_step.reset();
  EXPECT_FALSE(SaveEvents(spec).length().has_end);
}

TEST(Limits, MaxHoursEndsWithAValidation) {
  RunSpec spec = epochs_of(-1, 10);
  spec.seconds_per_step = 60;
  spec.max_hours = 0.4;  // 24 steps
  spec.val_check_interval = 0.5;
  EXPECT_EQ(played(spec), "0:5 0:10 1:15 1:20 2:24");
  EXPECT_EQ(SaveEvents(spec).length().steps, 24);
  EXPECT_EQ(SaveEvents(spec).length().epochs, 3);
}

TEST(Limits, DefaultsAreLightnings) {
  RunSpec spec;
  EXPECT_EQ(SaveEvents(spec).length().epochs, 1000);
  spec.max_steps = 5;
  spec.steps_per_epoch = 2;
  EXPECT_EQ(SaveEvents(spec).length().epochs, 3);
  spec.max_steps = -1;
  spec.max_epochs = -1;
  EXPECT_FALSE(SaveEvents(spec).length().has_end);
  EXPECT_FALSE(SaveEvents(spec).at_most().has_value());
}

TEST(Resume, StartsWhereItWasLeft) {
  RunSpec spec = epochs_of(5, 10);
  spec.start_epoch = 3;
  EXPECT_EQ(played(spec), "3:40 4:50");
  spec.start_epoch = 0;
  spec.start_step = 45;
  EXPECT_EQ(played(spec), "4:50");
  EXPECT_EQ(SaveEvents(spec).length().steps, 5);
  EXPECT_EQ(SaveEvents(spec).start_epoch(), 4);
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
  EXPECT_FALSE(SaveEvents(spec).last_without_save());
  spec.lightning_version = "2.5.6";
  EXPECT_EQ(played(spec), "0:10+ 1:20 2:30+ 3:40");
  EXPECT_TRUE(SaveEvents(spec).last_without_save());
  spec.every_n_epochs.reset();
  spec.every_n_train_steps = 15;
  EXPECT_EQ(played(spec), "0:10+ 1:15 1:20+ 2:30 3:40+");
}

TEST(UnknownLength, CountsWhatCanBeCounted) {
  RunSpec spec;
  spec.max_epochs = 3;
  EXPECT_EQ(played(spec), "0:-1 1:-1 2:-1");
  spec.every_n_train_steps = 10;
  EXPECT_FALSE(SaveEvents(spec).length().has_end);
  spec.max_steps = 25;
  EXPECT_EQ(played(spec), "-1:10 -1:20");
  EXPECT_TRUE(SaveEvents(spec).length().may_end_sooner);
  spec.max_epochs = -1;
  EXPECT_FALSE(SaveEvents(spec).length().may_end_sooner);
}

TEST(Reach, BillionsOfBatchesCostAsMuchAsTheirSaves) {
  RunSpec spec = epochs_of(-1, 1'000'000'000);
  spec.every_n_train_steps = 400'000'000'000;
  spec.max_steps = 1'000'000'000'000;
  EXPECT_EQ(played(spec), "399:400000000000 799:800000000000");
  spec = epochs_of(std::numeric_limits<std::int64_t>::max(), 1000);
  EXPECT_THROW(SaveEvents{spec}, Error);
}

TEST(Reach, AtMostIsAnUpperBound) {
  for (const std::int64_t every : {1, 2, 3}) {
    for (const double part : {1.0, 0.3, 0.05}) {
      RunSpec spec = epochs_of(9, 20);
      spec.every_n_epochs = every;
      spec.val_check_interval = part;
      std::int64_t count = 0;
      SaveEvents events(spec);
      const std::int64_t most = *events.at_most();
      while (events.next()) ++count;
      EXPECT_LE(count, most);
      EXPECT_LE(most, 3 * count + 60);
    }
  }
}

}  // namespace
}  // namespace checkroom::plan
