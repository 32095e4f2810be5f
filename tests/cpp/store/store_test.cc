#include "store/store.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "base/error.h"
#include "disk/owner.h"
#include "support/faulty_filesystem.h"
#include "support/temp_directory.h"

namespace checkroom::store {
namespace {

using testing::FaultyFileSystem;
using testing::TempDirectory;
using Names = std::vector<std::string>;
using Set = std::set<std::string>;

constexpr std::int64_t kFile = 100'000;

plan::Item item(const std::string& name, double score) {
  plan::Item made;
  made.name = name;
  made.bytes = made.own_bytes = Bytes(kFile);
  made.scores = {{"val_loss", score}};
  return made;
}

Names names(const std::vector<Removal>& removals) {
  Names all;
  for (const Removal& removal : removals) all.push_back(removal.name);
  return all;
}

Names names(const std::vector<plan::Item>& items) {
  Names all;
  for (const plan::Item& each : items) all.push_back(each.name);
  return all;
}

class StoreTest : public ::testing::Test {
 protected:
  StoreOptions options(std::int64_t k = 2) {
    StoreOptions made;
    made.directory = directory();
    made.policy.top_k = {k, "val_loss", plan::Mode::kMin};
    return made;
  }
  [[nodiscard]] std::string directory() const { return base_ / "run"; }
  [[nodiscard]] std::string path(const std::string& name) const { return directory() + "/" + name; }

  // What a callback does for one save; what left.
  Names save(Store& store, const plan::Item& saved, bool last = false) {
    const SavePlan plan = store.plan_save(saved, false, false);
    EXPECT_TRUE(plan.wanted && plan.admission);
    Names gone = names(store.make_room(plan));
    const auto staged = store.stage(saved.name);
    staged->reserve(saved.bytes);
    const std::string content(static_cast<std::size_t>(saved.bytes.count()), saved.name[0]);
    staged->write(testing::as_bytes(content));
    EXPECT_EQ(store.publish(*staged, saved.name), saved.bytes);
    const auto removals = store.commit(saved);
    if (last) store.link_last(saved.name, "last.ckpt");
    for (const Removal& removal : removals) {
      store.trash(removal.name);
      gone.push_back(removal.name);
    }
    return gone;
  }
  [[nodiscard]] Set listing() const { return testing::names_in(directory()); }
  // What the sweep and the reaper leave of the house of ours.
  [[nodiscard]] std::size_t leftovers() const {
    return testing::names_in(path(".checkroom/staging")).size() +
           testing::names_in(path(".checkroom/trash")).size();
  }

  TempDirectory base_;
  FaultyFileSystem filesystem_{disk::posix_filesystem()};
};

TEST_F(StoreTest, TouchesNothingBeforeItIsUsed) {
  Store store(options());
  EXPECT_TRUE(store.plan_save(item("a.ckpt", 0.5), false, false).wanted);
  EXPECT_TRUE(store.foreign().empty());
  EXPECT_EQ(store.used(), Bytes(0));
  EXPECT_FALSE(testing::exists(directory()));
}

TEST_F(StoreTest, SavesPrunesAndKeepsLast) {
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

TEST_F(StoreTest, TheOrderOfASaveIsTheOneThatSurvivesAPowerCut) {
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

TEST_F(StoreTest, WithoutDurabilityNothingIsSynced) {
  StoreOptions loose = options(1);
  loose.durable = false;
  Store store(loose, filesystem_);
  save(store, item("a.ckpt", 0.5), true);
  save(store, item("b.ckpt", 0.4), true);
  EXPECT_TRUE(filesystem_.calls({"fsync"}).empty());
  EXPECT_EQ(listing(), (Set{".checkroom", "b.ckpt", "last.ckpt"}));
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

TEST_F(StoreTest, UnderACapIsNeverAboveItAndKeepsTheBest) {
  StoreOptions capped = options(5);
  capped.max_size = Bytes(3 * kFile);
  Store store(capped, filesystem_);
  std::int64_t most = 0;
  filesystem_.on_call([&](const testing::Call& call) {
    if (call.op != "rename") return;
    std::int64_t sum = 0;
    for (const std::string& name : listing()) {
      if (name.ends_with(".ckpt")) {
        sum += static_cast<std::int64_t>(std::filesystem::file_size(path(name)));
      }
    }
    most = std::max(most, sum);
  });
  for (int i = 0; i < 8; ++i) {
    const double score = i == 2 ? 0.0 : 1.0 - 0.1 * i;
    save(store, item("e" + std::to_string(i) + ".ckpt", score));
    store.drain();
    EXPECT_LE(store.used(), Bytes(2 * kFile)) << "one more always fits";
  }
  EXPECT_LE(most, 3 * kFile);
  EXPECT_TRUE(testing::exists(path("e2.ckpt"))) << "the best";
}

TEST_F(StoreTest, AForeignFileUnderTheCapMakesRoomFirst) {
  StoreOptions capped = options(3);
  capped.max_size = Bytes(4 * kFile);
  Store store(capped);
  for (const auto& [name, score] : {std::pair{"a.ckpt", 0.5}, {"b.ckpt", 0.4}, {"c.ckpt", 0.3}}) {
    save(store, item(name, score));
  }
  testing::write_file(path("foreign"), std::string(kFile, 'x'));
  const SavePlan plan = store.plan_save(item("d.ckpt", 0.2), false, false);
  EXPECT_EQ(plan.admission->verdict, plan::AdmissionVerdict::kPruneFirst);
  EXPECT_EQ(plan.admission->limit, plan::Limit::kCap);
  EXPECT_EQ(names(plan.removes_first), Names{"a.ckpt"});
  EXPECT_EQ(save(store, item("d.ckpt", 0.2)), (Names{"a.ckpt", "b.ckpt"}));
  store.drain();
  EXPECT_EQ(store.used(), Bytes(3 * kFile));
  EXPECT_TRUE(testing::exists(path("foreign")));
}

TEST_F(StoreTest, WaitsForTheTrashBeforeItRefuses) {
  StoreOptions capped = options(5);
  capped.max_size = Bytes(2 * kFile);
  Store store(capped, filesystem_);
  save(store, item("a.ckpt", 0.5));
  std::atomic<bool> hold = true;
  filesystem_.on_call([&](const testing::Call& call) {
    while (call.op == "unlink" && hold) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  });
  testing::write_file(path("old.ckpt"), std::string(kFile, 'x'));
  store.trash("old.ckpt");
  std::thread release([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    hold = false;
  });
  const SavePlan plan = store.plan_save(item("b.ckpt", 0.4), false, false);
  release.join();
  EXPECT_EQ(plan.admission->verdict, plan::AdmissionVerdict::kAdmit);
}

TEST_F(StoreTest, ALastOfItsOwnIsNoItem) {
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

TEST_F(StoreTest, ANameThatExistsIsReplaced) {
  Store store(options(1));
  save(store, item("a.ckpt", 0.5));
  EXPECT_EQ(save(store, item("a.ckpt", 0.4)), Names{});
  store.drain();
  EXPECT_EQ(names(store.inventory()), Names{"a.ckpt"});
  EXPECT_EQ(store.used(), Bytes(kFile));
}

TEST_F(StoreTest, TrashTakesPlainNamesOnly) {
  testing::write_file(base_ / "outside", "keep");
  Store store(options());
  save(store, item("a.ckpt", 0.5));
  for (const char* name : {"../outside", "..", ".", "", ".checkroom", "/etc/hostname", "a/../b"}) {
    EXPECT_THROW(store.trash(name), Error) << name;
    EXPECT_THROW(store.stage(name), Error) << name;
    EXPECT_THROW(store.plan_save(item(name, 0.1), false, false), Error) << name;
    EXPECT_THROW(store.link_last("a.ckpt", name), Error) << name;
    EXPECT_THROW(store.symlink_last(name, "last.ckpt"), Error) << name;
    EXPECT_THROW(store.adopt({item(name, 0.1)}, "", ""), Error) << name;
  }
  EXPECT_EQ(testing::read_file(base_ / "outside"), "keep");
  EXPECT_EQ(names(store.inventory()), Names{"a.ckpt"});
}

TEST_F(StoreTest, TrashOfALinkLeavesItsEnd) {
  testing::write_file(base_ / "outside", "keep");
  Store store(options());
  save(store, item("a.ckpt", 0.5));
  std::filesystem::create_symlink(base_ / "outside", path("link.ckpt"));
  store.trash("link.ckpt");
  store.drain();
  EXPECT_FALSE(testing::exists(path("link.ckpt")));
  EXPECT_EQ(testing::read_file(base_ / "outside"), "keep");
}

TEST_F(StoreTest, TrashOfWhatIsGoneForgetsIt) {
  Store store(options());
  save(store, item("a.ckpt", 0.5));
  std::filesystem::remove(path("a.ckpt"));
  store.trash("a.ckpt");
  EXPECT_TRUE(store.inventory().empty());
}

TEST_F(StoreTest, DrainTellsWhatReallyCameBack) {
  Store store(options(1));
  save(store, item("a.ckpt", 0.5));
  save(store, item("b.ckpt", 0.4));
  const Bytes freed = store.drain();
  EXPECT_GE(freed, Bytes(kFile));
  EXPECT_LT(freed, Bytes(2 * kFile));
  EXPECT_EQ(store.drain(), Bytes(0));
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

TEST_F(StoreTest, AHouseThatIsALinkIsRefused) {
  std::filesystem::create_directories(directory());
  std::filesystem::create_directory(base_ / "elsewhere");
  std::filesystem::create_directory_symlink(base_ / "elsewhere", path(".checkroom"));
  Store store(options());
  EXPECT_THROW(store.stage("a.ckpt"), Error);
  EXPECT_TRUE(testing::names_in(base_ / "elsewhere").empty());
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

TEST_F(StoreTest, InAForkedChildTheDirectoryIsTheParents) {
  auto store = std::make_unique<Store>(options());
  save(*store, item("a.ckpt", 0.5), true);
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);
    bool refused = true;
    const auto refuses = [&](const auto& action) {
      try {
        action();
        refused = false;
      } catch (const Error&) {
      }
    };
    refuses([&] { store->trash("a.ckpt"); });
    refuses([&] { store->stage("b.ckpt"); });
    store->close();
    store.reset();
    ::_exit(refused ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_EQ(listing(), (Set{".checkroom", "a.ckpt", "last.ckpt"}));
}

TEST_F(StoreTest, ManyThreadsMayAsk) {
  Store store(options(2));
  save(store, item("a.ckpt", 0.5));
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&store, t] {
      for (int i = 0; i < 20; ++i) {
        const std::string name = "t" + std::to_string(t) + "-" + std::to_string(i) + ".ckpt";
        const plan::Item candidate = item(name, 0.4 - 0.001 * i);
        store.plan_save(candidate, false, false);
        const auto staged = store.stage(name);
        staged->write(testing::as_bytes("x"));
        store.publish(*staged, name);
        for (const Removal& removal : store.commit(candidate)) store.trash(removal.name);
        static_cast<void>(store.used());
        static_cast<void>(store.drain(std::chrono::milliseconds(1)));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  store.close();
  // The top 2, and the newest where it is not among them.
  const std::size_t kept = store.inventory().size();
  EXPECT_TRUE(kept == 2 || kept == 3) << kept;
  EXPECT_EQ(listing().size(), kept + 1);
}

}  // namespace
}  // namespace checkroom::store
