#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>

#include "support/guarded_directory.h"

namespace checkroom::store {
namespace {

class StoreSave : public testing::GuardedDirectory {};

TEST_F(StoreSave, SavesPrunesAndKeepsLast) {
  Store store(options());
  EXPECT_EQ(save(store, item("a.ckpt", 0.5), true), Names{});
  EXPECT_EQ(save(store, item("b.ckpt", 0.4), true), Names{});
  EXPECT_EQ(save(store, item("c.ckpt", 0.3), true), Names{"a.ckpt"});
  EXPECT_EQ(listing(), (Set{".checkroom", "b.ckpt", "c.ckpt", "last.ckpt"}));
  EXPECT_EQ(names(store.inventory()), (Names{"b.ckpt", "c.ckpt"}));
  EXPECT_EQ(store.plan().plan.best, "c.ckpt");
  EXPECT_TRUE(store.foreign().empty()) << "`last` is ours";
  store.drain();
  EXPECT_EQ(store.used(), Bytes(2 * kFile)) << "`last` shares the blocks of c.ckpt";
  EXPECT_EQ(leftovers(), 0U);
}

TEST_F(StoreSave, TheOrderOfASaveIsTheOneThatSurvivesAPowerCut) {
  Store store(options(1), filesystem_);
  save(store, item("a.ckpt", 0.5), true);
  store.drain();
  filesystem_.clear_calls();
  save(store, item("b.ckpt", 0.4), true);
  store.drain();

  const auto calls = filesystem_.calls();
  const auto at = [&](const std::string& op, const std::string& part, std::size_t from = 0) {
    for (std::size_t i = from; i < calls.size(); ++i) {
      if (calls[i].op == op && calls[i].path.find(part) != std::string::npos) return i;
    }
    ADD_FAILURE() << "no " << op << " of " << part;
    return calls.size();
  };
  const std::size_t synced = at("fsync", "staging/b.ckpt");
  const std::size_t renamed = at("rename", path("b.ckpt"));
  const std::size_t named = at("fsync", directory(), renamed);
  const std::size_t last = at("rename", path("last.ckpt"));
  const std::size_t last_named = at("fsync", directory(), last);
  const std::size_t removed = at("rename", "trash/a.ckpt");
  EXPECT_LT(at("reserve", "staging/b.ckpt"), at("write", "staging/b.ckpt"));
  EXPECT_LT(synced, renamed);
  EXPECT_LT(renamed, named);
  EXPECT_EQ(calls[named].path, directory());
  EXPECT_LT(named, last);
  EXPECT_LT(last_named, removed) << "nothing goes before its successor is there for good";
  EXPECT_LT(removed, at("unlink", "trash/a.ckpt"));
}

TEST_F(StoreSave, WithoutDurabilityNothingIsSynced) {
  StoreOptions loose = options(1);
  loose.durable = false;
  Store store(loose, filesystem_);
  save(store, item("a.ckpt", 0.5), true);
  save(store, item("b.ckpt", 0.4), true);
  EXPECT_TRUE(filesystem_.calls({"fsync"}).empty());
  EXPECT_EQ(listing(), (Set{".checkroom", "b.ckpt", "last.ckpt"}));
}

TEST_F(StoreSave, ALastOfItsOwnIsNoItem) {
  Store store(options(1));
  save(store, item("a.ckpt", 0.5), true);
  const plan::Item own = item("last.ckpt", 0.9);
  EXPECT_TRUE(store.plan_save(own, false, true).wanted);
  const auto staged = store.stage("last.ckpt");
  staged->write(testing::as_bytes("own"));
  store.publish(*staged, "last.ckpt");
  EXPECT_EQ(names(store.inventory()), Names{"a.ckpt"});
  EXPECT_TRUE(store.foreign().empty());
  EXPECT_EQ(testing::read_file(path("last.ckpt")), "own");
  EXPECT_EQ(testing::read_file(path("a.ckpt")), std::string(kFile, 'a'));
  EXPECT_EQ(save(store, item("b.ckpt", 0.4), true), Names{"a.ckpt"});
}

TEST_F(StoreSave, ANameThatExistsIsReplaced) {
  Store store(options(1));
  save(store, item("a.ckpt", 0.5));
  EXPECT_EQ(save(store, item("a.ckpt", 0.4)), Names{});
  store.drain();
  EXPECT_EQ(names(store.inventory()), Names{"a.ckpt"});
  EXPECT_EQ(store.used(), Bytes(kFile));
}

TEST_F(StoreSave, TrashOfWhatIsGoneForgetsIt) {
  Store store(options());
  save(store, item("a.ckpt", 0.5));
  std::filesystem::remove(path("a.ckpt"));
  store.trash("a.ckpt");
  EXPECT_TRUE(store.inventory().empty());
}

TEST_F(StoreSave, DrainTellsWhatReallyCameBack) {
  Store store(options(1));
  save(store, item("a.ckpt", 0.5));
  save(store, item("b.ckpt", 0.4));
  const Bytes freed = store.drain();
  EXPECT_GE(freed, Bytes(kFile));
  EXPECT_LT(freed, Bytes(2 * kFile));
  EXPECT_EQ(store.drain(), Bytes(0));
}

TEST_F(StoreSave, AHouseThatAnotherRunTookAwayIsMadeAgain) {
  Store store(options(1));
  save(store, item("a.ckpt", 0.5));
  std::filesystem::remove_all(path(".checkroom"));
  save(store, item("b.ckpt", 0.4));
  EXPECT_EQ(listing(), (Set{".checkroom", "b.ckpt"}));
  std::filesystem::remove_all(path(".checkroom"));
  store.trash("b.ckpt");
  EXPECT_EQ(listing(), Set{".checkroom"}) << "removed, not only forgotten";
  testing::write_file(path("c.ckpt"), "c");
  std::filesystem::remove_all(path(".checkroom"));
  store.link_last("c.ckpt", "last.ckpt");
  EXPECT_EQ(testing::read_file(path("last.ckpt")), "c");
}

TEST_F(StoreSave, AHouseThatGoesInBetweenIsMadeAgain) {
  Store store(options(1), filesystem_);
  save(store, item("a.ckpt", 0.5));
  int times = 2;
  filesystem_.on_call([&](const testing::Call& call) {
    if (call.op == "create" && times-- > 0) std::filesystem::remove_all(path(".checkroom"));
  });
  save(store, item("b.ckpt", 0.4));
  EXPECT_EQ(listing(), (Set{".checkroom", "b.ckpt"}));
}

TEST_F(StoreSave, ASymbolicLastIsLoadableAtEveryInstant) {
  Store store(options(1), filesystem_);
  save(store, item("a.ckpt", 0.5));
  store.symlink_last("a.ckpt", "last.ckpt");
  std::atomic<int> looks = 0;  // the reaper makes calls as well
  filesystem_.on_call([&](const testing::Call& call) {
    ++looks;
    EXPECT_TRUE(std::filesystem::exists(path("last.ckpt"))) << "before " << call.op;
  });
  EXPECT_EQ(save(store, item("b.ckpt", 0.4)), Names{"a.ckpt"});
  EXPECT_EQ(std::filesystem::read_symlink(path("last.ckpt")), "b.ckpt");
  store.symlink_last("b.ckpt", "last.ckpt");
  EXPECT_GT(looks, 20);
}

TEST_F(StoreSave, WhatThePublishedFileLiesAmongCannotKeepItOutOfTheInventory) {
  StoreOptions capped = options(2);
  capped.max_size = Bytes(10 * kFile);
  Store store(capped, filesystem_);
  const auto staged = store.stage("a.ckpt");
  store.publish(*staged, "a.ckpt");
  filesystem_.fail_all("list", EIO);
  EXPECT_TRUE(store.commit(item("a.ckpt", 0.5)).empty());
  EXPECT_EQ(names(store.inventory()), Names{"a.ckpt"});
}

TEST_F(StoreSave, TheModeIsWhatTheUmaskSays) {
  StoreOptions copied = options();
  copied.last_as = LastAs::kCopy;
  Store store(copied);
  const mode_t before = ::umask(0027);
  save(store, item("a.ckpt", 0.5), true);
  ::umask(before);
  for (const char* name : {"a.ckpt", "last.ckpt"}) {
    EXPECT_EQ(disk::posix_filesystem().status(path(name)).value.mode, 0640U) << name;
  }
}

}  // namespace
}  // namespace checkroom::store
