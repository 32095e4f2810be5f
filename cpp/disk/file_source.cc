#include "disk/file_source.h"

#include <algorithm>
#include <cerrno>

#include "base/error.h"

namespace checkroom::disk {
namespace {

// A direct read begins at a multiple of this.
constexpr std::int64_t kUnit = 4096;
// What a look at a header takes in: the header, and mostly nothing else.
constexpr std::size_t kLookBytes = 4096;

}  // namespace

FileSource::FileSource(FileSystem& filesystem, const std::string& path, ReadMode mode)
    : filesystem_(filesystem),
      file_(File::open_read(filesystem, path)),
      buffers_(mode == ReadMode::kWhole ? borrow_buffers() : nullptr) {
  const Result<FileStatus> status = filesystem.status_of(file_.descriptor());
  check(status.errnum, "stat", path);
  if (status.value.type != FileType::kRegular) {
    throw Error::invalid("'" + path + "' is not a regular file");
  }
  size_ = status.value.size;
  window_ = mode == ReadMode::kWhole ? buffers_->block(0) : look_window();
  direct_ = filesystem.set_direct(file_.descriptor(), true) == 0;
  drops_ = !direct_;
  if (drops_) {
    // The bytes that a writer has just put there are clean by now: they can go, and be read anew.
    static_cast<void>(filesystem.drop_cache(file_.descriptor(), 0, size_));
  }
}

std::span<std::byte> FileSource::look_window() {
  look_.resize(kLookBytes + static_cast<std::size_t>(kUnit));
  const auto past =
      reinterpret_cast<std::uintptr_t>(look_.data()) % static_cast<std::size_t>(kUnit);
  return std::span(look_).subspan(static_cast<std::size_t>(kUnit) - past, kLookBytes);
}

std::span<const std::byte> FileSource::view(std::int64_t offset) {
  if (offset < 0 || offset >= size_) {
    throw Error::invalid("byte " + std::to_string(offset) + " of '" + file_.path() +
                         "', which has " + std::to_string(size_));
  }
  const auto filled = static_cast<std::int64_t>(filled_);
  if (offset < start_ || offset >= start_ + filled) fill(offset);
  return window_.first(filled_).subspan(static_cast<std::size_t>(offset - start_));
}

void FileSource::fill(std::int64_t offset) {
  start_ = offset / kUnit * kUnit;
  filled_ = 0;
  const auto wanted = static_cast<std::size_t>(
      std::min<std::int64_t>(size_ - start_, static_cast<std::int64_t>(window_.size())));
  while (filled_ < wanted) {
    const auto at = start_ + static_cast<std::int64_t>(filled_);
    const Result<std::size_t> got =
        filesystem_.read(file_.descriptor(), window_.subspan(filled_), at);
    if (direct_ && got.errnum == EINVAL) {  // not here after all
      check(filesystem_.set_direct(file_.descriptor(), false), "clear O_DIRECT of", file_.path());
      direct_ = false;
      drops_ = true;
      continue;
    }
    check(got.errnum, "read", file_.path());
    // It has become shorter meanwhile.
    if (got.value == 0) throw Error::system(EIO, "read", file_.path());
    filled_ += got.value;
    // A direct read that ended in the middle of a block can only go on at a block's start.
    if (direct_ && filled_ < wanted) filled_ = filled_ / kUnit * kUnit;
    if (direct_ && filled_ == 0) throw Error::system(EIO, "read", file_.path());
  }
  filled_ = wanted;
  if (drops_) {
    static_cast<void>(
        filesystem_.drop_cache(file_.descriptor(), start_, static_cast<std::int64_t>(wanted)));
  }
}

}  // namespace checkroom::disk
