#include <gtest/gtest.h>

#include <cerrno>

#include "base/error.h"
#include "support/guarded_directory.h"

namespace checkroom::store {
namespace {

class StoreNames : public testing::GuardedDirectory {};

TEST_F(StoreNames, ArePlainNamesOrRefused) {
  testing::write_file(base_ / "outside", "keep");
  Store store(options());
  save(store, item("a.ckpt", 0.5));
  for (const char* name : {"../outside", "..", ".", "", ".checkroom", "/etc/hostname", "a/../b"}) {
    EXPECT_THROW(store.trash(name), Error) << name;
    EXPECT_THROW(store.stage(name), Error) << name;
    EXPECT_THROW(store.plan_save(item(name, 0.1), false, false), Error) << name;
    EXPECT_THROW(store.link_last("a.ckpt", name), Error) << name;
    EXPECT_THROW(store.symlink_last(name, "last.ckpt"), Error) << name;
    EXPECT_THROW(store.symlink_last("a.ckpt", name), Error) << name;
    EXPECT_THROW(store.link_last(name, "last.ckpt"), Error) << name;
    EXPECT_THROW(store.adopt({item(name, 0.1)}, "", ""), Error) << name;
    EXPECT_THROW(store.commit(item(name, 0.1)), Error) << name;
    EXPECT_THROW(store.forget(name), Error) << name;
    const auto staged = store.stage("b.ckpt");
    EXPECT_THROW(store.publish(*staged, name), Error) << name;
    if (std::string(name).empty()) continue;  // as much as none
    EXPECT_THROW(store.adopt({}, name, ""), Error) << name;
    EXPECT_THROW(store.adopt({}, "", name), Error) << name;
  }
  EXPECT_EQ(testing::read_file(base_ / "outside"), "keep");
  EXPECT_EQ(names(store.inventory()), Names{"a.ckpt"});
}

TEST_F(StoreNames, TrashOfALinkLeavesItsEnd) {
  testing::write_file(base_ / "outside", "keep");
  Store store(options());
  save(store, item("a.ckpt", 0.5));
  std::filesystem::create_symlink(base_ / "outside", path("link.ckpt"));
  store.trash("link.ckpt");
  store.drain();
  EXPECT_FALSE(testing::exists(path("link.ckpt")));
  EXPECT_EQ(testing::read_file(base_ / "outside"), "keep");
}

TEST_F(StoreNames, AHouseThatIsALinkIsRefused) {
  std::filesystem::create_directory(base_ / "elsewhere");
  for (const char* link : {".checkroom", ".checkroom/staging", ".checkroom/trash"}) {
    std::filesystem::remove_all(directory());
    std::filesystem::create_directories(std::filesystem::path(path(link)).parent_path());
    std::filesystem::create_directory_symlink(base_ / "elsewhere", path(link));
    testing::write_file(path("a.ckpt"), "a");
    Store store(options());
    EXPECT_THROW(store.stage("b.ckpt"), Error) << link;
    EXPECT_THROW(store.trash("a.ckpt"), Error) << link;
    EXPECT_THROW(store.link_last("a.ckpt", "last.ckpt"), Error) << link;
    EXPECT_TRUE(testing::names_in(base_ / "elsewhere").empty()) << link;
    EXPECT_EQ(testing::read_file(path("a.ckpt")), "a") << link;
  }
}

TEST_F(StoreNames, ALinkThatBearsTheNameOfASaveIsReplacedAndNotWrittenThrough) {
  testing::write_file(base_ / "outside", "keep");
  std::filesystem::create_directories(directory());
  std::filesystem::create_symlink(base_ / "outside", path("a.ckpt"));
  Store store(options());
  save(store, item("a.ckpt", 0.5));
  store.drain();
  EXPECT_FALSE(std::filesystem::is_symlink(path("a.ckpt")));
  EXPECT_EQ(testing::read_file(base_ / "outside"), "keep");
}

TEST_F(StoreNames, OneThatTheFilesystemCannotHaveIsRefusedBeforeAByteIsWritten) {
  Store store(options());
  try {
    store.stage(std::string(300, 'x'));
    FAIL() << "it was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.errnum(), ENAMETOOLONG);
  }
  EXPECT_TRUE(testing::names_in(path(".checkroom/staging")).empty());
}

}  // namespace
}  // namespace checkroom::store
