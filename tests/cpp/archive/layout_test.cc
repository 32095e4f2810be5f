#include "archive/layout.h"

#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"

namespace checkroom::archive {
namespace {

constexpr std::int64_t k4GiB = std::int64_t{1} << 32;

// The records of a vector, and what PyTorch adds when it ends the file.
std::vector<Record> records_of(const nlohmann::json& vector) {
  std::vector<Record> records;
  bool has_byteorder = false;
  for (const auto& entry : vector["records"]) {
    const auto name = entry[0].get<std::string>();
    // The data in hexadecimal, or a number of zeros.
    const auto size = entry[1].is_string()
                          ? static_cast<std::int64_t>(entry[1].get<std::string>().size() / 2)
                          : entry[1].get<std::int64_t>();
    has_byteorder = has_byteorder || name == "byteorder";
    records.push_back({name, size});
  }
  records.push_back({"version", 2});
  if (!has_byteorder) records.push_back({"byteorder", 6});
  records.push_back({".data/serialization_id", 40});
  return records;
}

TEST(ArchiveSize, EqualsWhatPyTorchWroteOnEveryVector) {
  std::ifstream file(CHECKROOM_TEST_DATA "/golden/torch_zip_vectors.json");
  const auto vectors = nlohmann::json::parse(file);
  ASSERT_GE(vectors.size(), 13U);
  for (const auto& vector : vectors) {
    EXPECT_EQ(archive_size(records_of(vector), vector["prefix"].get<std::string>(),
                           vector["align"].get<std::int64_t>())
                  .count(),
              vector["size"].get<std::int64_t>())
        << vector["name"];
  }
}

TEST(Layout, AlignsTheDataAndEndsBehindTheDescriptor) {
  Layout layout;
  const Placement first = layout.add("data.pkl", 6);
  EXPECT_EQ(first.header, 0);
  EXPECT_EQ(first.data, 64);
  EXPECT_EQ(first.padding, 64 - 30 - 16 - 4);
  EXPECT_EQ(first.end, 64 + 6 + 16);
  const Placement second = layout.add("data/0", 0);
  EXPECT_EQ(second.header, first.end);
  EXPECT_EQ(second.data % 64, 0);
  EXPECT_EQ(second.end, second.data);  // an empty record has no descriptor
}

TEST(Layout, TurnsTo64BitFieldsAtFourGiBLessOne) {
  Layout below;
  EXPECT_EQ(below.add("a", k4GiB - 2).zip64_extra, 0);
  Layout at;
  const Placement big = at.add("a", k4GiB - 1);
  EXPECT_EQ(big.zip64_extra, 20);
  EXPECT_EQ(big.end, big.data + k4GiB - 1 + 24);
  const Placement far = at.add("b", 1);
  EXPECT_EQ(far.zip64_extra, 12);
  EXPECT_EQ(far.end, far.data + 1 + 24);
  EXPECT_EQ(at.add("c", k4GiB).zip64_extra, 28);
}

TEST(Layout, AHeaderThatStartsExactlyAtTheLimitIsFar) {
  // 64 bytes in front of the data and a descriptor of 16 behind it.
  Layout below;
  EXPECT_EQ(below.add("a", k4GiB - 2 - 64 - 16).end, k4GiB - 2);
  EXPECT_EQ(below.add("b", 1).zip64_extra, 0);
  Layout at;
  EXPECT_EQ(at.add("a", k4GiB - 1 - 64 - 16).end, k4GiB - 1);
  EXPECT_EQ(at.add("b", 1).zip64_extra, 12);
}

TEST(Layout, TakesEveryAlignmentThatPyTorchTakes) {
  for (const std::int64_t alignment : {1, 2, 3, 48, 100, 4096, 65535, 65536}) {
    Layout layout("archive", alignment);
    for (const std::int64_t size : {10, 0, 77}) {
      EXPECT_EQ(layout.add("x", size).data % alignment, 0);
    }
  }
}

TEST(Layout, RefusesWhatAZipCannotExpress) {
  EXPECT_THROW(Layout("archive", 0), Error);
  EXPECT_THROW(Layout("archive", -64), Error);
  EXPECT_THROW(Layout("archive", kMostAlignment + 1), Error);
  Layout layout;
  EXPECT_THROW(layout.add("a", -1), Error);
  EXPECT_THROW(layout.add(std::string(65536, 'n'), 1), Error);
  // The padding's own header does not fit any more: PyTorch writes an unreadable file here.
  Layout wide("archive", kMostAlignment);
  const Placement first = wide.add("x", 65478);
  EXPECT_EQ(first.end, 2 * 65536 - 42);
  EXPECT_THROW(wide.add("y", 2), Error);
}

TEST(Layout, SumsAreChecked) {
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  Layout layout;
  layout.add("a", most / 2);
  try {
    layout.add("b", most / 2);
    FAIL() << "two halves of the 64-bit range and their headers fitted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kOverflow);
  }
}

}  // namespace
}  // namespace checkroom::archive
