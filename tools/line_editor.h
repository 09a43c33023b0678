#pragma once

#include <optional>
#include <string>

namespace heed::tools {

/// Lines that somebody types, with editing and history where standard input and output are a terminal; otherwise the
/// lines of standard input, without prompts.
class LineEditor {
 public:
  LineEditor();
  bool is_terminal() const { return terminal_; }
  /// The next line without its end; nothing at the end of the input. Throws Error for one longer than 64 MiB.
  std::optional<std::string> read(const char* prompt);

 private:
  bool terminal_;
};

}  // namespace heed::tools
