#include "chat/prompt.h"

#include <fmt/format.h>

#include <algorithm>

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

constexpr std::size_t kMostRequestBytes = 64 << 20;
constexpr std::size_t kMostKeys = 1000;  // of an object: each is looked for among the others
constexpr int kDeepestRequest = 100;     // as deep as a template's values may be; what is done with them recurses

Json parse(std::string_view what, const std::string& text) {
  if (text.size() > kMostRequestBytes) {
    throw Error(fmt::format("the chat's {} have {} bytes, at most {} are read", what, text.size(), kMostRequestBytes));
  }
  try {
    std::vector<std::size_t> keys(kDeepestRequest + 1);  // of the objects around what is read
    return Json::parse(text, [&](int depth, Json::parse_event_t event, Json&) {
      if (depth > kDeepestRequest) {
        throw Error(fmt::format("the chat's {} nest deeper than {} levels", what, kDeepestRequest));
      }
      const auto level = static_cast<std::size_t>(depth);
      if (event == Json::parse_event_t::object_start && level < keys.size() - 1) keys[level + 1] = 0;
      if (event == Json::parse_event_t::key && ++keys[level] > kMostKeys) {
        throw Error(fmt::format("the chat's {} hold an object with more than {} keys", what, kMostKeys));
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

/// What comes from people and from tools, whoever names it.
constexpr std::string_view kGiven[] = {"messages", "tools", "documents"};

/// User-defined pieces of a tokenizer by which the template itself marks something ("<start_of_turn>"): those that it
/// has in its source, and that look like that.
std::vector<TokenId> marks_of(const std::string& source, const Tokenizer& tokenizer) {
  std::vector<TokenId> marks;
  for (const SpelledToken& one : tokenizer.spelled(source)) {
    const std::string_view text = std::string_view(source).substr(one.begin, one.end - one.begin);
    constexpr std::string_view kOpening = "<[{|";
    constexpr std::string_view kClosing = ">]}|";
    const bool is_mark = text.size() > 2 && kOpening.find(text.front()) != std::string_view::npos &&
                         kClosing.find(text.back()) != std::string_view::npos;
    if (!one.special && is_mark) marks.push_back(one.token);
  }
  std::ranges::sort(marks);
  marks.erase(std::unique(marks.begin(), marks.end()), marks.end());
  return marks;
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

  Json own = Json::object();
  for (const auto& [name, token] : tokens_) own[name] = token;
  own["add_generation_prompt"] = request.add_generation_prompt;
  Json given = {{"messages", std::move(messages)}, {"tools", tools}, {"documents", nullptr}};
  for (const auto& [name, value] : more.items()) (given.contains(name) ? given : own)[name] = value;
  for (const std::string_view name : kGiven) own.erase(std::string(name));
  if (request.specials_in_messages) {
    own.update(given);
    given = Json::object();
  }

  const Template& used = find(request.name, !tools.is_null());
  if (!tools.empty() && !used.reads("tools")) throw Error("the model's chat template takes no tools");
  const Text text = used.render(own, given);
  Prompt prompt;
  prompt.text = text.bytes();
  prompt.specials.parse = true;
  for (const Text::Range& range : text.given()) prompt.specials.plain.push_back({range.begin, range.end});
  if (text.has_given()) prompt.specials.marks = marks_of(used.source(), tokenizer);
  return prompt;
}

std::vector<TokenId> ChatPrompts::end_tokens(const Tokenizer& tokenizer, const ChatRequest& request) const {
  std::vector<TokenId> ends;
  const auto add_first_of = [&](std::string_view text) {
    const std::vector<SpelledToken> spelled = tokenizer.spelled(text);
    if (spelled.empty() || spelled.front().begin > 0) return;
    if (std::ranges::find(ends, spelled.front().token) == ends.end()) ends.push_back(spelled.front().token);
  };
  if (const auto eos = tokens_.find("eos_token"); eos != tokens_.end()) add_first_of(eos->second);
  // What stands behind an answer that the template is given.
  constexpr std::string_view kAnswer = "ANSWER";
  ChatRequest answered = request;
  answered.messages = messages_json({{"user", "question"}, {"assistant", std::string(kAnswer)}});
  answered.add_generation_prompt = false;
  std::string text;
  try {
    text = render(answered, tokenizer).text;
  } catch (const Error&) {
    return ends;  // a template that wants more than that; the model's own end tokens must do
  }
  const std::size_t answer = text.rfind(kAnswer);
  if (answer == std::string::npos) return ends;
  const std::string_view behind = std::string_view(text).substr(answer + kAnswer.size());
  add_first_of(strip(behind, std::nullopt, Side::Left));
  return ends;
}

}  // namespace chat
}  // namespace heed
