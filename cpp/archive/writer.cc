#include "archive/writer.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "archive/crc32.h"
#include "archive/zip_fields.h"
#include "base/error.h"

namespace checkroom::archive {
namespace {

constexpr std::uint16_t kUtf8Flag = 0x0800;
constexpr std::uint16_t kDescriptorFlag = 0x0008;
constexpr std::uint32_t kMost32 = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint16_t kMost16 = std::numeric_limits<std::uint16_t>::max();
constexpr char kPaddingByte = 'Z';
// Copied and summed in pieces that stay in the core's own cache in between.
constexpr std::size_t kPiece = std::size_t{128} << 10U;

std::uint32_t low(std::int64_t value) {
  return static_cast<std::uint32_t>(std::min<std::int64_t>(value, kMost32));
}

std::uint16_t flags_of(std::int64_t size) {
  return size > 0 ? kUtf8Flag | kDescriptorFlag : kUtf8Flag;
}

// `packed`: what stands as the compressed size. PyTorch's local header has a 0 there.
std::string zip64_extra(const Placement& place, std::int64_t size, std::int64_t packed) {
  std::string extra;
  if (place.zip64_extra == 0) return extra;
  put_u16(extra, kZip64Field);
  put_u16(extra, static_cast<std::uint16_t>(place.zip64_extra - 4));
  if (size >= kZip64From) {
    put_u64(extra, static_cast<std::uint64_t>(size));
    put_u64(extra, static_cast<std::uint64_t>(packed));
  }
  if (place.header >= kZip64From) put_u64(extra, static_cast<std::uint64_t>(place.header));
  return extra;
}

std::string header_of(const Placement& place, const std::string& name, std::int64_t size) {
  std::string header;
  put_u32(header, kHeaderSignature);
  put_u16(header, 0);  // version needed
  put_u16(header, flags_of(size));
  put_u16(header, 0);  // stored
  put_u16(header, 0);  // time
  put_u16(header, 0);  // date
  put_u32(header, 0);  // crc and both sizes: in the descriptor
  put_u32(header, 0);
  put_u32(header, 0);
  put_u16(header, static_cast<std::uint16_t>(name.size()));
  put_u16(header, static_cast<std::uint16_t>(place.zip64_extra + 4 + place.padding));
  header += name;
  header += zip64_extra(place, size, 0);
  put_u16(header, kPaddingField);
  put_u16(header, static_cast<std::uint16_t>(place.padding));
  header.append(static_cast<std::size_t>(place.padding), kPaddingByte);
  return header;
}

std::string descriptor_of(const Placement& place, std::int64_t size, std::uint32_t crc) {
  std::string descriptor;
  put_u32(descriptor, kDescriptorSignature);
  put_u32(descriptor, crc);
  for (int field = 0; field < 2; ++field) {  // compressed, uncompressed
    if (place.zip64_extra > 0) {
      put_u64(descriptor, static_cast<std::uint64_t>(size));
    } else {
      put_u32(descriptor, static_cast<std::uint32_t>(size));
    }
  }
  return descriptor;
}

std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace

Writer::Writer(Sink& sink, const WriterOptions& options)
    : sink_(sink), options_(options), layout_(options.prefix, options.alignment) {}

void Writer::emit(const std::string& bytes) { sink_.write(as_bytes(bytes)); }

void Writer::begin(std::string_view name, std::int64_t size) {
  if (finished_) throw Error::invalid("the archive is finished: no record can follow");
  if (open_) throw Error::invalid("record '" + open_->name + "' is not complete yet");
  Open record;
  record.place = layout_.add(name, size);
  if (!id_.add_name(name)) {
    throw Error::invalid("the archive has a record '" + std::string(name) + "' already");
  }
  has_byteorder_ = has_byteorder_ || name == "byteorder";
  has_version_ = has_version_ || name == "version" || name == ".data/version";
  record.name = options_.prefix + "/" + std::string(name);
  record.size = size;
  open_ = std::move(record);
  emit(header_of(open_->place, open_->name, size));
}

void Writer::append(std::span<const std::byte> bytes) {
  if (!open_) throw Error::invalid("no record was begun");
  Open& record = *open_;
  if (static_cast<std::uint64_t>(bytes.size()) >
      static_cast<std::uint64_t>(record.size - record.written)) {
    throw Error::invalid("record '" + record.name + "' has " + std::to_string(record.size) +
                         " bytes, and more were given");
  }
  while (!bytes.empty()) {
    const std::span<std::byte> into = sink_.room();
    const std::size_t count = std::min({into.size(), bytes.size(), kPiece});
    const std::span<std::byte> copy = into.first(count);
    std::memcpy(copy.data(), bytes.data(), count);
    if (options_.compute_crc) record.crc = crc32(record.crc, copy);
    for (std::size_t i = 0; i < count && record.written + static_cast<std::int64_t>(i) < 8; ++i) {
      record.start[static_cast<std::size_t>(record.written) + i] = copy[i];
    }
    sink_.commit(count);
    record.written += static_cast<std::int64_t>(count);
    bytes = bytes.subspan(count);
  }
}

void Writer::end() {
  if (!open_) throw Error::invalid("no record was begun");
  const Open& record = *open_;
  if (record.written != record.size) {
    throw Error::invalid("record '" + record.name + "' has " + std::to_string(record.size) +
                         " bytes, and " + std::to_string(record.written) + " were given");
  }
  if (record.size > 0) {
    const auto head = std::min<std::int64_t>(record.size, 8);
    id_.add_data(std::span(record.start).first(static_cast<std::size_t>(head)));
    id_.add_descriptor(record.crc);
    emit(descriptor_of(record.place, record.size, record.crc));
  }
  add_entry(record, record.crc);
  ++records_;
  open_.reset();
}

void Writer::add_entry(const Open& record, std::uint32_t crc) {
  put_u32(directory_, kEntrySignature);
  put_u16(directory_, 0);  // made by
  put_u16(directory_, 0);  // version needed
  put_u16(directory_, flags_of(record.size));
  put_u16(directory_, 0);  // stored
  put_u16(directory_, 0);  // time
  put_u16(directory_, 0);  // date
  put_u32(directory_, crc);
  put_u32(directory_, low(record.size));
  put_u32(directory_, low(record.size));
  put_u16(directory_, static_cast<std::uint16_t>(record.name.size()));
  put_u16(directory_, static_cast<std::uint16_t>(record.place.zip64_extra));
  put_u16(directory_, 0);  // comment
  put_u16(directory_, 0);  // disk
  put_u16(directory_, 0);  // internal attributes
  put_u32(directory_, 0);  // external attributes
  put_u32(directory_, low(record.place.header));
  directory_ += record.name;
  directory_ += zip64_extra(record.place, record.size, record.size);
}

void Writer::record(std::string_view name, std::span<const std::byte> bytes) {
  begin(name, static_cast<std::int64_t>(bytes.size()));
  append(bytes);
  end();
}

void Writer::record(std::string_view name, std::string_view text) { record(name, as_bytes(text)); }

Bytes Writer::finish() {
  if (!has_version_) record("version", "3\n");
  if (!has_byteorder_) record("byteorder", "little");
  record(".data/serialization_id", id_.text());
  const Bytes size = layout_.file_size();
  const auto length = static_cast<std::int64_t>(directory_.size());
  const std::int64_t start = size.count() - kEnd64Length - kLocatorLength - kEndLength - length;

  emit(directory_);
  std::string end;
  put_u32(end, kEnd64Signature);
  put_u64(end, static_cast<std::uint64_t>(kEnd64Length - 12));
  put_u16(end, 0x031e);  // made by
  put_u16(end, 0x002d);  // version needed
  put_u32(end, 0);       // this disk
  put_u32(end, 0);       // the directory's disk
  put_u64(end, records_);
  put_u64(end, records_);
  put_u64(end, static_cast<std::uint64_t>(length));
  put_u64(end, static_cast<std::uint64_t>(start));
  put_u32(end, kLocatorSignature);
  put_u32(end, 0);
  put_u64(end, static_cast<std::uint64_t>(start + length));
  put_u32(end, 1);
  put_u32(end, kEndSignature);
  put_u16(end, 0);
  put_u16(end, 0);
  const auto shown = static_cast<std::uint16_t>(std::min<std::uint64_t>(records_, kMost16));
  put_u16(end, shown);
  put_u16(end, shown);
  put_u32(end, low(length));
  put_u32(end, low(start));
  put_u16(end, 0);
  emit(end);
  finished_ = true;
  return size;
}

}  // namespace checkroom::archive
