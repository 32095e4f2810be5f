#include "store/inspect.h"

#include <algorithm>
#include <exception>
#include <future>
#include <span>
#include <system_error>
#include <vector>

#include "archive/directory.h"
#include "base/error.h"
#include "disk/file_source.h"

namespace checkroom::store {
namespace {

using archive::Directory;
using archive::Entry;
using archive::Fault;
using disk::FileSource;
using disk::ReadMode;

// A header is one small read, and a disk answers several at a time.
constexpr std::size_t kMostReaders = 8;
constexpr std::size_t kHeadersEach = 64;

struct Slice {
  std::span<const Entry* const> entries;
  std::int64_t end = 0;  // of the last record in it
  std::optional<Fault> fault;
};

Slice check_slice(disk::FileSystem& filesystem, const std::string& path, const Directory& directory,
                  std::span<const Entry* const> entries) {
  FileSource source(filesystem, path, ReadMode::kLook);
  Slice slice{entries, 0, std::nullopt};
  slice.fault = check_structure(source, directory, entries, slice.end);
  return slice;
}

std::optional<Fault> check_headers(disk::FileSystem& filesystem, const std::string& path,
                                   const Directory& directory) {
  const std::vector<const Entry*> entries = in_file_order(directory);
  const std::size_t readers =
      std::clamp<std::size_t>(entries.size() / kHeadersEach, 1, kMostReaders);
  const std::size_t each = (entries.size() + readers - 1) / readers;
  std::vector<std::future<Slice>> running;
  std::vector<Slice> slices;
  for (std::size_t at = 0; at < entries.size(); at += each) {
    const auto part = std::span(entries).subspan(at, std::min(each, entries.size() - at));
    const auto look = [&filesystem, &path, &directory, part] {
      return check_slice(filesystem, path, directory, part);
    };
    try {
      running.push_back(std::async(std::launch::async, look));
    } catch (const std::system_error&) {  // no thread to be had
      running.push_back(std::async(std::launch::deferred, look));
    }
  }
  std::exception_ptr failure;
  for (std::future<Slice>& one :
       running) {  // all of them, whatever happens: they look at `entries`
    try {
      slices.push_back(one.get());
    } catch (...) {
      if (!failure) failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
  std::int64_t end = 0;
  for (const Slice& slice : slices) {
    if (slice.fault) return slice.fault;
    if (slice.entries.front()->header < end) {
      return Fault{slice.entries.front()->name, "overlaps the record before it"};
    }
    end = slice.end;
  }
  return std::nullopt;
}

// The directory, or why there is none.
std::optional<Fault> read_into(Directory& directory, FileSource& source) {
  try {
    directory = archive::read_directory(source);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInvalidArgument) throw;
    return Fault{"", error.what()};
  }
  return std::nullopt;
}

}  // namespace

FileCheck::FileCheck(disk::FileSystem& filesystem, const std::string& path)
    : filesystem_(filesystem), path_(path), source_(filesystem, path, ReadMode::kWhole) {
  fault_ = read_into(directory_, source_);
  if (fault_) return;
  has_checksums_ = !lacks_checksums(directory_);
  entries_ = in_file_order(directory_);
  for (const Entry* entry : entries_) bytes_ += entry->size;
}

std::int64_t FileCheck::step() {
  if (!fault_ && !looked_) {
    looked_ = true;
    fault_ = check_headers(filesystem_, path_, directory_);
  }
  while (!fault_) {
    if (!record_) {
      if (next_ == entries_.size()) return 0;
      record_.emplace(source_, *entries_[next_++], has_checksums_);
    }
    const std::int64_t bytes = record_->step();
    if (bytes > 0) return bytes;
    fault_ = record_->fault();
    record_.reset();
  }
  return 0;
}

std::optional<Fault> inspect(disk::FileSystem& filesystem, const std::string& path, Depth depth) {
  if (depth == Depth::kWhole) {
    FileCheck check(filesystem, path);
    while (check.step() > 0) {
    }
    return check.fault();
  }
  FileSource source(filesystem, path, ReadMode::kLook);
  Directory directory;
  if (auto fault = read_into(directory, source)) return fault;
  return check_headers(filesystem, path, directory);
}

std::string describe(const Fault& fault) {
  return fault.record.empty() ? fault.what : "record '" + fault.record + "' " + fault.what;
}

}  // namespace checkroom::store
