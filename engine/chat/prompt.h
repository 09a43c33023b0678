#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/template.h"
#include "heed/chat.h"
#include "tokenizer/tokenizer.h"

namespace heed::chat {

/// What a model brings for chats: the field "chat" of a .heed file's metadata (engine/file/format.md).
struct ChatFormat {
  static constexpr std::size_t kMostTemplates = 64;

  std::map<std::string, std::string> templates;  // by name, one at least: "default", "tool_use", ...
  std::map<std::string, std::string> tokens;     // what templates call them: "bos_token" is "<s>", ...

  nlohmann::json to_json() const;
  /// Throws Error where it is not of this form.
  static ChatFormat from_json(const nlohmann::json& json);
};

/// Makes prompts of chats, with the templates of one model. Immutable; any thread may call it.
class ChatPrompts {
 public:
  /// Throws Error when a template is not supported; such a one is only refused when it is used where there are others.
  explicit ChatPrompts(ChatFormat format);

  struct Prompt {
    std::string text;
    Specials specials;  // as encode() needs them: no special token is made of what the messages or tools say
  };
  /// `tokenizer` says which user-defined pieces are marks of the template. Throws Error naming what is wrong with the
  /// request, and what the template says of one that it does not take.
  Prompt render(const ChatRequest& request, const Tokenizer& tokenizer) const;
  /// The tokens at which an answer to a request ends: the eos_token, and what the template puts behind an answer. Of
  /// the request all but the messages counts.
  std::vector<TokenId> end_tokens(const Tokenizer& tokenizer, const ChatRequest& request = {}) const;

 private:
  const Template& find(const std::string& name, bool tools) const;
  std::map<std::string, Template> templates_;
  std::map<std::string, std::string> refused_;  // why
  std::map<std::string, std::string> tokens_;
};

}  // namespace heed::chat
