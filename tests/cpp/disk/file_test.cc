#include "disk/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>

#include "support/faulty_filesystem.h"
#include "support/temp_directory.h"

namespace checkroom::disk {
namespace {

using testing::as_bytes;
using testing::FaultyFileSystem;
using testing::TempDirectory;

template <typename Action>
int errno_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.errnum();
  }
  return 0;
}

TEST(File, WritesAllBytesThroughShortWrites) {
  const TempDirectory directory;
  FaultyFileSystem filesystem(posix_filesystem());
  filesystem.shorten_writes(3);
  File file = File::create(filesystem, directory / "a");
  file.write_all(as_bytes("0123456789"), 0);
  file.close();
  EXPECT_EQ(testing::read_file(directory / "a"), "0123456789");
  EXPECT_EQ(filesystem.calls({"write"}).size(), 4U);
}

TEST(File, AWriteThatMovesNothingIsAnError) {
  const TempDirectory directory;
  FaultyFileSystem filesystem(posix_filesystem());
  filesystem.shorten_writes(0);
  File file = File::create(filesystem, directory / "a");
  EXPECT_EQ(errno_of([&] { file.write_all(as_bytes("x"), 0); }), EIO);
}

TEST(File, IsNeverMadeOverAnExistingOneNorThroughALink) {
  const TempDirectory directory;
  testing::write_file(directory / "a", "keep");
  EXPECT_EQ(errno_of([&] { File::create(posix_filesystem(), directory / "a"); }), EEXIST);
  std::filesystem::create_symlink("nowhere", directory / "link");
  EXPECT_EQ(errno_of([&] { File::create(posix_filesystem(), directory / "link"); }), EEXIST);
  EXPECT_EQ(errno_of([&] { File::open_read(posix_filesystem(), directory / "link"); }), ELOOP);
  EXPECT_EQ(testing::read_file(directory / "a"), "keep");
}

TEST(File, CloseReportsItsErrorAndGivesTheDescriptorBack) {
  const TempDirectory directory;
  FaultyFileSystem filesystem(posix_filesystem());
  File file = File::create(filesystem, directory / "a");
  filesystem.fail("close", 1, EIO);
  EXPECT_EQ(errno_of([&] { file.close(); }), EIO);
  EXPECT_FALSE(file.is_open());
  EXPECT_EQ(filesystem.open_descriptors(), 0U);
  EXPECT_EQ(errno_of([&] { file.close(); }), 0) << "it is closed only once";
}

TEST(File, ClosesWhatItOwnsAndNothingElse) {
  const TempDirectory directory;
  FaultyFileSystem filesystem(posix_filesystem());
  {
    File first = File::create(filesystem, directory / "a");
    File moved = std::move(first);
    File second = File::create(filesystem, directory / "b");
    second = std::move(moved);
    EXPECT_EQ(second.path(), directory / "a");
    EXPECT_EQ(filesystem.open_descriptors(), 1U);
  }
  EXPECT_EQ(filesystem.open_descriptors(), 0U);
  EXPECT_EQ(filesystem.calls({"close"}).size(), 2U);
}

TEST(File, ReadsBackAndStopsAtTheEnd) {
  const TempDirectory directory;
  testing::write_file(directory / "a", "hello");
  File file = File::open_read(posix_filesystem(), directory / "a");
  std::array<std::byte, 16> buffer = {};
  EXPECT_EQ(file.read(buffer, 1), 4U);
  EXPECT_EQ(static_cast<char>(buffer[0]), 'e');
  EXPECT_EQ(file.read(buffer, 5), 0U);
}

TEST(File, ErrorsNameTheCallAndThePath) {
  try {
    File::open_read(posix_filesystem(), "/no/such/file");
    FAIL() << "it did not throw";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "cannot open: No such file or directory");
    EXPECT_EQ(error.path(), "/no/such/file");
  }
}

TEST(PosixFileSystem, GivesAFileTheModeThatTheUmaskSays) {
  const TempDirectory directory;
  const mode_t before = ::umask(0027);
  File::create(posix_filesystem(), directory / "a").close();
  ::umask(before);
  EXPECT_EQ(posix_filesystem().status(directory / "a").value.mode, 0640U);
}

TEST(PosixFileSystem, ListsSortedAndThroughALinkOnlyWhenAsked) {
  const TempDirectory directory;
  std::filesystem::create_directory(directory / "real");
  for (const char* name : {"real/b", "real/a", "real/.c"})
    testing::write_file(directory / name, "");
  std::filesystem::create_directory_symlink(directory / "real", directory / "link");
  const std::vector<std::string> expected = {".c", "a", "b"};
  EXPECT_EQ(posix_filesystem().list(directory / "real").value, expected);
  EXPECT_EQ(posix_filesystem().list(directory / "link").errnum, ENOTDIR);
  EXPECT_EQ(posix_filesystem().list(directory / "link/").value, expected);
}

TEST(PosixFileSystem, TellsTheStatusOfALinkAndOfItsEnd) {
  const TempDirectory directory;
  testing::write_file(directory / "a", "12345");
  std::filesystem::create_hard_link(directory / "a", directory / "b");
  std::filesystem::create_symlink("a", directory / "link");
  const FileStatus file = posix_filesystem().status(directory / "a").value;
  EXPECT_EQ(file.type, FileType::kRegular);
  EXPECT_EQ(file.size, 5);
  EXPECT_EQ(file.links, 2U);
  EXPECT_TRUE(file.same_inode(posix_filesystem().status(directory / "b").value));
  EXPECT_EQ(posix_filesystem().status(directory / "link").value.type, FileType::kSymlink);
  EXPECT_TRUE(file.same_inode(posix_filesystem().status_of_target(directory / "link").value));
  EXPECT_EQ(posix_filesystem().read_link(directory / "link").value, "a");
}

TEST(PosixFileSystem, ALockHoldsAgainstAnotherDescriptor) {
  const TempDirectory directory;
  testing::write_file(directory / "a", "");
  File first = File::open_read(posix_filesystem(), directory / "a");
  File second = File::open_read(posix_filesystem(), directory / "a");
  EXPECT_EQ(posix_filesystem().lock(first.descriptor()), 0);
  EXPECT_EQ(posix_filesystem().lock(second.descriptor()), EWOULDBLOCK);
  first.close();
  EXPECT_EQ(posix_filesystem().lock(second.descriptor()), 0);
}

TEST(EnsureDirectory, TakesADirectoryAndNothingElse) {
  const TempDirectory directory;
  ensure_directory(posix_filesystem(), directory / "new");
  ensure_directory(posix_filesystem(), directory / "new");
  testing::write_file(directory / "file", "");
  std::filesystem::create_directory_symlink(directory / "new", directory / "link");
  EXPECT_EQ(errno_of([&] { ensure_directory(posix_filesystem(), directory / "file"); }), ENOTDIR);
  EXPECT_EQ(errno_of([&] { ensure_directory(posix_filesystem(), directory / "link"); }), ENOTDIR)
      << "what would go through it lands elsewhere";
}

TEST(SyncDirectory, WhereThereIsNoSuchCallIsNoErrorAndEveryOtherIs) {
  const TempDirectory directory;
  FaultyFileSystem filesystem(posix_filesystem());
  const auto sync = [&] { sync_directory(filesystem, directory.path()); };
  for (const int errnum : {EINVAL, ENOSYS, EOPNOTSUPP}) {
    filesystem.fail("fsync", 1, errnum);
    EXPECT_EQ(errno_of(sync), 0) << errnum;
  }
  for (const char* op : {"opendir", "fsync", "close"}) {
    filesystem.fail(op, 1, EIO);
    EXPECT_EQ(errno_of(sync), EIO) << op;
  }
  EXPECT_EQ(filesystem.open_descriptors(), 0U);
}

TEST(SyncWayTo, SyncsWhatIsAboveOnTheSameFilesystemAndWhereALinkLeads) {
  const TempDirectory directory;
  std::filesystem::create_directories(directory / "a/b/c");
  std::filesystem::create_directory_symlink(directory / "a/b/c", directory / "link");
  FaultyFileSystem filesystem(posix_filesystem());
  sync_way_to(filesystem, directory / "link");
  std::vector<std::string> synced;
  for (const testing::Call& call : filesystem.calls({"fsync"})) {
    synced.push_back(std::filesystem::canonical(call.path));
  }
  const std::string base = std::filesystem::canonical(directory.path());
  ASSERT_GE(synced.size(), 3U);
  EXPECT_EQ(synced[0], base + "/a/b");
  EXPECT_EQ(synced[1], base + "/a");
  EXPECT_EQ(synced[2], base);
  const std::uint64_t device = posix_filesystem().status(directory.path()).value.device;
  for (const std::string& path : synced) {
    EXPECT_EQ(posix_filesystem().status(path).value.device, device) << path;
  }
}

TEST(SyncWayTo, LeavesOutWhatMayNotBeReadAndTellsEveryOtherFailure) {
  const TempDirectory directory;
  std::filesystem::create_directories(directory / "a/b");
  FaultyFileSystem filesystem(posix_filesystem());
  filesystem.fail("opendir", 1, EACCES);
  sync_way_to(filesystem, directory / "a/b");
  EXPECT_FALSE(filesystem.calls({"fsync"}).empty()) << "the one above it is synced all the same";
  filesystem.fail("stat", 2, EACCES);
  EXPECT_EQ(errno_of([&] { sync_way_to(filesystem, directory / "a/b"); }), 0);
  for (const char* op : {"stat", "opendir", "fsync", "close"}) {
    filesystem.fail(op, 1, EIO);
    EXPECT_EQ(errno_of([&] { sync_way_to(filesystem, directory / "a/b"); }), EIO) << op;
  }
}

TEST(PosixFileSystem, ExchangesTwoNamesInOneStep) {
  const TempDirectory directory;
  testing::write_file(directory / "file", "x");
  std::filesystem::create_directory(directory / "tree");
  const int errnum = posix_filesystem().exchange(directory / "file", directory / "tree");
  if (errnum == EINVAL) GTEST_SKIP() << "privilege: this filesystem cannot exchange names";
  EXPECT_EQ(errnum, 0);
  EXPECT_TRUE(std::filesystem::is_directory(directory / "file"));
  EXPECT_EQ(testing::read_file(directory / "tree"), "x");
  EXPECT_EQ(posix_filesystem().exchange(directory / "file", directory / "none"), ENOENT);
}

}  // namespace
}  // namespace checkroom::disk
