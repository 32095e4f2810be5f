// StagedFile: a file that is being written under a temporary name, and how it gets its final one.
//
// Owns the descriptor and the temporary name until publish() or abandon(); the destructor abandons.
// One thread at a time. In a forked child the object is dead: it neither writes nor removes what
// belongs to its parent. Any failure of the disk throws Error and abandons the file first, so that
// no block of it stays and no byte of a file whose fsync failed is ever trusted; every later call
// repeats that first error. An argument that cannot be throws and changes nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/sink.h"
#include "disk/block_writer.h"
#include "disk/file.h"
#include "disk/filesystem.h"
#include "disk/publish.h"

namespace checkroom::disk {

inline constexpr const char* kStagedSuffix = ".staged";

struct Published {
  Bytes bytes;
  std::optional<std::string> displaced;  // path in the trash of what had the name before
};

class StagedFile final : public Sink {
 public:
  // Makes `<staging>/<name>.<owner>.staged`; `staging` must exist.
  StagedFile(FileSystem& filesystem, const std::string& staging, const std::string& name);
  ~StagedFile() override;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] Bytes size() const { return Bytes(size_); }
  [[nodiscard]] std::int64_t position() const { return position_; }
  // False where the filesystem cannot reserve, and before reserve().
  [[nodiscard]] bool reserved() const { return reserved_ > 0; }

  // Takes the blocks for `bytes` in all, now or never. A failure leaves none of them.
  void reserve(Bytes bytes);
  // At position(), which moves on. What is committed may still be on its way to the disk, and a
  // failure there is told by a later call: publish() at the latest.
  [[nodiscard]] std::span<std::byte> room() override;
  void commit(std::size_t bytes) override;
  // The whole content becomes that of `source`, by sharing its blocks; false where the filesystem
  // cannot.
  bool share(const std::string& source);
  // The whole content becomes a copy of `source` in blocks of its own, reserved first.
  void copy(const std::string& source);
  void seek(std::int64_t position);

  // All of it is in the file, cut to its size and, where `durable`, fsynced: it can be read back.
  void seal(bool durable);
  // Gives up the file, but keeps it under another name of the same filesystem.
  void keep_as(const std::string& path);
  // seal(), rename over the final name, fsync of the directory. The former bearer of the name gets
  // a second name in the trash first: its blocks are given back later, and it can come back when
  // the last step fails.
  Published publish(const Destination& destination);
  // Removes the file; also after a failure. Never throws.
  void abandon() noexcept;

 private:
  [[nodiscard]] bool ours() const;
  [[nodiscard]] std::int64_t on_disk() const;
  void flush();
  template <typename Action>
  auto writing(Action action);
  void expect_usable() const;
  void do_seal(bool durable);
  Published do_publish(const Destination& destination);
  void try_reserve(std::int64_t bytes);
  void copy_from(const std::string& source);
  bool share_with(const std::string& source);
  // Abandons the file and throws; the second one measures first what there is to say.
  [[noreturn]] void fail(const Error& error);
  [[noreturn]] void fail_for_space(const Error& error, std::int64_t need);

  FileSystem& filesystem_;
  std::string path_;
  std::int64_t owner_pid_;
  std::optional<File> file_;
  std::unique_ptr<BlockWriter> writer_;  // while bytes come
  bool seeked_ = false;                  // the bytes do not come one after the other
  bool padded_ = false;                  // it may be longer than size_
  bool sealed_ = false;                  // nothing was written since it was
  bool synced_ = false;                  // likewise
  std::optional<Error> failure_;
  std::int64_t position_ = 0;
  std::int64_t size_ = 0;
  std::int64_t reserved_ = 0;
  std::int64_t expected_ = 0;  // what reserve() was asked for, granted or not
};

}  // namespace checkroom::disk
