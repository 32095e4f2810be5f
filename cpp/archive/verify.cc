#include "archive/verify.h"

#include <algorithm>
#include <array>
#include <vector>

#include "archive/crc32.h"
#include "archive/zip_fields.h"

namespace checkroom::archive {
namespace {

constexpr std::uint16_t kDescriptorFlag = 0x0008;
constexpr std::uint16_t kEncryptedFlag = 0x0001;

Fault fault_in(const Entry& entry, std::string what) { return {entry.name, std::move(what)}; }

// Where the data start and, with their descriptor, end.
struct Extent {
  std::int64_t data = 0;
  std::int64_t end = 0;
};

// What the local header says; a fault where it does not agree with the directory.
std::optional<Fault> look_at_header(Source& source, const Entry& entry, std::int64_t limit,
                                    Extent& extent) {
  if (entry.header < 0 || entry.header > limit - kHeaderLength) {
    return fault_in(entry, "lies beyond the end of the records");
  }
  std::array<std::byte, kHeaderLength> header{};
  source.read(entry.header, header);
  const std::span bytes(header);
  if (get_u32(bytes) != kHeaderSignature) return fault_in(entry, "has no local header");
  const std::int64_t name = get_u16(bytes.subspan(26));
  const std::int64_t extra = get_u16(bytes.subspan(28));
  extent.data = entry.header + kHeaderLength + name + extra;
  if (entry.packed < 0 || extent.data > limit || entry.packed > limit - extent.data) {
    return fault_in(entry, "reaches beyond the end of the records");
  }
  std::string named(static_cast<std::size_t>(name), '\0');
  source.read(entry.header + kHeaderLength, std::as_writable_bytes(std::span(named)));
  if (named != entry.name) return fault_in(entry, "is called '" + named + "' in its local header");
  const std::uint16_t flags = get_u16(bytes.subspan(6));
  if (flags != entry.flags || get_u16(bytes.subspan(8)) != entry.method) {
    return fault_in(entry, "has a local header that does not agree with the directory");
  }
  if (entry.method != 0 || (flags & kEncryptedFlag) != 0 || entry.packed != entry.size) {
    return fault_in(entry, "is compressed or encrypted, which torch.save never does");
  }
  extent.end = extent.data + entry.packed;
  return std::nullopt;
}

// The descriptor behind the data repeats checksum and sizes.
std::optional<Fault> look_at_descriptor(Source& source, const Entry& entry, std::int64_t at,
                                        std::int64_t limit) {
  if ((entry.flags & kDescriptorFlag) == 0) return std::nullopt;
  std::array<std::byte, kDescriptorLength> descriptor{};
  if (at > limit - kDescriptorLength) return fault_in(entry, "has no data descriptor");
  source.read(at, descriptor);
  const std::span bytes(descriptor);
  if (get_u32(bytes) != kDescriptorSignature || get_u32(bytes.subspan(4)) != entry.crc) {
    return fault_in(entry, "has a data descriptor that does not agree with the directory");
  }
  return std::nullopt;
}

}  // namespace

bool lacks_checksums(const Directory& directory) {
  return std::all_of(directory.entries.begin(), directory.entries.end(),
                     [](const Entry& entry) { return entry.crc == 0; });
}

std::vector<const Entry*> in_file_order(const Directory& directory) {
  std::vector<const Entry*> entries;
  entries.reserve(directory.entries.size());
  for (const Entry& entry : directory.entries) entries.push_back(&entry);
  // Those at one place in the order of the directory, which is that of their addresses.
  std::sort(entries.begin(), entries.end(), [](const Entry* a, const Entry* b) {
    return a->header != b->header ? a->header < b->header : a < b;
  });
  return entries;
}

std::optional<Fault> check_structure(Source& source, const Directory& directory,
                                     std::span<const Entry* const> entries, std::int64_t& end) {
  for (const Entry* entry : entries) {
    Extent extent;
    if (auto found = look_at_header(source, *entry, directory.start, extent)) return found;
    if (entry->header < end) return fault_in(*entry, "overlaps the record before it");
    end = extent.end;
  }
  return std::nullopt;
}

std::optional<Fault> check_structure(Source& source, const Directory& directory) {
  std::int64_t end = 0;
  return check_structure(source, directory, in_file_order(directory), end);
}

RecordCheck::RecordCheck(Source& source, const Entry& entry, bool has_checksum)
    : source_(source), entry_(entry), has_checksum_(has_checksum) {}

void RecordCheck::begin() {
  Extent extent;
  fault_ = look_at_header(source_, entry_, source_.size(), extent);
  data_ = extent.data;
  complete_ = fault_.has_value();
  begun_ = true;
}

void RecordCheck::finish() {
  complete_ = true;
  if (has_checksum_ && crc_ != entry_.crc) {
    fault_ = fault_in(entry_, "does not have the checksum that it was written with");
    return;
  }
  fault_ = look_at_descriptor(source_, entry_, data_ + entry_.packed, source_.size());
}

std::int64_t RecordCheck::step() {
  if (!begun_) begin();
  if (complete_) return 0;
  if (done_ == entry_.packed) {
    finish();
    return 0;
  }
  const std::span<const std::byte> seen = source_.view(data_ + done_);
  const std::int64_t count =
      std::min(static_cast<std::int64_t>(seen.size()), entry_.packed - done_);
  crc_ = crc32(crc_, seen.first(static_cast<std::size_t>(count)));
  done_ += count;
  return count;
}

std::optional<Fault> RecordCheck::fault() const { return fault_; }

}  // namespace checkroom::archive
