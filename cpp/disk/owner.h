// Owner: which process a staged file belongs to, told by the file's own name.
//
// Pure values, any thread, except current_owner(), process_id() and process_lives(), which ask the
// kernel. A name carries enough to prove later that its owner is dead; where that cannot be proved
// the owner counts as alive, because removing a live writer's file loses a save while keeping a
// dead one's costs space.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace checkroom::disk {

struct Owner {
  std::string host;              // 8 hex digits of a hash of the host's name
  std::string boot;              // the first 8 digits of the kernel's boot id
  std::uint64_t namespace_ = 0;  // of process ids
  std::int64_t pid = 0;
  std::uint64_t started = 0;  // ticks since boot at which the process started; 0: unknown

  friend bool operator==(const Owner&, const Owner&) = default;
};

// This process. Cheap after the first call; right in a forked child as well.
Owner current_owner();
std::int64_t process_id();

// Is there a process of our own namespace with this pid that started then (0: it is not known
// when)? In doubt: yes.
bool process_lives(std::int64_t pid, std::uint64_t started);

// "epoch=1.ckpt" -> "epoch=1.ckpt.<host>-<boot>-<namespace>-<pid>-<started>-<sequence><suffix>",
// the first part cut so that the whole is a legal file name, and never inside of a character of
// UTF-8. Sequences are never used twice in a process.
std::string owned_name(std::string_view name, const Owner& owner, std::string_view suffix);

// The owner that such a name tells; empty where it is no such name.
std::optional<Owner> parse_owned_name(std::string_view owned, std::string_view suffix);

// A lock is taken just after its file is made: a file that was written to within so many seconds
// may be one whose lock is to come. Whoever looks at its lock, by taking it, would be in the way.
inline constexpr double kLockSettled = 60;

// What is known of a file beside its name.
struct Evidence {
  bool local_filesystem = false;  // only this kernel can write to it
  bool process_lives = false;     // a process of that pid and start time, in our namespace
  bool lock_is_free = false;      // nobody who has the file open holds its lock; false: not asked
  double idle_seconds = 0;        // since it was last written
};

// Is it proved that nobody will go on writing? Same boot and namespace: the process is gone.
// Same boot, another namespace (a container): its lock, which dies with its last holder, is free.
// Another boot: nobody can be left on a local filesystem; elsewhere the host must be the same one,
// rebooted, and the file idle. A boot that could not be told (no /proc) is proved by the lock
// alone.
bool provably_dead(const Owner& owner, const Owner& self, const Evidence& evidence);

}  // namespace checkroom::disk
