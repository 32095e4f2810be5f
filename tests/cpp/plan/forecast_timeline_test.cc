#include "plan/forecast_timeline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <stdexcept>
#include <vector>

#include "base/error.h"
#include "plan/interned.h"

namespace checkroom::plan {
namespace {

SaveOutcome saves(std::int32_t gained, std::int32_t written = 1) {
  SaveOutcome outcome;
  outcome.saved = Saved::kYes;
  outcome.gained = outcome.files = {gained, gained};
  outcome.peak = {1, 1};
  outcome.written = {written, written};
  return outcome;
}

RunSpec spec_of_100_bytes() {
  RunSpec spec;
  spec.checkpoint_bytes = Bytes(100);
  spec.existing_files = 2;
  spec.existing_bytes = Bytes(30);
  spec.seconds_per_step = 0.5;
  return spec;
}

TEST(Timeline, PutsARowTogetherFromWhatWasDoneBefore) {
  Timeline timeline(spec_of_100_bytes(), 10);
  timeline.turn(0, saves(1));
  timeline.append({0, 20, SaveKind::kRules}, 0);
  timeline.append({1, 30, SaveKind::kRules}, 0);
  timeline.turn(1, saves(0));
  timeline.append({2, 40, SaveKind::kRules}, 0);
  SaveOutcome last;
  last.kind = SaveKind::kLastOnly;
  last.files = {0, 1};
  last.peak = {0, 1};
  last.written = {0, 1};
  timeline.turn(2, last);
  timeline.append({3, 45, SaveKind::kLastOnly}, 3.25);
  timeline.close();
  ASSERT_EQ(timeline.size(), 4U);

  const SavePoint second = timeline.at(1);
  EXPECT_EQ(second.index, 1);
  EXPECT_EQ(second.epoch, 1);
  EXPECT_EQ(second.step, 30);
  EXPECT_EQ(second.seconds, 10.0);
  EXPECT_EQ(second.saved, true);
  EXPECT_FALSE(second.last_only);
  EXPECT_EQ(second.files, (FileRange{4, 4}));
  EXPECT_EQ(second.at_rest, (ByteRange{Bytes(230), Bytes(230)}));
  EXPECT_EQ(second.peak, (ByteRange{Bytes(230), Bytes(230)}));
  EXPECT_EQ(second.written.most, Bytes(200));
  EXPECT_EQ(second.written.expected, 200);

  const SavePoint third = timeline.at(2);
  EXPECT_EQ(third.files, (FileRange{4, 4}));
  EXPECT_EQ(third.peak_files, (FileRange{5, 5}));
  EXPECT_EQ(third.written.least, Bytes(300));

  const SavePoint fourth = timeline.at(3);
  EXPECT_EQ(fourth.saved, false);
  EXPECT_TRUE(fourth.last_only);
  EXPECT_EQ(fourth.files, (FileRange{4, 5}));
  EXPECT_EQ(fourth.written.least, Bytes(300));
  EXPECT_EQ(fourth.written.most, Bytes(400));
  EXPECT_EQ(fourth.written.expected, 325);

  EXPECT_EQ(timeline.highest().files, 3U);
  EXPECT_EQ(timeline.highest().peak, (LeastMost<std::uint32_t>{3, 3}));
  EXPECT_THROW((void)timeline.at(4), std::out_of_range);
}

TEST(Timeline, OfNothingIsEmpty) {
  Timeline timeline(spec_of_100_bytes(), 0);
  timeline.close();
  EXPECT_EQ(timeline.size(), 0U);
  EXPECT_FALSE(timeline.find([](const TimelineRow&, std::size_t) { return true; }));
  EXPECT_EQ(timeline.highest().files, 0U);
}

// Random runs of random outcomes, against a sum over all rows.
TEST(Timeline, AgreesWithASumRowByRow) {
  std::mt19937 random(1);
  const auto below = [&random](std::uint32_t n) { return static_cast<std::int32_t>(random() % n); };
  for (int round = 0; round < 60; ++round) {
    Timeline timeline(spec_of_100_bytes(), 0);
    timeline.reserve(static_cast<std::size_t>(below(3)) * 500);
    std::vector<SaveOutcome> kinds;
    for (int i = 0; i < 1 + below(20); ++i) {
      SaveOutcome outcome = saves(below(3) - 1);
      outcome.gained.most += below(2);
      outcome.files.most += below(3);
      outcome.peak.most += below(3);
      if (round % 2 == 0) outcome.written.most += below(2);
      outcome.saved = static_cast<Saved>(below(3));
      kinds.push_back(outcome);
    }
    std::vector<TimelineRow> rows;
    LeastMost<std::uint32_t> kept{1000, 1000};  // never below 0 in what follows
    SaveOutcome begin;
    begin.gained = begin.files = begin.peak = {1000, 1000};
    TimelineRow row;
    double expected = 0;
    const auto append = [&](const SaveOutcome& outcome, bool first) {
      const LeastMost<std::uint32_t> before = first ? LeastMost<std::uint32_t>{} : kept;
      const auto plus = [](std::uint32_t files, std::int32_t more) {
        return static_cast<std::uint32_t>(static_cast<std::int32_t>(files) + more);
      };
      row.epoch += below(2);
      row.step += 1 + below(3);
      row.saved = outcome.saved;
      row.files = {plus(before.least, outcome.files.least), plus(before.most, outcome.files.most)};
      row.peak = {plus(before.least, outcome.peak.least), plus(before.most, outcome.peak.most)};
      row.written = {plus(row.written.least, outcome.written.least),
                     plus(row.written.most, outcome.written.most)};
      if (!first) {
        kept = {plus(kept.least, outcome.gained.least), plus(kept.most, outcome.gained.most)};
      }
      const bool parted = row.written.least != row.written.most;
      expected = parted ? row.written.least + 0.125 : row.written.least;
      row.expected = expected;
      timeline.append({row.epoch, row.step, SaveKind::kRules}, expected);
      rows.push_back(row);
    };
    Interned<SaveOutcome> numbers;
    timeline.turn(numbers.number_of(begin), begin);
    append(begin, true);
    for (int run = 0; run < 300; ++run) {
      const SaveOutcome& outcome =
          kinds[static_cast<std::size_t>(below(static_cast<std::uint32_t>(kinds.size())))];
      timeline.turn(numbers.number_of(outcome), outcome);
      for (int i = below(4); i >= 0; --i) append(outcome, false);
    }
    timeline.close();

    ASSERT_EQ(timeline.size(), rows.size());
    const auto equal = [](const TimelineRow& a, const TimelineRow& b) {
      return a.epoch == b.epoch && a.step == b.step && a.saved == b.saved && a.kind == b.kind &&
             a.files == b.files && a.peak == b.peak && a.written == b.written &&
             a.expected == b.expected;
    };
    std::uint32_t files = 0;
    LeastMost<std::uint32_t> peak;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      ASSERT_TRUE(equal(timeline.row(i), rows[i])) << "round " << round << ", row " << i;
      files = std::max(files, rows[i].files.most);
      peak = {std::max(peak.least, rows[i].peak.least), std::max(peak.most, rows[i].peak.most)};
    }
    EXPECT_EQ(timeline.highest().files, files);
    EXPECT_EQ(timeline.highest().peak, peak);
    std::size_t seen = 0;
    EXPECT_TRUE(timeline.find([&](const TimelineRow& found, std::size_t index) {
      EXPECT_EQ(index, seen);
      EXPECT_TRUE(equal(found, rows[index]));
      return ++seen == rows.size() / 2;
    }));
    EXPECT_EQ(seen, rows.size() / 2);
  }
}

TEST(Timeline, RefusesMoreThanCanBePlayed) {
  Timeline timeline(spec_of_100_bytes(), 0);
  timeline.turn(0, saves(0));
  for (std::size_t i = 0; i < kMostSaves; ++i) timeline.append({}, 0);
  EXPECT_THROW(timeline.append({}, 0), Error);
}

}  // namespace
}  // namespace checkroom::plan
