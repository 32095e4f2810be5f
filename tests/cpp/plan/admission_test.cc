#include "plan/admission.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"

namespace checkroom::plan {
namespace {

constexpr std::int64_t kFile = 10'000'000;

AdmissionRequest file_with(std::int64_t available) {
  AdmissionRequest request;
  request.file = Bytes(kFile);
  request.available = Bytes(available);
  return request;
}

TEST(Admit, NeedsTheFileItsLastCopyAndTheSlack) {
  AdmissionRequest request = file_with(3 * kFile);
  request.last_copy = Bytes(kFile);
  const Admission admission = admit(request);
  EXPECT_EQ(admission.verdict, AdmissionVerdict::kAdmit);
  EXPECT_EQ(admission.need, Bytes(2 * kFile + kMetadataSlack));
  EXPECT_EQ(admission.have, Bytes(3 * kFile));
  EXPECT_EQ(admission.short_by, Bytes(0));
}

TEST(Admit, TheLastByteDecides) {
  EXPECT_EQ(admit(file_with(kFile + kMetadataSlack)).verdict, AdmissionVerdict::kAdmit);
  const Admission admission = admit(file_with(kFile + kMetadataSlack - 1));
  EXPECT_EQ(admission.verdict, AdmissionVerdict::kRefuse);
  EXPECT_EQ(admission.short_by, Bytes(1));
  EXPECT_EQ(admission.limit, Limit::kFilesystem);
}

TEST(Admit, NamesWhatBites) {
  AdmissionRequest request = file_with(3 * kFile);
  request.floor = Bytes(5 * kFile);
  EXPECT_EQ(admit(request).limit, Limit::kFloor);
  request.floor = Bytes(kFile);
  request.leases = Bytes(kFile);
  EXPECT_EQ(admit(request).limit, Limit::kLeases);
  request = file_with(3 * kFile);
  request.quota = Bytes(kFile / 2);
  EXPECT_EQ(admit(request).limit, Limit::kQuota);
  request = file_with(3 * kFile);
  request.cap = Bytes(5 * kFile);
  request.used = Bytes(5 * kFile);
  EXPECT_EQ(admit(request).limit, Limit::kCap);
}

TEST(Admit, AnUndercutFloorIsMissingInFull) {
  AdmissionRequest request = file_with(kFile);
  request.floor = Bytes(3 * kFile);
  const Admission admission = admit(request);
  EXPECT_EQ(admission.have, Bytes(0));
  EXPECT_EQ(admission.short_by, Bytes(3 * kFile + kMetadataSlack));  // 2 files below the floor
}

TEST(Admit, TheCapKnowsNoFloorAndNoSlack) {
  AdmissionRequest request = file_with(100 * kFile);
  request.floor = Bytes(50 * kFile);
  request.cap = Bytes(3 * kFile);
  request.used = Bytes(2 * kFile);
  EXPECT_EQ(admit(request).verdict, AdmissionVerdict::kAdmit);
  request.used = Bytes(2 * kFile + 1);
  EXPECT_EQ(admit(request).short_by, Bytes(1));
}

TEST(Admit, PrunesFirstWhereThatIsEnough) {
  AdmissionRequest request = file_with(kFile);
  request.displaced = Bytes(kMetadataSlack);
  request.can_wait = true;
  EXPECT_EQ(admit(request).verdict, AdmissionVerdict::kPruneFirst);
  request.displaced = Bytes(kMetadataSlack - 1);
  EXPECT_EQ(admit(request).verdict, AdmissionVerdict::kWait);
  request.can_wait = false;
  EXPECT_EQ(admit(request).verdict, AdmissionVerdict::kRefuse);
}

TEST(Admit, WhereTheFilesystemIsUnknownTheCapDecides) {
  AdmissionRequest request;
  request.file = Bytes(kFile);
  request.floor = Bytes(kFile);
  const Admission free = admit(request);
  EXPECT_EQ(free.verdict, AdmissionVerdict::kAdmit);
  EXPECT_TRUE(free.unknown);
  EXPECT_EQ(free.limit, Limit::kNone);
  request.cap = Bytes(kFile - 1);
  const Admission capped = admit(request);
  EXPECT_EQ(capped.verdict, AdmissionVerdict::kRefuse);
  EXPECT_EQ(capped.short_by, Bytes(1));
}

TEST(Admit, WithoutInodesNothingHelps) {
  AdmissionRequest request = file_with(100 * kFile);
  request.inodes = 0;
  request.can_wait = true;
  request.displaced = Bytes(100 * kFile);
  EXPECT_EQ(admit(request).verdict, AdmissionVerdict::kRefuse);
  EXPECT_EQ(admit(request).limit, Limit::kInodes);
  request.inodes = 1;
  EXPECT_EQ(admit(request).verdict, AdmissionVerdict::kAdmit);
}

TEST(Admit, RefusesFiguresThatCannotBe) {
  AdmissionRequest request = file_with(-1);
  EXPECT_THROW(admit(request), Error);
  request = file_with(1);
  request.file = Bytes(std::numeric_limits<std::int64_t>::max());
  EXPECT_THROW(admit(request), Error);  // the slack overflows
}

}  // namespace
}  // namespace checkroom::plan
