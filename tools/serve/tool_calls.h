#pragma once

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace heed::tools {

/// Finds the calls of tools in an answer as it comes, in the two ways in which most models write them: objects between
/// <tool_call> and </tool_call> (Qwen, Hermes, Granite), or an answer that is nothing but such an object, or an array
/// of them (Llama 3, Mistral). An object has "name" and "arguments", or "parameters".
class ToolCalls {
 public:
  /// `names`: what can be called; other objects are text.
  explicit ToolCalls(std::set<std::string> names) : names_(std::move(names)) {}
  /// What of the text so far is certainly no call.
  std::string push(std::string_view added);
  /// The answer is whole: the rest of its text that is no call.
  std::string finish();
  /// As OpenAI's interface has them; empty without any.
  const nlohmann::ordered_json& calls() const { return calls_; }

 private:
  bool take_call(const nlohmann::ordered_json& call);

  std::set<std::string> names_;
  std::string held_;  // what may be a call
  bool begun_ = false;
  nlohmann::ordered_json calls_ = nlohmann::ordered_json::array();
};

}  // namespace heed::tools
