// FileSystem: every system call that checkroom makes on files, as one interface.
//
// This is the seam: tests wrap one to make the n-th call fail, to stop a save half-way, or to read
// the order of the calls. It owns nothing; descriptors that it hands out belong to the caller (hold
// them in a File). Any thread may call it. It does not throw: each call returns its errno, 0 for
// success, so that an implementation that injects a failure is one line. A call that a signal
// interrupts is made again inside; a short write is reported as such.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace checkroom::disk {

// A value, or the errno that stands in its place.
template <typename T>
struct Result {
  T value{};
  int errnum = 0;

  [[nodiscard]] bool ok() const { return errnum == 0; }
};

enum class FileType { kRegular, kDirectory, kSymlink, kOther };

struct FileStatus {
  FileType type = FileType::kOther;
  std::uint32_t mode = 0;  // permission bits
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t links = 0;
  std::int64_t size = 0;       // bytes
  std::int64_t allocated = 0;  // bytes of the blocks that it owns or shares
  double modified = 0;         // seconds since the Unix epoch

  [[nodiscard]] bool same_inode(const FileStatus& other) const {
    return device == other.device && inode == other.inode;
  }
};

// What statfs and statvfs say, unjudged.
struct Volume {
  std::uint64_t total = 0;  // bytes
  std::uint64_t free = 0;
  std::uint64_t available = 0;  // to an ordinary user
  std::uint64_t inodes = 0;     // 0: the filesystem does not count them
  std::uint64_t inodes_available = 0;
  std::uint64_t magic = 0;  // statfs f_type
};

// A run of bytes on the device that a file occupies.
struct Extent {
  std::uint64_t physical = 0;
  std::uint64_t length = 0;
};

class FileSystem {
 public:
  FileSystem() = default;
  FileSystem(const FileSystem&) = delete;
  FileSystem& operator=(const FileSystem&) = delete;
  virtual ~FileSystem() = default;

  // -- descriptors. Only open_directory follows a symbolic link in the last place.
  virtual Result<int> create(const std::string& path) = 0;  // must not exist; mode 0666 & ~umask
  virtual Result<int> open_read(const std::string& path) = 0;
  virtual Result<int> open_directory(const std::string& path) = 0;
  virtual Result<std::size_t> write(int fd, std::span<const std::byte> bytes,
                                    std::int64_t offset) = 0;  // may be short
  virtual Result<std::size_t> read(int fd, std::span<std::byte> bytes, std::int64_t offset) = 0;
  // Reserves blocks for [0, bytes) without changing the size.
  virtual int reserve(int fd, std::int64_t bytes) = 0;
  virtual int truncate(int fd, std::int64_t size) = 0;
  // Do reads and writes go past the page cache? They are then of whole, aligned blocks only.
  virtual int set_direct(int fd, bool direct) = 0;
  // Starts to bring these bytes of the page cache to the disk; with `wait` it returns when they are
  // there, which says nothing of the file's metadata.
  virtual int write_back(int fd, std::int64_t offset, std::int64_t bytes, bool wait) = 0;
  // The page cache need not keep these bytes.
  virtual int drop_cache(int fd, std::int64_t offset, std::int64_t bytes) = 0;
  virtual int sync(int fd) = 0;
  virtual int sync_filesystem(int fd) = 0;  // everything that waits on its filesystem
  virtual int close(int fd) = 0;            // the descriptor is gone, whatever this returns
  virtual int reflink(int target_fd, int source_fd) = 0;  // share all blocks of the source
  virtual int lock(int fd) = 0;  // exclusive, EWOULDBLOCK when somebody holds it; freed by close
  virtual Result<FileStatus> status_of(int fd) = 0;
  virtual Result<std::vector<Extent>> shared_extents(int fd) = 0;  // those with other owners

  // -- names
  virtual int rename(const std::string& from, const std::string& to) = 0;
  // The two change places in one step. EINVAL or ENOSYS where the filesystem cannot.
  virtual int exchange(const std::string& one, const std::string& other) = 0;
  virtual int link(const std::string& existing, const std::string& name) = 0;
  virtual int symlink(const std::string& target, const std::string& name) = 0;
  virtual int unlink(const std::string& path) = 0;
  virtual int make_directory(const std::string& path) = 0;
  virtual int remove_directory(const std::string& path) = 0;

  // -- looking
  virtual Result<FileStatus> status(const std::string& path) = 0;  // of a link: the link itself
  virtual Result<FileStatus> status_of_target(const std::string& path) = 0;  // of a link: its end
  virtual Result<Volume> volume(const std::string& path) = 0;
  // Sorted, without "." and "..". Follows no link in the last place, unless the path ends in '/'.
  virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;
  virtual Result<std::string> read_link(const std::string& path) = 0;
};

// The machine's own; lives as long as the process.
FileSystem& posix_filesystem();

}  // namespace checkroom::disk
