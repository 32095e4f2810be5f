#include "plan/forecast_writers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "plan/forecast.h"

namespace checkroom::plan {
namespace {

// What both kinds of staging make of a run, in files.
struct Peaks {
  std::int64_t steady;
  std::int64_t destination;  // with $TMPDIR elsewhere
  std::int64_t total;        // with $TMPDIR on the same filesystem
};

// Every save is better than all before it.
Peaks play_improving(RunSpec spec, std::size_t saves) {
  Scores scores;
  for (std::size_t i = 0; i < saves; ++i) scores["loss"].push_back(-static_cast<double>(i));
  spec.writer = Writer::kLightning;
  spec.checkpoint_bytes = Bytes(1);
  Peaks peaks{};
  for (const Staging staging : {Staging::kOther, Staging::kSame}) {
    spec.staging = staging;
    const Forecast played = forecast(spec, &scores);
    EXPECT_EQ(played.timeline().size(), saves);
    peaks.steady = played.files().most;
    (staging == Staging::kSame ? peaks.total : peaks.destination) = played.peak_files().most;
  }
  return peaks;
}

RunSpec top(std::int64_t k, SaveLast last = SaveLast::kNo) {
  RunSpec spec;
  spec.max_epochs = 8;
  spec.save_top_k = k;
  spec.monitor = "loss";
  spec.save_last = last;
  return spec;
}

void expect_peaks(const Peaks& peaks, std::int64_t steady, std::int64_t destination,
                  std::int64_t total) {
  EXPECT_EQ(peaks.steady, steady);
  EXPECT_EQ(peaks.destination, destination);
  EXPECT_EQ(peaks.total, total);
}

TEST(LightningsWriter, TheNewestAloneNeedsRoomForTwo) {
  RunSpec spec = top(1);
  spec.monitor.reset();
  expect_peaks(play_improving(spec, 8), 1, 2, 2);
}

TEST(LightningsWriter, ATopKNeedsRoomForOneMore) {
  for (const std::int64_t k : {1, 2, 5}) expect_peaks(play_improving(top(k), 8), k, k + 1, k + 1);
}

TEST(LightningsWriter, LastIsASecondFile) {
  for (const std::int64_t k : {1, 2, 5}) {
    expect_peaks(play_improving(top(k, SaveLast::kYes), 8), k + 1, k + 2, k + 2);
  }
}

TEST(LightningsWriter, ALinkIsNone) {
  for (const std::int64_t k : {1, 2, 5}) {
    expect_peaks(play_improving(top(k, SaveLast::kLink), 8), k, k + 1, k + 1);
  }
}

TEST(LightningsWriter, KeepingAll) {
  expect_peaks(play_improving(top(-1), 8), 8, 8, 8);
  expect_peaks(play_improving(top(-1, SaveLast::kYes), 8), 9, 9, 10);
}

TEST(LightningsWriter, LastAloneByStepsIsOverwritten) {
  RunSpec spec = top(0, SaveLast::kYes);
  spec.max_epochs = -1;
  spec.max_steps = 8;
  spec.every_n_train_steps = 1;
  expect_peaks(play_improving(spec, 8), 1, 1, 2);
}

TEST(LightningsWriter, OverwritingInPlaceStagesASecondFile) {
  SaveAct act;
  act.before = act.after = 1;
  act.saves = act.overwrites = true;
  const SaveCost same = play_save(Writer::kLightning, Staging::kSame, act);
  const SaveCost other = play_save(Writer::kLightning, Staging::kOther, act);
  EXPECT_EQ(same.at_rest, 1);
  EXPECT_EQ(same.peak, 2);
  EXPECT_EQ(other.peak, 1);
  EXPECT_EQ(other.staging_peak, 1);
  EXPECT_EQ(same.written, 1);
}

TEST(CheckroomsWriter, StagesOneFileThatLastShares) {
  SaveAct act{3, 3, true, false, false, LastWrite::kShared};
  const SaveCost cost = play_save(Writer::kCheckroom, Staging::kOther, act);
  EXPECT_EQ(cost.at_rest, 3);
  EXPECT_EQ(cost.peak, 4);
  EXPECT_EQ(cost.written, 1);
  EXPECT_EQ(cost.staging_peak, 0);  // it never stages elsewhere
}

TEST(CheckroomsWriter, ALastOfItsOwnGivesItsBlocksBackWhenTheNextOneShares) {
  SaveAct rejected{3, 3, false, false, false, LastWrite::kOwn};
  const SaveCost own = play_save(Writer::kCheckroom, Staging::kSame, rejected);
  EXPECT_EQ(own.at_rest, 4);
  EXPECT_TRUE(own.last_is_own);
  SaveAct taken{3, 3, true, false, true, LastWrite::kShared};
  const SaveCost shared = play_save(Writer::kCheckroom, Staging::kSame, taken);
  EXPECT_EQ(shared.peak, 5);
  EXPECT_EQ(shared.at_rest, 3);
  EXPECT_FALSE(shared.last_is_own);
}

TEST(CheckroomsWriter, ACopiedLastIsWrittenOnceTheRemovedAreGone) {
  SaveAct act{3, 3, true, false, true, LastWrite::kOwn};
  const SaveCost cost = play_save(Writer::kCheckroom, Staging::kSame, act);
  EXPECT_EQ(cost.peak, 5);
  EXPECT_EQ(cost.at_rest, 4);
  EXPECT_EQ(cost.written, 2);
}

TEST(LastOfTheWriters, FollowsTheSpec) {
  RunSpec spec = top(2, SaveLast::kYes);
  EXPECT_EQ(last_after_save(spec), LastWrite::kShared);
  spec.last_as = LastAs::kCopy;
  EXPECT_EQ(last_after_save(spec), LastWrite::kOwn);
  spec.last_as = LastAs::kAuto;
  spec.writer = Writer::kLightning;
  EXPECT_EQ(last_after_save(spec), LastWrite::kOwn);
  spec.save_last = SaveLast::kLink;
  EXPECT_EQ(last_after_save(spec), LastWrite::kShared);
  EXPECT_EQ(last_without_save(spec, false), LastWrite::kOwn);  // nothing to link to
  EXPECT_EQ(last_without_save(spec, true), LastWrite::kNone);
  spec.lightning_version = "2.5";  // it links `last` to itself
  EXPECT_EQ(last_without_save(spec, true), LastWrite::kShared);
  spec.save_last = SaveLast::kUnset;
  EXPECT_EQ(last_after_save(spec), LastWrite::kNone);
  EXPECT_EQ(last_without_save(spec, true), LastWrite::kNone);
}

}  // namespace
}  // namespace checkroom::plan
