#include "tools/line_editor.h"

// clang-format off
#include <cstdio>  // readline.h needs it
#include <editline/readline.h>
// clang-format on
#include <unistd.h>

#include <clocale>
#include <cstdlib>
#include <memory>

#include "heed/error.h"
#include "tools/lines.h"

namespace heed::tools {
namespace {

constexpr std::size_t kLongestLine = std::size_t{64} << 20;

}  // namespace

LineEditor::LineEditor() : terminal_(::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1) {
  if (!terminal_) return;
  // The editor asks the locale what a character is. Where that knows bytes only, UTF-8 is what a terminal sends today.
  if (std::setlocale(LC_CTYPE, "") == nullptr || MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");
  using_history();
}

std::optional<std::string> LineEditor::read(const char* prompt) {
  if (terminal_) {
    const std::unique_ptr<char, void (*)(void*)> line(::readline(prompt), std::free);
    if (line == nullptr) return {};
    std::string text(line.get());
    if (!text.empty()) add_history(text.c_str());
    return text;
  }
  std::string text;
  int c = EOF;
  while ((c = std::getc(stdin)) != EOF && c != '\n') {
    text += static_cast<char>(c);
    if (text.size() > kLongestLine) throw Error("standard input: a line is longer than 64 MiB, which no context holds");
  }
  if (c == EOF && text.empty()) return {};
  drop_line_end(text);
  return text;
}

}  // namespace heed::tools
