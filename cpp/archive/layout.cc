#include "archive/layout.h"

#include <limits>
#include <utility>

#include "archive/zip_fields.h"
#include "base/error.h"

namespace checkroom::archive {
namespace {

constexpr std::int64_t kPaddingHeader = 4;
// The zip64 end record, its locator and the end record: written whatever the size.
constexpr std::int64_t kTrailers = kEnd64Length + kLocatorLength + kEndLength;
constexpr std::int64_t kMost16 = std::numeric_limits<std::uint16_t>::max();

}  // namespace

Layout::Layout(std::string prefix, std::int64_t alignment)
    : prefix_(std::move(prefix)), alignment_(alignment) {
  if (alignment < 1 || alignment > kMostAlignment) {
    throw Error::invalid("a storage alignment of " + std::to_string(alignment) +
                         " bytes: from 1 to " + std::to_string(kMostAlignment) + " is possible");
  }
}

Placement Layout::add(std::string_view name, std::int64_t size) {
  if (size < 0) {
    throw Error::invalid("record '" + std::string(name) + "' of " + std::to_string(size) +
                         " bytes");
  }
  const auto name_length = static_cast<std::int64_t>(prefix_.size() + 1 + name.size());
  if (name_length > kMost16) {
    throw Error::invalid("a record name of " + std::to_string(name_length) + " bytes: at most " +
                         std::to_string(kMost16) + " are possible");
  }
  const bool big = size >= kZip64From;
  const bool far = next_.count() >= kZip64From;

  Placement place;
  place.header = next_.count();
  place.zip64_extra = big || far ? 4 + (big ? 16 : 0) + (far ? 8 : 0) : 0;
  const Bytes unaligned =
      next_ + Bytes(kHeaderLength + name_length + place.zip64_extra + kPaddingHeader);
  place.padding = (alignment_ - unaligned.count() % alignment_) % alignment_;
  if (place.zip64_extra + kPaddingHeader + place.padding > kMost16) {
    throw Error::invalid("record '" + std::string(name) + "' needs " +
                         std::to_string(place.padding) +
                         " bytes of padding, more than a zip header can express: use a smaller "
                         "storage alignment");
  }
  const Bytes data = unaligned + Bytes(place.padding);
  std::int64_t descriptor = 0;
  if (size > 0) descriptor = place.zip64_extra > 0 ? kDescriptor64Length : kDescriptorLength;
  const Bytes end = data + Bytes(size) + Bytes(descriptor);

  directory_ += Bytes(kEntryLength + name_length + place.zip64_extra);
  next_ = end;
  place.data = data.count();
  place.end = end.count();
  return place;
}

Bytes Layout::file_size() const { return next_ + directory_ + Bytes(kTrailers); }

Bytes archive_size(const std::vector<Record>& records, const std::string& prefix,
                   std::int64_t alignment) {
  Layout layout(prefix, alignment);
  for (const Record& record : records) layout.add(record.name, record.size);
  return layout.file_size();
}

}  // namespace checkroom::archive
