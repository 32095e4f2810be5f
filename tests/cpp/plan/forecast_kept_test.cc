#include "plan/forecast_kept.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace checkroom::plan {
namespace {

using Kept = std::vector<std::int64_t>;

TEST(SlotPool, GivesOutAgainWhatCameBackLast) {
  SlotPool slots;
  for (const ItemId slot : {0U, 1U, 2U}) {
    EXPECT_EQ(slots.next(), slot);
    slots.take();
  }
  slots.give_back(0);
  slots.give_back(2);
  EXPECT_EQ(slots.next(), 2U);
  slots.take();
  EXPECT_EQ(slots.next(), 0U);
  slots.take();
  EXPECT_EQ(slots.next(), 3U);
}

TEST(KeptLog, TellsWhoseFilesAreKeptAfterAnySave) {
  KeptLog log;
  log.add({});                  // 5 into slot 0
  log.add({});                  // 6 into slot 1
  log.add({{0, {}}});           // 8 into slot 2; slot 0 leaves
  log.add({{1, {}}, {2, {}}});  // 9 into slot 0; slots 1 and 2 leave
  log.add({});                  // 12 into slot 2
  KeptLog::Reader reader(log);
  EXPECT_EQ(reader.kept(), Kept());
  reader.save(5);
  EXPECT_EQ(reader.kept(), (Kept{5}));
  reader.save(6);
  EXPECT_EQ(reader.kept(), (Kept{5, 6}));
  reader.save(8);
  EXPECT_EQ(reader.kept(), (Kept{6, 8}));
  reader.save(9);
  EXPECT_EQ(reader.kept(), (Kept{9}));
  reader.save(12);
  EXPECT_EQ(reader.kept(), (Kept{9, 12}));
}

TEST(KeptLog, AgreesWithASetOfTheFilesKept) {
  std::mt19937 random(3);
  for (int round = 0; round < 100; ++round) {
    KeptLog log;
    SlotPool slots;
    std::vector<std::pair<ItemId, std::int64_t>> stored;  // slot, opportunity
    std::vector<Kept> expected;
    for (std::int64_t opportunity = 0; opportunity < 60; ++opportunity) {
      stored.emplace_back(slots.next(), opportunity);
      slots.take();
      std::vector<Leave> leaves;
      for (auto count = random() % 3; count > 0 && stored.size() > 1; --count) {
        const auto gone =
            stored.begin() + static_cast<std::ptrdiff_t>(random() % (stored.size() - 1));
        leaves.push_back({gone->first, {}});
        slots.give_back(gone->first);
        stored.erase(gone);
      }
      log.add(leaves);
      Kept kept;
      for (const auto& [slot, holder] : stored) kept.push_back(holder);
      std::sort(kept.begin(), kept.end());
      expected.push_back(kept);
    }
    KeptLog::Reader reader(log);
    for (std::int64_t opportunity = 0; opportunity < 60; ++opportunity) {
      reader.save(opportunity);
      ASSERT_EQ(reader.kept(), expected[static_cast<std::size_t>(opportunity)]);
    }
  }
}

}  // namespace
}  // namespace checkroom::plan
