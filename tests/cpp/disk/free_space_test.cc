#include "disk/free_space.h"

#include <gtest/gtest.h>
#include <sys/statvfs.h>

#include <cerrno>

#include "base/error.h"
#include "support/faulty_filesystem.h"
#include "support/temp_directory.h"

namespace checkroom::disk {
namespace {

using testing::FaultyFileSystem;
using testing::TempDirectory;

constexpr std::uint64_t kGigabyte = 1'000'000'000;

Volume volume(std::uint64_t total, std::uint64_t free, std::uint64_t available) {
  return {.total = total,
          .free = free,
          .available = available,
          .inodes = 100,
          .inodes_available = 40,
          .magic = 0xEF53};
}

FreeSpace ask(const Volume& pretended) {
  FaultyFileSystem filesystem(posix_filesystem());
  filesystem.pretend_volume(pretended);
  return free_space(filesystem, "/");
}

TEST(FreeSpace, AgreesWithStatvfs) {
  const TempDirectory directory;
  struct statvfs expected = {};
  ASSERT_EQ(::statvfs(directory.path().c_str(), &expected), 0);
  const FreeSpace space = free_space(posix_filesystem(), directory.path());
  ASSERT_TRUE(space.total && space.free && space.available);
  EXPECT_EQ(space.total->count(), static_cast<std::int64_t>(expected.f_blocks * expected.f_frsize));
  // Others write while we look.
  EXPECT_NEAR(static_cast<double>(space.available->count()),
              static_cast<double>(expected.f_bavail * expected.f_frsize), 1e9);
  EXPECT_EQ(space.path, directory.path());
  EXPECT_NE(space.device.find(':'), std::string::npos);
}

TEST(FreeSpace, OfAPathToBeAsksTheNearestExistingParent) {
  const TempDirectory directory;
  testing::write_file(directory / "file", "x");
  EXPECT_EQ(free_space(posix_filesystem(), directory / "a/b//c/").path, directory.path());
  EXPECT_EQ(free_space(posix_filesystem(), directory / "file/a").path, directory / "file");
  EXPECT_EQ(free_space(posix_filesystem(), "/no/such/place").path, "/");
  EXPECT_EQ(free_space(posix_filesystem(), "no-such-relative/place").path, ".");
}

TEST(FreeSpace, IsWhatAnOrdinaryUserMayTake) {
  const FreeSpace space = ask(volume(100 * kGigabyte, 30 * kGigabyte, 25 * kGigabyte));
  EXPECT_EQ(space.available, Bytes(25'000'000'000));
  EXPECT_EQ(space.free, Bytes(30'000'000'000));
  EXPECT_EQ(space.filesystem, "ext4");
  EXPECT_EQ(space.inodes, 40);
}

TEST(FreeSpace, FiguresThatCannotBeTrueAreUnknown) {
  for (const Volume& absurd :
       {volume(0, 0, 0), volume(10, 11, 5), volume(10, 5, 11),
        volume((std::uint64_t{1} << 60U) + 1, 5, 5), volume(UINT64_MAX, UINT64_MAX, UINT64_MAX)}) {
    const FreeSpace space = ask(absurd);
    EXPECT_FALSE(space.total || space.free || space.available || space.inodes);
    EXPECT_FALSE(space.minus_floor(Bytes(1)).has_value());
  }
}

TEST(FreeSpace, InodesThatAreNotCountedAreNotCounted) {
  Volume uncounted = volume(100, 50, 50);
  uncounted.inodes = 0;
  EXPECT_FALSE(ask(uncounted).inodes.has_value());
  Volume full = volume(100, 50, 50);
  full.inodes_available = 0;
  EXPECT_EQ(ask(full).inodes, 0);
}

TEST(FreeSpace, AnUnknownFilesystemIsNamedByItsNumber) {
  Volume odd = volume(100, 50, 50);
  odd.magic = 0xABCDEF;
  EXPECT_EQ(ask(odd).filesystem, "0xabcdef");
  EXPECT_FALSE(is_local_filesystem("0xabcdef"));
  EXPECT_FALSE(is_local_filesystem("nfs"));
  EXPECT_TRUE(is_local_filesystem("xfs"));
}

TEST(FreeSpace, AboveTheFloorIsNeverNegative) {
  const FreeSpace space = ask(volume(100, 50, 50));
  EXPECT_EQ(space.minus_floor(Bytes(20)), Bytes(30));
  EXPECT_EQ(space.minus_floor(Bytes(50)), Bytes(0));
  EXPECT_EQ(space.minus_floor(Bytes(51)), Bytes(0));
}

TEST(FreeSpace, FailuresCarryThePath) {
  FaultyFileSystem filesystem(posix_filesystem());
  filesystem.fail("statfs", 1, EIO);
  try {
    free_space(filesystem, "/");
    FAIL() << "it did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.errnum(), EIO);
    EXPECT_EQ(error.path(), "/");
  }
  EXPECT_THROW(free_space(filesystem, ""), Error);
}

}  // namespace
}  // namespace checkroom::disk
