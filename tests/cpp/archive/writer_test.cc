#include "archive/writer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "archive/directory.h"
#include "base/error.h"
#include "support/memory_sink.h"

namespace checkroom::archive {
namespace {

using testing::MemorySink;
using testing::MemorySource;

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// The records of a vector that fits into memory.
std::string write(const nlohmann::json& vector, std::size_t window) {
  MemorySink sink(window);
  Writer writer(sink, {.prefix = vector["prefix"].get<std::string>(),
                       .alignment = vector["align"].get<std::int64_t>(),
                       .compute_crc = vector["crc"].get<bool>()});
  for (const auto& entry : vector["records"]) {
    const std::string data = entry[1].is_string() ? from_hex(entry[1].get<std::string>())
                                                  : std::string(entry[1].get<std::size_t>(), '\0');
    writer.record(entry[0].get<std::string>(), as_bytes(data));
  }
  const Bytes size = writer.finish();
  EXPECT_EQ(size, Bytes(static_cast<std::int64_t>(sink.text.size())));
  return sink.text;
}

TEST(Writer, GivesEveryVectorItsSizeAndItsId) {
  std::ifstream file(CHECKROOM_TEST_DATA "/golden/torch_zip_vectors.json");
  const auto vectors = nlohmann::json::parse(file);
  int tried = 0;
  for (const auto& vector : vectors) {
    if (vector["size"].get<std::int64_t>() > 100'000) continue;  // tests/python has the large ones
    ++tried;
    for (const std::size_t window : {1UL, 7UL, 4096UL}) {
      const std::string text = write(vector, window);
      EXPECT_EQ(text.size(), vector["size"].get<std::size_t>()) << vector["name"];
      EXPECT_NE(text.find(vector["serialization_id"].get<std::string>()), std::string::npos)
          << vector["name"] << ", windows of " << window;
    }
  }
  EXPECT_GE(tried, 10);
}

TEST(Writer, WhatItWritesCanBeRead) {
  MemorySink sink;
  Writer writer(sink);
  writer.record("data.pkl", "pickle");
  writer.begin("data/0", 10);
  writer.append(as_bytes("01234"));
  writer.append(as_bytes("56789"));
  writer.end();
  writer.record("data/1", "");
  writer.finish();
  MemorySource source(sink.text);
  const Directory directory = read_directory(source);
  std::vector<std::string> names;
  for (const Entry& entry : directory.entries) names.push_back(entry.name);
  EXPECT_EQ(names, (std::vector<std::string>{"archive/data.pkl", "archive/data/0", "archive/data/1",
                                             "archive/version", "archive/byteorder",
                                             "archive/.data/serialization_id"}));
  EXPECT_EQ(directory.entries[1].size, 10);
  EXPECT_EQ(directory.entries[2].crc, 0U);
}

TEST(Writer, PutsInWhatWasNotWritten) {
  MemorySink sink;
  Writer writer(sink);
  writer.record("byteorder", "little");
  writer.record("version", "4\n");
  writer.finish();
  MemorySource source(sink.text);
  EXPECT_EQ(read_directory(source).entries.size(), 3U);
}

TEST(Writer, RefusesCallsOutOfTurn) {
  const auto refuses = [](const std::function<void(Writer&)>& calls) {
    MemorySink sink;
    Writer writer(sink);
    try {
      calls(writer);
    } catch (const Error& error) {
      return error.code() == ErrorCode::kInvalidArgument;
    }
    return false;
  };
  EXPECT_TRUE(refuses([](Writer& writer) { writer.append({}); }));
  EXPECT_TRUE(refuses([](Writer& writer) { writer.end(); }));
  EXPECT_TRUE(refuses([](Writer& writer) {
    writer.begin("a", 1);
    writer.begin("b", 1);
  }));
  EXPECT_TRUE(refuses([](Writer& writer) {
    writer.begin("a", 1);
    writer.append(as_bytes("xy"));
  })) << "too much";
  EXPECT_TRUE(refuses([](Writer& writer) {
    writer.begin("a", 2);
    writer.append(as_bytes("x"));
    writer.end();
  })) << "too little";
  EXPECT_TRUE(refuses([](Writer& writer) {
    writer.begin("a", 2);
    writer.finish();
  })) << "the end, in a record";
  EXPECT_TRUE(refuses([](Writer& writer) {
    writer.record("a", "x");
    writer.record("a", "x");
  })) << "twice";
  EXPECT_TRUE(refuses([](Writer& writer) {
    writer.finish();
    writer.record("a", "x");
  })) << "behind the end";
  EXPECT_TRUE(refuses([](Writer& writer) { writer.begin("a", -1); }));
}

TEST(Writer, LetsTheSinksErrorThrough) {
  class Full final : public Sink {
   public:
    std::span<std::byte> room() override { throw Error::system(ENOSPC, "write", "x"); }
    void commit(std::size_t /*bytes*/) override {}
  };
  Full sink;
  Writer writer(sink);
  try {
    writer.record("a", "x");
    FAIL() << "it did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.errnum(), ENOSPC);
  }
}

}  // namespace
}  // namespace checkroom::archive
