#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace heed::tools {

/// Thrown by write_output() when nobody reads standard output any more; main() ends quietly then.
struct BrokenPipe {};

/// Writes to standard output at once, all of it. Throws BrokenPipe, or Error with the system's reason (a full disk).
void write_output(std::string_view text);
/// Ends the line on a terminal where an exception leaves a text in the middle of it, of which something was `written`,
/// so that the message of the error has a line of its own.
class EndLineOnError {
 public:
  explicit EndLineOnError(const bool& written);
  ~EndLineOnError();
  EndLineOnError(const EndLineOnError&) = delete;
  EndLineOnError& operator=(const EndLineOnError&) = delete;

 private:
  const bool& written_;
  int exceptions_;  // under way already
};

/// Writes to standard error; there is nobody to tell when that fails.
void write_error(std::string_view text);
bool output_is_terminal();
bool error_is_terminal();

/// JSON for scripts; bytes that are not UTF-8 (names that drivers give) become U+FFFD. `indent` as in nlohmann::json.
std::string json_text(const nlohmann::json& json, int indent = -1);

/// "512 B", "1.1 MB": powers of 1000, three digits.
std::string format_bytes(std::uint64_t bytes);
/// "12,345".
std::string format_count(std::uint64_t count);

/// Columns of text, each as wide as its widest cell, two spaces between. The first row is the heading.
class Table {
 public:
  enum class Align { Left, Right };
  explicit Table(std::vector<Align> columns) : columns_(std::move(columns)) {}
  void add(std::vector<std::string> row);
  std::string text() const;

 private:
  std::vector<Align> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace heed::tools
