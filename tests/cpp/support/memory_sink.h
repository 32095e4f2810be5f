// Bytes in memory as a Sink and as a Source, in windows of a size that the test chooses.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/sink.h"
#include "base/source.h"

namespace checkroom::testing {

class MemorySink final : public Sink {
 public:
  explicit MemorySink(std::size_t window = 4096) : window_(window) {}

  std::span<std::byte> room() override { return window_; }
  void commit(std::size_t bytes) override {
    text.append(reinterpret_cast<const char*>(window_.data()), bytes);
  }

  std::string text;

 private:
  std::vector<std::byte> window_;
};

class MemorySource final : public Source {
 public:
  explicit MemorySource(std::string text, std::size_t window = 4096)
      : text_(std::move(text)), window_(window) {}

  [[nodiscard]] std::int64_t size() const override {
    return static_cast<std::int64_t>(text_.size());
  }
  std::span<const std::byte> view(std::int64_t offset) override {
    const auto rest = std::as_bytes(std::span(text_)).subspan(static_cast<std::size_t>(offset));
    most_seen = std::max(most_seen, offset);
    return rest.first(std::min(rest.size(), window_));
  }

  std::int64_t most_seen = 0;

 private:
  std::string text_;
  std::size_t window_;
};

}  // namespace checkroom::testing
