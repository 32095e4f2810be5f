#include "disk/owner.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <thread>

namespace checkroom::disk {
namespace {

Owner some_owner() { return {"0a1b2c3d", "deadbeef", 4026531836, 4242, 777}; }

TEST(OwnedName, TellsItsOwnerAgain) {
  const std::string name = owned_name("epoch=1-val_loss=0.5.ckpt", some_owner(), ".staged");
  EXPECT_TRUE(name.starts_with("epoch=1-val_loss=0.5.ckpt.0a1b2c3d-deadbeef-4026531836-4242-777-"));
  EXPECT_EQ(parse_owned_name(name, ".staged"), some_owner());
}

TEST(OwnedName, IsNeverTheSameTwice) {
  std::set<std::string> names;
  for (int i = 0; i < 100; ++i) names.insert(owned_name("a", some_owner(), ".staged"));
  EXPECT_EQ(names.size(), 100U);
}

TEST(OwnedName, IsALegalFileNameHoweverLongTheCheckpointsIs) {
  const std::string name = owned_name(std::string(255, 'x'), some_owner(), ".staged");
  EXPECT_LE(name.size(), 255U);
  EXPECT_EQ(parse_owned_name(name, ".staged"), some_owner());
}

TEST(OwnedName, OfSomebodyElseIsNotParsed) {
  const char* const strangers[] = {
      "a.ckpt",
      "a.ckpt.staged",
      "a.0a1b2c3d-deadbeef-1-2-3-4.trash",
      "a.0a1b2c3d-deadbeef-1-2-3.staged",
      "a.0a1b2c3d-deadbeef-1-2-3-4-5.staged",
      "a.0a1b2c3d-deadbeef-1-x-3-4.staged",
      "a.0a1b2c3d-deadbeef-1--3-4.staged",
      "a.0a1b2c3d-deadbeef-1-0-3-4.staged",
      "a.0a1b2c3d-deadbeef-1-4294967297-3-4.staged",
      "a.0A1B2C3D-deadbeef-1-2-3-4.staged",
      "0a1b2c3d-deadbeef-1-2-3-4.staged",
      ".staged",
      "",
  };
  for (const char* name : strangers) {
    EXPECT_FALSE(parse_owned_name(name, ".staged").has_value()) << name;
  }
}

TEST(CurrentOwner, IsThisProcess) {
  const Owner owner = current_owner();
  EXPECT_EQ(owner.pid, ::getpid());
  EXPECT_EQ(owner.host.size(), 8U);
  EXPECT_EQ(owner.boot.size(), 8U);
  EXPECT_TRUE(process_lives(owner.pid, owner.started));
  EXPECT_FALSE(process_lives(owner.pid, owner.started + 1)) << "the pid was given out again";
  EXPECT_TRUE(process_lives(owner.pid, 0)) << "whoever could not tell when it started may be it";
}

TEST(ProcessLives, NotWhenItIsAZombieOrGone) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  // The child's own record, read before it dies.
  const Owner self = current_owner();
  ASSERT_TRUE(process_lives(self.pid, self.started));
  ::kill(child, SIGKILL);
  siginfo_t info = {};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  for (std::uint64_t started = self.started; started < self.started + 1000; ++started) {
    ASSERT_FALSE(process_lives(child, started)) << "a zombie has closed its files";
  }
  ::waitpid(child, nullptr, 0);
  EXPECT_FALSE(process_lives(child, 0));
}

TEST(ProcessLives, WhenOnlyItsFirstThreadHasEnded) {
  std::array<int, 2> pipe = {};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    std::thread([&pipe] {
      // Speaks once the first thread is a zombie, then lives on.
      std::string state;
      while (state.find(") Z") == std::string::npos) {
        std::ifstream stat("/proc/self/stat");
        state.assign(std::istreambuf_iterator<char>(stat), {});
      }
      static_cast<void>(!::write(pipe[1], "x", 1));
      ::pause();
    }).detach();
    ::syscall(SYS_exit, 0);  // of this thread alone
  }
  ::close(pipe[1]);
  char byte = 0;
  ASSERT_EQ(::read(pipe[0], &byte, 1), 1);
  EXPECT_TRUE(process_lives(child, 0)) << "its other thread may be the one that writes";
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_FALSE(process_lives(child, 0));
  ::close(pipe[0]);
}

Evidence evidence(bool local, bool lives, bool lock_free, double idle) {
  return {local, lives, lock_free, idle};
}

TEST(ProvablyDead, InTheSameNamespaceTheProcessDecides) {
  const Owner owner = some_owner();
  EXPECT_FALSE(provably_dead(owner, owner, evidence(true, true, true, 1e9)));
  EXPECT_TRUE(provably_dead(owner, owner, evidence(true, false, false, 0)));
}

TEST(ProvablyDead, InAnotherNamespaceTheLockDecides) {
  Owner self = some_owner();
  self.namespace_ += 1;
  EXPECT_FALSE(provably_dead(some_owner(), self, evidence(true, false, false, 1e9)));
  EXPECT_FALSE(provably_dead(some_owner(), self, evidence(true, false, true, 1)))
      << "its lock may be about to be taken";
  EXPECT_TRUE(provably_dead(some_owner(), self, evidence(true, false, true, 61)));
}

TEST(ProvablyDead, AfterARebootNobodyIsLeftOnALocalFilesystem) {
  Owner self = some_owner();
  self.boot = "00c0ffee";
  EXPECT_TRUE(provably_dead(some_owner(), self, evidence(true, true, false, 0)));
}

TEST(ProvablyDead, OnASharedFilesystemOnlyTheSameHostRebootedAndIdle) {
  Owner self = some_owner();
  self.boot = "00c0ffee";
  EXPECT_FALSE(provably_dead(some_owner(), self, evidence(false, false, true, 60)));
  EXPECT_TRUE(provably_dead(some_owner(), self, evidence(false, false, true, 3600)));
  self.host = "11111111";
  EXPECT_FALSE(provably_dead(some_owner(), self, evidence(false, false, true, 1e9)));
}

TEST(ProvablyDead, WithoutABootIdTheLockDecides) {
  Owner self = some_owner();
  self.boot = "00000000";
  EXPECT_FALSE(provably_dead(some_owner(), self, evidence(true, false, false, 1e9)));
  EXPECT_TRUE(provably_dead(some_owner(), self, evidence(true, false, true, 61)));
}

TEST(OwnedName, IsNeverCutInsideOfACharacter) {
  const std::string umlauts = [] {
    std::string text;
    for (int i = 0; i < 127; ++i) text += "\xc3\xbc";
    return text;
  }();
  for (const char* lead : {"", "x"}) {
    const std::string name = owned_name(lead + umlauts, some_owner(), ".staged");
    const std::string kept = name.substr(0, name.find('.'));
    ASSERT_LT(kept.size(), umlauts.size());
    EXPECT_EQ(static_cast<unsigned char>(kept.back()), 0xbc) << kept.size();
  }
}

}  // namespace
}  // namespace checkroom::disk
