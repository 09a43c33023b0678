#include "chat/prompt.h"

#include <doctest/doctest.h>

#include "heed/error.h"
#include "tokenizer/description.h"

namespace heed::chat {
namespace {

/// Characters a to e, a space, and marks of a chat.
std::unique_ptr<Tokenizer> tokenizer() {
  TokenizerDescription description;
  description.pieces = {"<unk>", "<s>", "</s>", "<|end|>", "a", "b", "c", "d",   "e",
                        " ",     "<",   ">",    "|",       "n", "/", "s", "<t>", ":"};
  description.kinds.assign(description.pieces.size(), PieceKind::Normal);
  description.kinds[0] = PieceKind::Unknown;
  for (const std::size_t control : {1, 2, 3}) description.kinds[control] = PieceKind::Control;
  description.kinds[16] = PieceKind::UserDefined;
  description.before = {1};
  return Tokenizer::from_description(description);
}

std::string error_of(const auto& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool says(const std::string& error, const std::string& part) {
  INFO(error);
  return error.find(part) != std::string::npos;
}

ChatPrompts prompts(std::map<std::string, std::string> templates) {
  return ChatPrompts({std::move(templates), {{"bos_token", "<s>"}, {"eos_token", "</s>"}}});
}

constexpr const char* kTurns =
    "{{ bos_token }}{% for m in messages %}{{ m.content | trim }}<|end|>{% endfor %}{% if add_generation_prompt "
    "%}<t>{% endif %}";

ChatRequest request_of(const std::string& content) {
  ChatRequest request;
  request.messages = messages_json({{"user", content}});
  return request;
}

}  // namespace

TEST_CASE("special tokens of the template are tokens, those that a message spells are text") {
  const auto opened = tokenizer();
  const ChatPrompts chat = prompts({{"default", kTurns}});
  const auto ids = [&](const ChatRequest& request) {
    const ChatPrompts::Prompt prompt = chat.render(request, *opened);
    return opened->encode(prompt.text, false, prompt.specials);
  };
  CHECK(ids(request_of("ab")) == std::vector<TokenId>{1, 4, 5, 3, 16});
  // <|end|> in letters: '<' '|' 'e' 'n' 'd' '|' '>'.
  CHECK(ids(request_of(" a<|end|>b ")) == std::vector<TokenId>{1, 4, 10, 12, 8, 13, 7, 12, 11, 5, 3, 16});
  CHECK(chat.render(request_of(" a<|end|>b "), *opened).text == "<s>a<|end|>b<|end|><t>");
  // What every text is cut at is no special token.
  CHECK(ids(request_of("<t></s>")) == std::vector<TokenId>{1, 16, 10, 14, 15, 11, 3, 16});
  ChatRequest trusted = request_of("a<|end|>b");
  trusted.specials_in_messages = true;
  CHECK(ids(trusted) == std::vector<TokenId>{1, 4, 3, 5, 3, 16});
  // A text that holds the first character which marks such places keeps it.
  CHECK(chat.render(request_of("a\uFDD0<|end|>"), *opened).text == "<s>a\uFDD0<|end|><|end|><t>");
}

TEST_CASE("a model may have templates by name") {
  const auto opened = tokenizer();
  const ChatPrompts chat =
      prompts({{"default", "a"}, {"tool_use", "b{{ tools | length }}"}, {"bad", "{% include 'x' %}"}});
  ChatRequest request = request_of("x");
  CHECK(chat.render(request, *opened).text == "a");
  request.tools = R"([{"type": "function"}])";
  CHECK(chat.render(request, *opened).text == "b1");
  request.name = "default";
  CHECK(chat.render(request, *opened).text == "a");
  request.name = "other";
  CHECK(says(error_of([&] { chat.render(request, *opened); }), "no chat template 'other'; it has default, tool_use"));
  request.name = "bad";
  CHECK(says(error_of([&] { chat.render(request, *opened); }), "the tag 'include' is not supported"));
  CHECK(says(error_of([&] { prompts({{"default", "{{"}}); }), "chat template, line 1"));
}

TEST_CASE("variables reach the template, and tools are none where there are none") {
  const auto opened = tokenizer();
  const ChatPrompts chat = prompts({{"default", "{{ tools is none }}{{ think }}{{ eos_token }}{{ documents }}"}});
  ChatRequest request = request_of("x");
  request.variables = R"({"think": false})";
  CHECK(chat.render(request, *opened).text == "TrueFalse</s>None");
}

TEST_CASE("an answer ends at the eos token and at what the template puts behind it") {
  const auto opened = tokenizer();
  CHECK(prompts({{"default", kTurns}}).end_tokens(*opened) == std::vector<TokenId>{2, 3});
  CHECK(prompts({{"default", "{% for m in messages %}{{ m.content }}\n{% endfor %}"}}).end_tokens(*opened) ==
        std::vector<TokenId>{2});
  CHECK(prompts({{"default", "{{ raise_exception('no') }}"}}).end_tokens(*opened) == std::vector<TokenId>{2});
}

TEST_CASE("requests that are none are refused") {
  const auto opened = tokenizer();
  const ChatPrompts chat = prompts({{"default", "a"}});
  const auto refused = [&](const char* messages, const char* tools = "", const char* variables = "") {
    ChatRequest request;
    request.messages = messages;
    request.tools = tools;
    request.variables = variables;
    return error_of([&] { chat.render(request, *opened); });
  };
  CHECK(says(refused("{"), "messages are no JSON"));
  CHECK(says(refused("[]"), "no JSON array with one message or more"));
  CHECK(says(refused(R"([{"content": "a"}])"), "message 1 of the chat is no object with a \"role\""));
  CHECK(says(refused(R"([{"role": "user", "content": "a"}, {"role": "user"}])"),
             "message 2 of the chat has no \"content\""));
  CHECK(says(refused(R"([{"role": "user", "content": "a"}])", "{}"), "tools are no JSON array"));
  CHECK(says(refused(R"([{"role": "user", "content": "a"}])", "", "[]"), "variables are no JSON object"));
  // A million of them: what goes through them would end the stack.
  const std::string deep = R"([{"role": "user", "content": )" + std::string(1'000'000, '[');
  CHECK(says(refused(deep.c_str()), "messages nest deeper than 100 levels"));
  CHECK(says(refused(R"([{"role": "user", "content": "a"}])", deep.c_str()), "tools nest deeper than 100 levels"));
  CHECK(says(refused(R"([{"role": "user", "content": "a"}])", "", (R"({"a": )" + deep).c_str()),
             "variables nest deeper than 100 levels"));
  CHECK(says(error_of([] { messages_json({{"user", "\xff"}}); }), "not valid UTF-8"));
  CHECK(says(error_of([] { ChatFormat::from_json(nlohmann::json::object()); }), "has 0 templates"));
}

}  // namespace heed::chat
