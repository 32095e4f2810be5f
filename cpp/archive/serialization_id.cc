#include "archive/serialization_id.h"

#include <algorithm>
#include <functional>

#include "archive/zip_fields.h"

namespace checkroom::archive {
namespace {

constexpr std::size_t kDigits = 20;

// boost::hash_combine.
std::uint64_t combine(std::uint64_t seed, std::uint64_t value) {
  return seed ^ (value + 0x9e3779b9U + (seed << 6U) + (seed >> 2U));
}

std::string digits(std::uint64_t value) {
  const std::string text = std::to_string(value);
  return std::string(kDigits - text.size(), '0') + text;
}

}  // namespace

bool SerializationId::add_name(std::string_view name) { return names_.emplace(name).second; }

void SerializationId::add_descriptor(std::uint32_t crc) { checksums_ = combine(checksums_, crc); }

void SerializationId::add_data(std::span<const std::byte> start) {
  constexpr std::size_t kLeast = 8;
  if (start.size() < kLeast || get_u32(start) != kDescriptorSignature) return;
  checksums_ = combine(checksums_, get_u32(start.subspan(4)));
}

std::string SerializationId::text() const {
  std::uint64_t names = 0;
  for (const std::string& name : names_) names = combine(names, std::hash<std::string>()(name));
  return digits(names) + digits(checksums_);
}

}  // namespace checkroom::archive
