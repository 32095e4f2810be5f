#include "plan/retention_sizes.h"

#include <gtest/gtest.h>

namespace checkroom::plan {
namespace {

TEST(ItemSizes, OneSizeForAll) {
  ItemSizes sizes;
  for (const ItemId id : {0U, 1U, 7U}) sizes.set(id, 100);
  EXPECT_EQ(sizes.of(0), 100);
  EXPECT_EQ(sizes.of(7), 100);
  sizes.set(7, 100);
  EXPECT_EQ(sizes.of(7), 100);
}

TEST(ItemSizes, EachItsOwnFromWhereTheyDiffer) {
  ItemSizes sizes;
  sizes.set(0, 100);
  sizes.set(1, 100);
  sizes.set(2, 30);
  sizes.set(5, 40);
  EXPECT_EQ(sizes.of(0), 100);
  EXPECT_EQ(sizes.of(1), 100);
  EXPECT_EQ(sizes.of(2), 30);
  EXPECT_EQ(sizes.of(5), 40);
  sizes.set(0, 7);
  EXPECT_EQ(sizes.of(0), 7);
  EXPECT_EQ(sizes.of(1), 100);
  sizes.set(2, 100);
  EXPECT_EQ(sizes.of(2), 100);
}

TEST(ItemSizes, TheFirstMayBeAnyIdAndBeWrittenAgain) {
  ItemSizes sizes;
  sizes.set(0, 100);
  sizes.set(0, 50);
  sizes.set(1, 50);
  EXPECT_EQ(sizes.of(0), 50);
  EXPECT_EQ(sizes.of(1), 50);
  ItemSizes late;
  late.set(3, 9);
  late.set(1, 8);
  late.set(2, 0);
  EXPECT_EQ(late.of(3), 9);
  EXPECT_EQ(late.of(1), 8);
  EXPECT_EQ(late.of(2), 0);
}

}  // namespace
}  // namespace checkroom::plan
