#include "disk/retry.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <vector>

namespace checkroom::disk {
namespace {

// A call that is answered as said: an errno, or 0.
class Call {
 public:
  explicit Call(std::vector<int> answers) : answers_(std::move(answers)) {}

  int operator()() {
    errno = answers_.at(made++);
    return errno == 0 ? 7 : -1;
  }

  std::size_t made = 0;

 private:
  std::vector<int> answers_;
};

TEST(Retry, MakesACallAgainThatASignalInterrupted) {
  Call call({EINTR, EINTR, 0});
  EXPECT_EQ(retry([&] { return call(); }), 0);
  EXPECT_EQ(call.made, 3U);
}

TEST(Retry, TellsEveryOtherErrnoAtOnce) {
  Call call({EINTR, ENOSPC, 0});
  EXPECT_EQ(retry([&] { return call(); }), ENOSPC);
  EXPECT_EQ(call.made, 2U);
}

TEST(Retry, OfASuccessLooksAtNoErrno) {
  errno = EINTR;  // left by somebody else
  EXPECT_EQ(retry([] { return 0; }), 0);
}

}  // namespace
}  // namespace checkroom::disk
