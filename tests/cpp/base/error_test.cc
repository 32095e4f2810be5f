#include "base/error.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace checkroom {
namespace {

TEST(Error, OfASystemCallCarriesErrnoAndPath) {
  const Error error = Error::system(EACCES, "open", "/a/b");
  EXPECT_EQ(error.code(), ErrorCode::kSystem);
  EXPECT_EQ(error.errnum(), EACCES);
  EXPECT_EQ(error.path(), "/a/b");
  EXPECT_STREQ(error.what(), "cannot open: Permission denied");
}

TEST(Error, OfAFullDiskOrQuotaIsNoSpace) {
  EXPECT_EQ(Error::system(ENOSPC, "write", "/a").code(), ErrorCode::kNoSpace);
  EXPECT_EQ(Error::system(ENOSPC, "write", "/a").limit(), "filesystem");
  EXPECT_EQ(Error::system(EDQUOT, "write", "/a").code(), ErrorCode::kNoSpace);
  EXPECT_EQ(Error::system(EDQUOT, "write", "/a").limit(), "quota");
}

TEST(Error, OfSpaceSaysNeedHaveAndShortBy) {
  const Error error = Error::no_space(ENOSPC, "/a", 6'900'000'000, 2'000'000'000, "cap");
  EXPECT_EQ(error.need(), 6'900'000'000);
  EXPECT_EQ(error.have(), 2'000'000'000);
  EXPECT_EQ(error.limit(), "cap");
  EXPECT_STREQ(error.what(),
               "not enough space: need 6.9 GB, have 2.0 GB, short by 4.9 GB (limited by the cap)");
}

}  // namespace
}  // namespace checkroom
