#include "store/store.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.h"
#include "disk/owner.h"
#include "support/guarded_directory.h"

namespace checkroom::store {
namespace {

class StoreTest : public testing::GuardedDirectory {};

TEST_F(StoreTest, TouchesNothingBeforeItIsUsed) {
  Store store(options());
  EXPECT_TRUE(store.plan_save(item("a.ckpt", 0.5), false, false).wanted);
  EXPECT_TRUE(store.foreign().empty());
  EXPECT_EQ(store.used(), Bytes(0));
  EXPECT_FALSE(testing::exists(directory()));
}

TEST_F(StoreTest, RefusesArgumentsThatCannotBe) {
  StoreOptions wrong = options();
  wrong.min_free = Bytes(-1);
  EXPECT_THROW(Store{wrong}, Error);
  wrong = options();
  wrong.max_size = Bytes(-1);
  EXPECT_THROW(Store{wrong}, Error);
  wrong = options();
  wrong.directory = "";
  EXPECT_THROW(Store{wrong}, Error);
  wrong = options(-2);
  EXPECT_THROW(Store{wrong}, Error);
}

TEST_F(StoreTest, AdoptsWhatIsThereAndMeasuresIt) {
  std::filesystem::create_directories(directory());
  testing::write_file(path("a.ckpt"), "12345");
  std::filesystem::create_directory(path("tree.ckpt"));
  testing::write_file(path("tree.ckpt/shard"), "123");
  std::filesystem::create_symlink("/etc/hostname", path("link.ckpt"));
  Store store(options(5));
  const SavePlan plan = store.adopt(
      {item("a.ckpt", 0.5), item("gone.ckpt", 0.1), item("tree.ckpt", 0.4), item("link.ckpt", 0.3)},
      "", "");
  EXPECT_TRUE(plan.removes.empty());
  const auto items = store.inventory();
  ASSERT_EQ(names(items), (Names{"a.ckpt", "tree.ckpt"}));
  EXPECT_EQ(items[0].bytes, Bytes(5));
  EXPECT_EQ(items[1].own_bytes, Bytes(3));
  EXPECT_EQ(plan.best, "tree.ckpt");
}

TEST_F(StoreTest, AdoptIsToldOfMoreFilesThatAreLast) {
  std::filesystem::create_directories(directory());
  for (const char* name : {"a.ckpt", "last.ckpt", "other.ckpt"}) {
    testing::write_file(path(name), "12345");
  }
  Store store(options(5));
  store.adopt({item("a.ckpt", 0.5)}, "a.ckpt", "", {"last.ckpt", "a.ckpt"});
  const auto strangers = store.foreign();
  ASSERT_EQ(strangers.size(), 1U);
  EXPECT_EQ(strangers[0].first, "other.ckpt");
  EXPECT_THROW(store.adopt({}, "", "", {"../x"}), Error);
}

TEST_F(StoreTest, AdoptWithASmallerKTellsWhatLeavesAndRemovesNothing) {
  {
    Store store(options(3));
    for (const auto& [name, score] : {std::pair{"a.ckpt", 0.5}, {"b.ckpt", 0.4}, {"c.ckpt", 0.3}}) {
      save(store, item(name, score));
    }
  }
  Store store(options(1));
  const SavePlan plan =
      store.adopt({item("a.ckpt", 0.5), item("b.ckpt", 0.4), item("c.ckpt", 0.3)}, "", "a.ckpt");
  EXPECT_EQ(names(plan.removes), Names{"b.ckpt"}) << "the run was resumed from a.ckpt";
  EXPECT_TRUE(testing::exists(path("b.ckpt")));
  EXPECT_TRUE(store.foreign().empty()) << "what is about to go is still ours";
  store.trash("b.ckpt");
  EXPECT_EQ(listing(), (Set{".checkroom", "a.ckpt", "c.ckpt"}));
}

TEST_F(StoreTest, CountsForeignFilesAndLeavesThem) {
  std::filesystem::create_directories(path("logs"));
  testing::write_file(path("logs/events"), std::string(70, 'x'));
  testing::write_file(path("notes.txt"), std::string(30, 'x'));
  Store store(options(1));
  save(store, item("a.ckpt", 0.5));
  save(store, item("b.ckpt", 0.4));
  const std::vector<std::pair<std::string, Bytes>> expected = {{"logs", Bytes(70)},
                                                               {"notes.txt", Bytes(30)}};
  EXPECT_EQ(store.foreign(), expected);
  store.drain();
  EXPECT_EQ(store.used(), Bytes(100 + kFile));
  EXPECT_TRUE(testing::exists(path("logs/events")));
}

TEST_F(StoreTest, RecognisesLastByItsInodeOrItsEnd) {
  {
    Store store(options());
    save(store, item("a.ckpt", 0.5));
    store.link_last("a.ckpt", "last.ckpt");
    store.symlink_last("a.ckpt", "last-v1.ckpt");
  }
  Store store(options());
  store.adopt({item("a.ckpt", 0.5)}, "a.ckpt", "");
  EXPECT_TRUE(store.foreign().empty());
  testing::write_file(path("other-last.ckpt"), "x");
  EXPECT_EQ(store.foreign().size(), 1U);
  store.adopt({item("a.ckpt", 0.5)}, "other-last.ckpt", "");
  EXPECT_TRUE(store.foreign().empty()) << "the state knows it";
}

TEST_F(StoreTest, TheNextStartCleansUpAfterTheDead) {
  {
    Store store(options());
    save(store, item("a.ckpt", 0.5));
  }
  disk::Owner dead = disk::current_owner();
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  dead.pid = child;
  testing::write_file(path(".checkroom/staging/" + disk::owned_name("b", dead, ".staged")), "x");
  testing::write_file(path(".checkroom/trash/" + disk::owned_name("c", dead, ".trash")), "x");
  ASSERT_EQ(leftovers(), 2U);
  Store store(options());
  store.adopt({}, "", "");
  store.close();
  EXPECT_EQ(leftovers(), 0U);
  EXPECT_TRUE(testing::exists(path("a.ckpt")));
}

TEST_F(StoreTest, AnAdoptThatFailsLeavesTheFormerState) {
  StoreOptions capped = options(2);
  capped.max_size = Bytes(10 * kFile);
  Store store(capped, filesystem_);
  save(store, item("a.ckpt", 0.5));
  save(store, item("b.ckpt", 0.4), true);
  for (const char* op : {"mkdir", "lstat", "list"}) {
    filesystem_.fail_all(op, EIO);
    EXPECT_THROW(store.adopt({item("b.ckpt", 0.4)}, "", ""), Error) << op;
    filesystem_.heal();
    EXPECT_EQ(names(store.inventory()), (Names{"a.ckpt", "b.ckpt"})) << op;
    EXPECT_EQ(store.plan().plan.keep.back().reasons.back(), "last") << op;
  }
}

TEST_F(StoreTest, TheWayToANewDirectorySurvivesAPowerCut) {
  StoreOptions deep = options();
  deep.directory = base_ / "new/deep/run";
  Store store(deep, filesystem_);
  save(store, item("a.ckpt", 0.5));
  Set synced;
  for (const testing::Call& call : filesystem_.calls({"fsync"})) {
    synced.insert(std::filesystem::weakly_canonical(call.path));
  }
  const std::string base = std::filesystem::canonical(base_.path());
  for (const char* made : {"", "/new", "/new/deep", "/new/deep/run"}) {
    EXPECT_TRUE(synced.contains(base + made)) << "what holds the name: " << base + made;
  }
}

TEST_F(StoreTest, TheDirectoryMayBeMadeBySomebodyElseAtTheSameTime) {
  StoreOptions deep = options();
  deep.directory = base_ / "new/deep/run";
  Store store(deep, filesystem_);
  filesystem_.on_call([&](const testing::Call& call) {
    // Right before ours, but for the first try at the last of them.
    if (call.op == "mkdir" && testing::exists(base_ / "new")) {
      std::filesystem::create_directories(call.path);
    }
    if (call.op == "mkdir" && call.path == base_ / "new")
      std::filesystem::create_directory(call.path);
  });
  store.stage("a.ckpt")->write(testing::as_bytes("x"));
  EXPECT_TRUE(testing::exists(base_ / "new/deep/run/.checkroom/staging"));
}

}  // namespace
}  // namespace checkroom::store
