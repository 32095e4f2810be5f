#include "plan/event_positions.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace checkroom::plan {
namespace {

void compare(const std::vector<EventPosition>& expected) {
  EventPositions positions;
  for (const EventPosition& position : expected) positions.append(position.epoch, position.step);
  ASSERT_EQ(positions.size(), expected.size());
  EventPositions::Reader reader(positions);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(positions.at(i), expected[i]) << i;
    ASSERT_EQ(reader.next(), expected[i]) << i;
  }
}

TEST(EventPositions, GiveBackWhatWasAppended) {
  compare({});
  compare({{0, 0}});
  compare({{3, 7}, {3, 7}, {3, 7}});
  compare({{0, 10}, {1, 20}, {2, 30}, {2, 34}, {2, 38}, {5, 50}});
  compare({{-1, 10}, {-1, 20}, {-1, 25}});
  compare({{0, -1}, {1, -1}, {2, -1}});
}

TEST(EventPositions, ReachTheEndsOf64Bits) {
  const std::int64_t far = INT64_MAX - 1;
  compare({{0, 0}, {far, far}, {far, far}, {0, far}});
}

TEST(EventPositions, WhateverTheDistancesAre) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<EventPosition> positions;
    EventPosition at;
    const auto kinds = 1 + random() % 3;
    for (int i = 0; i < 100; ++i) {
      const auto kind = static_cast<std::int64_t>(random() % kinds);
      at = {at.epoch + kind, at.step + 5 + kind * static_cast<std::int64_t>(random() % 2)};
      positions.push_back(at);
    }
    compare(positions);
  }
}

}  // namespace
}  // namespace checkroom::plan
