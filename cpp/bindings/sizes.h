// Sizes between Python and the core: a plain int there, checked Bytes here; None where unknown.
//
// Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"

namespace checkroom::bindings {

inline std::optional<std::int64_t> count(const std::optional<Bytes>& bytes) {
  if (!bytes) return std::nullopt;
  return bytes->count();
}

inline std::optional<Bytes> to_bytes(std::optional<std::int64_t> count) {
  if (!count) return std::nullopt;
  return Bytes(*count);
}

}  // namespace checkroom::bindings
