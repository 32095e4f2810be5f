// Inspect: is a file on the disk the archive that it should be?
//
// Reads it back from the disk itself. Any thread; what the disk refuses throws Error, what is wrong
// with the file is told.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "archive/verify.h"
#include "disk/file_source.h"
#include "disk/filesystem.h"

namespace checkroom::store {

enum class Depth {
  kStructure,  // the directory at its end, and every record's header
  kWhole,      // every byte, by the records' checksums
};

[[nodiscard]] std::optional<archive::Fault> inspect(disk::FileSystem& filesystem,
                                                    const std::string& path, Depth depth);

// The whole of a file, a step at a time: for whoever wants to show how far it is. One thread at a
// time; what the disk refuses throws Error.
class FileCheck {
 public:
  FileCheck(disk::FileSystem& filesystem, const std::string& path);

  // Bytes of all records together; 0 where there is no directory.
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }
  [[nodiscard]] std::size_t records() const { return directory_.entries.size(); }
  // False: nothing says what the data were, the file was written without checksums.
  [[nodiscard]] bool has_checksums() const { return has_checksums_; }
  // Reads on, up to 4 MiB; the bytes that were read, 0: it is complete.
  std::int64_t step();
  // The first thing that is wrong, once it was met.
  [[nodiscard]] const std::optional<archive::Fault>& fault() const { return fault_; }

 private:
  disk::FileSystem& filesystem_;
  std::string path_;
  disk::FileSource source_;
  archive::Directory directory_;
  std::vector<const archive::Entry*> entries_;
  std::optional<archive::RecordCheck> record_;
  std::optional<archive::Fault> fault_;
  std::int64_t bytes_ = 0;
  std::size_t next_ = 0;
  bool has_checksums_ = true;
  bool looked_ = false;
};

// For a person: "record 'archive/data/3' does not have ...".
[[nodiscard]] std::string describe(const archive::Fault& fault);

}  // namespace checkroom::store
