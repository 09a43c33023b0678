#include "tools/serve/tool_calls.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

namespace heed::tools {
namespace {

using Calls = std::vector<std::pair<std::string, std::string>>;

/// The text of an answer that comes in pieces of so many bytes, and the calls in it.
std::pair<std::string, Calls> read(const std::string& answer, std::size_t piece) {
  ToolCalls tools({"a", "b", "f", "cut", "weather"});
  std::string text;
  for (std::size_t i = 0; i < answer.size(); i += piece) text += tools.push(answer.substr(i, piece));
  text += tools.finish();
  Calls calls;
  for (const auto& call : tools.calls()) {
    CHECK(call.at("type") == "function");
    CHECK(call.at("id").get<std::string>().starts_with("call_"));
    calls.emplace_back(call.at("function").at("name"), call.at("function").at("arguments"));
  }
  return {text, calls};
}

}  // namespace

TEST_CASE("tool calls are found in answers, whatever pieces they come in") {
  const struct {
    const char* answer;
    const char* text;
    Calls calls;
  } cases[] = {
      {"It is 5 < 7.", "It is 5 < 7.", {}},
      {"Let me see.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": [1, 2]}}\n</tool_call>",
       "Let me see.\n",
       {{"f", R"({"x":[1,2]})"}}},
      {"<tool_call>{\"name\":\"a\",\"arguments\":{}}</tool_call>\n<tool_call>{\"name\":\"b\",\"arguments\":{\"y\":1}}"
       "</tool_call>",
       "",
       {{"a", "{}"}, {"b", R"({"y":1})"}}},
      {"<tool_call>{\"name\":\"cut\",\"arguments\":{\"x\":", "<tool_call>{\"name\":\"cut\",\"arguments\":{\"x\":", {}},
      {"<tool_call>no json</tool_call> then text", "<tool_call>no json</tool_call> then text", {}},
      {"ends like <tool_ca", "ends like <tool_ca", {}},
      {R"({"name": "weather", "parameters": {"city": "Ulm"}})", "", {{"weather", R"({"city":"Ulm"})"}}},
      {R"( [{"name": "a", "arguments": {}}, {"name": "b", "arguments": {}}])", "", {{"a", "{}"}, {"b", "{}"}}},
      {R"([{"name": "a", "arguments": {}}, 5])", R"([{"name": "a", "arguments": {}}, 5])", {}},
      {R"({"name": "unknown", "arguments": {}})", R"({"name": "unknown", "arguments": {}})", {}},
      {R"({"answer": 42})", R"({"answer": 42})", {}},
      {"[1] says so", "[1] says so", {}},
  };
  for (const auto& one : cases) {
    for (const std::size_t piece : {1, 3, 7, 1000}) {
      const auto [text, calls] = read(one.answer, piece);
      CHECK_MESSAGE(text == one.text, one.answer);
      CHECK_MESSAGE(calls == one.calls, one.answer);
    }
  }
}

TEST_CASE("tool calls: text that is no call comes at once") {
  ToolCalls tools({"f"});
  CHECK(tools.push("Hello ") == "Hello ");
  CHECK(tools.push("<tool") == "");
  CHECK(tools.push("s>") == "<tools>");
}

TEST_CASE("tool calls: what is nested without end is text") {
  const std::string deep =
      R"({"name": "f", "arguments": {"x": )" + std::string(100000, '[') + std::string(100000, ']') + "}}";
  const auto [text, calls] = read(deep, 1 << 20);
  CHECK(text == deep);
  CHECK(calls.empty());
}

}  // namespace heed::tools
