#include "tools/serve/text_request.h"

#include <doctest/doctest.h>

#include <set>

#include "tools/serve/http_server.h"

namespace heed::tools {
namespace {

ServeLimits limits() {
  ServeLimits limits;
  limits.sampling.temperature = 0.7;
  return limits;
}

CompletionRequest completion(const char* text) {
  return CompletionRequest::read(nlohmann::ordered_json::parse(text), limits());
}
ChatCompletionRequest chat(const char* text) {
  return ChatCompletionRequest::read(nlohmann::ordered_json::parse(text), limits());
}

template <typename Read>
std::string refusal(const Read& read, const char* text) {
  try {
    read(text);
  } catch (const HttpError& error) {
    CHECK(error.status() == 400);
    return error.what();
  }
  return "nothing was wrong";
}

}  // namespace

TEST_CASE("text request: completions as OpenAI has them, and the options that other servers have besides") {
  const CompletionRequest plain = completion(R"({"prompt": "Once"})");
  CHECK(plain.options.generation.max_tokens == 16);
  CHECK(plain.options.generation.sampling.temperature == 0.7);
  CHECK(!plain.options.stream);
  CHECK(std::get<std::string>(plain.prompts.at(0)) == "Once");

  const CompletionRequest all = completion(R"({
    "model": "m", "prompt": [[1, 2], "text", [3]], "n": 3, "best_of": 3, "max_tokens": 5, "temperature": 0, "top_p": 0.5,
    "top_k": 7, "min_p": 0.1, "repeat_penalty": 1.2, "repeat_last_n": 9, "seed": 11, "stop": ["\n", "end"], "echo": true,
    "stream": true, "stream_options": {"include_usage": true}, "user": "u", "cache_prompt": true, "suffix": null,
    "presence_penalty": 0.5, "frequency_penalty": -0.5, "logit_bias": {"5": -100}, "special": true})");
  CHECK(all.options.model == "m");
  CHECK(all.prompts.size() == 3);
  CHECK(std::get<std::vector<std::int32_t>>(all.prompts[0]) == std::vector<std::int32_t>{1, 2});
  const SamplingOptions& sampling = all.options.generation.sampling;
  CHECK(sampling.temperature == 0);
  CHECK(sampling.top_k == 7);
  CHECK(sampling.repetition_penalty == 1.2);
  CHECK(sampling.penalty_window == 9);
  CHECK(sampling.presence_penalty == 0.5);
  CHECK(sampling.logit_bias.at(5) == -100);
  CHECK(sampling.seed == 11);
  CHECK(all.options.generation.stop == std::vector<std::string>{"\n", "end"});
  CHECK(all.options.usage);
  CHECK(all.echo);
  CHECK(all.special);
  CHECK(std::get<std::vector<std::int32_t>>(completion(R"({"prompt": [7, 8]})").prompts[0]).size() == 2);
  // As clients of other servers say that there is none.
  const CompletionRequest none = completion(
      R"({"prompt": "", "max_tokens": -1, "top_k": -1, "seed": -1, "logprobs": false, "n": null, "stop": [], "logit_bias": {}})");
  CHECK(none.options.generation.max_tokens == INT64_MAX);
  CHECK(none.options.generation.sampling.top_k == 0);
  CHECK(!none.options.generation.logprobs);
  CHECK(completion(R"({"prompt": "", "seed": -1})").options.generation.sampling.seed !=
        none.options.generation.sampling.seed);
  CHECK(completion(R"({"prompt": "", "logprobs": 2})").options.generation.logprobs == 2);
  // As clients without integers write them.
  const CompletionRequest floats = completion(
      R"({"prompt": [7.0, 8.0], "max_tokens": 5.0, "logprobs": 2.0, "n": 2.0, "best_of": 2.0, "seed": 3.0})");
  CHECK(std::get<std::vector<std::int32_t>>(floats.prompts[0]) == std::vector<std::int32_t>{7, 8});
  CHECK(floats.options.generation.max_tokens == 5);
  CHECK(floats.options.generation.logprobs == 2);
  CHECK(floats.options.choices == 2);
  CHECK(floats.options.generation.sampling.seed == 3);
}

TEST_CASE("text request: the server's own seed is that of requests that name none") {
  ServeLimits with_seed = limits();
  with_seed.seed = 9;
  const auto seed_of = [&](const char* text) {
    return CompletionRequest::read(nlohmann::ordered_json::parse(text), with_seed).options.generation.sampling.seed;
  };
  CHECK(seed_of(R"({"prompt": ""})") == 9);
  CHECK(seed_of(R"({"prompt": "", "seed": 4})") == 4);
  CHECK(seed_of(R"({"prompt": "", "seed": -1})") != seed_of(R"({"prompt": "", "seed": -1})"));
}

TEST_CASE("text request: completions that make no sense are refused, naming the field") {
  const auto read = [](const char* text) { completion(text); };
  CHECK(refusal(read, R"({})").starts_with("prompt is missing, expected a text"));
  CHECK(refusal(read, R"({"prompt": []})").starts_with("prompt is an empty array, expected a text"));
  CHECK(refusal(read, R"({"prompt": [1, -2]})").starts_with("prompt is an array"));
  CHECK(refusal(read, R"({"prompt": [1, "x"]})").starts_with("prompt is an array"));
  CHECK(refusal(read, R"({"prompt": [1.5]})").starts_with("prompt is an array"));
  CHECK(refusal(read, R"({"prompt": [3e9]})").starts_with("prompt is an array"));
  CHECK(refusal(read, R"({"prompt": "", "max_tokens": 5.5})") ==
        "max_tokens is 5.5, expected an integer of -1 or more");
  CHECK(refusal(read, R"({"prompt": "", "max_tokens": 0})") ==
        "max_tokens is 0, expected an integer of 1 or more, or -1 for no limit");
  CHECK(refusal(read, R"({"prompt": "", "echo": true, "logprobs": 1})").starts_with("logprobs is 1, expected none"));
  CHECK(refusal(read, R"({"prompt": "", "top_p": 2})") == "top_p is 2, expected a number from 0 to 1");
  CHECK(refusal(read, R"({"prompt": "", "n": 200})") == "n is 200, expected an integer from 1 to 128");
  CHECK(refusal(read, R"({"prompt": "", "best_of": 2})").starts_with("best_of is 2, expected 1"));
  CHECK(refusal(read, R"({"prompt": "", "suffix": "end"})").starts_with("suffix is \"end\", expected none"));
  CHECK(refusal(read, R"({"prompt": "", "stop": [1]})").starts_with("stop is an array, expected a text"));
  CHECK(refusal(read, R"({"prompt": "", "stop": [""]})").starts_with("stop is an array, expected texts that are"));
  CHECK(refusal(read, R"({"prompt": "", "logit_bias": {"x": 1}})") == "logit_bias.x is 1, expected the id of a token");
  CHECK(refusal(read, R"({"prompt": "", "temprature": 1})") == "temprature is not known here; leave it out");
  CHECK(refusal(read, R"({"prompt": "", "stream_options": {"x": 1}})") ==
        "stream_options.x is not known here; leave it out");
}

TEST_CASE("text request: chats come as templates have them") {
  const ChatCompletionRequest request = chat(R"({"messages": [
      {"role": "developer", "content": "Be kind."},
      {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
      {"role": "assistant", "content": null, "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}}]},
      {"role": "tool", "tool_call_id": "1", "content": "3"}],
    "tools": [{"type": "function", "function": {"name": "f"}}], "max_completion_tokens": 9, "max_tokens": 3,
    "chat_template_kwargs": {"enable_thinking": false}, "logprobs": true, "top_logprobs": 4,
    "parallel_tool_calls": true, "reasoning_effort": "low"})");
  const auto messages = nlohmann::ordered_json::parse(request.chat.messages);
  CHECK(messages[0]["role"] == "system");
  CHECK(messages[1]["content"] == "a\nb");
  CHECK(messages[2]["tool_calls"][0]["function"]["arguments"]["x"] == 1);
  CHECK(messages[3]["tool_call_id"] == "1");
  CHECK(request.tools == std::set<std::string>{"f"});
  CHECK(nlohmann::ordered_json::parse(request.chat.tools).size() == 1);
  CHECK(nlohmann::ordered_json::parse(request.chat.variables)["enable_thinking"] == false);
  CHECK(request.options.generation.max_tokens == 9);
  CHECK(request.options.generation.logprobs == 4);
  CHECK(!request.chat.specials_in_messages);
  const char* const forbidden = R"({"messages": [{"role": "user", "content": "", "tool_calls": null}], "tools": [{}],
                                   "tool_choice": "none", "logprobs": false, "top_logprobs": 0})";
  CHECK(chat(forbidden).tools.empty());
  CHECK(!nlohmann::json::parse(chat(forbidden).chat.messages)[0].contains("tool_calls"));
  // Templates print keys in the order in which they came.
  const char* const ordered = R"({"messages": [{"role": "user", "content": ""}],
    "tools": [{"type": "function", "function": {"name": "f", "description": "", "a": 1}}]})";
  CHECK(chat(ordered).chat.tools == R"([{"type":"function","function":{"name":"f","description":"","a":1}}])");
}

TEST_CASE("text request: what texts may be") {
  const auto options = [](const std::string& format) {
    return completion(("{\"prompt\": \"\", " + format + "}").c_str()).options;
  };
  const auto read = [&](const char* format) { options(format); };
  CHECK(options(R"("grammar": "root ::= [a-z]+")").grammar == "root ::= [a-z]+");
  CHECK(options(R"("response_format": {"type": "text"})").json_schema.empty());
  CHECK(options(R"("response_format": {"type": "json_object"})").json_schema == R"({"type": "object"})");
  CHECK(options(R"("response_format": {"type": "json_schema", "json_schema": {"name": "n", "strict": true,
                   "schema": {"type": "object", "properties": {"z": {}, "a": {}}}}})")
            .json_schema == R"({"type":"object","properties":{"z":{},"a":{}}})");
  CHECK(
      refusal(read, R"("response_format": {"type": "xml"})").starts_with("response_format.type is \"xml\", expected"));
  CHECK(refusal(read, R"("response_format": {"type": "json_schema"})").starts_with("response_format.json_schema is"));
  CHECK(refusal(read, R"("response_format": {"type": "json_schema", "json_schema": {"schema": 5}})")
            .starts_with("response_format.json_schema.schema is 5"));
  CHECK(refusal(read, R"("grammar": "root ::= [a]", "response_format": {"type": "json_object"})")
            .starts_with("grammar is"));
}

TEST_CASE("text request: XTC and DRY under the names of llama.cpp's server") {
  const TextOptions options =
      completion(R"({"prompt": "", "xtc_probability": 0.5, "xtc_threshold": 0.2, "dry_multiplier": 0.8,
      "dry_base": 2, "dry_allowed_length": 3, "dry_penalty_last_n": 50, "dry_sequence_breakers": ["\n", "--"]})")
          .options;
  const SamplingOptions& sampling = options.generation.sampling;
  CHECK(sampling.xtc_probability == 0.5);
  CHECK(sampling.xtc_threshold == 0.2);
  CHECK(sampling.dry_multiplier == 0.8);
  CHECK(sampling.dry_base == 2);
  CHECK(sampling.dry_allowed_length == 3);
  CHECK(sampling.dry_window == 50);
  CHECK(options.dry_breakers == std::vector<std::string>{"\n", "--"});
  const auto window_of = [](const char* text) { return completion(text).options.generation.sampling; };
  CHECK(window_of(R"({"prompt": "", "dry_multiplier": 1, "dry_penalty_last_n": -1})").dry_window == -1);
  CHECK(window_of(R"({"prompt": "", "dry_multiplier": 1, "dry_penalty_last_n": 0})").dry_multiplier == 0);
  CHECK(completion(R"({"prompt": ""})").options.dry_breakers.size() == 4);
  CHECK(completion(R"({"prompt": "", "dry_sequence_breakers": []})").options.dry_breakers.empty());
  const auto read = [](const char* text) { completion((std::string(R"({"prompt": "", )") + text + "}").c_str()); };
  CHECK(refusal(read, R"("dry_sequence_breakers": [""])").starts_with("dry_sequence_breakers is"));
  CHECK(refusal(read, R"("dry_base": 0.5)").starts_with("dry_base is 0.5"));
  CHECK(refusal(read, R"("xtc_probability": 2)").starts_with("xtc_probability is 2"));
}

TEST_CASE("text request: a forced call is a schema of the tool's parameters") {
  const auto with = [](const std::string& rest) {
    return chat((R"({"messages": [{"role": "user", "content": ""}], "tools": [
      {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"x": {"$ref": "#/$defs/n"},
       "y": {"const": {"$ref": "#/no"}}}, "$defs": {"n": {"type": "integer"}}}}},
      {"type": "function", "function": {"name": "now"}}])" +
                 rest + "}")
                    .c_str());
  };
  const ChatCompletionRequest named = with(R"(, "tool_choice": {"type": "function", "function": {"name": "f"}})");
  CHECK(named.tools.size() == 2);
  CHECK(nlohmann::json::parse(named.options.json_schema) == nlohmann::json::parse(R"({"type": "object", "properties":
    {"name": {"const": "f"}, "arguments": {"type": "object", "properties": {"x": {"$ref": "#/properties/arguments/$defs/n"},
     "y": {"const": {"$ref": "#/no"}}}, "$defs": {"n": {"type": "integer"}}}},
    "required": ["name", "arguments"], "additionalProperties": false})"));
  const auto any = nlohmann::json::parse(with(R"(, "tool_choice": "required")").options.json_schema)["anyOf"];
  REQUIRE(any.size() == 2);
  CHECK(any[0]["properties"]["arguments"]["properties"]["x"]["$ref"] == "#/anyOf/0/properties/arguments/$defs/n");
  CHECK(any[1]["properties"]["arguments"]["additionalProperties"] == false);
  CHECK(!with(R"(, "tool_choice": "auto")").options.constrained());
  CHECK(with(R"(, "tool_choice": "none")").tools.empty());
  const auto read = [&](const char* rest) { with(rest); };
  CHECK(refusal(read, R"(, "tool_choice": {"type": "function", "function": {"name": "g"}})")
            .starts_with("tool_choice is"));
  CHECK(refusal(read, R"(, "tool_choice": {"type": "function"})").starts_with("tool_choice is"));
  CHECK(refusal(read, R"(, "tool_choice": "required", "response_format": {"type": "json_object"})")
            .starts_with("tool_choice is \"required\""));
}

TEST_CASE("text request: chats that make no sense are refused, naming the field") {
  const auto read = [](const char* text) { chat(text); };
  CHECK(refusal(read, R"({})").starts_with("messages is missing"));
  CHECK(refusal(read, R"({"messages": []})").starts_with("messages is an empty array"));
  CHECK(refusal(read, R"({"messages": ["x"]})").starts_with("messages[0] is \"x\", expected an object"));
  CHECK(refusal(read, R"({"messages": [{"content": "x"}]})").starts_with("messages[0].role is missing"));
  CHECK(refusal(read, R"({"messages": [{"role": "user"}]})").starts_with("messages[0].content is missing"));
  CHECK(refusal(read, R"({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})") ==
        "messages[0].content[0].type is \"image_url\", expected \"text\": the model reads nothing else");
  const std::string message = R"("messages": [{"role": "user", "content": ""}])";
  CHECK(refusal(read, ("{" + message + R"(, "tool_choice": "required"})").c_str()).starts_with("tool_choice is"));
  CHECK(refusal(read, ("{" + message + R"(, "tool_choice": "f"})").c_str()).find("\"required\"") != std::string::npos);
  CHECK(refusal(read, ("{" + message + R"(, "top_logprobs": 3})").c_str()).starts_with("top_logprobs is 3"));
  CHECK(refusal(read, ("{" + message + R"(, "logprobs": true, "top_logprobs": 21})").c_str())
            .starts_with("top_logprobs is 21"));
}

}  // namespace heed::tools
