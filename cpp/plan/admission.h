// Admission: may this save start now?
//
// Pure: figures in, a verdict out; any thread. Throws Error(kInvalidArgument) for a negative figure
// and Error(kOverflow) for sums that leave 64 bits.
//
// A save needs the file and, where blocks cannot be shared, the copy of `last`. Two things limit
// it, and the one with the least to spare decides:
//   the filesystem or the quota, less the floor and the leases of others; here slack for metadata
//   is
//     needed as well;
//   the cap less what the directory uses. It is about the lengths of the files in one directory, so
//     neither the floor, nor the leases, nor the slack count.
// A filesystem whose figures are unknown does not count: the cap alone decides then, and without a
// cap the save is admitted.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"

namespace checkroom::plan {

// What a save takes beside its data: the temporary name's directory block, the inode, extents. On
// ext4, xfs and btrfs it stays well below this.
inline constexpr std::int64_t kMetadataSlack = 64 * 1024;

enum class AdmissionVerdict { kAdmit, kPruneFirst, kWait, kRefuse };
enum class Limit { kNone, kFilesystem, kCap, kFloor, kInodes, kQuota, kLeases };

struct AdmissionRequest {
  Bytes file;
  Bytes last_copy;
  std::optional<Bytes> available;  // to us on the filesystem; none: unknown
  std::optional<Bytes> quota;      // what is left of it; none: there is none
  std::optional<Bytes> cap;
  Bytes used;  // bytes in the directory
  Bytes floor;
  Bytes leases;                        // reserved by others
  std::optional<std::int64_t> inodes;  // available; none: not counted
  Bytes displaced;                     // what pruning first would free
  bool can_wait = false;
};

struct Admission {
  AdmissionVerdict verdict = AdmissionVerdict::kRefuse;
  Bytes need;
  Bytes have;                  // never below 0
  Bytes short_by;              // how much must come free; 0: it fits
  Limit limit = Limit::kNone;  // what bites, also where it fits
  bool unknown = false;        // the filesystem's figures could not be trusted
};

Admission admit(const AdmissionRequest& request);

}  // namespace checkroom::plan
