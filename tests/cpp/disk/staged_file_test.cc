#include "disk/staged_file.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <functional>
#include <memory>

#include "base/error.h"
#include "disk/owner.h"
#include "support/faulty_filesystem.h"
#include "support/temp_directory.h"

namespace checkroom::disk {
namespace {

using testing::as_bytes;
using testing::FaultyFileSystem;
using testing::TempDirectory;

constexpr std::int64_t kMegabyte = 1 << 20;

class Staged : public ::testing::Test {
 protected:
  Staged() {
    std::filesystem::create_directory(staging());
    std::filesystem::create_directory(trash());
  }

  [[nodiscard]] std::string staging() const { return directory_ / "staging"; }
  [[nodiscard]] std::string trash() const { return directory_ / "trash"; }
  [[nodiscard]] std::string target() const { return directory_ / "a.ckpt"; }
  [[nodiscard]] Destination destination() const {
    return {directory_.path(), "a.ckpt", trash(), true};
  }
  std::unique_ptr<StagedFile> stage() {
    return std::make_unique<StagedFile>(filesystem_, staging(), "a.ckpt");
  }
  std::int64_t allocated(const std::string& path) {
    return posix_filesystem().status(path).value.allocated;
  }
  static std::optional<Error> error_of(const std::function<void()>& action) {
    try {
      action();
    } catch (const Error& error) {
      return error;
    }
    return std::nullopt;
  }

  TempDirectory directory_;
  FaultyFileSystem filesystem_{posix_filesystem()};
};

TEST_F(Staged, IsPublishedWithItsBytes) {
  auto file = stage();
  file->reserve(Bytes(10));
  file->write(as_bytes("01234"));
  file->write(as_bytes("56789"));
  EXPECT_FALSE(testing::exists(target()));
  const Published published = file->publish(destination());
  EXPECT_EQ(published.bytes, Bytes(10));
  EXPECT_FALSE(published.displaced.has_value());
  EXPECT_EQ(testing::read_file(target()), "0123456789");
  EXPECT_TRUE(testing::names_in(staging()).empty());
  EXPECT_EQ(filesystem_.open_descriptors(), 0U);
}

TEST_F(Staged, SyncsBeforeItRenamesAndTheDirectoryAfter) {
  auto file = stage();
  const std::string path = file->path();
  file->reserve(Bytes(100));
  file->write(as_bytes("x"));
  filesystem_.clear_calls();
  file->publish(destination());
  const std::vector<testing::Call> expected = {{"truncate", path},
                                               {"fsync", path},
                                               {"close", path},
                                               {"rename", target()},
                                               {"fsync", directory_.path()},
                                               {"close", directory_.path()}};
  EXPECT_EQ(filesystem_.calls({"truncate", "fsync", "close", "rename"}), expected);
}

TEST_F(Staged, IsSealedOnceUnlessSomethingIsWrittenAfterIt) {
  auto file = stage();
  file->write(as_bytes("x"));
  file->seal(false);
  EXPECT_EQ(testing::read_file(file->path()), "x") << "it can be read back";
  EXPECT_TRUE(filesystem_.calls({"fsync"}).empty());
  file->seal(true);
  file->seal(true);
  EXPECT_EQ(filesystem_.calls({"fsync"}).size(), 1U);
  file->write(as_bytes("y"));
  filesystem_.clear_calls();
  file->publish(destination());
  EXPECT_EQ(filesystem_.calls({"fsync"}).size(), 2U) << "the file anew, and its directory";
  EXPECT_EQ(testing::read_file(target()), "xy");
}

TEST_F(Staged, CanBeKeptUnderAnotherName) {
  auto file = stage();
  file->write(as_bytes("odd"));
  file->keep_as(directory_ / "aside");
  EXPECT_EQ(testing::read_file(directory_ / "aside"), "odd");
  EXPECT_TRUE(testing::names_in(staging()).empty());
  EXPECT_FALSE(testing::exists(target()));
  file.reset();
  EXPECT_TRUE(testing::exists(directory_ / "aside"));
  EXPECT_EQ(filesystem_.open_descriptors(), 0U);
}

TEST_F(Staged, TellsItsOwnerByItsName) {
  auto file = stage();
  const std::string name = std::filesystem::path(file->path()).filename();
  EXPECT_TRUE(name.starts_with("a.ckpt."));
  EXPECT_EQ(parse_owned_name(name, kStagedSuffix), current_owner());
}

TEST_F(Staged, GivesReservedBlocksBeyondItsEndBack) {
  auto file = stage();
  file->reserve(Bytes(8 * kMegabyte));
  if (!file->reserved()) GTEST_SKIP() << "privilege: this filesystem has no fallocate";
  EXPECT_GE(allocated(file->path()), 8 * kMegabyte);
  file->write(as_bytes("short after all"));
  file->publish(destination());
  EXPECT_LT(allocated(target()), kMegabyte);
}

TEST_F(Staged, IsGoneWhenItIsDropped) {
  { stage()->write(as_bytes("x")); }
  EXPECT_TRUE(testing::names_in(staging()).empty());
  EXPECT_EQ(filesystem_.open_descriptors(), 0U);
}

TEST_F(Staged, AfterAbandonEveryCallSaysSo) {
  auto file = stage();
  file->abandon();
  file->abandon();
  EXPECT_TRUE(testing::names_in(staging()).empty());
  EXPECT_NE(error_of([&] { file->write(as_bytes("x")); }), std::nullopt);
  EXPECT_NE(error_of([&] { file->reserve(Bytes(1)); }), std::nullopt);
  EXPECT_NE(error_of([&] { file->publish(destination()); }), std::nullopt);
}

TEST_F(Staged, ForgettingToAbandonAPublishedFileHarmsNothing) {
  auto file = stage();
  file->publish(destination());
  file->abandon();
  EXPECT_TRUE(testing::exists(target()));
  EXPECT_NE(error_of([&] { file->write(as_bytes("x")); }), std::nullopt);
}

TEST_F(Staged, SeeksAndFillsIn) {
  auto file = stage();
  file->write(as_bytes("aaaaaa"));
  file->seek(2);
  file->write(as_bytes("BB"));
  EXPECT_EQ(file->position(), 4);
  EXPECT_EQ(file->size(), Bytes(6));
  EXPECT_EQ(error_of([&] { file->seek(-1); })->code(), ErrorCode::kInvalidArgument);
  file->publish(destination());
  EXPECT_EQ(testing::read_file(target()), "aaBBaa");
}

TEST_F(Staged, AReservationThatFailsIsUndoneAndSaysNeedAndHave) {
  filesystem_.pretend_volume({.total = 1000, .free = 300, .available = 200});
  auto file = stage();
  filesystem_.fail("reserve", 1, ENOSPC, true);
  const auto error = error_of([&] { file->reserve(Bytes(500)); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::kNoSpace);
  EXPECT_EQ(error->need(), 500);
  EXPECT_EQ(error->have(), 200);
  EXPECT_EQ(error->limit(), "filesystem");
  const auto calls = filesystem_.calls({"reserve", "truncate", "statfs", "close"});
  ASSERT_GE(calls.size(), 2U);
  EXPECT_EQ(calls[1].op, "truncate") << "undone at once, before anything else is asked";
  EXPECT_TRUE(testing::names_in(staging()).empty()) << "not a block of it stays";
  EXPECT_EQ(error_of([&] { file->write(as_bytes("x")); })->need(), 500) << "the first error stays";
}

TEST_F(Staged, AReservationWhoseUndoingFailsTakesTheFileAlong) {
  auto file = stage();
  filesystem_.fail("reserve", 1, ENOSPC);
  filesystem_.fail("truncate", 1, EIO);
  EXPECT_EQ(error_of([&] { file->reserve(Bytes(500)); })->errnum(), EIO);
  EXPECT_TRUE(testing::names_in(staging()).empty());
}

TEST_F(Staged, AReservationThatGrowsAndFailsKeepsNoBlockOfTheFormerOne) {
  filesystem_.pretend_volume({.total = 1000, .free = 300, .available = 200});
  auto file = stage();
  file->reserve(Bytes(kMegabyte));
  if (!file->reserved()) GTEST_SKIP() << "privilege: this filesystem has no fallocate";
  std::int64_t left = -1;
  filesystem_.on_call([&](const testing::Call& call) {
    if (call.op == "statfs" && left < 0) left = allocated(file->path());
  });
  filesystem_.fail("reserve", 1, ENOSPC);
  EXPECT_TRUE(error_of([&] { file->reserve(Bytes(2 * kMegabyte)); }).has_value());
  EXPECT_EQ(left, 0);
}

TEST_F(Staged, AQuotaThatRefusesIsNamed) {
  auto file = stage();
  filesystem_.fail("reserve", 1, EDQUOT);
  const auto error = error_of([&] { file->reserve(Bytes(500)); });
  EXPECT_EQ(error->code(), ErrorCode::kNoSpace);
  EXPECT_EQ(error->limit(), "quota");
  EXPECT_FALSE(error->have().has_value()) << "the filesystem's figures say nothing of a quota";
}

TEST_F(Staged, WithoutFallocateItIsUnreservedNotFailed) {
  filesystem_.fail("reserve", 1, EOPNOTSUPP);
  auto file = stage();
  file->reserve(Bytes(5));
  EXPECT_FALSE(file->reserved());
  file->write(as_bytes("hello"));
  file->publish(destination());
  EXPECT_EQ(testing::read_file(target()), "hello");
}

TEST_F(Staged, WhereStatvfsSeesRoomTheReservationIsTriedAgain) {
  filesystem_.pretend_volume({.total = 1000, .free = 900, .available = 900});
  filesystem_.fail("reserve", 1, ENOSPC);
  auto file = stage();
  file->reserve(Bytes(500));
  EXPECT_TRUE(file->reserved());
  EXPECT_EQ(filesystem_.calls({"reserve"}).size(), 2U);
}

TEST_F(Staged, WhereOnlyTheAllocatorSaysNoTheWriteDecides) {
  filesystem_.pretend_volume({.total = 1000, .free = 900, .available = 900});
  filesystem_.fail("reserve", 1, ENOSPC, true);
  auto file = stage();
  file->reserve(Bytes(500));
  EXPECT_FALSE(file->reserved());
  file->write(as_bytes("hello"));
  EXPECT_EQ(file->publish(destination()).bytes, Bytes(5));
}

TEST_F(Staged, AWriteThatFindsNoRoomSaysWhatIsMissing) {
  filesystem_.pretend_volume({.total = 1000, .free = 10, .available = 10});
  filesystem_.fail("reserve", 1, EOPNOTSUPP);
  auto file = stage();
  constexpr std::int64_t kSize = 20 * kMegabyte;
  file->reserve(Bytes(kSize));
  filesystem_.fail("write", 2, ENOSPC);
  const auto error = error_of([&] {
    for (int i = 0; i < 20; ++i) file->write(as_bytes(std::string(kMegabyte, 'x')));
    file->publish(destination());
  });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->need(), kSize - static_cast<std::int64_t>(kBlockBytes));
  EXPECT_EQ(error->have(), 10);
  EXPECT_TRUE(testing::names_in(staging()).empty());
}

TEST_F(Staged, AnyFailureOnTheWayToItsNameAbandonsIt) {
  for (const char* op : {"truncate", "fsync", "close", "rename"}) {
    testing::write_file(target(), "old");
    auto file = stage();
    file->reserve(Bytes(100));
    file->write(as_bytes("new"));
    filesystem_.fail(op, 1, EIO);
    const auto error = error_of([&] { file->publish(destination()); });
    ASSERT_TRUE(error.has_value()) << op;
    EXPECT_EQ(error->errnum(), EIO) << op;
    EXPECT_EQ(testing::read_file(target()), "old") << op;
    EXPECT_TRUE(testing::names_in(staging()).empty()) << op << ": the inode is abandoned";
    EXPECT_EQ(filesystem_.open_descriptors(), 0U) << op;
  }
}

TEST_F(Staged, AnFsyncThatFindsNoRoomIsNoSpace) {
  auto file = stage();
  file->write(as_bytes("new"));
  filesystem_.fail("fsync", 1, ENOSPC);
  EXPECT_EQ(error_of([&] { file->publish(destination()); })->code(), ErrorCode::kNoSpace);
}

TEST_F(Staged, CopiesIntoBlocksOfItsOwn) {
  testing::write_file(directory_ / "source", std::string(5 * kMegabyte, 'x'));
  auto file = stage();
  file->copy(directory_ / "source");
  file->publish(destination());
  EXPECT_EQ(testing::read_file(target()), std::string(5 * kMegabyte, 'x'));
  EXPECT_EQ(posix_filesystem().status(target()).value.links, 1U);
}

TEST_F(Staged, CanBePatchedBehindBlocksThatWentPastTheCache) {
  std::string content(9 * kMegabyte + 5, 'x');
  auto file = stage();
  file->write(as_bytes(content));
  file->seek(3);
  file->write(as_bytes("patched"));
  file->publish(destination());
  content.replace(3, 7, "patched");
  EXPECT_TRUE(testing::read_file(target()) == content);
}

TEST_F(Staged, AFailureToCopyOrToShareAbandonsIt) {
  testing::write_file(directory_ / "source", "hello");
  for (const char* op : {"open", "reflink", "lstat", "close"}) {
    if (std::string(op) == "lstat" || std::string(op) == "close") {
      auto able = stage();
      if (!able->share(directory_ / "source")) continue;  // this filesystem never gets there
    }
    auto file = stage();
    filesystem_.fail(op, 1, EIO);
    EXPECT_EQ(error_of([&] { file->share(directory_ / "source"); })->errnum(), EIO) << op;
    EXPECT_TRUE(testing::names_in(staging()).empty()) << op;
    EXPECT_EQ(error_of([&] { file->write(as_bytes("x")); })->errnum(), EIO) << op;
    filesystem_.heal();
  }
  for (const char* op : {"open", "lstat", "reserve", "read", "write", "close"}) {
    auto file = stage();
    filesystem_.fail(op, 1, EIO);
    EXPECT_EQ(error_of([&] { file->copy(directory_ / "source"); })->errnum(), EIO) << op;
    EXPECT_TRUE(testing::names_in(staging()).empty()) << op;
    EXPECT_EQ(error_of([&] { file->write(as_bytes("x")); })->errnum(), EIO) << op;
    filesystem_.heal();
  }
  EXPECT_EQ(filesystem_.open_descriptors(), 0U);
}

TEST_F(Staged, ItsBlocksComeBackEvenWhereItsNameCannotGo) {
  auto file = stage();
  const std::string path = file->path();
  file->reserve(Bytes(kMegabyte));
  file->write(as_bytes(std::string(kMegabyte, 'x')));
  filesystem_.fail("unlink", 1, EIO);
  file->abandon();
  EXPECT_EQ(allocated(path), 0);
  EXPECT_EQ(filesystem_.open_descriptors(), 0U);
}

TEST_F(Staged, ItsBlocksComeBackEvenWhereAChildHasItOpen) {
  auto file = stage();
  file->write(as_bytes(std::string(9 * kMegabyte, 'x')));
  const File inherited = File::open_read(posix_filesystem(), file->path());
  filesystem_.fail_all("write", EIO);
  EXPECT_TRUE(error_of([&] { file->publish(destination()); }).has_value());
  std::array<std::byte, 1> byte = {};
  EXPECT_EQ(posix_filesystem().read(inherited.descriptor(), byte, 0).value, 0U);
}

TEST_F(Staged, SharesBlocksOrSaysThatItCannot) {
  testing::write_file(directory_ / "source", "hello");
  auto file = stage();
  filesystem_.fail("reflink", 1, EOPNOTSUPP);
  EXPECT_FALSE(file->share(directory_ / "source"));
  if (!file->share(directory_ / "source")) return;  // tests/faults has a filesystem that can
  file->publish(destination());
  EXPECT_EQ(testing::read_file(target()), "hello");
}

TEST_F(Staged, InAForkedChildTheFileIsTheParents) {
  auto file = stage();
  file->write(as_bytes("par"));
  const pid_t child = ::fork();
  if (child == 0) {
    const bool refused = error_of([&] { file->write(as_bytes("child")); }).has_value();
    file.reset();
    ::_exit(refused ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  file->write(as_bytes("ent"));
  file->publish(destination());
  EXPECT_EQ(testing::read_file(target()), "parent");
}

}  // namespace
}  // namespace checkroom::disk
