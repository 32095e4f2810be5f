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

// Gives the bearer of the name a place in the trash: a second name where that is possible, so that
// the first one is never missing. Empty where the filesystem has no hard links (or is at their
// limit): then the rename itself pays for the removal.
std::optional<std::string> displace(FileSystem& filesystem, const Destination& destination,
                                    const FileStatus& bearer) {
  std::string trashed = trash_path(destination);
  if (bearer.type == FileType::kDirectory) {
    // A file cannot be renamed over a directory, nor can a directory have two names.
    check(filesystem.rename(destination.path(), trashed), "move into the trash",
          destination.path());
    return trashed;
  }
  if (filesystem.link(destination.path(), trashed) == 0) return trashed;
  log(LogLevel::kDebug, "disk", "no second name for " + destination.path());
  return std::nullopt;
}

// The state before a rename, as far as it can be had: the error that led here is what counts.
void rename_back(FileSystem& filesystem, const std::string& trashed, const std::string& path) {
  const int errnum = filesystem.rename(trashed, path);
  if (errnum != 0) {
    log(LogLevel::kError, "disk", "cannot bring back " + path + ": it stays as " + trashed);
  }
}

}  // namespace

std::optional<std::string> take_name(FileSystem& filesystem, const std::string& staged,
                                     const Destination& destination) {
  const std::string path = destination.path();
  const std::optional<FileStatus> bearer = status_if_exists(filesystem, path);
  std::optional<std::string> trashed;
  if (bearer) trashed = displace(filesystem, destination, *bearer);
  const int errnum = filesystem.rename(staged, path);
  if (errnum != 0) {
    if (trashed && bearer->type == FileType::kDirectory) {
      rename_back(filesystem, *trashed, path);
    } else if (trashed) {
      static_cast<void>(filesystem.unlink(*trashed));  // a second name; the reaper would do as well
    }
    check(errnum, "rename to '" + destination.name + "'", staged);
  }
  if (!destination.durable) return trashed;
  try {
    sync_directory(filesystem, destination.directory);
  } catch (const Error&) {
    // Not acknowledged, so the old state must stand: nobody may go on to remove what this file was
    // to replace. Where the old bearer is gone for good, the new one is all there is: it stays.
    if (trashed && bearer->type == FileType::kDirectory) static_cast<void>(filesystem.unlink(path));
    if (trashed) {
      rename_back(filesystem, *trashed, path);
    } else if (!bearer) {
      static_cast<void>(filesystem.unlink(path));
    }
    throw;
  }
  return trashed;
}

std::optional<std::string> move_to_trash(FileSystem& filesystem, const Destination& destination) {
  std::string trashed = trash_path(destination);
  const int errnum = filesystem.rename(destination.path(), trashed);
  if (errnum == ENOENT) return std::nullopt;
  check(errnum, "move into the trash", destination.path());
  if (!destination.durable) return trashed;
  try {
    // The trash first: after a power cut the file may have both names, but never neither.
    sync_directory(filesystem, destination.trash);
    sync_directory(filesystem, destination.directory);
  } catch (const Error&) {
    rename_back(filesystem, trashed, destination.path());
    throw;
  }
  return trashed;
}

}  // namespace checkroom::disk
