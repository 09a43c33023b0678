#include "tools/serve/openai_format.h"

#include <doctest/doctest.h>

namespace heed::tools {
namespace {

using Json = OpenAiFormat::Json;

TextAnswer::Piece said(std::size_t text, const char* added) {
  TextAnswer::Piece piece;
  piece.text = text;
  piece.added = added;
  return piece;
}

TextAnswer::Piece ended(std::size_t text, const char* whole, std::size_t tokens, StopReason reason) {
  TextAnswer::Piece piece = said(text, "");
  piece.end.emplace();
  piece.end->text = whole;
  piece.end->tokens.resize(tokens);
  piece.end->reason = reason;
  return piece;
}

}  // namespace

TEST_CASE("openai format: completions, as a whole and in chunks") {
  TextOptions options;
  options.usage = true;
  options.generation.sampling.seed = 7;
  CompletionFormat format("story", options, {});
  CHECK(format.opening(0).is_null());
  const Json chunk = format.chunk(said(1, " day"));
  CHECK(chunk["object"] == "text_completion");
  CHECK(chunk["id"].get<std::string>().size() == 5 + 32);
  CHECK(chunk["model"] == "story");
  CHECK(chunk["seed"] == 7);
  CHECK(chunk["choices"] == Json::parse(R"([{"index":1,"text":" day","logprobs":null,"finish_reason":null}])"));
  CHECK(chunk.contains("usage"));
  CHECK(chunk["usage"].is_null());
  CHECK(format.chunk(ended(1, " day", 1, StopReason::EndToken))["choices"][0]["finish_reason"] == "stop");
  CHECK(format.usage_chunk(5)["choices"] == Json::array());
  CHECK(format.usage_chunk(5)["usage"] == Json::parse(R"({"prompt_tokens":5,"completion_tokens":1,"total_tokens":6,
                                                          "prompt_tokens_details":{"cached_tokens":0}})"));

  CompletionFormat whole("story", {}, {"Once", "Twice"});
  CHECK(whole.opening(1)["choices"][0]["text"] == "Twice");
  whole.take(said(0, " upon"));
  whole.take(ended(1, " more", 1, StopReason::StopText));
  whole.take(ended(0, " upon a", 2, StopReason::ContextFull));
  const Json answer = whole.whole(7);
  CHECK(answer["choices"] == Json::parse(R"([
    {"index":0,"text":"Once upon a","logprobs":null,"finish_reason":"length"},
    {"index":1,"text":"Twice more","logprobs":null,"finish_reason":"stop"}])"));
  CHECK(answer["usage"]["total_tokens"] == 10);
}

TEST_CASE("openai format: what prompts share is counted once for each of them") {
  TextOptions options;
  options.choices = 2;
  CompletionFormat format("story", options, {});
  for (std::size_t text = 0; text < 4; ++text) {
    TextAnswer::Piece piece = ended(text, "", 1, StopReason::MaxTokens);
    piece.end->shared_prompt_tokens = text < 2 ? 64 : 128;
    format.take(piece);
  }
  CHECK(format.shared() == 64 + 128);
  CHECK(format.whole(300)["usage"]["prompt_tokens_details"]["cached_tokens"] == 64 + 128);
}

TEST_CASE("openai format: chats, with their roles and calls of tools") {
  ChatFormat format("talker", {}, {}, 1);
  CHECK(format.opening(0)["object"] == "chat.completion.chunk");
  CHECK(format.opening(0)["choices"][0]["delta"] == Json::parse(R"({"role":"assistant","content":""})"));
  CHECK(format.chunk(said(0, "Hi"))["choices"][0]["delta"] == Json::parse(R"({"content":"Hi"})"));
  CHECK(format.chunk(said(0, "")).is_null());
  CHECK(!format.chunk(said(0, "Hi")).contains("usage"));
  CHECK(format.chunk(ended(0, "HiHi", 2, StopReason::MaxTokens))["choices"][0]["finish_reason"] == "length");

  const char* const call = "Now <tool_call>{\"name\":\"f\",\"arguments\":{\"x\":1}}</tool_call>";
  ChatFormat tools("talker", {}, {"f"}, 1);
  CHECK(tools.chunk(said(0, "Now <tool"))["choices"][0]["delta"]["content"] == "Now ");
  CHECK(tools.chunk(said(0, std::string(call).substr(9).c_str())).is_null());
  const Json end = tools.chunk(ended(0, call, 9, StopReason::EndToken))["choices"][0];
  CHECK(end["finish_reason"] == "tool_calls");
  CHECK(end["delta"]["tool_calls"][0]["index"] == 0);
  CHECK(end["delta"]["tool_calls"][0]["function"] == Json::parse(R"({"name":"f","arguments":"{\"x\":1}"})"));

  ChatFormat whole("talker", {}, {"f"}, 1);
  whole.take(ended(0, call, 9, StopReason::EndToken));
  const Json message = whole.whole(1)["choices"][0]["message"];
  CHECK(message["content"] == "Now ");
  CHECK(message["tool_calls"].size() == 1);
  CHECK(whole.whole(1)["object"] == "chat.completion");
}

TEST_CASE("openai format: log probabilities of tokens, whose bytes may be parts of characters") {
  TextOptions options;
  options.generation.logprobs = 1;
  TextAnswer::Piece piece = said(0, "é!");
  piece.tokens = {{.text = "\xc3", .logprob = -0.5, .best = {{"a", -0.25}}},
                  {.text = "\xa9!", .logprob = -1, .best = {}}};
  CompletionFormat completion("m", options, {"ü"});
  const Json said_once = completion.chunk(piece)["choices"][0]["logprobs"];
  CHECK(said_once["token_logprobs"] == Json::parse("[-0.5,-1.0]"));
  CHECK(said_once["top_logprobs"][0] == Json::parse(R"({"a":-0.25})"));
  CHECK(said_once["text_offset"] == Json::parse("[1,2]"));
  CHECK(completion.chunk(piece)["choices"][0]["logprobs"]["text_offset"][0] == 3);

  ChatFormat chat("m", options, {}, 1);
  const Json content = chat.chunk(piece)["choices"][0]["logprobs"]["content"];
  CHECK(content[0]["bytes"] == Json::parse("[195]"));
  CHECK(content[0]["top_logprobs"] == Json::parse(R"([{"token":"a","logprob":-0.25,"bytes":[97]}])"));
  chat.take(piece);
  chat.take(ended(0, "é!", 2, StopReason::EndToken));
  CHECK(chat.whole(0)["choices"][0]["logprobs"]["content"].size() == 2);
}

}  // namespace heed::tools
