#include "disk/publish.h"

#include <gtest/gtest.h>

#include <cerrno>

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

TEST_F(Publish, TakesTheNameOfADirectory) {
  std::filesystem::create_directory(target());
  testing::write_file(target() + "/shard", "old");
  const auto trashed = take_name(filesystem_, staged(), destination());
  EXPECT_EQ(testing::read_file(*trashed + "/shard"), "old");
  EXPECT_EQ(testing::read_file(target()), "new");
}

TEST_F(Publish, AFailedRenameLeavesTheOldStateAndNoSecondName) {
  testing::write_file(target(), "old");
  filesystem_.fail("rename", 1, EIO);
  EXPECT_EQ(take_name_errno(), EIO);
  EXPECT_EQ(testing::read_file(target()), "old");
  EXPECT_TRUE(testing::names_in(directory_ / "trash").empty());
}

TEST_F(Publish, AFailedRenameBringsADirectoryBack) {
  std::filesystem::create_directory(target());
  filesystem_.fail("rename", 2, EIO);
  EXPECT_EQ(take_name_errno(), EIO);
  EXPECT_TRUE(std::filesystem::is_directory(target()));
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

  std::filesystem::remove(target());
  std::filesystem::create_directory(target());
  testing::write_file(staged(), "new");
  filesystem_.fail("fsync", 1, EIO);
  EXPECT_EQ(take_name_errno(), EIO);
  EXPECT_TRUE(std::filesystem::is_directory(target()));
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
  for (const char* op : {"rename", "fsync"}) {
    filesystem_.fail(op, 1, EIO);
    EXPECT_THROW(move_to_trash(filesystem_, destination()), Error);
    EXPECT_EQ(testing::read_file(target()), "old") << op;
  }
}

}  // namespace
}  // namespace checkroom::disk
