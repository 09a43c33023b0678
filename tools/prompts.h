#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "heed/chat.h"

namespace heed::tools {

struct Prompt {
  std::variant<std::string, std::vector<std::int32_t>, ChatRequest> content;  // text, token ids, or a chat
  std::string where = {};  // "FILE:LINE" of one from a file, for messages
};

/// Where `heed generate` is told to take prompts from; empty where an option was not given.
struct PromptArguments {
  std::string text;         // PROMPT
  bool has_text = false;    // "" is a prompt
  std::string file;         // --prompts
  std::string chat;         // --chat
  std::string tokens;       // --tokens
  bool has_tokens = false;  // "" is an error of its own
};

/// The prompts, at least one. Reads standard input when PROMPT is "-", or absent while standard input is no terminal.
/// Writes to standard error how many blank lines of a file were skipped. Throws Error when there is no prompt or more
/// than one source of prompts, and for what cannot be read.
std::vector<Prompt> collect_prompts(const PromptArguments& arguments);

/// "1, 2,3" as ids. Throws Error naming the option and the part that is no id.
std::vector<std::int32_t> parse_tokens(std::string_view option, std::string_view text);
/// "1,2,3".
std::string tokens_text(const std::vector<std::int32_t>& tokens);

/// Replaces \n, \t, \r and \\ by what they stand for. Throws Error for another letter after a backslash.
std::string unescape(std::string_view text);

}  // namespace heed::tools
