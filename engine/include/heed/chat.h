#pragma once

#include <string>
#include <vector>

namespace heed {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant", and what else the model's template knows
  std::string content;
};

/// What a model's chat template is given. Texts of JSON are what clients send and files hold; they keep all that a
/// template may ask of a message (tool_calls, name, reasoning_content, ...).
struct ChatRequest {
  std::string messages;   // a JSON array of objects with "role" and "content"
  std::string tools;      // a JSON array of tools' descriptions; empty for none; refused where the template has no use
  std::string variables;  // a JSON object of more variables: {"enable_thinking": false}; empty for none
  std::string name;       // of the template, where a model has several; empty: "tool_use" with tools, else "default"
  bool add_generation_prompt = true;  // ends with what an answer begins with
  /// Special tokens that the messages spell ("<|im_end|>") are those tokens, as in transformers. Otherwise they are
  /// text of the message, which cannot end its turn or forge another.
  bool specials_in_messages = false;
};

/// As ChatRequest::messages has them. Throws Error for text that is not valid UTF-8.
std::string messages_json(const std::vector<ChatMessage>& messages);

}  // namespace heed
