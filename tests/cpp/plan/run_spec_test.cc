#include "plan/run_spec.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"

namespace checkroom::plan {
namespace {

void expect_refused(const RunSpec& spec, const std::string& quoted) {
  try {
    check(spec);
    FAIL() << quoted << " was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(std::string(error.what()).find(quoted), std::string::npos) << error.what();
  }
}

TEST(CheckRunSpec, QuotesWhatIsWrong) {
  RunSpec spec;
  spec.accumulate_grad_batches = 0;
  expect_refused(spec, "accumulate_grad_batches=0");
  spec = {};
  spec.max_hours = std::numeric_limits<double>::quiet_NaN();
  expect_refused(spec, "max_hours=nan");
  spec = {};
  spec.train_time_interval_seconds = -0.5;
  expect_refused(spec, "train_time_interval_seconds=-0.5");
  spec = {};
  spec.every_n_train_steps = 3;
  spec.train_time_interval_seconds = 2.0;
  expect_refused(spec, "train_time_interval_seconds=2");
  spec = {};
  spec.save_top_k = 2;
  expect_refused(spec, "save_top_k=2");
  spec.monitor = "";
  expect_refused(spec, "monitor=''");
  spec = {};
  spec.existing_bytes = Bytes(-1);
  expect_refused(spec, "existing_bytes=-1");
}

TEST(CheckRunSpec, LetsLightningsDefaultsPass) {
  EXPECT_NO_THROW(check(RunSpec()));
  for (const std::int64_t k : {-1, 0, 1}) {
    RunSpec spec;
    spec.save_top_k = k;
    EXPECT_NO_THROW(check(spec));
  }
}

TEST(ParseVersion, ReadsTheNumbers) {
  EXPECT_EQ(parse_version("2.6"), (Version{2, 6, 0}));
  EXPECT_EQ(parse_version("2.5.0.post0"), (Version{2, 5, 0}));
  EXPECT_EQ(parse_version("2.6.1rc1"), (Version{2, 6, 1}));
  EXPECT_LT(parse_version("2.5.10"), (Version{2, 6, 0}));
  for (const char* text : {"", "2", "two", "2.", "-2.6"}) EXPECT_THROW(parse_version(text), Error);
}

TEST(RunSpecDefaults, AreLightnings) {
  RunSpec spec;
  EXPECT_EQ(epoch_interval(spec), 1);
  EXPECT_EQ(epoch_limit(spec), 1000);
  EXPECT_TRUE(saves_on_train_epoch_end(spec));
  spec.max_hours = 2;
  EXPECT_EQ(epoch_limit(spec), -1);
  spec.every_n_train_steps = 5;
  EXPECT_EQ(epoch_interval(spec), 0);
  spec.val_check_interval = std::int64_t{1};  // 1 == 1.0
  EXPECT_TRUE(saves_on_train_epoch_end(spec));
  spec.val_check_interval = 0.5;
  EXPECT_FALSE(saves_on_train_epoch_end(spec));
  spec.validates = false;
  EXPECT_TRUE(saves_on_train_epoch_end(spec));
  spec.check_val_every_n_epoch = 2;
  EXPECT_FALSE(saves_on_train_epoch_end(spec));
}

TEST(FileBytes, AreOfTheWeightsWhereOnlyTheyAreSaved) {
  RunSpec spec;
  spec.checkpoint_bytes = Bytes(30);
  spec.weights_only_bytes = Bytes(10);
  EXPECT_EQ(file_bytes(spec), Bytes(30));
  spec.save_weights_only = true;
  EXPECT_EQ(file_bytes(spec), Bytes(10));
  spec.weights_only_bytes.reset();
  EXPECT_EQ(file_bytes(spec), Bytes(30));
}

TEST(PolicyOfARun, LeavesRoomUnderTheCapForTheNextSave) {
  RunSpec spec;
  spec.checkpoint_bytes = Bytes(30);
  spec.max_size = Bytes(100);
  EXPECT_EQ(retention_policy(spec).budget, Bytes(70));
  spec.existing_bytes = Bytes(5);
  EXPECT_EQ(retention_policy(spec).budget, Bytes(65));
  spec.save_last = SaveLast::kYes;
  EXPECT_EQ(retention_policy(spec).budget, Bytes(65));
  spec.last_as = LastAs::kCopy;
  EXPECT_EQ(retention_policy(spec).budget, Bytes(35));
  spec.max_size = Bytes(10);
  EXPECT_EQ(retention_policy(spec).budget, Bytes(0));
}

TEST(PolicyOfARun, OfLightningKnowsTheTopKAlone) {
  RunSpec spec;
  spec.writer = Writer::kLightning;
  spec.keep = {KeepLast{3}};
  spec.max_size = Bytes(100);
  EXPECT_TRUE(retention_policy(spec).keep.empty());
  EXPECT_FALSE(retention_policy(spec).budget.has_value());
}

}  // namespace
}  // namespace checkroom::plan
