#include "disk/block_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "base/error.h"
#include "disk/file.h"
#include "support/faulty_filesystem.h"
#include "support/temp_directory.h"

namespace checkroom::disk {
namespace {

using testing::FaultyFileSystem;
using testing::TempDirectory;

std::string pattern(std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>(i * 2'654'435'761U >> 13U);
  return text;
}

class Blocks : public ::testing::Test {
 protected:
  // Writes in pieces; what the file holds once it is cut to its size.
  std::string write(const std::string& text, std::size_t piece, WriteMode best,
                    WriteMode* ended = nullptr) {
    const std::string path = directory_ / ("file" + std::to_string(count_++));
    File file = File::create(filesystem_, path);
    {
      BlockWriter writer(filesystem_, path, file.descriptor(), 0, best);
      const auto bytes = std::as_bytes(std::span(text));
      for (std::size_t at = 0; at < bytes.size(); at += piece) {
        writer.write(bytes.subspan(at, std::min(piece, bytes.size() - at)));
      }
      writer.flush();
      EXPECT_EQ(writer.written(), static_cast<std::int64_t>(text.size()));
      if (ended != nullptr) *ended = writer.mode();
      const auto size = posix_filesystem().status(path).value.size;
      EXPECT_EQ(writer.padded(), size != static_cast<std::int64_t>(text.size()));
    }
    file.truncate(static_cast<std::int64_t>(text.size()));
    file.close();
    return testing::read_file(path);
  }
  std::optional<Error> failure(const std::string& text) {
    try {
      write(text, text.size(), WriteMode::kDirect);
    } catch (const Error& error) {
      return error;
    }
    return std::nullopt;
  }

  TempDirectory directory_;
  FaultyFileSystem filesystem_{posix_filesystem()};
  int count_ = 0;
};

TEST_F(Blocks, WriteTheSameBytesInEveryMode) {
  const std::string text = pattern(3 * kBlockBytes + 12'345);
  for (const WriteMode mode : {WriteMode::kDirect, WriteMode::kPaced, WriteMode::kBuffered}) {
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{1}, std::size_t{4096}, kBlockBytes - 1, kBlockBytes,
          kBlockBytes + 1, 2 * kBlockBytes, text.size()}) {
      const std::string part = text.substr(0, size);
      for (const std::size_t piece : {std::size_t{100'003}, text.size()}) {
        ASSERT_EQ(write(part, piece, mode) == part, true)
            << size << " bytes in pieces of " << piece << ", mode " << static_cast<int>(mode);
      }
    }
  }
}

TEST_F(Blocks, FallBackByTrying) {
  const std::string text = pattern(2 * kBlockBytes + 5);
  WriteMode ended{};
  filesystem_.fail_all("direct", EINVAL);
  EXPECT_TRUE(write(text, text.size(), WriteMode::kDirect, &ended) == text);
  EXPECT_EQ(ended, WriteMode::kPaced);
  filesystem_.fail_all("writebehind", ENOSYS);
  EXPECT_TRUE(write(text, text.size(), WriteMode::kDirect, &ended) == text);
  EXPECT_EQ(ended, WriteMode::kBuffered);
  filesystem_.heal();
  // One that lets the flag be set and then refuses the write.
  filesystem_.fail("write", 1, EINVAL);
  EXPECT_TRUE(write(text, text.size(), WriteMode::kDirect, &ended) == text);
  EXPECT_EQ(ended, WriteMode::kPaced);
  // In the middle: one that does so at the second block.
  filesystem_.fail("write", 2, EINVAL);
  EXPECT_TRUE(write(text, text.size(), WriteMode::kDirect, &ended) == text);
}

TEST_F(Blocks, CompleteShortWrites) {
  const std::string text = pattern(kBlockBytes + 4097);
  for (const std::size_t most :
       {std::size_t{4096} * 3, std::size_t{100'000}, std::size_t{777'777}}) {
    filesystem_.shorten_writes(most);
    for (const WriteMode mode : {WriteMode::kDirect, WriteMode::kPaced}) {
      ASSERT_TRUE(write(text, text.size(), mode) == text) << most;
    }
  }
}

TEST_F(Blocks, AFileOfOneBlockIsWrittenPlainly) {
  write(pattern(1000), 1000, WriteMode::kDirect);
  EXPECT_TRUE(filesystem_.calls({"direct", "writebehind", "writeback"}).empty());
  EXPECT_EQ(filesystem_.calls({"write"}).size(), 1U);
}

TEST_F(Blocks, EveryFailureIsToldAndNothingIsWrittenAfterIt) {
  const std::string text = pattern(5 * kBlockBytes + 1);
  filesystem_.fail_all("direct", EINVAL);
  write(text, text.size(), WriteMode::kDirect);
  const std::size_t calls = filesystem_.calls({"write", "writebehind", "writeback"}).size();
  ASSERT_GE(calls, 12U);
  for (const int errnum : {EIO, ENOSPC, EDQUOT}) {
    for (const char* op : {"write", "writebehind", "writeback"}) {
      for (int n = 1; n <= 6; ++n) {
        filesystem_.heal();
        filesystem_.fail_all("direct", EINVAL);
        filesystem_.fail(op, n, errnum);
        const auto error = failure(text);
        ASSERT_TRUE(error) << op << " " << n;
        EXPECT_EQ(error->errnum(), errnum) << op << " " << n;
      }
    }
  }
}

TEST_F(Blocks, AfterAFailureEveryCallRepeatsIt) {
  const std::string path = directory_ / "file";
  File file = File::create(filesystem_, path);
  filesystem_.fail_all("write", EIO);
  BlockWriter writer(filesystem_, path, file.descriptor(), 0);
  const std::string text = pattern(8 * kBlockBytes);
  EXPECT_THROW(writer.write(std::as_bytes(std::span(text))), Error);
  EXPECT_THROW(writer.flush(), Error);
  EXPECT_THROW(static_cast<void>(writer.room()), Error);
  EXPECT_EQ(writer.written(), 0);
}

TEST_F(Blocks, GoOnBehindAFlush) {
  const std::string path = directory_ / "file";
  File file = File::create(filesystem_, path);
  const std::string text = pattern(4 * kBlockBytes);
  std::string all;
  {
    BlockWriter writer(filesystem_, path, file.descriptor(), 0);
    for (const std::size_t size :
         {std::size_t{10}, kBlockBytes + 5, std::size_t{1}, 2 * kBlockBytes}) {
      writer.write(std::as_bytes(std::span(text).first(size)));
      writer.flush();
      all += text.substr(0, size);
    }
  }
  file.truncate(static_cast<std::int64_t>(all.size()));
  EXPECT_TRUE(testing::read_file(path) == all);
}

TEST_F(Blocks, LeaveTheDescriptorAsItWas) {
  const std::string path = directory_ / "file";
  File file = File::create(filesystem_, path);
  const std::string text = pattern(2 * kBlockBytes);
  BlockWriter writer(filesystem_, path, file.descriptor(), 0);
  writer.write(std::as_bytes(std::span(text)));
  writer.flush();
  EXPECT_EQ(::fcntl(file.descriptor(), F_GETFL) & O_DIRECT, 0);
  if (writer.mode() != WriteMode::kDirect) return;
  filesystem_.fail("direct", 2, EIO);
  writer.write(std::as_bytes(std::span(text)));
  EXPECT_THROW(writer.flush(), Error);
  EXPECT_THROW(writer.flush(), Error) << "it is told again";
}

TEST_F(Blocks, AFailureToBringThemBehindTheLastIsToldAgain) {
  const std::string path = directory_ / "file";
  File file = File::create(filesystem_, path);
  const std::string text = pattern(2 * kBlockBytes);
  filesystem_.fail("writeback", 2, EIO);
  BlockWriter writer(filesystem_, path, file.descriptor(), 0, WriteMode::kPaced);
  writer.write(std::as_bytes(std::span(text)));
  EXPECT_THROW(writer.flush(), Error);
  EXPECT_THROW(writer.flush(), Error);
  EXPECT_THROW(static_cast<void>(writer.room()), Error);
}

TEST_F(Blocks, DroppedOnesWaitForTheWriteUnderWay) {
  const std::string path = directory_ / "file";
  File file = File::create(filesystem_, path);
  const std::string text = pattern(3 * kBlockBytes);
  for (int i = 0; i < 20; ++i) {
    BlockWriter writer(filesystem_, path, file.descriptor(), 0);
    writer.write(std::as_bytes(std::span(text)));
  }
}

}  // namespace
}  // namespace checkroom::disk
