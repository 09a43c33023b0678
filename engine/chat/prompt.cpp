#include "chat/prompt.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "chat/python_text.h"
#include "chat/rendering.h"
#include "heed/error.h"
#include "tokenizer/utf8.h"

namespace heed {

std::string messages_json(const std::vector<ChatMessage>& messages) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const ChatMessage& message : messages) {
    for (const std::string* text : {&message.role, &message.content}) {
      if (find_invalid_utf8(*text) != text->size()) throw Error("a message of the chat is not valid UTF-8");
    }
    list.push_back({{"role", message.role}, {"content", message.content}});
  }
  return list.dump();
}

namespace chat {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostTemplates = 64;
constexpr std::size_t kMostRequestBytes = 64 << 20;
constexpr int kDeepestRequest = 100;  // as deep as a template's values may be; what is done with them recurses

Json parse(std::string_view what, const std::string& text) {
  if (text.size() > kMostRequestBytes) {
    throw Error(fmt::format("the chat's {} have {} bytes, at most {} are read", what, text.size(), kMostRequestBytes));
  }
  try {
    return Json::parse(text, [&](int depth, Json::parse_event_t, Json&) {
      if (depth > kDeepestRequest) {
        throw Error(fmt::format("the chat's {} nest deeper than {} levels", what, kDeepestRequest));
      }
      return true;
    });
  } catch (const Json::parse_error& error) {
    throw Error(fmt::format("the chat's {} are no JSON: wrong at byte {}", what, error.byte));
  } catch (const Json::exception& error) {
    throw Error(fmt::format("the chat's {} are no usable JSON: {}", what, error.what()));
  }
}

void check_messages(const Json& messages) {
  if (!messages.is_array() || messages.empty()) {
    throw Error("the chat's messages are no JSON array with one message or more");
  }
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const Json& message = messages[i];
    if (!message.is_object() || !message.contains("role") || !message["role"].is_string()) {
      throw Error(fmt::format("message {} of the chat is no object with a \"role\", a string", i + 1));
    }
    if (!message.contains("content") && !message.contains("tool_calls")) {
      throw Error(fmt::format("message {} of the chat has no \"content\"", i + 1));
    }
  }
}

void each_string(Json& json, const std::function<void(std::string&)>& change) {
  if (json.is_string()) return change(json.get_ref<std::string&>());
  if (json.is_array()) {
    for (Json& item : json) each_string(item, change);
  } else if (json.is_object()) {
    Json changed = Json::object();
    for (auto& [key, value] : json.items()) {
      std::string name = key;
      change(name);
      each_string(value, change);
      changed[name] = std::move(value);
    }
    json = std::move(changed);
  }
}

/// A character that is none, U+FDD0 and on, and that no text of the request holds: it goes through the template in
/// front of what must stay text.
std::string free_marker(const std::vector<const std::string*>& texts) {
  for (char32_t code = 0xFDD0; code <= 0xFDEF; ++code) {
    std::string marker = from_code_points(std::u32string(1, code));
    const bool taken =
        std::ranges::any_of(texts, [&](const std::string* text) { return text->find(marker) != std::string::npos; });
    if (!taken) return marker;
  }
  throw Error("the chat holds all of U+FDD0 to U+FDEF, which are no characters; leave one of them out");
}

/// Takes the markers out of a text; gives where they stood.
std::vector<std::size_t> take_markers(std::string& text, const std::string& marker) {
  std::vector<std::size_t> places;
  std::string plain;
  std::size_t at = 0;
  for (std::size_t found = 0; (found = text.find(marker, at)) != std::string::npos; at = found + marker.size()) {
    plain += std::string_view(text).substr(at, found - at);
    places.push_back(plain.size());
  }
  plain += std::string_view(text).substr(at);
  text = std::move(plain);
  return places;
}

std::map<std::string, std::string> read_texts(const nlohmann::json& json, const char* field) {
  std::map<std::string, std::string> texts;
  if (!json.contains(field)) return texts;
  if (!json[field].is_object()) throw Error(fmt::format("metadata 'chat': '{}' is not an object", field));
  for (const auto& [name, text] : json[field].items()) {
    if (!text.is_string()) throw Error(fmt::format("metadata 'chat': '{}' holds what is no text", field));
    texts[name] = text.get<std::string>();
  }
  return texts;
}

}  // namespace

nlohmann::json ChatFormat::to_json() const { return {{"templates", templates}, {"tokens", tokens}}; }

ChatFormat ChatFormat::from_json(const nlohmann::json& json) {
  if (!json.is_object()) throw Error("metadata 'chat' is not an object; convert the model again");
  ChatFormat format{read_texts(json, "templates"), read_texts(json, "tokens")};
  if (format.templates.empty() || format.templates.size() > kMostTemplates) {
    throw Error(fmt::format("metadata 'chat' has {} templates, expected 1 to {}; convert the model again",
                            format.templates.size(), kMostTemplates));
  }
  return format;
}

ChatPrompts::ChatPrompts(ChatFormat format) : tokens_(std::move(format.tokens)) {
  for (const auto& [name, source] : format.templates) {
    try {
      templates_.emplace(name, Template(source));
    } catch (const Error& error) {
      refused_[name] = error.what();
    }
  }
  if (templates_.empty()) throw Error(refused_.begin()->second);
}

const Template& ChatPrompts::find(const std::string& name, bool tools) const {
  std::string wanted = name;
  if (wanted.empty())
    wanted = tools && (templates_.contains("tool_use") || refused_.contains("tool_use")) ? "tool_use" : "default";
  if (const auto found = templates_.find(wanted); found != templates_.end()) return found->second;
  if (const auto why = refused_.find(wanted); why != refused_.end()) throw Error(why->second);
  std::string known;
  for (const auto& [other, found] : templates_) known += (known.empty() ? "" : ", ") + other;
  throw Error(fmt::format("the model has no chat template '{}'; it has {}", wanted, known));
}

ChatPrompts::Prompt ChatPrompts::render(const ChatRequest& request, const Tokenizer& tokenizer) const {
  Json messages = parse("messages", request.messages);
  check_messages(messages);
  Json tools = request.tools.empty() ? Json() : parse("tools", request.tools);
  if (!tools.is_null() && !tools.is_array()) throw Error("the chat's tools are no JSON array");
  Json more = request.variables.empty() ? Json::object() : parse("variables", request.variables);
  if (!more.is_object()) throw Error("the chat's variables are no JSON object");

  // After parsing, since JSON can spell a character by its number.
  const std::string all[] = {messages.dump(), tools.dump(), more.dump()};
  const std::string marker = free_marker({&all[0], &all[1], &all[2]});
  if (!request.specials_in_messages) {
    const auto mark = [&](std::string& text) {
      const std::vector<std::size_t> places = tokenizer.special_places(text);
      for (auto place = places.rbegin(); place != places.rend(); ++place) text.insert(*place, marker);
    };
    for (Json* json : {&messages, &tools, &more}) each_string(*json, mark);
  }

  Json variables = Json::object();
  for (const auto& [name, token] : tokens_) variables[name] = token;
  variables["messages"] = std::move(messages);
  variables["tools"] = tools;
  variables["documents"] = nullptr;
  variables["add_generation_prompt"] = request.add_generation_prompt;
  for (const auto& [name, value] : more.items()) variables[name] = value;

  Prompt prompt;
  prompt.text = find(request.name, !tools.is_null()).render(variables);
  prompt.specials = {true, take_markers(prompt.text, marker)};
  return prompt;
}

std::vector<TokenId> ChatPrompts::end_tokens(const Tokenizer& tokenizer) const {
  std::vector<TokenId> ends;
  const auto add_first_of = [&](const std::string& text) {
    const std::vector<TokenId> ids = tokenizer.encode(text, false, {true, {}});
    if (ids.empty() || tokenizer.special_places(text).empty()) return;
    if (std::ranges::find(ends, ids.front()) == ends.end()) ends.push_back(ids.front());
  };
  if (const auto eos = tokens_.find("eos_token"); eos != tokens_.end()) add_first_of(eos->second);
  // What stands behind an answer that a template is given.
  constexpr std::string_view kAnswer = "ANSWER";
  ChatRequest request;
  request.messages = messages_json({{"user", "question"}, {"assistant", std::string(kAnswer)}});
  request.add_generation_prompt = false;
  std::string text;
  try {
    text = render(request, tokenizer).text;
  } catch (const Error&) {
    return ends;  // a template that wants more than that; the model's own end tokens must do
  }
  const std::size_t answer = text.rfind(kAnswer);
  if (answer == std::string::npos) return ends;
  const std::string behind = strip(text.substr(answer + kAnswer.size()), std::nullopt, Side::Left);
  const std::vector<std::size_t> places = tokenizer.special_places(behind);
  if (!places.empty() && places.front() == 0) add_first_of(behind);
  return ends;
}

}  // namespace chat
}  // namespace heed
