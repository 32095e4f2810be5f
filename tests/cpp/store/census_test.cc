#include "store/census.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <map>

#include "base/error.h"
#include "disk/file.h"
#include "support/faulty_filesystem.h"
#include "support/temp_directory.h"

namespace checkroom::store {
namespace {

using testing::FaultyFileSystem;
using testing::TempDirectory;

class CensusOf : public ::testing::Test {
 protected:
  void file(std::string_view name, std::size_t bytes) {
    testing::write_file(directory_ / name, std::string(bytes, 'x'));
  }
  Census take(const std::vector<std::string>& first = {}) {
    return take_census(disk::posix_filesystem(), {directory_.path()}, first);
  }
  std::map<std::string, std::int64_t> bytes(const std::vector<std::string>& first = {}) {
    std::map<std::string, std::int64_t> by_name;
    for (const Entry& entry : take(first).entries) by_name[entry.name] = entry.bytes.count();
    return by_name;
  }

  TempDirectory directory_;
};

using Figures = std::map<std::string, std::int64_t>;

TEST_F(CensusOf, CountsLengths) {
  file("a.ckpt", 1000);
  file("b.ckpt", 1);
  EXPECT_EQ(bytes(), (Figures{{"a.ckpt", 1000}, {"b.ckpt", 1}}));
  EXPECT_EQ(take().used, Bytes(1001));
}

TEST_F(CensusOf, ADirectoryCountsAllBelowItAndLinksNothing) {
  std::filesystem::create_directories(directory_ / "tree/deep");
  file("tree/a", 10);
  file("tree/deep/b", 20);
  file("a.ckpt", 5);
  std::filesystem::create_symlink("a.ckpt", directory_ / "last.ckpt");
  std::filesystem::create_directory_symlink(directory_ / "tree", directory_ / "tree-link");
  EXPECT_EQ(bytes(), (Figures{{"a.ckpt", 5}, {"last.ckpt", 0}, {"tree", 30}, {"tree-link", 0}}));
}

TEST_F(CensusOf, HardLinksCountOnceAndForTheNameAskedFirst) {
  file("a.ckpt", 1000);
  std::filesystem::create_hard_link(directory_ / "a.ckpt", directory_ / "z-last.ckpt");
  EXPECT_EQ(bytes(), (Figures{{"a.ckpt", 1000}, {"z-last.ckpt", 0}}));
  EXPECT_EQ(bytes({"z-last.ckpt"}), (Figures{{"a.ckpt", 0}, {"z-last.ckpt", 1000}}));
  EXPECT_EQ(take().used, Bytes(1000));
}

TEST_F(CensusOf, StagedFilesAndTrashAreUsedButNoEntries) {
  std::filesystem::create_directories(directory_ / ".checkroom/staging");
  std::filesystem::create_directories(directory_ / ".checkroom/trash");
  file("a.ckpt", 100);
  file(".checkroom/trash/old", 30);
  std::filesystem::create_hard_link(directory_ / "a.ckpt", directory_ / ".checkroom/trash/twin");
  EXPECT_EQ(bytes(), (Figures{{"a.ckpt", 100}}));
  EXPECT_EQ(take().used, Bytes(130));
}

TEST_F(CensusOf, AStagedFileCountsWhatIsReservedForIt) {
  std::filesystem::create_directories(directory_ / ".checkroom/staging");
  disk::File staged =
      disk::File::create(disk::posix_filesystem(), directory_ / ".checkroom/staging/a");
  if (disk::posix_filesystem().reserve(staged.descriptor(), 1 << 20) != 0) {
    GTEST_SKIP() << "privilege: this filesystem has no fallocate";
  }
  EXPECT_GE(take().used, Bytes(1 << 20));
}

TEST_F(CensusOf, BytesBesideAreThoseOfTheOtherEntries) {
  file("a.ckpt", 100);
  file("b.ckpt", 10);
  file("foreign", 1);
  EXPECT_EQ(take().bytes_beside({"a.ckpt", "b.ckpt"}), Bytes(1));
  EXPECT_EQ(take().bytes_beside({}), Bytes(111));
}

TEST_F(CensusOf, ADirectoryThatIsNotThereIsEmpty) {
  const Census census = take_census(disk::posix_filesystem(), {directory_ / "nowhere"}, {});
  EXPECT_TRUE(census.entries.empty());
  EXPECT_EQ(census.used, Bytes(0));
}

TEST_F(CensusOf, TheDirectoryItselfMayBeALink) {
  std::filesystem::create_directory(directory_ / "real");
  file("real/a.ckpt", 7);
  std::filesystem::create_directory_symlink("real", directory_ / "link");
  EXPECT_EQ(take_census(disk::posix_filesystem(), {directory_ / "link"}, {}).used, Bytes(7));
}

TEST_F(CensusOf, WhatVanishesOrMayNotBeSeenIsNotCounted) {
  file("a.ckpt", 7);
  std::filesystem::create_directory(directory_ / "tree");
  file("tree/b", 8);
  FaultyFileSystem filesystem(disk::posix_filesystem());
  const auto used = [&] { return take_census(filesystem, {directory_.path()}, {}).used; };
  for (const int errnum : {ENOENT, EACCES}) {
    filesystem.fail("lstat", 1, errnum);
    EXPECT_EQ(used(), Bytes(8));
    filesystem.fail("list", 2, errnum);
    EXPECT_EQ(used(), Bytes(7));
    filesystem.fail("open", 1, errnum);
    EXPECT_EQ(used(), Bytes(15)) << "its length is known all the same";
  }
  filesystem.fail("extents", 1, EOPNOTSUPP);
  EXPECT_EQ(used(), Bytes(15));
}

TEST_F(CensusOf, EveryOtherFailureIsToldForFilesAreRemovedByTheFigures) {
  file("a.ckpt", 7);
  std::filesystem::create_directory(directory_ / "tree");
  file("tree/b", 8);
  FaultyFileSystem filesystem(disk::posix_filesystem());
  for (const auto& [op, n] : {std::pair{"list", 1},
                              {"list", 2},
                              {"lstat", 1},
                              {"lstat", 3},
                              {"open", 1},
                              {"open", 2},
                              {"extents", 1}}) {
    filesystem.fail(op, n, EIO);
    EXPECT_THROW(take_census(filesystem, {directory_.path()}, {}), Error) << op << " " << n;
    filesystem.heal();
  }
  filesystem.fail("list", 1, EACCES);
  EXPECT_THROW(take_census(filesystem, {directory_.path()}, {}), Error) << "the directory itself";
}

// A filesystem that says that two files lie in the same place: reflinks, without a filesystem that
// has them (tests/faults has the real thing).
class SharingFileSystem final : public disk::FileSystem {
 public:
  std::map<std::string, std::vector<disk::Extent>> shared;

  disk::Result<int> open_read(const std::string& path) override {
    names_.push_back(path);
    return {static_cast<int>(names_.size()) - 1, 0};
  }
  disk::Result<std::vector<disk::Extent>> shared_extents(int fd) override {
    return {shared[names_[static_cast<std::size_t>(fd)]], 0};
  }
  int close(int /*fd*/) override { return 0; }
  disk::Result<disk::FileStatus> status(const std::string& path) override {
    disk::FileStatus status;
    status.type = disk::FileType::kRegular;
    status.links = 1;
    status.size = status.allocated = 100;
    status.inode = std::hash<std::string>()(path);
    return {status, 0};
  }
  disk::Result<std::vector<std::string>> list(const std::string& /*directory*/) override {
    return {{"a", "b", "c"}, 0};
  }

  // Nothing else is asked.
  disk::Result<int> create(const std::string&) override { return {-1, ENOSYS}; }
  disk::Result<int> open_directory(const std::string&) override { return {-1, ENOSYS}; }
  disk::Result<std::size_t> write(int, std::span<const std::byte>, std::int64_t) override {
    return {0, ENOSYS};
  }
  disk::Result<std::size_t> read(int, std::span<std::byte>, std::int64_t) override {
    return {0, ENOSYS};
  }
  int reserve(int, std::int64_t) override { return ENOSYS; }
  int truncate(int, std::int64_t) override { return ENOSYS; }
  int set_direct(int, bool) override { return ENOSYS; }
  int write_back(int, std::int64_t, std::int64_t, bool) override { return ENOSYS; }
  int drop_cache(int, std::int64_t, std::int64_t) override { return ENOSYS; }
  int sync(int) override { return ENOSYS; }
  int sync_filesystem(int) override { return ENOSYS; }
  int reflink(int, int) override { return ENOSYS; }
  int lock(int) override { return ENOSYS; }
  disk::Result<disk::FileStatus> status_of(int) override { return {{}, ENOSYS}; }
  int rename(const std::string&, const std::string&) override { return ENOSYS; }
  int exchange(const std::string&, const std::string&) override { return ENOSYS; }
  int link(const std::string&, const std::string&) override { return ENOSYS; }
  int symlink(const std::string&, const std::string&) override { return ENOSYS; }
  int unlink(const std::string&) override { return ENOSYS; }
  int make_directory(const std::string&) override { return ENOSYS; }
  int remove_directory(const std::string&) override { return ENOSYS; }
  disk::Result<disk::FileStatus> status_of_target(const std::string&) override {
    return {{}, ENOSYS};
  }
  disk::Result<disk::Volume> volume(const std::string&) override { return {{}, ENOSYS}; }
  disk::Result<std::string> read_link(const std::string&) override { return {{}, ENOSYS}; }

 private:
  std::vector<std::string> names_;
};

TEST(CensusOfSharedBlocks, CountsThemOnce) {
  SharingFileSystem filesystem;
  filesystem.shared["/d/a"] = {{1000, 60}, {5000, 40}};
  filesystem.shared["/d/b"] = {{1000, 30}, {1030, 30}, {5000, 40}};  // all of a, cut differently
  filesystem.shared["/d/c"] = {{1050, 20}};                          // 10 of a's, 10 of others'
  const Census census = take_census(filesystem, {"/d"}, {});
  ASSERT_EQ(census.entries.size(), 3U);
  EXPECT_EQ(census.entries[0].bytes, Bytes(100));
  EXPECT_EQ(census.entries[1].bytes, Bytes(0));
  EXPECT_EQ(census.entries[2].bytes, Bytes(90));
  EXPECT_EQ(census.used, Bytes(190));
}

TEST(Measure, IsTheWholeLengthOfOneEntry) {
  const TempDirectory directory;
  testing::write_file(directory / "a", "12345");
  std::filesystem::create_hard_link(directory / "a", directory / "b");
  std::filesystem::create_directory(directory / "tree");
  testing::write_file(directory / "tree/c", "123");
  EXPECT_EQ(measure(disk::posix_filesystem(), directory / "b"), Bytes(5));
  EXPECT_EQ(measure(disk::posix_filesystem(), directory / "tree"), Bytes(3));
  EXPECT_EQ(measure(disk::posix_filesystem(), directory / "none"), Bytes(0));
}

}  // namespace
}  // namespace checkroom::store
