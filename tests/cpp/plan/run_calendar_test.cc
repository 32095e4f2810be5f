#include "plan/run_calendar.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "plan/save_events.h"

namespace checkroom::plan {
namespace {

constexpr std::int64_t kNever = RunCalendar::kNever;

RunSpec epochs_of(std::int64_t epochs, std::int64_t steps) {
  RunSpec spec;
  spec.max_epochs = epochs;
  spec.steps_per_epoch = steps;
  return spec;
}

TEST(Positions, AStepEndsWithItsLastBatchOrItsEpoch) {
  RunSpec spec = epochs_of(3, 4);
  spec.batches_per_epoch = 10;
  spec.accumulate_grad_batches = 3;  // the fourth step of an epoch is its tenth batch
  const RunCalendar calendar(spec);
  EXPECT_EQ(calendar.end(), 30);
  EXPECT_EQ(calendar.batch_of_step(1), 3);
  EXPECT_EQ(calendar.batch_of_step(4), 10);
  EXPECT_EQ(calendar.batch_of_step(5), 13);
  EXPECT_EQ(calendar.step_at(9), 3);
  EXPECT_EQ(calendar.step_at(10), 4);
  EXPECT_EQ(calendar.step_at(12), 4);
  for (std::int64_t step = 1; step <= 12; ++step) {
    const std::int64_t batch = calendar.batch_of_step(step);
    EXPECT_EQ(calendar.step_at(batch), step);
    EXPECT_EQ(calendar.step_at(batch - 1), step - 1);
  }
  EXPECT_EQ(calendar.step_of_epoch(2), 8);
  EXPECT_EQ(calendar.epoch_of(10), 0);
  EXPECT_EQ(calendar.epoch_of(11), 1);
}

TEST(Positions, AResumeThatDoesNotFitItsEpochCountsOnFromItsStep) {
  RunSpec spec = epochs_of(5, 10);
  spec.start_epoch = 4;
  spec.start_step = 1000;  // the epochs were longer then
  const RunCalendar calendar(spec);
  EXPECT_EQ(calendar.start(), 40);
  EXPECT_EQ(calendar.start_step(), 1000);
  EXPECT_EQ(calendar.start_epoch(), 4);
  EXPECT_EQ(calendar.step_at(50), 1010);
  EXPECT_EQ(calendar.batch_of_step(1010), 50);
  EXPECT_EQ(calendar.batch_of_step(960), 0);
}

// What the next_...() find is what a look at every batch finds.
TEST(Validations, AreFoundAsALookAtEveryBatchFindsThem) {
  for (const std::int64_t epochs : {0, 1, 2, 3}) {
    for (const std::int64_t every : {1, 3, 4, 10}) {
      RunSpec spec = epochs_of(7, 10);
      spec.check_val_every_n_epoch.reset();
      if (epochs > 0) spec.check_val_every_n_epoch = epochs;
      spec.val_check_interval = every;
      const RunCalendar calendar(spec);
      for (std::int64_t after = 0; after < calendar.end(); ++after) {
        std::int64_t batch = after + 1;
        while (batch <= calendar.end() && !calendar.validates_at(calendar.place_of(batch))) ++batch;
        const std::int64_t found = calendar.next_validation(after);
        EXPECT_EQ(found <= calendar.end() ? found : kNever,
                  batch <= calendar.end() ? batch : kNever)
            << "epochs " << epochs << ", every " << every << ", after " << after;
      }
    }
  }
}

TEST(Triggers, EveryNthStepAndEveryIntervalOfTime) {
  RunSpec spec = epochs_of(4, 10);
  spec.every_n_train_steps = 7;
  EXPECT_EQ(RunCalendar(spec).next_trigger(0), 7);
  EXPECT_EQ(RunCalendar(spec).next_trigger(7), 14);
  EXPECT_EQ(RunCalendar(spec).next_epoch_save(0), kNever);
  spec.every_n_train_steps.reset();
  spec.train_time_interval_seconds = 30;
  spec.seconds_per_step = 7;
  spec.start_step = 12;  // the clock starts with the run
  EXPECT_EQ(RunCalendar(spec).next_trigger(12), 17);
  EXPECT_EQ(RunCalendar(spec).next_trigger(17), 22);
}

TEST(Triggers, AnEpochThatTheEndCutsShortEndsThere) {
  RunSpec spec = epochs_of(-1, 10);
  spec.max_steps = 25;
  const RunCalendar calendar(spec);
  EXPECT_EQ(calendar.next_epoch_save(10), 20);
  EXPECT_EQ(calendar.next_epoch_save(20), 25);
  EXPECT_EQ(calendar.next_epoch_save(25), kNever);
  spec.every_n_epochs = 2;
  EXPECT_EQ(RunCalendar(spec).next_epoch_save(20), kNever);  // it is the third epoch that ends
}

TEST(Limits, MaxHoursEndsWithAValidation) {
  RunSpec spec = epochs_of(-1, 10);
  spec.seconds_per_step = 60;
  spec.max_hours = 0.4;  // 24 steps
  spec.val_check_interval = 0.5;
  const RunCalendar calendar(spec);
  EXPECT_EQ(calendar.length().steps, 24);
  EXPECT_EQ(calendar.length().epochs, 3);
  EXPECT_TRUE(calendar.validates_at(calendar.place_of(24)));
  EXPECT_EQ(calendar.next_validation(20), 24);
}

TEST(Limits, DefaultsAreLightnings) {
  RunSpec spec;
  EXPECT_EQ(RunCalendar(spec).length().epochs, 1000);
  spec.max_steps = 5;
  spec.steps_per_epoch = 2;
  EXPECT_EQ(RunCalendar(spec).length().epochs, 3);
  spec.max_steps = -1;
  spec.max_epochs = -1;
  EXPECT_FALSE(RunCalendar(spec).length().has_end);
  EXPECT_FALSE(RunCalendar(spec).most_saves().has_value());
}

TEST(Limits, WhatIsNotKnownMayEndTheRunSooner) {
  RunSpec spec;
  spec.max_epochs = 3;
  spec.every_n_train_steps = 10;
  EXPECT_FALSE(RunCalendar(spec).length().has_end);
  spec.max_steps = 25;
  EXPECT_TRUE(RunCalendar(spec).length().may_end_sooner);
  EXPECT_FALSE(RunCalendar(spec).knows_epoch());
  EXPECT_FALSE(RunCalendar(spec).steps_per_epoch().has_value());
  spec.max_epochs = -1;
  EXPECT_FALSE(RunCalendar(spec).length().may_end_sooner);
  spec = RunSpec();
  spec.train_time_interval_seconds = 3.6;
  EXPECT_FALSE(RunCalendar(spec).length().countable);
}

TEST(Last, IsWrittenWithoutASaveWhereLightningDoes) {
  RunSpec spec = epochs_of(4, 10);
  spec.save_last = SaveLast::kYes;
  EXPECT_FALSE(RunCalendar(spec).triggers().last_without_save);
  EXPECT_TRUE(RunCalendar(spec).triggers().last_at_train_end);
  spec.lightning_version = "2.5.6";
  EXPECT_TRUE(RunCalendar(spec).triggers().last_without_save);
  EXPECT_TRUE(RunCalendar(spec).triggers().last_every_epoch);
}

TEST(Reach, PositionsBeyond64BitsAreRefused) {
  EXPECT_THROW(RunCalendar(epochs_of(std::numeric_limits<std::int64_t>::max(), 1000)), Error);
  RunSpec spec = epochs_of(1000, 10);
  spec.start_epoch = 1;
  spec.start_step = std::numeric_limits<std::int64_t>::max() - 5;
  EXPECT_THROW(RunCalendar{spec}, Error);
}

TEST(Reach, MostSavesIsAnUpperBound) {
  for (const std::int64_t every : {1, 2, 3}) {
    for (const double part : {1.0, 0.3, 0.05}) {
      RunSpec spec = epochs_of(9, 20);
      spec.every_n_epochs = every;
      spec.val_check_interval = part;
      std::int64_t count = 0;
      SaveEvents events(spec);
      while (events.next()) ++count;
      const std::int64_t most = *RunCalendar(spec).most_saves();
      EXPECT_LE(count, most);
      EXPECT_LE(most, 3 * count + 60);
    }
  }
}

TEST(NextMultiple, IsTheFirstOneBeyond) {
  EXPECT_EQ(next_multiple(5, 0), 5);
  EXPECT_EQ(next_multiple(5, 4), 5);
  EXPECT_EQ(next_multiple(5, 5), 10);
  EXPECT_EQ(next_multiple(kNever, 1), kNever);
  EXPECT_EQ(next_multiple(1 << 20, kNever - 1), kNever);
}

}  // namespace
}  // namespace checkroom::plan
