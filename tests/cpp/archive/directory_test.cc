#include "archive/directory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>

#include "archive/writer.h"
#include "archive/zip_fields.h"
#include "base/error.h"
#include "support/memory_sink.h"

namespace checkroom::archive {
namespace {

using testing::MemorySink;
using testing::MemorySource;

std::string archive_of(int records) {
  MemorySink sink;
  Writer writer(sink);
  for (int i = 0; i < records; ++i) writer.record("data/" + std::to_string(i), std::to_string(i));
  writer.finish();
  return sink.text;
}

std::string refusal(const std::string& text) {
  MemorySource source(text);
  try {
    static_cast<void>(read_directory(source));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "";
}

TEST(Directory, ListsRecordsWithoutTheirData) {
  MemorySink sink;
  Writer writer(sink);
  writer.record("data/0", std::string(1'000'000, 'x'));
  writer.finish();
  MemorySource source(sink.text, 64);
  const Directory directory = read_directory(source);
  ASSERT_EQ(directory.entries.size(), 4U);
  EXPECT_EQ(directory.entries[0].name, "archive/data/0");
  EXPECT_EQ(directory.entries[0].size, 1'000'000);
  EXPECT_EQ(directory.entries[0].packed, 1'000'000);
  EXPECT_EQ(directory.entries[0].header, 0);
  EXPECT_EQ(sink.text.compare(static_cast<std::size_t>(directory.start), 4, "PK\x01\x02"), 0);
}

TEST(Directory, ReadsAZipWithAComment) {
  std::string text = archive_of(2);
  text[text.size() - 2] = 5;  // the comment's length
  text += "hello";
  MemorySource source(text);
  EXPECT_EQ(read_directory(source).entries.size(), 5U);
}

TEST(Directory, RefusesWhatIsNoZip) {
  EXPECT_NE(refusal(""), "");
  EXPECT_NE(refusal("not a zip"), "");
  EXPECT_NE(refusal(std::string(1000, '\0')).find("no zip"), std::string::npos);
}

TEST(Directory, RefusesEveryPieceOfAZip) {
  const std::string text = archive_of(3);
  for (std::size_t length = 0; length < text.size(); ++length) {
    ASSERT_NE(refusal(text.substr(0, length)), "") << length;
  }
}

TEST(Directory, WhateverAByteIsItIsReadOrRefused) {
  const std::string whole = archive_of(3);
  std::mt19937 random(7);
  for (int trial = 0; trial < 20'000; ++trial) {
    std::string text = whole;
    const int changes = 1 + static_cast<int>(random() % 4);
    for (int i = 0; i < changes; ++i) {
      // Mostly in the directory and what follows.
      const std::size_t at = text.size() - 1 - random() % (text.size() / 2);
      text[at] = static_cast<char>(random());
    }
    static_cast<void>(refusal(text));
  }
}

TEST(Directory, DoesNotBelieveANumberOfRecords) {
  std::string text = archive_of(1);
  const std::size_t end64 = text.size() - 22 - 20 - 56;
  std::string many;
  put_u64(many, 1'000'000'000'000);
  std::memcpy(text.data() + end64 + 32, many.data(), many.size());
  EXPECT_NE(refusal(text).find("too short"), std::string::npos);
}

}  // namespace
}  // namespace checkroom::archive
