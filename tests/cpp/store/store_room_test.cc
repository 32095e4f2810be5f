#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <thread>

#include "support/guarded_directory.h"

namespace checkroom::store {
namespace {

class StoreRoom : public testing::GuardedDirectory {};

TEST_F(StoreRoom, UnderACapIsNeverAboveItAndKeepsTheBest) {
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

TEST_F(StoreRoom, AForeignFileUnderTheCapMakesRoomFirst) {
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

TEST_F(StoreRoom, WaitsForTheTrashBeforeItRefuses) {
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

TEST_F(StoreRoom, WhatSomebodyElseRemovedMakesNoRoom) {
  StoreOptions capped = options(3);
  capped.max_size = Bytes(4 * kFile);
  Store store(capped);
  for (const auto& [name, score] : {std::pair{"a.ckpt", 0.5}, {"b.ckpt", 0.4}, {"c.ckpt", 0.3}}) {
    save(store, item(name, score));
  }
  std::filesystem::remove(path("a.ckpt"));
  std::filesystem::remove(path("c.ckpt"));
  testing::write_file(path("foreign"), std::string(2 * kFile + kFile / 2, 'x'));
  // a.ckpt, which is displaced, is gone; b.ckpt is now the only one that is left.
  const SavePlan plan = store.plan_save(item("d.ckpt", 0.2), false, false);
  EXPECT_EQ(plan.admission->verdict, plan::AdmissionVerdict::kRefuse);
  EXPECT_TRUE(plan.removes_first.empty());
  EXPECT_TRUE(testing::exists(path("b.ckpt")));
}

TEST_F(StoreRoom, ASyncOfTheFilesystemThatFailsIsNoFailureOfTheSave) {
  constexpr std::uint64_t kXfs = 0x58465342;
  filesystem_.pretend_volume(
      {.total = 1'000'000'000, .free = 1'000, .available = 1'000, .magic = kXfs});
  Store store(options(), filesystem_);
  filesystem_.fail_all("syncfs", EIO);
  const SavePlan plan = store.plan_save(item("a.ckpt", 0.5), false, false);
  EXPECT_EQ(plan.admission->verdict, plan::AdmissionVerdict::kRefuse);
  EXPECT_EQ(filesystem_.calls({"syncfs"}).size(), 1U);
}

}  // namespace
}  // namespace checkroom::store
