#include "tools/prompts.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>

#include "heed/error.h"
#include "tools/output.h"

namespace heed::tools {
namespace {

// No context holds this much; what is longer was not meant as a prompt.
constexpr std::size_t kMaxPromptBytes = std::size_t{64} << 20;

std::string read_stream(std::FILE* stream, const std::string& name) {
  std::string content;
  char block[65536];
  while (const std::size_t count = std::fread(block, 1, sizeof block, stream)) {
    content.append(block, count);
    if (content.size() > kMaxPromptBytes) {
      throw Error(fmt::format("{}: more than {} bytes, which no context holds", name, kMaxPromptBytes));
    }
  }
  if (std::ferror(stream)) throw Error(fmt::format("{}: cannot read: {}", name, std::strerror(errno)));
  return content;
}

std::string read_file(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (file == nullptr) throw Error(fmt::format("{}: cannot open: {}", path, std::strerror(errno)));
  return read_stream(file.get(), path);
}

void drop_line_end(std::string& line) {
  if (line.ends_with('\n')) line.pop_back();
  if (line.ends_with('\r')) line.pop_back();
}

std::vector<Prompt> read_lines(const std::string& path) {
  const std::string content = read_file(path);
  std::vector<Prompt> prompts;
  std::size_t blank = 0;
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < content.size();) {
    std::size_t end = content.find('\n', begin);
    end = end == std::string::npos ? content.size() : end + 1;
    std::string line = content.substr(begin, end - begin);
    begin = end;
    ++number;
    drop_line_end(line);
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
  if (arguments.has_text + arguments.has_tokens + !arguments.file.empty() > 1) {
    throw Error("PROMPT, --prompts and --tokens say the same thing in three ways; give one of them");
  }
  if (arguments.has_tokens) return {{parse_tokens(arguments.tokens)}};
  if (!arguments.file.empty()) return read_lines(arguments.file);
  if (arguments.has_text && arguments.text != "-") return {{arguments.text}};
  if (!arguments.has_text && ::isatty(STDIN_FILENO) == 1) {
    throw Error("no prompt; give PROMPT, --prompts FILE, --tokens IDS, or text on standard input");
  }
  std::string text = read_stream(stdin, "standard input");
  drop_line_end(text);  // the shell's, not the prompt's
  return {{std::move(text)}};
}

std::vector<std::int32_t> parse_tokens(std::string_view text) {
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
          fmt::format("--tokens: '{}' is no token id; expected ids with commas between, such as 1,15,27", part));
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
