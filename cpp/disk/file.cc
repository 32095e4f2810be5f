#include "disk/file.h"

#include <cerrno>
#include <utility>

namespace checkroom::disk {

void check(int errnum, std::string_view what, const std::string& path) {
  if (errnum != 0) throw Error::system(errnum, what, path);
}

File::File(FileSystem& filesystem, std::string path, int fd)
    : filesystem_(&filesystem), path_(std::move(path)), fd_(fd) {}

File File::create(FileSystem& filesystem, const std::string& path) {
  const Result<int> opened = filesystem.create(path);
  check(opened.errnum, "create", path);
  return {filesystem, path, opened.value};
}

File File::open_read(FileSystem& filesystem, const std::string& path) {
  const Result<int> opened = filesystem.open_read(path);
  check(opened.errnum, "open", path);
  return {filesystem, path, opened.value};
}

File File::open_directory(FileSystem& filesystem, const std::string& path) {
  const Result<int> opened = filesystem.open_directory(path);
  check(opened.errnum, "open the directory", path);
  return {filesystem, path, opened.value};
}

File::File(File&& other) noexcept
    : filesystem_(other.filesystem_),
      path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)) {}

File& File::operator=(File&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) static_cast<void>(filesystem_->close(fd_));
    filesystem_ = other.filesystem_;
    path_ = std::move(other.path_);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

File::~File() {
  if (fd_ >= 0) static_cast<void>(filesystem_->close(fd_));
}

void File::write_all(std::span<const std::byte> bytes, std::int64_t offset) {
  while (!bytes.empty()) {
    const Result<std::size_t> written = filesystem_->write(fd_, bytes, offset);
    check(written.errnum, "write", path_);
    // Nothing written and no reason given: asking again could go on for ever.
    if (written.value == 0) throw Error::system(EIO, "write", path_);
    bytes = bytes.subspan(written.value);
    offset += static_cast<std::int64_t>(written.value);
  }
}

std::size_t File::read(std::span<std::byte> bytes, std::int64_t offset) {
  const Result<std::size_t> got = filesystem_->read(fd_, bytes, offset);
  check(got.errnum, "read", path_);
  return got.value;
}

void File::truncate(std::int64_t size) {
  check(filesystem_->truncate(fd_, size), "truncate", path_);
}

void File::sync() { check(filesystem_->sync(fd_), "fsync", path_); }

void File::close() {
  if (fd_ < 0) return;
  check(filesystem_->close(std::exchange(fd_, -1)), "close", path_);
}

void sync_directory(FileSystem& filesystem, const std::string& path) {
  File directory = File::open_directory(filesystem, path);
  const int errnum = filesystem.sync(directory.descriptor());
  if (errnum != EINVAL && errnum != ENOSYS && errnum != EOPNOTSUPP) check(errnum, "fsync", path);
  directory.close();
}

void sync_way_to(FileSystem& filesystem, const std::string& path) {
  Result<FileStatus> here = filesystem.status_of_target(path);
  check(here.errnum, "stat", path);
  // The directory's own "..", not the text before the last slash: a link on the way is the user's,
  // and what must not be lost lies where it leads.
  for (std::string parent = path + "/..";; parent += "/..") {
    const Result<FileStatus> above = filesystem.status_of_target(parent);
    if (above.errnum == EACCES) return;
    check(above.errnum, "stat", parent);
    if (above.value.device != here.value.device || above.value.same_inode(here.value)) return;
    try {
      sync_directory(filesystem, parent);
    } catch (const Error& error) {
      if (error.errnum() != EACCES) throw;
    }
    here = above;
  }
}

std::optional<FileStatus> status_if_exists(FileSystem& filesystem, const std::string& path) {
  const Result<FileStatus> status = filesystem.status(path);
  if (status.errnum == ENOENT || status.errnum == ENOTDIR) return std::nullopt;
  check(status.errnum, "stat", path);
  return status.value;
}

void ensure_directory(FileSystem& filesystem, const std::string& path) {
  const int errnum = filesystem.make_directory(path);
  if (errnum == 0) return;
  if (errnum != EEXIST) check(errnum, "make the directory", path);
  const Result<FileStatus> status = filesystem.status(path);
  check(status.errnum, "stat", path);
  if (status.value.type != FileType::kDirectory) check(ENOTDIR, "use the directory", path);
}

}  // namespace checkroom::disk
