#include "disk/publish.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <utility>

#include "base/error.h"
#include "support/faulty_filesystem.h"
#include "support/temp_directory.h"

namespace checkroom::disk {
namespace {

using testing::Call;
using testing::FaultyFileSystem;
using testing::TempDirectory;

class Publish : public ::testing::Test {
 protected:
  Publish() {
    std::filesystem::create_directory(directory_ / "trash");
    testing::write_file(staged(), "new");
  }

  [[nodiscard]] std::string staged() const { return directory_ / "staged"; }
  [[nodiscard]] std::string target() const { return directory_ / "a.ckpt"; }
  [[nodiscard]] Destination destination(bool durable = true) const {
    return {directory_.path(), "a.ckpt", directory_ / "trash", durable};
  }
  void make_tree() {
    std::filesystem::create_directory(target());
    testing::write_file(target() + "/shard", "old");
  }
  int take_name_errno() {
    try {
      take_name(filesystem_, staged(), destination());
    } catch (const Error& error) {
      return error.errnum();
    }
    return 0;
  }

  TempDirectory directory_;
  FaultyFileSystem filesystem_{posix_filesystem()};
};

TEST_F(Publish, RenamesAndThenSyncsTheDirectory) {
  EXPECT_FALSE(take_name(filesystem_, staged(), destination()).has_value());
  EXPECT_EQ(testing::read_file(target()), "new");
  const std::vector<Call> expected = {{"rename", target()}, {"fsync", directory_.path()}};
  EXPECT_EQ(filesystem_.calls({"rename", "fsync"}), expected);
}

TEST_F(Publish, WithoutDurabilitySyncsNothing) {
  take_name(filesystem_, staged(), destination(false));
  EXPECT_EQ(testing::read_file(target()), "new");
  EXPECT_TRUE(filesystem_.calls({"fsync"}).empty());
}

TEST_F(Publish, GivesTheFormerBearerASecondNameInTheTrash) {
  testing::write_file(target(), "old");
  const auto trashed = take_name(filesystem_, staged(), destination());
  ASSERT_TRUE(trashed.has_value());
  EXPECT_EQ(testing::read_file(*trashed), "old");
  EXPECT_EQ(testing::read_file(target()), "new");
  const auto calls = filesystem_.calls({"link", "rename"});
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(calls[0].op, "link") << "first: the name is never missing";
}

TEST_F(Publish, TakesTheNameOfALinkAndNotOfItsEnd) {
  testing::write_file(directory_ / "other.ckpt", "other");
  std::filesystem::create_symlink("other.ckpt", target());
  take_name(filesystem_, staged(), destination());
  EXPECT_EQ(testing::read_file(directory_ / "other.ckpt"), "other");
  EXPECT_EQ(testing::read_file(target()), "new");
  EXPECT_FALSE(std::filesystem::is_symlink(target()));
}

TEST_F(Publish, TakesTheNameOfADirectoryWhichIsNeverMissing) {
  make_tree();
  filesystem_.on_call([&](const Call& call) {
    EXPECT_TRUE(testing::exists(target())) << "before " << call.op << " " << call.path;
  });
  const auto trashed = take_name(filesystem_, staged(), destination());
  EXPECT_EQ(testing::read_file(*trashed + "/shard"), "old");
  EXPECT_EQ(testing::read_file(target()), "new");
  EXPECT_FALSE(testing::exists(staged()));
  const auto calls = filesystem_.calls({"exchange", "rename", "fsync"});
  ASSERT_EQ(calls.size(), 3U);
  EXPECT_EQ(calls[0], (Call{"exchange", target()}));
  EXPECT_EQ(calls[1], (Call{"fsync", directory_.path()}));
  EXPECT_EQ(calls[2], (Call{"rename", *trashed}));
}

TEST_F(Publish, WhereNamesCannotBeExchangedTheDirectoryStepsAside) {
  make_tree();
  filesystem_.fail_all("exchange", EINVAL);
  const auto trashed = take_name(filesystem_, staged(), destination());
  EXPECT_EQ(testing::read_file(*trashed + "/shard"), "old");
  EXPECT_EQ(testing::read_file(target()), "new");
}

TEST_F(Publish, AnyFailureBringsADirectoryBack) {
  make_tree();
  for (const int exchange : {0, EINVAL}) {
    for (const auto& [op, n] : {std::pair{"lstat", 1},
                                {"exchange", 1},
                                {"rename", 1},
                                {"rename", 2},
                                {"opendir", 1},
                                {"fsync", 1},
                                {"close", 1}}) {
      // With an exchange the only rename is the one into the trash: then it has been published.
      if (exchange == 0 && std::string(op) == "rename") continue;
      filesystem_.heal();
      if (exchange != 0) filesystem_.fail_all("exchange", exchange);
      filesystem_.fail(op, n, EIO);
      EXPECT_EQ(take_name_errno(), EIO) << op;
      EXPECT_EQ(testing::read_file(target() + "/shard"), "old") << op << " " << n;
      EXPECT_EQ(testing::read_file(staged()), "new") << op << " " << n;
      EXPECT_TRUE(testing::names_in(directory_ / "trash").empty()) << op << " " << n;
    }
  }
}

TEST_F(Publish, ADirectoryThatCannotGoIntoTheTrashIsStillHandedOver) {
  make_tree();
  filesystem_.fail_all("rename", EIO);
  const auto left = take_name(filesystem_, staged(), destination());
  EXPECT_EQ(testing::read_file(target()), "new") << "published";
  ASSERT_TRUE(left.has_value());
  EXPECT_EQ(testing::read_file(*left + "/shard"), "old") << "for the reaper, where it is";
}

TEST_F(Publish, AFailedRenameLeavesTheOldStateAndNoSecondName) {
  testing::write_file(target(), "old");
  filesystem_.fail("rename", 1, EIO);
  EXPECT_EQ(take_name_errno(), EIO);
  EXPECT_EQ(testing::read_file(target()), "old");
  EXPECT_TRUE(testing::names_in(directory_ / "trash").empty());
}

TEST_F(Publish, AFailedDirectorySyncBringsTheOldStateBack) {
  filesystem_.fail("fsync", 1, EIO);
  EXPECT_EQ(take_name_errno(), EIO);
  EXPECT_FALSE(testing::exists(target())) << "not acknowledged: not there";

  testing::write_file(staged(), "new");
  testing::write_file(target(), "old");
  filesystem_.fail("fsync", 1, EIO);
  EXPECT_EQ(take_name_errno(), EIO);
  EXPECT_EQ(testing::read_file(target()), "old");
}

TEST_F(Publish, WithoutHardLinksTheNewFileStaysWhenItIsAllThereIs) {
  testing::write_file(target(), "old");
  filesystem_.fail("link", 1, EPERM);
  filesystem_.fail("fsync", 1, EIO);
  EXPECT_EQ(take_name_errno(), EIO);
  EXPECT_EQ(testing::read_file(target()), "new");
}

TEST_F(Publish, WithoutHardLinksItStillPublishes) {
  testing::write_file(target(), "old");
  filesystem_.fail("link", 1, EPERM);
  EXPECT_FALSE(take_name(filesystem_, staged(), destination()).has_value());
  EXPECT_EQ(testing::read_file(target()), "new");
}

TEST_F(Publish, MoveToTrashFreesTheNameForGood) {
  testing::write_file(target(), "old");
  const auto trashed = move_to_trash(filesystem_, destination());
  EXPECT_EQ(testing::read_file(*trashed), "old");
  EXPECT_FALSE(testing::exists(target()));
  const std::vector<Call> expected = {
      {"rename", *trashed}, {"fsync", directory_ / "trash"}, {"fsync", directory_.path()}};
  EXPECT_EQ(filesystem_.calls({"rename", "fsync"}), expected);
}

TEST_F(Publish, MoveToTrashOfNothingIsNoError) {
  EXPECT_FALSE(move_to_trash(filesystem_, destination()).has_value());
}

TEST_F(Publish, MoveToTrashThatFailsLeavesTheFile) {
  testing::write_file(target(), "old");
  for (const auto& [op, n] : {std::pair{"rename", 1},
                              {"opendir", 1},
                              {"opendir", 2},
                              {"fsync", 1},
                              {"fsync", 2},
                              {"close", 1},
                              {"close", 2}}) {
    filesystem_.fail(op, n, EIO);
    EXPECT_THROW(move_to_trash(filesystem_, destination()), Error) << op;
    EXPECT_EQ(testing::read_file(target()), "old") << op << " " << n;
    filesystem_.heal();
  }
}

TEST_F(Publish, MoveToTrashWithoutATrashIsAnErrorAndNotNothing) {
  testing::write_file(target(), "old");
  std::filesystem::remove(directory_ / "trash");
  EXPECT_THROW(move_to_trash(filesystem_, destination()), Error);
  EXPECT_EQ(testing::read_file(target()), "old");
}

}  // namespace
}  // namespace checkroom::disk
