// Interned: values that come again and again, each by a number.
//
// Only the newest few are looked through, so that adding one always costs the same: a value that
// has not come for long gets a second number. Values; any thread may read. Nothing here throws but
// std::bad_alloc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace checkroom::plan {

template <typename T>
class Interned {
 public:
  std::uint32_t number_of(const T& value) {
    std::size_t i = values_.size();
    const std::size_t oldest = i > kLookedAt ? i - kLookedAt : 0;
    while (i > oldest && !(values_[i - 1] == value)) --i;
    if (i == oldest) {
      values_.push_back(value);
      i = values_.size();
    }
    return static_cast<std::uint32_t>(i - 1);
  }
  [[nodiscard]] const T& operator[](std::uint32_t number) const { return values_[number]; }
  [[nodiscard]] std::size_t size() const { return values_.size(); }

 private:
  static constexpr std::size_t kLookedAt = 8;
  std::vector<T> values_;
};

}  // namespace checkroom::plan
