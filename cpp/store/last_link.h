// Last link: how `last` becomes what was just published, without an instant in which there is none.
//
// Functions on names; they own nothing. One caller at a time a name. Failures throw Error with the
// former `last` in place and nothing left behind.
#pragma once

#include <optional>
#include <string>

#include "disk/filesystem.h"
#include "store/layout.h"

namespace checkroom::store {

// How `last` is asked to be made: kAuto shares blocks by whatever the filesystem has.
enum class LastAs { kAuto, kLink, kCopy };
// How it was made.
enum class LastKind { kReflink, kLink, kCopy };

struct LastMade {
  LastKind kind;
  std::optional<std::string> displaced;  // path in the trash of the former `last`
};

// `name` becomes the same content as the file `target`, both plain names in the directory: by
// reflink, else by hard link, else as a copy (kAuto); by hard link (kLink); as a copy in blocks of
// its own, reserved first (kCopy).
LastMade make_last(disk::FileSystem& filesystem, const Layout& layout, const std::string& target,
                   const std::string& name, LastAs how, bool durable);

// `name` becomes a relative symbolic link to `target`; path in the trash of the former bearer.
std::optional<std::string> make_symlink(disk::FileSystem& filesystem, const Layout& layout,
                                        const std::string& target, const std::string& name,
                                        bool durable);

}  // namespace checkroom::store
