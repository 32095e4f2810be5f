#include "archive/verify.h"

#include <gtest/gtest.h>

#include <string>

#include "archive/writer.h"
#include "support/memory_sink.h"

namespace checkroom::archive {
namespace {

using testing::MemorySink;
using testing::MemorySource;

std::string archive_of(bool compute_crc = true) {
  MemorySink sink;
  Writer writer(sink, {.compute_crc = compute_crc});
  writer.record("data.pkl", "pickle");
  writer.record("data/0", std::string(10'000, 'a'));
  writer.record("data/1", "");
  writer.record("data/2", std::string(100, 'b'));
  writer.finish();
  return sink.text;
}

std::optional<Fault> structure(const std::string& text, const Directory* known = nullptr) {
  MemorySource source(text);
  return check_structure(source, known != nullptr ? *known : read_directory(source));
}

// The first record that is damaged.
std::optional<Fault> contents(const std::string& text, std::size_t window = 4096) {
  MemorySource source(text, window);
  const Directory directory = read_directory(source);
  for (const Entry& entry : directory.entries) {
    RecordCheck check(source, entry, !lacks_checksums(directory));
    std::int64_t bytes = 0;
    while (const std::int64_t step = check.step()) bytes += step;
    if (check.fault()) return check.fault();
    EXPECT_EQ(bytes, entry.size);
  }
  return std::nullopt;
}

Directory directory_of(const std::string& text) {
  MemorySource source(text);
  return read_directory(source);
}

TEST(Verify, AWholeFileHasNoFault) {
  EXPECT_FALSE(structure(archive_of()));
  for (const std::size_t window : {1UL, 100UL, 1'000'000UL}) {
    EXPECT_FALSE(contents(archive_of(), window)) << window;
  }
}

TEST(Verify, EveryFlippedByteOfTheDataIsFound) {
  const std::string whole = archive_of();
  const std::size_t start = whole.find("aaaa");
  for (const std::size_t at : {start, start + 5'000, start + 9'999}) {
    std::string text = whole;
    text[at] = static_cast<char>(text[at] ^ 1);
    EXPECT_FALSE(structure(text));
    const auto fault = contents(text);
    ASSERT_TRUE(fault) << at;
    EXPECT_EQ(fault->record, "archive/data/0");
    EXPECT_NE(fault->what.find("checksum"), std::string::npos);
  }
}

TEST(Verify, ADamagedLocalHeaderIsFound) {
  const std::string whole = archive_of();
  const Directory directory = directory_of(whole);
  for (const Entry& entry : directory.entries) {
    // The signature, the flags, the method, both lengths, the name.
    for (const int field : {0, 6, 8, 26, 30, 35}) {
      std::string text = whole;
      const auto at = static_cast<std::size_t>(entry.header + field);
      text[at] = static_cast<char>(text[at] ^ 1);
      const auto fault = structure(text);
      ASSERT_TRUE(fault) << entry.name << " " << field;
      EXPECT_EQ(fault->record, entry.name);
    }
  }
}

TEST(Verify, RecordsThatOverlapAreFound) {
  const std::string whole = archive_of();
  Directory directory = directory_of(whole);
  directory.entries.push_back(directory.entries[1]);
  const auto fault = structure(whole, &directory);
  ASSERT_TRUE(fault);
  EXPECT_NE(fault->what.find("overlaps"), std::string::npos);
  directory.entries[1].header = directory.start - 1;
  directory.entries.pop_back();
  EXPECT_TRUE(structure(whole, &directory));
}

TEST(Verify, WithoutChecksumsTheStructureIsAllThereIs) {
  std::string text = archive_of(false);
  EXPECT_TRUE(lacks_checksums(directory_of(text)));
  EXPECT_FALSE(contents(text));
  const std::size_t at = text.find("aaaa");
  text[at] = 'x';
  EXPECT_FALSE(contents(text)) << "nothing says what it was";
}

TEST(Verify, AHoleIsFound) {
  std::string text = archive_of();
  const std::size_t at = text.find("aaaa");
  text.replace(at, 4096, 4096, '\0');
  EXPECT_TRUE(contents(text));
}

}  // namespace
}  // namespace checkroom::archive
