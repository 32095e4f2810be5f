#include "archive/directory.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "archive/zip_fields.h"
#include "base/error.h"

namespace checkroom::archive {
namespace {

constexpr std::uint16_t kNone16 = std::numeric_limits<std::uint16_t>::max();
constexpr std::uint32_t kNone32 = std::numeric_limits<std::uint32_t>::max();
// A comment behind the end record is at most so long. PyTorch writes none.
constexpr std::int64_t kMostComment = std::numeric_limits<std::uint16_t>::max();

[[noreturn]] void refuse(const std::string& what) { throw Error::invalid(what); }

std::vector<std::byte> bytes_at(Source& source, std::int64_t offset, std::int64_t count) {
  if (offset < 0 || count < 0 || offset > source.size() || count > source.size() - offset) {
    refuse("it names bytes that it does not have: it was cut off, or is damaged");
  }
  std::vector<std::byte> bytes(static_cast<std::size_t>(count));
  source.read(offset, bytes);
  return bytes;
}

// A 64-bit field; above what a file can be long it is damaged.
std::int64_t get_size(std::span<const std::byte> bytes) {
  const std::uint64_t value = get_u64(bytes);
  if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    refuse("it names a length of more than 63 bits: it is damaged");
  }
  return static_cast<std::int64_t>(value);
}

struct End {
  std::int64_t records = 0;
  std::int64_t length = 0;
  std::int64_t start = 0;
  std::int64_t end = 0;  // where the end records begin
};

std::int64_t find_end(Source& source) {
  const std::int64_t size = source.size();
  if (size < kEndLength) refuse("it is too short for a zip");
  const std::int64_t tail = std::min(size, kEndLength + kMostComment);
  const std::vector<std::byte> bytes = bytes_at(source, size - tail, tail);
  for (std::int64_t at = tail - kEndLength; at >= 0; --at) {
    const auto end = std::span(bytes).subspan(static_cast<std::size_t>(at));
    // The comment reaches to the end of the file, or these are not the bytes of an end record.
    if (get_u32(end) == kEndSignature && kEndLength + get_u16(end.subspan(20)) == tail - at) {
      return size - tail + at;
    }
  }
  refuse("it has no zip directory at its end: it was cut off, or is no zip");
}

// The 64-bit end record, where there is one.
std::optional<End> read_end64(Source& source, std::int64_t end) {
  if (end < kLocatorLength) return std::nullopt;
  const std::vector<std::byte> locator = bytes_at(source, end - kLocatorLength, kLocatorLength);
  if (get_u32(locator) != kLocatorSignature) return std::nullopt;
  const std::int64_t at = get_size(std::span(locator).subspan(8));
  const std::vector<std::byte> record = bytes_at(source, at, kEnd64Length);
  const std::span bytes(record);
  if (get_u32(bytes) != kEnd64Signature) refuse("its zip64 end record is damaged");
  return End{.records = get_size(bytes.subspan(32)),
             .length = get_size(bytes.subspan(40)),
             .start = get_size(bytes.subspan(48)),
             .end = at};
}

End read_end(Source& source) {
  const std::int64_t at = find_end(source);
  const std::vector<std::byte> record = bytes_at(source, at, kEndLength);
  const std::span bytes(record);
  const End end{.records = get_u16(bytes.subspan(10)),
                .length = get_u32(bytes.subspan(12)),
                .start = get_u32(bytes.subspan(16)),
                .end = at};
  const bool needs64 = end.records == kNone16 || end.length == kNone32 || end.start == kNone32;
  const std::optional<End> end64 = read_end64(source, at);
  if (needs64 && !end64) refuse("it needs a zip64 end record and has none");
  return end64 ? *end64 : end;
}

// The values that did not fit into 32 bits, in the order of the standard.
void read_extra(std::span<const std::byte> extra, Entry& entry) {
  while (extra.size() >= 4) {
    const std::uint16_t field = get_u16(extra);
    const std::size_t length = get_u16(extra.subspan(2));
    extra = extra.subspan(4);
    if (length > extra.size()) break;
    if (field == kZip64Field) {
      std::span<const std::byte> body = extra.first(length);
      for (std::int64_t* value : {&entry.size, &entry.packed, &entry.header}) {
        if (*value != kNone32 || body.size() < 8) continue;
        *value = get_size(body);
        body = body.subspan(8);
      }
    }
    extra = extra.subspan(length);
  }
}

}  // namespace

Directory read_directory(Source& source) {
  const End end = read_end(source);
  if (end.start > end.end || end.length != end.end - end.start) {
    refuse("its directory is not where its end record says: it was cut off, or is damaged");
  }
  if (end.records > end.length / kEntryLength) {
    refuse("its directory is too short for its " + std::to_string(end.records) + " records");
  }
  Directory directory;
  directory.start = end.start;
  directory.entries.reserve(static_cast<std::size_t>(end.records));
  std::int64_t at = end.start;
  for (std::int64_t i = 0; i < end.records; ++i) {
    const std::vector<std::byte> record = bytes_at(source, at, kEntryLength);
    const std::span bytes(record);
    if (get_u32(bytes) != kEntrySignature) {
      refuse("entry " + std::to_string(i) + " of its directory is damaged");
    }
    Entry entry;
    entry.flags = get_u16(bytes.subspan(8));
    entry.method = get_u16(bytes.subspan(10));
    entry.crc = get_u32(bytes.subspan(16));
    entry.packed = get_u32(bytes.subspan(20));
    entry.size = get_u32(bytes.subspan(24));
    const std::int64_t name = get_u16(bytes.subspan(28));
    const std::int64_t extra = get_u16(bytes.subspan(30));
    const std::int64_t comment = get_u16(bytes.subspan(32));
    entry.header = get_u32(bytes.subspan(42));
    const std::vector<std::byte> rest = bytes_at(source, at + kEntryLength, name + extra);
    entry.name.assign(reinterpret_cast<const char*>(rest.data()), static_cast<std::size_t>(name));
    read_extra(std::span(rest).subspan(static_cast<std::size_t>(name)), entry);
    at += kEntryLength + name + extra + comment;
    if (at > end.end) refuse("entry " + std::to_string(i) + " of its directory is damaged");
    directory.entries.push_back(std::move(entry));
  }
  if (at != end.end) refuse("its directory is longer than its records");
  return directory;
}

}  // namespace checkroom::archive
