// Retry: a system call made again when a signal interrupted it.
//
// A function; any thread. It does not throw: the errno is its answer.
#pragma once

#include <cerrno>

namespace checkroom::disk {

// Makes `call` (which returns below 0 and sets errno where it fails) until no signal gets in its
// way; its errno, or 0.
template <typename Call>
int retry(Call call) {
  for (;;) {
    if (call() >= 0) return 0;
    if (errno != EINTR) return errno;
  }
}

}  // namespace checkroom::disk
