#include "store/sweep.h"

#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "disk/file.h"
#include "disk/free_space.h"
#include "disk/owner.h"
#include "disk/staged_file.h"

namespace checkroom::store {
namespace {

// Nobody who has the file open holds its lock. Links and directories carry no lock: of those only
// the pid and the boot can tell.
bool lock_is_free(disk::FileSystem& filesystem, const std::string& path) {
  const disk::Result<int> opened = filesystem.open_read(path);
  if (!opened.ok()) return false;
  const int errnum = filesystem.lock(opened.value);
  static_cast<void>(filesystem.close(opened.value));
  return errnum == 0;
}

void collect(disk::FileSystem& filesystem, const std::string& directory, std::string_view suffix,
             bool local, double now, std::vector<std::string>& leftovers) {
  const disk::Owner self = disk::current_owner();
  const disk::Result<std::vector<std::string>> names = filesystem.list(directory);
  for (const std::string& name : names.value) {
    const std::optional<disk::Owner> owner = disk::parse_owned_name(name, suffix);
    if (!owner) continue;
    std::string path = directory + "/" + name;
    const disk::Result<disk::FileStatus> status = filesystem.status(path);
    if (!status.ok()) continue;
    disk::Evidence evidence;
    evidence.local_filesystem = local;
    evidence.process_lives = disk::process_lives(owner->pid, owner->started);
    evidence.idle_seconds = now - status.value.modified;
    evidence.lock_is_free =
        evidence.idle_seconds >= disk::kLockSettled && lock_is_free(filesystem, path);
    if (disk::provably_dead(*owner, self, evidence)) leftovers.push_back(std::move(path));
  }
}

}  // namespace

std::vector<std::string> find_leftovers(disk::FileSystem& filesystem, const Layout& layout,
                                        const Clock& clock) {
  std::vector<std::string> leftovers;
  try {
    const bool local =
        disk::is_local_filesystem(disk::free_space(filesystem, layout.root).filesystem);
    const double now = clock.now();
    collect(filesystem, layout.staging(), disk::kStagedSuffix, local, now, leftovers);
    collect(filesystem, layout.trash(), disk::kTrashSuffix, local, now, leftovers);
  } catch (const Error& error) {
    log(LogLevel::kWarn, "store", std::string("looking for leftovers: ") + error.what());
  }
  return leftovers;
}

}  // namespace checkroom::store
