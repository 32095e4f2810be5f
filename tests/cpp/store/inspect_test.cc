#include "store/inspect.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "archive/directory.h"
#include "archive/writer.h"
#include "base/error.h"
#include "store/store.h"
#include "support/faulty_filesystem.h"
#include "support/guarded_directory.h"
#include "support/memory_sink.h"
#include "support/temp_directory.h"

namespace checkroom::store {
namespace {

using testing::FaultyFileSystem;
using testing::MemorySink;
using testing::TempDirectory;

std::string archive_of(int records, std::size_t bytes = 10'000) {
  MemorySink sink;
  archive::Writer writer(sink);
  for (int i = 0; i < records; ++i) {
    writer.record("data/" + std::to_string(i), std::string(bytes, static_cast<char>('a' + i % 26)));
  }
  writer.finish();
  return sink.text;
}

std::int64_t header_of(const std::string& text, const std::string& name) {
  testing::MemorySource source(text);
  for (const archive::Entry& entry : archive::read_directory(source).entries) {
    if (entry.name == name) return entry.header;
  }
  return -1;
}

class Inspect : public ::testing::Test {
 protected:
  std::optional<archive::Fault> look(const std::string& text, Depth depth) {
    const std::string path = directory_ / "file";
    testing::write_file(path, text);
    return inspect(filesystem_, path, depth);
  }

  TempDirectory directory_;
  FaultyFileSystem filesystem_{disk::posix_filesystem()};
};

TEST_F(Inspect, AWholeFileHasNoFault) {
  for (const int records : {0, 1, 63, 64, 200, 1000}) {
    EXPECT_FALSE(look(archive_of(records, 500), Depth::kStructure)) << records;
    EXPECT_FALSE(look(archive_of(records, 500), Depth::kWhole)) << records;
  }
  EXPECT_EQ(filesystem_.open_descriptors(), 0U);
}

TEST_F(Inspect, ADamagedHeaderIsFoundWhereverItIs) {
  const std::string whole = archive_of(300, 100);
  for (const int record : {0, 1, 74, 75, 76, 150, 299}) {
    const std::string name = "archive/data/" + std::to_string(record);
    std::string text = whole;
    text[static_cast<std::size_t>(header_of(whole, name))] = 'x';
    const auto fault = look(text, Depth::kStructure);
    ASSERT_TRUE(fault) << record;
    EXPECT_EQ(fault->record, name);
  }
}

TEST_F(Inspect, OnlyAWholeReadFindsAFlippedByte) {
  std::string text = archive_of(3);
  text[text.find("bbbb") + 77] = 'x';
  EXPECT_FALSE(look(text, Depth::kStructure));
  const auto fault = look(text, Depth::kWhole);
  ASSERT_TRUE(fault);
  EXPECT_EQ(describe(*fault),
            "record 'archive/data/1' does not have the checksum that it was written with");
}

TEST_F(Inspect, WhatIsNoArchiveIsAFaultOfTheWhole) {
  const auto fault = look("no zip at all, but long enough for one", Depth::kStructure);
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->record, "");
  EXPECT_EQ(describe(*fault), fault->what);
  const std::string text = archive_of(3);
  EXPECT_TRUE(look(text.substr(0, text.size() / 2), Depth::kStructure));
}

TEST_F(Inspect, WhatTheDiskRefusesIsAnError) {
  const std::string text = archive_of(300, 100);
  for (const int n : {1, 2, 5, 20}) {
    filesystem_.fail("read", n, EIO);
    EXPECT_THROW(look(text, Depth::kStructure), Error) << n;
    filesystem_.heal();
    EXPECT_EQ(filesystem_.open_descriptors(), 0U);
  }
}

// -- the store

class CheckedStore : public testing::GuardedDirectory {};

TEST_F(CheckedStore, PublishesWhatIsWhole) {
  Store store(options(1));
  for (const auto depth : {Depth::kStructure, Depth::kWhole}) {
    auto staged = store.stage("a.ckpt");
    const std::string text = archive_of(10);
    staged->write(testing::as_bytes(text));
    EXPECT_EQ(store.publish(*staged, "a.ckpt", depth).count(),
              static_cast<std::int64_t>(text.size()));
    EXPECT_EQ(testing::read_file(path("a.ckpt")), text);
  }
  EXPECT_FALSE(store.verify("a.ckpt"));
}

TEST_F(CheckedStore, KeepsADamagedOneAsideAndWhatHadItsName) {
  std::filesystem::create_directories(directory());
  testing::write_file(path("a.ckpt"), "former");
  Store store(options(1));
  std::string text = archive_of(3);
  text[text.find("bbbb")] = 'x';
  auto staged = store.stage("a.ckpt");
  staged->write(testing::as_bytes(text));
  try {
    store.publish(*staged, "a.ckpt", Depth::kWhole);
    FAIL() << "it was published";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDamaged);
    EXPECT_EQ(error.errnum(), EIO);
    EXPECT_NE(std::string(error.what()).find("archive/data/1"), std::string::npos);
  }
  EXPECT_EQ(testing::read_file(path("a.ckpt")), "former");
  const auto kept = testing::names_in(path(".checkroom/damaged"));
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_EQ(testing::read_file(path(".checkroom/damaged/" + *kept.begin())), text);
  EXPECT_TRUE(testing::names_in(path(".checkroom/staging")).empty());
  EXPECT_EQ(store.used().count(), static_cast<std::int64_t>(text.size() + 6)) << "it counts";
}

TEST_F(CheckedStore, ADamagedOneThatCannotBeKeptIsStillCalledDamaged) {
  for (const char* op : {"mkdir", "rename"}) {
    Store store(options(1), filesystem_);
    auto staged = store.stage("a.ckpt");
    std::string text = archive_of(3);
    text[text.find("bbbb")] = 'x';
    staged->write(testing::as_bytes(text));
    filesystem_.fail(op, 1, ENOSPC);
    try {
      store.publish(*staged, "a.ckpt", Depth::kWhole);
      FAIL() << "it was published";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kDamaged) << op;
      EXPECT_NE(std::string(error.what()).find("could not be kept"), std::string::npos) << op;
    }
    EXPECT_FALSE(testing::exists(path("a.ckpt")));
    EXPECT_TRUE(testing::names_in(path(".checkroom/staging")).empty()) << op;
    EXPECT_TRUE(testing::names_in(path(".checkroom/damaged")).empty()) << op;
  }
}

TEST_F(CheckedStore, WhatCannotBeSetAsideForGoodStaysWhereItIs) {
  for (const int n : {1, 2}) {
    Store store(options(1), filesystem_);
    auto staged = store.stage("a.ckpt");
    staged->write(testing::as_bytes(archive_of(3)));
    store.publish(*staged, "a.ckpt");
    store.commit(item("a.ckpt", 0.5));
    std::filesystem::create_directories(path(".checkroom/damaged"));
    filesystem_.fail("fsync", n + 1, EIO);  // behind that of the house
    EXPECT_THROW(store.set_aside("a.ckpt"), Error);
    EXPECT_TRUE(testing::exists(path("a.ckpt")));
    EXPECT_EQ(store.inventory().size(), 1U);
    EXPECT_TRUE(testing::names_in(path(".checkroom/damaged")).empty());
  }
}

TEST_F(CheckedStore, APublishedFileCanBeVerifiedAndSetAside) {
  Store store(options(1));
  auto staged = store.stage("a.ckpt");
  staged->write(testing::as_bytes(archive_of(3)));
  store.publish(*staged, "a.ckpt");
  store.commit(item("a.ckpt", 0.5));
  std::string text = testing::read_file(path("a.ckpt"));
  text[text.find("cccc")] = 'x';
  testing::write_file(path("a.ckpt"), text);
  const auto fault = store.verify("a.ckpt");
  ASSERT_TRUE(fault);
  EXPECT_NE(fault->find("archive/data/2"), std::string::npos);
  const std::string aside = store.set_aside("a.ckpt");
  EXPECT_EQ(testing::read_file(aside), text);
  EXPECT_FALSE(testing::exists(path("a.ckpt")));
  EXPECT_TRUE(store.inventory().empty());
  EXPECT_THROW(store.set_aside("a.ckpt"), Error) << "it is gone";
}

}  // namespace
}  // namespace checkroom::store
