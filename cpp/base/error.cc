#include "base/error.h"

#include <cerrno>
#include <cstring>

#include "base/bytes.h"

namespace checkroom {

Error::Error(ErrorCode code, const std::string& message)
    : std::runtime_error(message), code_(code) {}

Error Error::invalid(const std::string& message) {
  return Error(ErrorCode::kInvalidArgument, message);
}

Error Error::overflow(const std::string& message) { return Error(ErrorCode::kOverflow, message); }

Error Error::system(int errnum, std::string_view what, std::string_view path) {
  const bool space = errnum == ENOSPC || errnum == EDQUOT;
  Error error(space ? ErrorCode::kNoSpace : ErrorCode::kSystem,
              "cannot " + std::string(what) + ": " + std::strerror(errnum));
  error.errnum_ = errnum;
  error.path_ = path;
  if (space) error.limit_ = errnum == EDQUOT ? "quota" : "filesystem";
  return error;
}

Error Error::damaged(std::string_view path, const std::string& what, const std::string& aside) {
  Error error(ErrorCode::kDamaged,
              "the file that was written is damaged: " + what +
                  (aside.empty() ? "; it could not be kept" : "; it is kept as '" + aside + "'"));
  error.errnum_ = EIO;
  error.path_ = path;
  return error;
}

Error Error::no_space(int errnum, std::string_view path, std::int64_t need, std::int64_t have,
                      std::string_view limit) {
  const std::int64_t short_by = need > have ? need - have : 0;
  Error error(ErrorCode::kNoSpace, "not enough space: need " + format_size(Bytes(need)) +
                                       ", have " + format_size(Bytes(have)) + ", short by " +
                                       format_size(Bytes(short_by)) + " (limited by the " +
                                       std::string(limit) + ")");
  error.errnum_ = errnum;
  error.path_ = path;
  error.need_ = need;
  error.have_ = have;
  error.limit_ = limit;
  return error;
}

}  // namespace checkroom
