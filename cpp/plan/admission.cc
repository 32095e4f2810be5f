#include "plan/admission.h"

#include <algorithm>
#include <limits>
#include <string>

#include "base/error.h"

namespace checkroom::plan {
namespace {

void expect_not_negative(Bytes bytes, const char* what) {
  if (bytes < Bytes(0)) {
    throw Error::invalid(std::string(what) + "=" + std::to_string(bytes.count()) + " is negative");
  }
}

void check(const AdmissionRequest& request) {
  expect_not_negative(request.file, "file_bytes");
  expect_not_negative(request.last_copy, "last_copy_bytes");
  expect_not_negative(request.available.value_or(Bytes(0)), "available");
  expect_not_negative(request.quota.value_or(Bytes(0)), "quota");
  expect_not_negative(request.cap.value_or(Bytes(0)), "cap");
  expect_not_negative(request.used, "used");
  expect_not_negative(request.floor, "floor");
  expect_not_negative(request.leases, "leases");
  expect_not_negative(request.displaced, "displaced_bytes");
}

// One thing that limits: what the save needs of it, what it has, and what it is called.
struct Side {
  Bytes need;
  Bytes have;  // may be below 0: the floor is undercut, the cap exceeded
  Limit limit;

  [[nodiscard]] Bytes spare() const { return have - need; }
};

// What the filesystem and the quota leave, the slack for metadata included in the need. The floor
// or the leases are named where the save would fit without them.
std::optional<Side> filesystem_side(const AdmissionRequest& request, Bytes data) {
  std::optional<Side> side;
  const Bytes need = data + Bytes(kMetadataSlack);
  if (request.available) side = Side{need, *request.available, Limit::kFilesystem};
  if (request.quota && (!side || *request.quota < side->have)) {
    side = Side{need, *request.quota, Limit::kQuota};
  }
  if (!side) return side;
  const bool fits_alone = side->have >= need;
  const bool fits_above_floor = side->have - request.floor >= need;
  side->have = side->have - request.floor - request.leases;
  if (fits_alone && side->have < need)
    side->limit = fits_above_floor ? Limit::kLeases : Limit::kFloor;
  return side;
}

}  // namespace

Admission admit(const AdmissionRequest& request) {
  check(request);
  const Bytes data = request.file + request.last_copy;
  Side side{data, Bytes(std::numeric_limits<std::int64_t>::max()), Limit::kNone};
  if (const auto filesystem = filesystem_side(request, data)) side = *filesystem;
  if (request.cap) {
    const Side cap{data, *request.cap - request.used, Limit::kCap};
    if (cap.spare() < side.spare()) side = cap;
  }

  Admission admission;
  admission.need = side.need;
  admission.have = std::max(Bytes(0), side.have);
  admission.limit = side.limit;
  admission.unknown = !request.available;
  if (request.inodes && *request.inodes <= 0) {
    admission.limit = Limit::kInodes;
    return admission;
  }
  // From the figure that may be below 0: that much must come free, not only what is missing above
  // 0.
  if (side.have < side.need) admission.short_by = side.need - side.have;
  if (admission.short_by == Bytes(0)) {
    admission.verdict = AdmissionVerdict::kAdmit;
  } else if (request.displaced >= admission.short_by) {
    admission.verdict = AdmissionVerdict::kPruneFirst;
  } else {
    admission.verdict = request.can_wait ? AdmissionVerdict::kWait : AdmissionVerdict::kRefuse;
  }
  return admission;
}

}  // namespace checkroom::plan
