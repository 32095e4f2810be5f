#include "disk/publish.h"

#include <cerrno>

#include "base/log.h"
#include "disk/file.h"
#include "disk/owner.h"

namespace checkroom::disk {
namespace {

std::string trash_path(const Destination& destination) {
  return destination.trash + "/" + owned_name(destination.name, current_owner(), kTrashSuffix);
}

// The state before a rename, as far as it can be had: the error that led here is what counts.
void rename_back(FileSystem& filesystem, const std::string& trashed, const std::string& path) {
  const int errnum = filesystem.rename(trashed, path);
  if (errnum != 0) {
    log(LogLevel::kError, "disk", "cannot bring back " + path + ": it stays as " + trashed);
  }
}

bool cannot_exchange(int errnum) {
  return errnum == EINVAL || errnum == ENOSYS || errnum == EOPNOTSUPP;
}

// Renames over what is no directory; `bears`: there is something.
std::optional<std::string> take_from_file(FileSystem& filesystem, const std::string& staged,
                                          const Destination& destination, bool bears) {
  const std::string path = destination.path();
  std::optional<std::string> trashed;
  if (bears) {
    trashed = trash_path(destination);
    if (filesystem.link(path, *trashed) != 0) {
      // No hard links, or no more of them: then the rename itself pays for the removal.
      log(LogLevel::kDebug, "disk", "no second name for " + path);
      trashed.reset();
    }
  }
  const int errnum = filesystem.rename(staged, path);
  if (errnum != 0) {
    // Only a second name; the sweep would do as well.
    if (trashed) static_cast<void>(filesystem.unlink(*trashed));
    check(errnum, "rename to '" + destination.name + "'", staged);
  }
  if (!destination.durable) return trashed;
  try {
    sync_directory(filesystem, destination.directory);
  } catch (const Error&) {
    // Not acknowledged, so the old state must stand: nobody may go on to remove what this file was
    // to replace. Where the old bearer is gone for good, the new one is all there is: it stays.
    if (trashed) {
      rename_back(filesystem, *trashed, path);
    } else if (!bears) {
      static_cast<void>(filesystem.unlink(path));
    }
    throw;
  }
  return trashed;
}

// A file cannot be renamed over a directory: the two change places, so that the name is never
// missing, not even when the power goes.
std::optional<std::string> take_from_directory(FileSystem& filesystem, const std::string& staged,
                                               const Destination& destination) {
  const std::string path = destination.path();
  std::string trashed = trash_path(destination);
  int errnum = filesystem.exchange(staged, path);
  const bool exchanged = errnum == 0;
  if (cannot_exchange(errnum)) {
    check(filesystem.rename(path, trashed), "move into the trash", path);
    errnum = filesystem.rename(staged, path);
    if (errnum != 0) rename_back(filesystem, trashed, path);
  }
  check(errnum, "rename to '" + destination.name + "'", staged);
  if (destination.durable) {
    try {
      sync_directory(filesystem, destination.directory);
    } catch (const Error&) {
      if (!exchanged) {
        if (filesystem.rename(path, staged) == 0) rename_back(filesystem, trashed, path);
      } else if (filesystem.exchange(staged, path) != 0) {
        log(LogLevel::kError, "disk", "cannot bring back " + path + ": it stays as " + staged);
      }
      throw;
    }
  }
  if (exchanged && filesystem.rename(staged, trashed) != 0) return staged;
  return trashed;
}

}  // namespace

std::optional<std::string> take_name(FileSystem& filesystem, const std::string& staged,
                                     const Destination& destination) {
  const std::optional<FileStatus> bearer = status_if_exists(filesystem, destination.path());
  if (bearer && bearer->type == FileType::kDirectory) {
    return take_from_directory(filesystem, staged, destination);
  }
  return take_from_file(filesystem, staged, destination, bearer.has_value());
}

void move_between(FileSystem& filesystem, const std::string& from_directory,
                  const std::string& from, const std::string& to_directory, const std::string& to,
                  bool durable) {
  check(filesystem.rename(from, to), "rename to '" + to + "'", from);
  if (!durable) return;
  try {
    // The new name first: after a power cut the file may have both, but never neither.
    sync_directory(filesystem, to_directory);
    sync_directory(filesystem, from_directory);
  } catch (const Error&) {
    rename_back(filesystem, to, from);
    throw;
  }
}

std::optional<std::string> move_to_trash(FileSystem& filesystem, const Destination& destination) {
  std::string trashed = trash_path(destination);
  try {
    move_between(filesystem, destination.directory, destination.path(), destination.trash, trashed,
                 destination.durable);
  } catch (const Error& error) {
    // It may as well be the trash that is not there.
    if (error.errnum() != ENOENT || status_if_exists(filesystem, destination.path())) throw;
    return std::nullopt;
  }
  return trashed;
}

}  // namespace checkroom::disk
