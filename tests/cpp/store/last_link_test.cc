#include "store/last_link.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "base/error.h"
#include "support/faulty_filesystem.h"
#include "support/temp_directory.h"

namespace checkroom::store {
namespace {

using testing::FaultyFileSystem;
using testing::TempDirectory;

class Last : public ::testing::Test {
 protected:
  Last() {
    std::filesystem::create_directories(layout_.staging());
    std::filesystem::create_directories(layout_.trash());
    testing::write_file(layout_.path("a.ckpt"), "new");
  }

  LastMade make(LastAs how) {
    return make_last(filesystem_, layout_, "a.ckpt", "last.ckpt", how, true);
  }
  bool same_inode(const char* one, const char* other) {
    return std::filesystem::equivalent(layout_.path(one), layout_.path(other));
  }
  std::string content(const char* name) { return testing::read_file(layout_.path(name)); }
  std::size_t staged() { return testing::names_in(layout_.staging()).size(); }

  TempDirectory directory_;
  Layout layout_{directory_.path()};
  FaultyFileSystem filesystem_{disk::posix_filesystem()};
};

TEST_F(Last, AutoIsAHardLinkWhereThereAreNoReflinks) {
  filesystem_.fail("reflink", 1, EOPNOTSUPP);
  EXPECT_EQ(make(LastAs::kAuto).kind, LastKind::kLink);
  EXPECT_TRUE(same_inode("a.ckpt", "last.ckpt"));
  EXPECT_EQ(staged(), 0U);
}

TEST_F(Last, AutoIsAHardLinkWhereAReflinkFindsNoRoom) {
  filesystem_.fail("create", 1, ENOSPC);
  EXPECT_EQ(make(LastAs::kAuto).kind, LastKind::kLink);
}

TEST_F(Last, AutoIsACopyWhereThereIsNeither) {
  filesystem_.fail("reflink", 1, EOPNOTSUPP);
  filesystem_.fail("link", 1, EPERM);
  EXPECT_EQ(make(LastAs::kAuto).kind, LastKind::kCopy);
  EXPECT_FALSE(same_inode("a.ckpt", "last.ckpt"));
  EXPECT_EQ(content("last.ckpt"), "new");
}

TEST_F(Last, LinkIsALinkOrNothing) {
  EXPECT_EQ(make(LastAs::kLink).kind, LastKind::kLink);
  EXPECT_TRUE(filesystem_.calls({"reflink"}).empty());
  filesystem_.fail("link", 1, EPERM);
  testing::write_file(layout_.path("b.ckpt"), "b");
  EXPECT_THROW(make_last(filesystem_, layout_, "b.ckpt", "other", LastAs::kLink, true), Error);
  EXPECT_EQ(staged(), 0U);
}

TEST_F(Last, CopyHasBlocksOfItsOwn) {
  EXPECT_EQ(make(LastAs::kCopy).kind, LastKind::kCopy);
  EXPECT_FALSE(same_inode("a.ckpt", "last.ckpt"));
  testing::write_file(layout_.path("last.ckpt"), "overwritten in place");
  EXPECT_EQ(content("a.ckpt"), "new");
}

TEST_F(Last, TakesThePlaceOfTheFormerOne) {
  testing::write_file(layout_.path("last.ckpt"), "old");
  const LastMade made = make(LastAs::kLink);
  ASSERT_TRUE(made.displaced.has_value());
  EXPECT_EQ(testing::read_file(*made.displaced), "old");
  EXPECT_EQ(content("last.ckpt"), "new");
}

TEST_F(Last, OfTheSameFileAgainLeavesNoSecondName) {
  make(LastAs::kLink);
  make(LastAs::kLink);
  EXPECT_EQ(staged(), 0U);
  EXPECT_EQ(std::filesystem::hard_link_count(layout_.path("a.ckpt")), 2U);
}

TEST_F(Last, IsThereAtEveryInstant) {
  testing::write_file(layout_.path("last.ckpt"), "old");
  int looks = 0;
  filesystem_.on_call([&](const testing::Call& call) {
    ++looks;
    const std::string now = content("last.ckpt");
    EXPECT_TRUE(now == "old" || now == "new") << "before " << call.op << " " << call.path;
  });
  for (const LastAs how : {LastAs::kAuto, LastAs::kLink, LastAs::kCopy}) make(how);
  make_symlink(filesystem_, layout_, "a.ckpt", "last.ckpt", true);
  EXPECT_GT(looks, 20);
}

TEST_F(Last, AFailureLeavesTheFormerOneAndNothingElse) {
  for (const LastAs how : {LastAs::kAuto, LastAs::kLink, LastAs::kCopy}) {
    for (const char* op : {"rename", "fsync"}) {
      testing::write_file(layout_.path("last.ckpt"), "old");
      filesystem_.fail(op, 1, EIO);
      EXPECT_THROW(make(how), Error) << op;
      EXPECT_EQ(content("last.ckpt"), "old") << op;
      EXPECT_EQ(staged(), 0U) << op;
      filesystem_.heal();
    }
  }
}

TEST_F(Last, SyncsTheDirectoryAfterTheRename) {
  filesystem_.clear_calls();
  make(LastAs::kLink);
  const auto calls = filesystem_.calls({"rename", "fsync"});
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(calls[0], (testing::Call{"rename", layout_.path("last.ckpt")}));
  EXPECT_EQ(calls[1], (testing::Call{"fsync", layout_.root}));
}

TEST_F(Last, OfSomethingThatIsNoFileIsRefused) {
  std::filesystem::create_directory(layout_.path("tree.ckpt"));
  std::filesystem::create_symlink("a.ckpt", layout_.path("link.ckpt"));
  for (const char* target : {"tree.ckpt", "link.ckpt", "missing.ckpt", "last.ckpt"}) {
    EXPECT_THROW(make_last(filesystem_, layout_, target, "last.ckpt", LastAs::kAuto, true), Error)
        << target;
  }
  EXPECT_FALSE(testing::exists(layout_.path("last.ckpt")));
}

TEST_F(Last, ASymbolicLinkIsRelativeAndTakesTheNameOfAnything) {
  make_symlink(filesystem_, layout_, "a.ckpt", "last.ckpt", true);
  EXPECT_EQ(std::filesystem::read_symlink(layout_.path("last.ckpt")), "a.ckpt");
  std::filesystem::create_directory(layout_.path("tree"));
  testing::write_file(layout_.path("tree/shard"), "old");
  const auto displaced = make_symlink(filesystem_, layout_, "a.ckpt", "tree", true);
  ASSERT_TRUE(displaced.has_value());
  EXPECT_EQ(testing::read_file(*displaced + "/shard"), "old");
  EXPECT_EQ(content("tree"), "new");
}

TEST_F(Last, OfItselfIsRefused) {
  EXPECT_THROW(make_symlink(filesystem_, layout_, "a.ckpt", "a.ckpt", true), Error);
  EXPECT_THROW(make_last(filesystem_, layout_, "a.ckpt", "a.ckpt", LastAs::kAuto, true), Error);
  EXPECT_EQ(content("a.ckpt"), "new");
}

}  // namespace
}  // namespace checkroom::store
