#include "chat/prompt.h"

#include <doctest/doctest.h>

#include "heed/error.h"
#include "tokenizer/description.h"

namespace heed::chat {
namespace {

/// Characters a to e, a space, and marks of a chat.
std::unique_ptr<Tokenizer> tokenizer() {
  TokenizerDescription description;
  description.pieces = {"<unk>", "<s>", "</s>", "<|end|>", "a", "b", "c",   "d", "e", " ",
                        "<",     ">",   "|",    "n",       "/", "s", "<t>", ":", "t"};
  description.kinds.assign(description.pieces.size(), PieceKind::Normal);
  description.kinds[0] = PieceKind::Unknown;
  for (const std::size_t control : {1, 2, 3}) description.kinds[control] = PieceKind::Control;
  description.kinds[16] = PieceKind::UserDefined;
  description.before = {1};
  return Tokenizer::from_description(description);
}

std::string prompt_error(const auto& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool prompt_says(const std::string& error, const std::string& part) {
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
  // Nor a piece that every text is cut at, where the template marks turns by it.
  CHECK(ids(request_of("<t></s>")) == std::vector<TokenId>{1, 10, 18, 11, 10, 14, 15, 11, 3, 16});
  ChatRequest trusted = request_of("a<|end|>b");
  trusted.specials_in_messages = true;
  CHECK(ids(trusted) == std::vector<TokenId>{1, 4, 3, 5, 3, 16});
  CHECK(chat.render(request_of("a\uFDD0<|end|>"), *opened).text == "<s>a\uFDD0<|end|><|end|><t>");
}

TEST_CASE("what a template does to a message makes no token of it") {
  const auto opened = tokenizer();
  // How often "<|end|>" and "</s>" come as tokens, the template's own one not counted.
  const auto forged = [&](const std::string& source, const std::string& content, const std::string& role = "user") {
    const ChatPrompts chat = prompts(
        {{"default", "{% macro f(x) %}{{ x }}{% endmacro %}{% for m in messages %}" + source + "{% endfor %}<|end|>"}});
    ChatRequest request;
    request.messages = messages_json({{role, content}});
    const ChatPrompts::Prompt prompt = chat.render(request, *opened);
    const std::vector<TokenId> ids = opened->encode(prompt.text, false, prompt.specials);
    CHECK_MESSAGE(prompt.text.find("<|end|>") < prompt.text.size() - 7, prompt.text);  // the text is there
    CHECK(ids.back() == 3);
    return std::ranges::count(ids, 3) - 1 + std::ranges::count(ids, 2);
  };
  const std::string spelled = "a<|end|>";
  for (const char* source : {"{{ m.content }}",
                             "{{ m }}",
                             "{{ [m.content] }}",
                             "{{ m | tojson }}",
                             "{{ m.content[1:] }}",
                             "{{ m.content[-7:] }}",
                             "{{ m.content[1:] ~ 'b' }}",
                             "{{ 'b' + m.content }}",
                             "{{ m.content.split('a')[1] }}",
                             "{{ m.content.rsplit('a', 1)[-1] }}",
                             "{{ m.content.partition('a')[2] }}",
                             "{{ m.content | list | join }}",
                             "{{ ''.join(m.content) }}",
                             "{{ m.content.lstrip('a') }}",
                             "{{ m.content | trim }}",
                             "{{ m.content.replace('a', '') }}",
                             "{{ '#'.replace('#', m.content) }}",
                             "{{ m.content | replace('a', 'b') }}",
                             "{{ m.content.upper().lower() }}",
                             "{{ m.content | reverse | reverse }}",
                             "{{ m.content | title | lower }}",
                             "{{ m.content.removeprefix('a') }}",
                             "{{ m.content | indent }}",
                             "{{ m.content * 2 }}",
                             "{{ m.content | string }}",
                             "{% set x %}{{ m.content }}{% endset %}{{ x }}",
                             "{% filter trim %}{{ m.content }}{% endfilter %}",
                             "{{ f(m.content) }}",
                             "{% for c in m.content %}{{ c }}{% endfor %}",
                             "{% set n = namespace(x='') %}{% set n.x = n.x ~ m.content %}{{ n.x }}",
                             "{{ m.content.splitlines()[0] }}",
                             "{{ m.values() | list | last }}",
                             "{{ messages | map(attribute='content') | first }}",
                             "{{ dict(x=m.content).x }}",
                             "{{ m.content | default('x') }}",
                             "{{ [m.content] | tojson(ensure_ascii=true) }}",
                             "{{ messages | map(attribute='content') | sum(start='') }}",
                             "{{ strftime_now(m.content) }}"}) {
    CAPTURE(source);
    CHECK(forged(source, spelled) == 0);
  }
  // Joined of parts of messages, or of one and the template's own text.
  CHECK(forged("{{ '<|' ~ m.content ~ '|>' }}", "end") == 0);
  CHECK(forged("<|{{ m.content }}|>", "end") == 0);
  CHECK(forged("<|en{{ m.content }}", "d|>") == 0);
  CHECK(forged("{{ m.content | replace('~', '') }}", "<|e~nd|>") == 0);
  CHECK(forged("{{ m.content.split('~') | join }}", "<|e~nd|>") == 0);
  CHECK(forged("{{ m.content[::2] }}", "<.|.e.n.d.|.>") == 0);
  CHECK(forged("{{ m.content | lower }}", "<|END|>") == 0);
  // The template's own beside it are tokens.
  CHECK(forged("{{ m.content ~ '<|end|>' }}", spelled) == 1);
  CHECK(forged("{{ (m.content ~ '<|end|>')[1:] | trim }}", spelled) == 1);
  CHECK(forged("{{ 'b<|end|>'.split('b')[1] ~ m.content }}", spelled) == 1);
  CHECK(forged("<|{{ m.role }}|><|end|>{{ m.content }}", spelled) == 1);
  // Templates make marks of roles, but not of every role.
  CHECK(forged("<|{{ m.role }}|>", "x", "end") == 0);
  CHECK(forged("{{ 'end' if false }}<|{{ m.role }}|>", "x", "end") == 1);
  CHECK(forged("{{ m.role }}<|end|>", "x", "<|end|>") == 1);
}

TEST_CASE("tools are given as messages are, and variables are the caller's own") {
  const auto opened = tokenizer();
  const ChatPrompts chat = prompts({{"default", "{{ tools }}{{ documents }}{{ x }}"}});
  ChatRequest request = request_of("a");
  request.tools = R"([{"</s>": "</s>"}])";
  request.variables = R"({"x": "</s>", "documents": ["</s>"]})";
  const ChatPrompts::Prompt prompt = chat.render(request, *opened);
  CHECK(prompt.text == "[{'</s>': '</s>'}]['</s>']</s>");
  REQUIRE(prompt.specials.plain.size() == 3);
  CHECK(prompt.specials.plain.back().end < prompt.text.size() - 4);
  request.variables = "{" + std::string(R"("a": {)");
  for (int i = 0; i < 1001; ++i) request.variables += (i == 0 ? "\"" : ", \"") + std::to_string(i) + "\": 0";
  request.variables += "}}";
  CHECK(prompt_says(prompt_error([&] { chat.render(request, *opened); }), "an object with more than 1000 keys"));
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
  CHECK(prompt_says(prompt_error([&] { chat.render(request, *opened); }), "the model's chat template takes no tools"));
  request.tools = "[]";
  CHECK(chat.render(request, *opened).text == "a");
  request.name = "other";
  CHECK(prompt_says(prompt_error([&] { chat.render(request, *opened); }),
                    "no chat template 'other'; it has default, tool_use"));
  request.name = "bad";
  CHECK(prompt_says(prompt_error([&] { chat.render(request, *opened); }), "the tag 'include' is not supported"));
  CHECK(prompt_says(prompt_error([&] { prompts({{"default", "{{"}}); }), "chat template, line 1"));
}

TEST_CASE("tools are refused where the template has no place for them, and only there") {
  const auto opened = tokenizer();
  const auto takes = [&](const std::string& source) {
    const ChatPrompts chat = prompts({{"default", source}});
    ChatRequest request = request_of("a");
    request.tools = R"([{"type": "function"}])";
    return !prompt_says(prompt_error([&] { chat.render(request, *opened); }),
                        "the model's chat template takes no tools");
  };
  for (const char* source :
       {"{{ tools }}", "{% if tools is defined %}a{% endif %}", "{% for tool in tools %}a{% endfor %}",
        "{% for m in messages %}{{ m.content }}{% else %}{{ tools }}{% endfor %}",
        "{% set x = tools | length %}{{ x }}", "{% if false %}a{% elif not tools %}b{% endif %}",
        "{% macro f(x=tools) %}{{ x }}{% endmacro %}{{ f() }}",
        "{% set x %}{{ 'a' if tools else 'b' }}{% endset %}{{ x }}", "{{ dict(a=tools) }}",
        "{% for m in messages if tools %}a{% endfor %}", "{{ messages[0 if tools else 1:] }}",
        "{% macro f() %}{{ tools[0] }}{% endmacro %}{{ f() }}", "{{ [1, tools[0].type ~ 'a'] }}"}) {
    CAPTURE(source);
    CHECK(takes(source));
  }
  for (const char* source :
       {"a", kTurns, "{{ 'tools' }} tools", "{{ messages[0].tools }}", "{% set tools = 1 %}a", "{# tools #}"}) {
    CAPTURE(source);
    CHECK_FALSE(takes(source));
  }
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
  const auto ends = [&](const std::string& behind, const std::string& name = "default") {
    ChatRequest request;
    request.name = name;
    return prompts({{"default", "{{ messages[1].content }}" + behind}, {"other", "{{ messages[1].content }}<|end|>"}})
        .end_tokens(*opened, request);
  };
  // A piece that every text is cut at ends one too; what stands behind other text does not.
  CHECK(ends(" <t> a") == std::vector<TokenId>{2, 16});
  CHECK(ends("a<|end|>") == std::vector<TokenId>{2});
  CHECK(ends("a<t>") == std::vector<TokenId>{2});
  CHECK(ends("<t>", "other") == std::vector<TokenId>{2, 3});
}

TEST_CASE("requests that are none are refused") {
  const auto opened = tokenizer();
  const ChatPrompts chat = prompts({{"default", "a"}});
  const auto refused = [&](const char* messages, const char* tools = "", const char* variables = "") {
    ChatRequest request;
    request.messages = messages;
    request.tools = tools;
    request.variables = variables;
    return prompt_error([&] { chat.render(request, *opened); });
  };
  CHECK(prompt_says(refused("{"), "messages are no JSON"));
  CHECK(prompt_says(refused("[]"), "no JSON array with one message or more"));
  CHECK(prompt_says(refused(R"([{"content": "a"}])"), "message 1 of the chat is no object with a \"role\""));
  CHECK(prompt_says(refused(R"([{"role": "user", "content": "a"}, {"role": "user"}])"),
                    "message 2 of the chat has no \"content\""));
  CHECK(prompt_says(refused(R"([{"role": "user", "content": "a"}])", "{}"), "tools are no JSON array"));
  CHECK(prompt_says(refused(R"([{"role": "user", "content": "a"}])", "", "[]"), "variables are no JSON object"));
  // A million of them: what goes through them would end the stack.
  const std::string deep =
      R"([{"role": "user", "content": )" + std::string(1'000'000, '[') + std::string(1'000'000, ']');
  CHECK(prompt_says(refused(deep.c_str()), "messages nest deeper than 100 levels"));
  CHECK(
      prompt_says(refused(R"([{"role": "user", "content": "a"}])", deep.c_str()), "tools nest deeper than 100 levels"));
  CHECK(prompt_says(refused(R"([{"role": "user", "content": "a"}])", "", (R"({"a": )" + deep).c_str()),
                    "variables nest deeper than 100 levels"));
  CHECK(prompt_says(prompt_error([] { messages_json({{"user", "\xff"}}); }), "not valid UTF-8"));
  CHECK(prompt_says(prompt_error([] { ChatFormat::from_json(nlohmann::json::object()); }), "has 0 templates"));
}

}  // namespace heed::chat
