#include "plan/interned.h"

#include <gtest/gtest.h>

#include <string>

namespace checkroom::plan {
namespace {

TEST(Interned, GivesTheSameNumberToWhatComesAgain) {
  Interned<std::string> texts;
  const auto a = texts.number_of("a");
  const auto b = texts.number_of("b");
  EXPECT_NE(a, b);
  EXPECT_EQ(texts.number_of("a"), a);
  EXPECT_EQ(texts.number_of("b"), b);
  EXPECT_EQ(texts[a], "a");
  EXPECT_EQ(texts[b], "b");
  EXPECT_EQ(texts.size(), 2U);
}

TEST(Interned, KeepsEveryValueThoughItLooksThroughAFew) {
  Interned<int> numbers;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 100; ++i) EXPECT_EQ(numbers[numbers.number_of(i)], i);
  }
  EXPECT_GE(numbers.size(), 100U);
  const std::size_t before = numbers.size();
  for (int i = 0; i < 100; ++i) numbers.number_of(99 - i % 3);
  EXPECT_EQ(numbers.size(), before);
}

}  // namespace
}  // namespace checkroom::plan
