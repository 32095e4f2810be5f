// Error: the one exception type that the core throws.
//
// It owns copies of everything that it says. Thread-safe as any value. Every error that comes from
// the disk carries the errno, the path and, where space was the matter, what was needed, what was
// there and what limits it; the wording is made here and nowhere else. bindings/errors.cc is the
// one place where an Error becomes a Python exception.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace checkroom {

enum class ErrorCode {
  kInvalidArgument,  // the caller's value is wrong -> ValueError
  kOverflow,         // a sum or a size does not fit into 64 bits -> OverflowError
  kSystem,           // a system call failed -> the OSError subclass of its errno
  kNoSpace,          // the disk, a quota, the cap or the floor says no -> DiskFullError
  kDamaged,          // what was read back is not what was written -> DamagedFileError
};

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message);

  // A value of the caller's is wrong; the message quotes it.
  static Error invalid(const std::string& message);
  static Error overflow(const std::string& message);
  // `what` is an infinitive: "write", "fsync". ENOSPC and EDQUOT yield kNoSpace.
  static Error system(int errnum, std::string_view what, std::string_view path);
  // Space is short: need and have in bytes; `limit` names what limits ("filesystem", "cap", ...).
  static Error no_space(int errnum, std::string_view path, std::int64_t need, std::int64_t have,
                        std::string_view limit);

  // What was read back is not what was written; `aside`: where the file lies now; empty: it
  // could not be kept. Its errno is EIO.
  static Error damaged(std::string_view path, const std::string& what, const std::string& aside);

  [[nodiscard]] ErrorCode code() const noexcept { return code_; }
  [[nodiscard]] int errnum() const noexcept { return errnum_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] std::optional<std::int64_t> need() const noexcept { return need_; }
  [[nodiscard]] std::optional<std::int64_t> have() const noexcept { return have_; }
  [[nodiscard]] const std::string& limit() const noexcept { return limit_; }

 private:
  ErrorCode code_;
  int errnum_ = 0;
  std::string path_;
  std::optional<std::int64_t> need_;
  std::optional<std::int64_t> have_;
  std::string limit_;
};

}  // namespace checkroom
