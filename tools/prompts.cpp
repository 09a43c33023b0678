#include "tools/prompts.h"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>

#include "heed/error.h"
#include "tools/chat_file.h"
#include "tools/lines.h"
#include "tools/output.h"

namespace heed::tools {
namespace {

// No context holds this much; what is longer was not meant as a prompt.
constexpr std::size_t kMaxPromptBytes = std::size_t{64} << 20;

std::vector<Prompt> read_lines(const std::string& path) {
  std::vector<Prompt> prompts;
  std::size_t blank = 0;
  std::size_t number = 0;
  for (std::string& line : split_lines(read_file(path, kMaxPromptBytes))) {
    ++number;
    if (line.find_first_not_of(" \t") == std::string::npos) {
      ++blank;
    } else {
      prompts.push_back({std::move(line), fmt::format("{}:{}", path, number)});
    }
  }
  if (prompts.empty()) throw Error(fmt::format("{}: no prompt in it, expected one a line", path));
  if (blank > 0) write_error(fmt::format("{}: {} blank {} skipped\n", path, blank, blank == 1 ? "line" : "lines"));
  return prompts;
}

}  // namespace

std::vector<Prompt> collect_prompts(const PromptArguments& arguments) {
  if (arguments.has_text + arguments.has_tokens + !arguments.file.empty() + !arguments.chat.empty() > 1) {
    throw Error("PROMPT, --prompts, --chat and --tokens say the same thing in four ways; give one of them");
  }
  if (!arguments.chat.empty()) return {{read_chat_file(arguments.chat)}};
  if (arguments.has_tokens) return {{parse_tokens("--tokens", arguments.tokens)}};
  if (!arguments.file.empty()) return read_lines(arguments.file);
  if (arguments.has_text && arguments.text != "-") return {{arguments.text}};
  if (!arguments.has_text && ::isatty(STDIN_FILENO) == 1) {
    throw Error("no prompt; give PROMPT, --prompts FILE, --chat FILE, --tokens IDS, or text on standard input");
  }
  std::string text = read_stream(stdin, "standard input", kMaxPromptBytes);
  drop_line_end(text);  // the shell's, not the prompt's
  return {{std::move(text)}};
}

std::vector<std::int32_t> parse_tokens(std::string_view option, std::string_view text) {
  std::vector<std::int32_t> tokens;
  while (true) {
    const std::size_t comma = text.find(',');
    std::string_view part = text.substr(0, comma);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    std::int32_t token = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), token);
    if (error != std::errc() || end != part.data() + part.size() || token < 0) {
      throw Error(
          fmt::format("{}: '{}' is no token id; expected ids with commas between, such as 1,15,27", option, part));
    }
    tokens.push_back(token);
    if (comma == std::string_view::npos) return tokens;
    text.remove_prefix(comma + 1);
  }
}

std::string tokens_text(const std::vector<std::int32_t>& tokens) { return fmt::format("{}", fmt::join(tokens, ",")); }

std::string unescape(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      plain += text[i];
      continue;
    }
    const char letter = i + 1 < text.size() ? text[++i] : '\0';
    if (letter == 'n') {
      plain += '\n';
    } else if (letter == 't') {
      plain += '\t';
    } else if (letter == 'r') {
      plain += '\r';
    } else if (letter == '\\') {
      plain += '\\';
    } else {
      throw Error(fmt::format("--stop '{}': after a backslash n, t, r or another backslash is expected", text));
    }
  }
  return plain;
}

}  // namespace heed::tools
