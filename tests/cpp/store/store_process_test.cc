#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "base/error.h"
#include "support/guarded_directory.h"

namespace checkroom::store {
namespace {

class StoreProcess : public testing::GuardedDirectory {};

TEST_F(StoreProcess, InAForkedChildTheDirectoryIsTheParents) {
  auto store = std::make_unique<Store>(options());
  save(*store, item("a.ckpt", 0.5), true);
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);
    const auto refuses = [&](const auto& action) {
      try {
        action();
        return false;
      } catch (const Error&) {
        return true;
      }
    };
    const bool refused = refuses([&] { store->trash("a.ckpt"); }) &&
                         refuses([&] { store->stage("b.ckpt"); }) &&
                         refuses([&] { store->commit(item("b.ckpt", 0.4)); }) &&
                         refuses([&] { store->adopt({}, "", ""); }) &&
                         refuses([&] { store->link_last("a.ckpt", "last.ckpt"); }) &&
                         refuses([&] { static_cast<void>(store->used()); });
    const bool idle = store->drain() == Bytes(0);
    store->close();
    store.reset();
    ::_exit(refused && idle ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_EQ(listing(), (Set{".checkroom", "a.ckpt", "last.ckpt"}));
}

TEST_F(StoreProcess, ManyThreadsMayAsk) {
  Store store(options(2));
  save(store, item("a.ckpt", 0.5));
  testing::write_file(path("stays"), "x");
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
        store.link_last("stays", "last.ckpt");
        EXPECT_GE(store.drain(std::chrono::milliseconds(1)), Bytes(0));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  store.close();
  // The top 2, and the newest where it is not among them.
  const std::size_t kept = store.inventory().size();
  EXPECT_TRUE(kept == 2 || kept == 3) << kept;
  EXPECT_EQ(listing().size(), kept + 3) << "and the house of ours, `last` and what it is";
}

}  // namespace
}  // namespace checkroom::store
