#include "store/sweep.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "disk/owner.h"
#include "disk/staged_file.h"
#include "support/faulty_filesystem.h"
#include "support/temp_directory.h"

namespace checkroom::store {
namespace {

using testing::FaultyFileSystem;
using testing::TempDirectory;

// A process of this boot and namespace that has lived and is gone.
disk::Owner dead_owner() {
  disk::Owner owner = disk::current_owner();
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  owner.pid = child;
  return owner;
}

class Sweep : public ::testing::Test {
 protected:
  Sweep() {
    std::filesystem::create_directories(layout_.staging());
    std::filesystem::create_directories(layout_.trash());
  }

  std::string staged(const disk::Owner& owner) {
    std::string path =
        layout_.staging() + "/" + disk::owned_name("a.ckpt", owner, disk::kStagedSuffix);
    testing::write_file(path, "x");
    return path;
  }
  std::string trashed(const disk::Owner& owner) {
    std::string path =
        layout_.trash() + "/" + disk::owned_name("a.ckpt", owner, disk::kTrashSuffix);
    testing::write_file(path, "x");
    return path;
  }
  std::vector<std::string> find() { return find_leftovers(filesystem_, layout_, system_clock()); }

  TempDirectory directory_;
  Layout layout_{directory_.path()};
  FaultyFileSystem filesystem_{disk::posix_filesystem()};
};

using Paths = std::vector<std::string>;

TEST_F(Sweep, FindsWhatADeadProcessLeft) {
  const disk::Owner dead = dead_owner();
  const Paths expected = {staged(dead), trashed(dead)};
  EXPECT_EQ(find(), expected);
}

TEST_F(Sweep, LeavesWhatALiveProcessIsWriting) {
  disk::StagedFile file(filesystem_, layout_.staging(), "a.ckpt");
  trashed(disk::current_owner());
  EXPECT_EQ(find(), Paths{});
}

TEST_F(Sweep, LeavesNamesThatAreNotOfOurMaking) {
  testing::write_file(layout_.staging() + "/notes.txt", "x");
  testing::write_file(layout_.trash() + "/a.ckpt", "x");
  testing::write_file(layout_.trash() + "/a.staged", "x");
  EXPECT_EQ(find(), Paths{});
}

TEST_F(Sweep, OfAnotherContainerTheLockTells) {
  disk::Owner container = dead_owner();
  container.namespace_ += 1;
  const std::string path = staged(container);
  EXPECT_EQ(find(), Paths{}) << "it may be just being made";
  EXPECT_TRUE(filesystem_.calls({"lock"}).empty()) << "its maker must find the lock free";
  const auto old = std::filesystem::file_time_type::clock::now() - std::chrono::minutes(2);
  std::filesystem::last_write_time(path, old);
  {
    disk::File holder = disk::File::open_read(disk::posix_filesystem(), path);
    ASSERT_EQ(disk::posix_filesystem().lock(holder.descriptor()), 0);
    EXPECT_EQ(find(), Paths{}) << "its writer holds the lock";
  }
  EXPECT_EQ(find(), Paths{path});
}

TEST_F(Sweep, NeverFails) {
  staged(dead_owner());
  for (const char* op : {"list", "lstat", "open", "stat", "statfs"}) {
    filesystem_.fail(op, 1, EIO, true);
    EXPECT_NO_THROW(find()) << op;
    filesystem_.heal();
  }
  std::filesystem::remove_all(layout_.house());
  EXPECT_EQ(find(), Paths{});
}

}  // namespace
}  // namespace checkroom::store
