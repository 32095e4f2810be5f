// File: one open descriptor of a FileSystem, and the small steps that every caller needs.
//
// Owns the descriptor. One thread at a time. Failures throw Error with the errno and the path;
// close() reports its error, the destructor closes without throwing (and without a report: whoever
// cares about the bytes calls close()).
#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "disk/filesystem.h"

namespace checkroom::disk {

class File {
 public:
  static File create(FileSystem& filesystem, const std::string& path);
  static File open_read(FileSystem& filesystem, const std::string& path);
  static File open_directory(FileSystem& filesystem, const std::string& path);

  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File();

  [[nodiscard]] int descriptor() const { return fd_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] bool is_open() const { return fd_ >= 0; }

  // All bytes, however many calls that takes.
  void write_all(std::span<const std::byte> bytes, std::int64_t offset);
  // As many bytes as there are; 0 at the end of the file.
  std::size_t read(std::span<std::byte> bytes, std::int64_t offset);
  void truncate(std::int64_t size);
  void sync();
  void close();

 private:
  File(FileSystem& filesystem, std::string path, int fd);

  FileSystem* filesystem_;
  std::string path_;
  int fd_ = -1;
};

// Throws Error::system unless errnum is 0. `what` is an infinitive: "rename".
void check(int errnum, std::string_view what, const std::string& path);

// Makes the names in a directory survive a power cut. Where the filesystem knows no such call for a
// directory, that is no error: it has nothing better.
void sync_directory(FileSystem& filesystem, const std::string& path);

// Makes the way to a directory survive a power cut: syncs all directories above it on its
// filesystem, as whoever made them may not have done. Those that may not be read are left out.
void sync_way_to(FileSystem& filesystem, const std::string& path);

// lstat; nullopt where there is nothing of that name. Other failures throw.
std::optional<FileStatus> status_if_exists(FileSystem& filesystem, const std::string& path);

// mkdir, or the directory that is already there. A link or a file of that name is refused: what
// would go through it lands elsewhere.
void ensure_directory(FileSystem& filesystem, const std::string& path);

}  // namespace checkroom::disk
