#pragma once

#include <string>

namespace heed::tools {

/// Thrown to leave long work after Ctrl-C; main() turns it into kExitInterrupted. Not an Error: nothing went wrong.
struct Interrupted {};

/// While it lives, the first Ctrl-C (SIGINT) or SIGTERM only sets a flag, and the second ends the process at once. One
/// at a time.
class InterruptFlag {
 public:
  InterruptFlag();
  ~InterruptFlag();
  InterruptFlag(const InterruptFlag&) = delete;
  InterruptFlag& operator=(const InterruptFlag&) = delete;

  bool raised() const;
};

/// Tells people that Ctrl-C came before this file was written; nothing of an empty path.
void say_not_written(const std::string& path);

}  // namespace heed::tools
