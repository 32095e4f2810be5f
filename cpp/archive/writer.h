// Writer: PyTorch's zip, byte for byte, from records that come one after the other.
//
// It borrows a sink and owns the directory that comes at the end. Data are copied into the sink's
// memory before append() returns, and the checksum is that of the copy. One thread at a time. A
// call out of turn, a name that is there already and what Layout refuses throw
// Error(kInvalidArgument); what the sink throws passes through. After an error the file is lost:
// drop it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "archive/layout.h"
#include "archive/serialization_id.h"
#include "base/bytes.h"
#include "base/sink.h"

namespace checkroom::archive {

struct WriterOptions {
  std::string prefix = "archive";  // the folder inside of the zip
  std::int64_t alignment = kDefaultAlignment;
  bool compute_crc = true;
};

class Writer {
 public:
  explicit Writer(Sink& sink, const WriterOptions& options = {});

  // One record: begin() with its size, append() until all of it was there, end(). `name` is without
  // the prefix.
  void begin(std::string_view name, std::int64_t size);
  void append(std::span<const std::byte> bytes);
  void end();
  void record(std::string_view name, std::span<const std::byte> bytes);
  void record(std::string_view name, std::string_view text);

  // What PyTorch adds by itself (version, byteorder where none was written, the id), and the
  // directory. Bytes of the file.
  Bytes finish();

 private:
  struct Open {
    Placement place;
    std::string name;  // with the prefix
    std::int64_t size = 0;
    std::int64_t written = 0;
    std::uint32_t crc = 0;
    std::array<std::byte, 8> start{};  // of the data
  };

  void emit(const std::string& bytes);
  void add_entry(const Open& record, std::uint32_t crc);

  Sink& sink_;
  WriterOptions options_;
  Layout layout_;
  SerializationId id_;
  std::string directory_;
  std::uint64_t records_ = 0;
  bool has_byteorder_ = false;
  bool has_version_ = false;
  bool finished_ = false;
  std::optional<Open> open_;
};

}  // namespace checkroom::archive
