#include "disk/reaper.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <limits>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

#include "support/faulty_filesystem.h"
#include "support/temp_directory.h"

namespace checkroom::disk {
namespace {

using testing::FaultyFileSystem;
using testing::TempDirectory;
using std::chrono_literals::operator""ms;

class Reaping : public ::testing::Test {
 protected:
  std::string file(std::string_view name, std::size_t bytes = 4096) {
    std::string path = directory_ / name;
    testing::write_file(path, std::string(bytes, 'x'));
    // Blocks are counted once they are written out.
    const auto opened = posix_filesystem().open_read(path);
    static_cast<void>(posix_filesystem().sync(opened.value));
    static_cast<void>(posix_filesystem().close(opened.value));
    return path;
  }
  static std::int64_t allocated(const std::string& path) {
    return posix_filesystem().status(path).value.allocated;
  }

  TempDirectory directory_;
  FaultyFileSystem filesystem_{posix_filesystem()};
};

TEST_F(Reaping, RemovesAndMeasuresWhatCameBack) {
  const std::string path = file("a", 100'000);
  const std::int64_t bytes = allocated(path);
  ASSERT_GE(bytes, 100'000);
  Reaper reaper(filesystem_);
  reaper.remove(path);
  EXPECT_TRUE(reaper.drain());
  EXPECT_FALSE(testing::exists(path));
  EXPECT_EQ(reaper.freed(), Bytes(bytes));
  EXPECT_TRUE(reaper.idle());
}

TEST_F(Reaping, AnotherNameOfTheFileKeepsItsBlocksAndItsBytes) {
  const std::string path = file("a");
  std::filesystem::create_hard_link(path, directory_ / "b");
  Reaper reaper(filesystem_);
  reaper.remove(path);
  EXPECT_TRUE(reaper.drain());
  EXPECT_EQ(reaper.freed(), Bytes(0));
  EXPECT_EQ(testing::read_file(directory_ / "b"), std::string(4096, 'x'));
  reaper.remove(directory_ / "b");
  EXPECT_TRUE(reaper.drain());
  EXPECT_EQ(reaper.freed(), Bytes(4096));
}

TEST_F(Reaping, RemovesATreeAndFollowsNoLinkOutOfIt) {
  std::filesystem::create_directories(directory_ / "outside");
  file("outside/keep");
  std::filesystem::create_directories(directory_ / "tree/deep/deeper");
  file("tree/a");
  file("tree/deep/deeper/b");
  std::filesystem::create_directory_symlink(directory_ / "outside", directory_ / "tree/deep/out");
  std::filesystem::create_symlink(directory_ / "outside/keep", directory_ / "tree/link");
  Reaper reaper(filesystem_);
  reaper.remove(directory_ / "tree");
  EXPECT_TRUE(reaper.drain());
  EXPECT_FALSE(testing::exists(directory_ / "tree"));
  EXPECT_TRUE(testing::exists(directory_ / "outside/keep"));
  EXPECT_EQ(reaper.freed(), Bytes(2LL * 4096));
}

TEST_F(Reaping, ALinkInTheTrashIsRemovedAndNotItsEnd) {
  const std::string path = file("a");
  std::filesystem::create_symlink(path, directory_ / "link");
  Reaper reaper(filesystem_);
  reaper.remove(directory_ / "link");
  EXPECT_TRUE(reaper.drain());
  EXPECT_FALSE(testing::exists(directory_ / "link"));
  EXPECT_TRUE(testing::exists(path));
}

TEST_F(Reaping, SurvivesAFailureAndTriesAgainAtTheNextDrain) {
  const std::string first = file("first");
  const std::string second = file("second");
  filesystem_.fail("unlink", 1, EIO);
  Reaper reaper(filesystem_);
  reaper.remove(first);
  reaper.remove(second);
  reaper.stop();
  EXPECT_TRUE(testing::exists(first));
  EXPECT_FALSE(testing::exists(second)) << "one failure does not keep the others";
  EXPECT_FALSE(reaper.idle());
  EXPECT_TRUE(reaper.drain());
  EXPECT_FALSE(testing::exists(first));
  EXPECT_TRUE(reaper.idle());
  EXPECT_EQ(reaper.freed(), Bytes(2LL * 4096));
}

TEST_F(Reaping, OfATreeRemovesWhatItCan) {
  std::filesystem::create_directories(directory_ / "tree");
  file("tree/a");
  file("tree/b");
  filesystem_.fail("unlink", 1, EACCES, true);
  Reaper reaper(filesystem_);
  reaper.remove(directory_ / "tree");
  EXPECT_TRUE(reaper.drain());
  EXPECT_EQ(reaper.freed(), Bytes(0));
  filesystem_.heal();
  EXPECT_TRUE(reaper.drain());
  EXPECT_FALSE(testing::exists(directory_ / "tree"));
}

TEST_F(Reaping, WhatIsAlreadyGoneIsNoFailure) {
  Reaper reaper(filesystem_);
  reaper.remove(directory_ / "never-there");
  EXPECT_TRUE(reaper.drain());
  EXPECT_TRUE(reaper.idle());
}

TEST_F(Reaping, DrainGivesUpWhenItsTimeIsUp) {
  std::atomic<bool> hold = true;
  filesystem_.on_call([&hold](const testing::Call& call) {
    while (call.op == "unlink" && hold) std::this_thread::sleep_for(1ms);
  });
  Reaper reaper(filesystem_);
  reaper.remove(file("a"));
  EXPECT_FALSE(reaper.drain(20ms));
  EXPECT_FALSE(reaper.idle());
  hold = false;
  EXPECT_TRUE(reaper.drain(10'000ms));
}

TEST_F(Reaping, StartsNoThreadUntilThereIsWork) {
  Reaper reaper(filesystem_);
  EXPECT_TRUE(reaper.drain());
  reaper.stop();
  EXPECT_TRUE(filesystem_.calls().empty());
}

TEST_F(Reaping, WorksAgainAfterStop) {
  Reaper reaper(filesystem_);
  reaper.remove(file("a"));
  reaper.stop();
  reaper.stop();
  EXPECT_FALSE(testing::exists(directory_ / "a"));
  reaper.remove(file("b"));
  EXPECT_TRUE(reaper.drain());
  EXPECT_FALSE(testing::exists(directory_ / "b"));
}

TEST_F(Reaping, ItsEndFinishesTheQueue) {
  {
    Reaper reaper(filesystem_);
    for (int i = 0; i < 50; ++i) reaper.remove(file("f" + std::to_string(i)));
  }
  EXPECT_TRUE(testing::names_in(directory_.path()).empty());
}

TEST_F(Reaping, TakesWorkFromManyThreads) {
  constexpr int kThreads = 4;
  constexpr int kFiles = 25;
  for (int i = 0; i < kThreads * kFiles; ++i) file("f" + std::to_string(i));
  Reaper reaper(filesystem_);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kFiles; ++i) {
        reaper.remove(directory_ / ("f" + std::to_string(t * kFiles + i)));
        if (i % 10 == 0) static_cast<void>(reaper.drain(1ms));
        if (i % 12 == 0) reaper.stop();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(reaper.drain());
  EXPECT_TRUE(testing::names_in(directory_.path()).empty());
  EXPECT_EQ(reaper.freed(), Bytes(std::int64_t{kThreads} * kFiles * 4096));
}

TEST_F(Reaping, InAForkedChildItIsHarmless) {
  std::atomic<bool> hold = true;
  filesystem_.on_call([&hold](const testing::Call& call) {
    while (call.op == "unlink" && hold) std::this_thread::sleep_for(1ms);
  });
  auto reaper = std::make_unique<Reaper>(filesystem_);
  reaper->remove(file("a"));
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);  // a child that hangs dies of it, and the test fails
    reaper->remove(directory_ / "b");
    const bool settled = reaper->drain() && reaper->idle() && reaper->freed() == Bytes(0);
    reaper->stop();
    reaper.reset();
    ::_exit(settled ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
  hold = false;
  EXPECT_TRUE(reaper->drain());
  EXPECT_FALSE(testing::exists(directory_ / "a"));
}

TEST_F(Reaping, SurvivesAnySingleFailure) {
  int n = 1;
  for (bool struck = true; struck; ++n) {
    std::filesystem::create_directories(directory_ / "tree/deep");
    const std::int64_t bytes = allocated(file("tree/a")) + allocated(file("tree/deep/b")) +
                               allocated(file("single")) + allocated(file("late"));
    filesystem_.clear_calls();
    filesystem_.fail_any(n, EIO);
    Reaper reaper(filesystem_);
    reaper.remove(directory_ / "tree");
    reaper.remove(directory_ / "single");
    EXPECT_TRUE(reaper.drain());
    struck = filesystem_.calls().size() >= static_cast<std::size_t>(n);
    reaper.remove(directory_ / "late");
    EXPECT_TRUE(reaper.drain());
    EXPECT_TRUE(reaper.drain()) << "the failure may have struck the late one";
    EXPECT_TRUE(reaper.idle()) << n;
    EXPECT_TRUE(testing::names_in(directory_.path()).empty()) << n;
    EXPECT_EQ(reaper.freed(), Bytes(bytes)) << n;
    EXPECT_EQ(filesystem_.open_descriptors(), 0U) << n;
    filesystem_.heal();
  }
  EXPECT_GT(n, 15) << "the sweep struck where it matters";
}

TEST_F(Reaping, SurvivesAnException) {
  const std::string first = file("first");
  filesystem_.on_call([thrown = false](const testing::Call&) mutable {
    if (!std::exchange(thrown, true)) throw std::bad_alloc();
  });
  Reaper reaper(filesystem_);
  reaper.remove(first);
  reaper.stop();
  EXPECT_TRUE(testing::exists(first)) << "kept for the next time";
  EXPECT_TRUE(reaper.drain());
  EXPECT_FALSE(testing::exists(first));
}

TEST_F(Reaping, NobodyWaitsForTheRemovalsOfOthers) {
  std::atomic<bool> hold = true;
  filesystem_.on_call([&hold](const testing::Call& call) {
    while (call.op == "unlink" && hold) std::this_thread::sleep_for(1ms);
  });
  Reaper reaper(filesystem_);
  reaper.remove(file("a"));
  std::thread drainer([&] { reaper.drain(); });
  std::thread stopper([&] { reaper.stop(); });
  // None of these returns before the removal is let go where it waits for one of the two.
  for (int i = 0; i < 20; ++i) {
    reaper.remove(directory_ / "none");
    EXPECT_FALSE(reaper.drain(1ms));
    EXPECT_FALSE(reaper.idle());
    std::this_thread::sleep_for(1ms);
  }
  hold = false;
  drainer.join();
  stopper.join();
  EXPECT_TRUE(reaper.drain());
  EXPECT_FALSE(testing::exists(directory_ / "a"));
}

TEST_F(Reaping, ATimeThatNoClockHoldsIsForEver) {
  Reaper reaper(filesystem_);
  for (const double seconds : {1e300, std::numeric_limits<double>::infinity(), 1e9}) {
    reaper.remove(file("a"));
    EXPECT_TRUE(reaper.drain(std::chrono::duration<double>(seconds))) << seconds;
    EXPECT_FALSE(testing::exists(directory_ / "a")) << seconds;
  }
  EXPECT_TRUE(reaper.drain(std::chrono::duration<double>(-1)));
}

TEST_F(Reaping, WithoutAThreadItRemovesInTheCallersOwn) {
  const std::string first = file("first");
  const std::string second = file("second");
  ASSERT_EQ(::chmod(directory_.path().c_str(), 0777), 0);  // the child is somebody else
  // In a child, whose limit on threads is its own: one more than it has cannot be started.
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);
    if (::setuid(65534) != 0) ::_exit(77);
    const struct rlimit none = {0, 0};
    if (::setrlimit(RLIMIT_NPROC, &none) != 0) ::_exit(77);
    bool thread_starts = true;
    try {
      std::thread([] {}).join();
    } catch (const std::system_error&) {
      thread_starts = false;
    }
    if (thread_starts) ::_exit(77);
    Reaper reaper(filesystem_);
    reaper.remove(first);
    const bool waits = testing::exists(first) && !reaper.idle();
    const bool drained = reaper.drain() && reaper.idle() && !testing::exists(first);
    reaper.remove(second);
    reaper.stop();
    ::_exit(waits && drained && !testing::exists(second) ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status)) << status;
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "privilege: threads cannot be forbidden here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace checkroom::disk
