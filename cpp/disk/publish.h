// Publish: how a finished file gets its final name, and how a name is freed, so that neither a
// crash nor a power cut ever shows less than the old state or the new one.
//
// Functions on names; they own nothing. Any thread, but one name is the business of one caller at a
// time. Failures throw Error with the former state restored.
#pragma once

#include <optional>
#include <string>

#include "disk/filesystem.h"

namespace checkroom::disk {

inline constexpr const char* kTrashSuffix = ".trash";

// A final name, and where what bore it before goes.
struct Destination {
  std::string directory;
  std::string name;
  std::string trash;    // a directory of the same filesystem
  bool durable = true;  // false: no fsync; survives a crash of the process only

  [[nodiscard]] std::string path() const { return directory + "/" + name; }
};

// Renames `staged` (a finished, fsynced file or a link, on the same filesystem) to its final name
// and syncs the directory. The former bearer of the name gets a second name in the trash first:
// its blocks are given back later, by the reaper, and it comes back when the last step fails. A
// directory, which cannot have two names, changes places with `staged` and goes into the trash
// last. Returns the former bearer's path, where there is one.
std::optional<std::string> take_name(FileSystem& filesystem, const std::string& staged,
                                     const Destination& destination);

// Gives a file a name in another directory instead of its own and, where `durable`, syncs both:
// after a power cut it may have both names, never neither.
void move_between(FileSystem& filesystem, const std::string& from_directory,
                  const std::string& from, const std::string& to_directory, const std::string& to,
                  bool durable);

// Moves the bearer of a name into the trash and syncs both directories; its path there. Where
// there is none, that is no error: nullopt.
std::optional<std::string> move_to_trash(FileSystem& filesystem, const Destination& destination);

}  // namespace checkroom::disk
