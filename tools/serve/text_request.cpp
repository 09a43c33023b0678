#include "tools/serve/text_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <random>

#include "tools/serve/bounded_json.h"
#include "tools/serve/http_server.h"

namespace heed::tools {
namespace {

constexpr std::size_t kMostStops = 16;
constexpr std::int64_t kMostChoices = 128;

std::vector<std::string> stop_texts(RequestFields& fields) {
  const nlohmann::ordered_json* const stop = fields.any("stop");
  if (stop == nullptr) return {};
  if (stop->is_string()) return {stop->get<std::string>()};
  const bool fits = stop->is_array() && stop->size() <= kMostStops &&
                    std::ranges::all_of(*stop, [](const auto& text) { return text.is_string(); });
  if (!fits) fields.fail("stop", fmt::format("a text, or at most {} of them", kMostStops));
  auto texts = stop->get<std::vector<std::string>>();
  if (std::ranges::find(texts, "") != texts.end()) fields.fail("stop", "texts that are not empty");
  return texts;
}

void read_sampling(RequestFields& fields, std::optional<std::uint64_t> own_seed, SamplingOptions& sampling) {
  constexpr double kLarge = 1e6;
  sampling.temperature = fields.number("temperature", 0, kLarge).value_or(sampling.temperature);
  // -1 is "all" in vLLM, and "random" or "no limit" where llama.cpp has it.
  if (const auto top_k = fields.integer("top_k", -1, INT32_MAX))
    sampling.top_k = static_cast<int>(std::max<std::int64_t>(0, *top_k));
  sampling.top_p = fields.number("top_p", 0, 1).value_or(sampling.top_p);
  sampling.min_p = fields.number("min_p", 0, 1).value_or(sampling.min_p);
  sampling.typical_p = fields.number("typical_p", 0, 1).value_or(sampling.typical_p);
  for (const char* name : {"repetition_penalty", "repeat_penalty"}) {  // vLLM's name, and llama.cpp's
    sampling.repetition_penalty = fields.number(name, 0, kLarge).value_or(sampling.repetition_penalty);
  }
  sampling.penalty_window =
      static_cast<int>(fields.integer("repeat_last_n", 0, INT32_MAX).value_or(sampling.penalty_window));
  sampling.presence_penalty = fields.number("presence_penalty", -2, 2).value_or(sampling.presence_penalty);
  sampling.frequency_penalty = fields.number("frequency_penalty", -2, 2).value_or(sampling.frequency_penalty);
  sampling.no_repeat_ngram =
      static_cast<int>(fields.integer("no_repeat_ngram_size", 0, 64).value_or(sampling.no_repeat_ngram));
  if (const nlohmann::ordered_json* const biases = fields.any("logit_bias")) {
    if (!biases->is_object()) fields.fail("logit_bias", "an object of numbers from -100 to 100 by token id");
    RequestFields of_token(*biases, fields.path("logit_bias"));
    for (const auto& item : biases->items()) {
      const std::string& key = item.key();
      std::int32_t token = 0;
      const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token);
      if (error != std::errc() || end != key.data() + key.size() || token < 0) of_token.fail(key, "the id of a token");
      sampling.logit_bias[token] = of_token.number(key, -100, 100).value_or(0);
    }
  }
  const auto seed = fields.integer("seed", -1);
  sampling.seed = seed && *seed >= 0  ? static_cast<std::uint64_t>(*seed)
                  : own_seed && !seed ? *own_seed
                                      : std::random_device()();
}

/// XTC and DRY under the names of llama.cpp's server.
void read_dry(RequestFields& fields, TextOptions& options) {
  constexpr std::size_t kMostBreakers = 64;
  constexpr std::size_t kBreakerBytes = 256;
  SamplingOptions& sampling = options.generation.sampling;
  sampling.xtc_probability = fields.number("xtc_probability", 0, 1).value_or(sampling.xtc_probability);
  sampling.xtc_threshold = fields.number("xtc_threshold", 0, 1).value_or(sampling.xtc_threshold);
  sampling.dry_multiplier = fields.number("dry_multiplier", 0, 1e6).value_or(sampling.dry_multiplier);
  sampling.dry_base = fields.number("dry_base", 1, 1e6).value_or(sampling.dry_base);
  sampling.dry_allowed_length =
      static_cast<int>(fields.integer("dry_allowed_length", 1, INT32_MAX).value_or(sampling.dry_allowed_length));
  const auto window = fields.integer("dry_penalty_last_n", -1, INT32_MAX);
  if (window == 0) sampling.dry_multiplier = 0;
  if (window.value_or(0) != 0) sampling.dry_window = static_cast<int>(*window);
  const nlohmann::ordered_json* const breakers = fields.any("dry_sequence_breakers");
  if (breakers == nullptr) return;
  const auto fits = [&](const nlohmann::ordered_json& text) {
    return text.is_string() && !text.get_ref<const std::string&>().empty() &&
           text.get_ref<const std::string&>().size() <= kBreakerBytes;
  };
  if (!breakers->is_array() || breakers->size() > kMostBreakers || !std::ranges::all_of(*breakers, fits)) {
    fields.fail("dry_sequence_breakers",
                fmt::format("at most {} texts of 1 to {} bytes", kMostBreakers, kBreakerBytes));
  }
  options.dry_breakers = breakers->get<std::vector<std::string>>();
}

std::string flattened(const nlohmann::ordered_json& parts, const std::string& where) {
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    RequestFields part(parts[i], fmt::format("{}[{}]", where, i));
    if (part.text("type").value_or("") != "text") part.fail("type", "\"text\": the model reads nothing else");
    const auto content = part.text("text");
    if (!content) part.fail("text", "a text");
    text += (i == 0 ? "" : "\n") + *content;
  }
  return text;
}

/// Tokens that a text may have; -1, as llama.cpp has it, for no limit but the context.
std::optional<std::int64_t> token_limit(RequestFields& fields, std::string_view name) {
  const auto given = fields.integer(name, -1);
  if (given == 0) fields.fail(name, "an integer of 1 or more, or -1 for no limit");
  return given == -1 ? INT64_MAX : given;
}

/// What the text may be: OpenAI's response_format, or a grammar as llama.cpp's server takes it.
void read_format(RequestFields& fields, TextOptions& options) {
  options.grammar = fields.text("grammar").value_or("");
  const nlohmann::ordered_json* const format = fields.any("response_format");
  if (format == nullptr) return;
  RequestFields of_format(*format, "response_format");
  const std::string type = of_format.text("type").value_or("");
  if (type == "json_object") {
    options.json_schema = R"({"type": "object"})";
  } else if (type == "json_schema") {
    const nlohmann::ordered_json* const described = of_format.any("json_schema");
    if (described == nullptr) of_format.fail("json_schema", "an object with \"schema\"");
    RequestFields of_schema(*described, of_format.path("json_schema"));
    const nlohmann::ordered_json* const schema = of_schema.any("schema");
    if (schema == nullptr || !schema->is_object()) of_schema.fail("schema", "a JSON Schema");
    options.json_schema = schema->dump();
    of_schema.ignore({"name", "description", "strict"});  // what is generated always keeps to the schema
    of_schema.refuse_unread();
  } else if (type != "text") {
    of_format.fail("type", "\"text\", \"json_object\" or \"json_schema\"");
  }
  of_format.refuse_unread();
  if (!options.grammar.empty() && !options.json_schema.empty()) {
    fields.fail("grammar", "none where response_format asks for JSON");
  }
}

/// What stands behind "#" in a schema that becomes a part of another one, at `place`.
void move_references(nlohmann::ordered_json& schema, const std::string& place) {
  if (schema.is_array()) {
    for (auto& part : schema) move_references(part, place);
  }
  if (!schema.is_object()) return;
  for (const auto& item : schema.items()) {
    const std::string& key = item.key();
    if (key == "properties" || key == "patternProperties" || key == "$defs" || key == "definitions" ||
        key == "dependentSchemas") {
      if (!item.value().is_object()) continue;
      for (auto& part : item.value()) move_references(part, place);  // whatever these are called
      continue;
    }
    if (key == "const" || key == "enum" || key == "default" || key == "examples") continue;  // no schemas
    auto& value = item.value();
    if (key == "$ref" && value.is_string() && value.get_ref<const std::string&>().starts_with('#')) {
      value = "#" + place + value.get_ref<const std::string&>().substr(1);
    } else {
      move_references(value, place);
    }
  }
}

/// The schema of a call of one of these tools, as an answer that is nothing but the call has it (tool_calls.h); of the
/// one that is named, or of any. Empty where there is none of the name.
std::string call_schema(const nlohmann::ordered_json& tools, const std::optional<std::string>& named) {
  nlohmann::ordered_json calls = nlohmann::ordered_json::array();
  for (const nlohmann::ordered_json& tool : tools) {
    const nlohmann::ordered_json& function = tool.at("function");
    if (named && function.at("name") != *named) continue;
    nlohmann::ordered_json parameters = {
        {"type", "object"}, {"properties", nlohmann::ordered_json::object()}, {"additionalProperties", false}};
    if (function.contains("parameters") && !function["parameters"].is_null()) parameters = function["parameters"];
    if (parameters.is_object()) {
      // Arguments are an object, whether the schema says so or leaves it to what it refers to.
      const bool says = parameters.contains("type") || parameters.contains("$ref") || parameters.contains("anyOf") ||
                        parameters.contains("oneOf") || parameters.contains("allOf");
      if (!says) parameters["type"] = "object";
      parameters.erase("$id");  // it is the root of nothing here
    }
    const std::string place = named ? "" : "/anyOf/" + std::to_string(calls.size());
    move_references(parameters, place + "/properties/arguments");
    nlohmann::ordered_json call = {
        {"type", "object"},
        {"properties", {{"name", {{"const", function.at("name")}}}, {"arguments", parameters}}},
        {"required", {"name", "arguments"}},
        {"additionalProperties", false}};
    if (named) return call.dump();
    calls.push_back(std::move(call));
  }
  return calls.empty() ? "" : nlohmann::ordered_json{{"anyOf", calls}}.dump();
}

/// What a request says of whether tools are called.
struct ToolChoice {
  bool none = false, forced = false;
  std::optional<std::string> named;  // of a forced call; none: of any tool
};
ToolChoice read_tool_choice(RequestFields& fields) {
  const nlohmann::ordered_json* const choice = fields.any("tool_choice");
  if (choice == nullptr || *choice == "auto") return {};
  if (*choice == "none") return {.none = true, .forced = false, .named = {}};
  if (*choice == "required") return {.none = false, .forced = true, .named = {}};
  const char* const expected =
      "\"auto\", \"none\", \"required\", or {\"type\": \"function\", \"function\": {\"name\": ...}}";
  if (!choice->is_object()) fields.fail("tool_choice", expected);
  RequestFields of_choice(*choice, "tool_choice");
  const nlohmann::ordered_json* const function = of_choice.any("function");
  if (of_choice.text("type").value_or("") != "function" || function == nullptr) fields.fail("tool_choice", expected);
  of_choice.refuse_unread();
  RequestFields of_function(*function, "tool_choice.function");
  const auto name = of_function.text("name");
  if (!name) of_function.fail("name", "the name of one of the tools");
  of_function.refuse_unread();
  return {.none = false, .forced = true, .named = *name};
}

/// Of the functions that tools describe.
std::set<std::string> names_of(const nlohmann::ordered_json& tools) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < tools.size(); ++i) {
    RequestFields tool(tools[i], fmt::format("tools[{}]", i));
    const nlohmann::ordered_json* const function = tool.any("function");
    if (function == nullptr) tool.fail("function", "an object with \"name\"");
    RequestFields described(*function, tool.path("function"));
    const auto name = described.text("name");
    if (!name) described.fail("name", "a text");
    names.insert(*name);
  }
  return names;
}

/// As chat templates have it: texts plain, arguments of calls as objects.
nlohmann::ordered_json message_of(const nlohmann::ordered_json& message, const std::string& where) {
  RequestFields fields(message, where);
  const auto role = fields.text("role");
  if (!role) fields.fail("role", "\"system\", \"user\", \"assistant\" or \"tool\"");
  nlohmann::ordered_json made = {{"role", *role == "developer" ? "system" : *role}};
  for (const auto& item : message.items()) {
    // Clients write null for what there is not; templates ask whether it is there.
    if (item.key() != "role" && (!item.value().is_null() || item.key() == "content")) made[item.key()] = item.value();
  }
  if (const nlohmann::ordered_json* const content = fields.any("content"); content != nullptr && content->is_array()) {
    made["content"] = flattened(*content, fields.path("content"));
  } else if (content != nullptr && !content->is_string()) {
    fields.fail("content", "a text, or an array of parts of type \"text\"");
  } else if (content == nullptr && fields.any("tool_calls") == nullptr) {
    fields.fail("content", "a text");
  }
  if (made.contains("tool_calls") && made["tool_calls"].is_array()) {
    for (auto& call : made["tool_calls"]) {
      if (!call.is_object() || !call.contains("function") || !call["function"].is_object()) continue;
      auto& function = call["function"];
      if (!function.contains("arguments") || !function["arguments"].is_string()) continue;
      const auto parsed = bounded_json<nlohmann::ordered_json>(function["arguments"].get_ref<const std::string&>());
      if (parsed.is_object()) function["arguments"] = parsed;
    }
  }
  return made;
}

}  // namespace

std::shared_ptr<TokenConstraint> TextOptions::constraint(const TextGrammars& grammars,
                                                         const std::vector<std::int32_t>& end) const {
  if (!grammar.empty()) return grammars.grammar(grammar, end);
  return json_schema.empty() ? nullptr : grammars.json_schema(json_schema, end);
}

GenerationOptions TextOptions::of_choice(std::size_t choice, const TextGrammars& grammars,
                                         const std::vector<std::int32_t>& end) const {
  GenerationOptions options = generation;
  options.sampling.seed += choice;
  options.end = end;
  options.constraint = constraint(grammars, end);
  return options;
}

TextOptions read_text_options(RequestFields& fields, const ServeLimits& limits) {
  TextOptions options;
  options.model = fields.text("model").value_or("");
  options.generation.sampling = limits.sampling;
  read_sampling(fields, limits.seed, options.generation.sampling);
  read_dry(fields, options);
  options.generation.stop = stop_texts(fields);
  options.generation.ignore_end = fields.boolean("ignore_eos").value_or(false);
  options.choices = static_cast<std::size_t>(fields.integer("n", 1, kMostChoices).value_or(1));
  options.stream = fields.boolean("stream").value_or(false);
  if (const nlohmann::ordered_json* const stream = fields.any("stream_options")) {
    RequestFields of_stream(*stream, "stream_options");
    options.usage = of_stream.boolean("include_usage").value_or(false);
    of_stream.ignore({"include_obfuscation"});
    of_stream.refuse_unread();
  }
  read_format(fields, options);
  // Of OpenAI's own house.
  fields.ignore({"user", "store", "metadata", "service_tier", "safety_identifier", "prompt_cache_key"});
  fields.ignore({"cache_prompt"});  // llama.cpp's; beginnings are always kept
  return options;
}

CompletionRequest CompletionRequest::read(const nlohmann::ordered_json& body, const ServeLimits& limits) {
  RequestFields fields(body);
  CompletionRequest request;
  request.options = read_text_options(fields, limits);
  request.options.generation.max_tokens = token_limit(fields, "max_tokens").value_or(16);
  request.echo = fields.boolean("echo").value_or(false);
  request.special = fields.boolean("special").value_or(false);
  const auto choices = static_cast<std::int64_t>(request.options.choices);
  if (fields.integer("best_of").value_or(choices) != choices) {
    fields.fail("best_of", fmt::format("{}, as n: no texts are made that are not shown", choices));
  }
  if (!fields.text("suffix").value_or("").empty()) fields.fail("suffix", "none: models here write what follows");
  const nlohmann::ordered_json* const logprobs = fields.any("logprobs");
  if (logprobs != nullptr && *logprobs != false) {
    request.options.generation.logprobs = static_cast<int>(*fields.integer("logprobs", 0, kMostLogprobs));
    if (request.echo) fields.fail("logprobs", "none with echo: prompts have no log probabilities here");
  }

  const char* const expected = "a text, an array of texts, or token ids, or an array of arrays of these";
  const auto ids = [&](const nlohmann::ordered_json& array) {
    std::vector<std::int32_t> tokens;
    for (const nlohmann::ordered_json& id : array) {
      const std::int64_t number = integer_of(id).value_or(-1);
      if (number < 0 || number > INT32_MAX) fields.fail("prompt", expected);
      tokens.push_back(static_cast<std::int32_t>(number));
    }
    return tokens;
  };
  const nlohmann::ordered_json* const prompt = fields.any("prompt");
  if (prompt == nullptr) fields.fail("prompt", expected);
  if (prompt->is_string()) {
    request.prompts.emplace_back(prompt->get<std::string>());
  } else if (!prompt->is_array() || prompt->empty()) {
    fields.fail("prompt", expected);
  } else if (prompt->front().is_number()) {
    request.prompts.emplace_back(ids(*prompt));
  } else {
    for (const nlohmann::ordered_json& one : *prompt) {
      if (one.is_string()) {
        request.prompts.emplace_back(one.get<std::string>());
      } else if (one.is_array()) {
        request.prompts.emplace_back(ids(one));
      } else {
        fields.fail("prompt", expected);
      }
    }
  }
  fields.refuse_unread();
  return request;
}

ChatCompletionRequest ChatCompletionRequest::read(const nlohmann::ordered_json& body, const ServeLimits& limits) {
  RequestFields fields(body);
  ChatCompletionRequest request;
  request.options = read_text_options(fields, limits);
  GenerationOptions& generation = request.options.generation;
  const auto old_name = token_limit(fields, "max_tokens");
  generation.max_tokens = token_limit(fields, "max_completion_tokens").value_or(old_name.value_or(INT64_MAX));
  const auto best = fields.integer("top_logprobs", 0, kMostLogprobs);
  if (fields.boolean("logprobs").value_or(false)) {
    generation.logprobs = static_cast<int>(best.value_or(0));
  } else if (best.value_or(0) > 0) {
    fields.fail("top_logprobs", "none where logprobs is not true");
  }

  const nlohmann::ordered_json* const messages = fields.any("messages");
  if (messages == nullptr || !messages->is_array() || messages->empty()) {
    fields.fail("messages", "an array of messages");
  }
  nlohmann::ordered_json made = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < messages->size(); ++i) {
    made.push_back(message_of((*messages)[i], fmt::format("messages[{}]", i)));
  }
  request.chat.messages = made.dump();
  const ToolChoice choice = read_tool_choice(fields);
  bool forces = false;
  if (const nlohmann::ordered_json* const tools = fields.any("tools")) {
    if (!tools->is_array()) fields.fail("tools", "an array of descriptions of functions");
    if (!choice.none && !tools->empty()) {
      request.chat.tools = tools->dump();
      request.tools = names_of(*tools);
    }
    if (choice.forced && !tools->empty()) {
      if (request.options.constrained())
        fields.fail("tool_choice", "\"auto\" where a grammar or a format is asked for");
      request.options.json_schema = call_schema(*tools, choice.named);
      forces = !request.options.json_schema.empty();
    }
  }
  if (choice.forced && !forces) {
    fields.fail("tool_choice",
                choice.named ? "the name of one of the tools" : "\"auto\" or \"none\" where there are no tools");
  }
  if (const nlohmann::ordered_json* const variables =
          fields.any("chat_template_kwargs")) {  // vLLM's and llama.cpp's name
    if (!variables->is_object()) fields.fail("chat_template_kwargs", "an object");
    request.chat.variables = variables->dump();
  }
  // How long a model thinks is its template's business: chat_template_kwargs. Clients send this one by themselves.
  fields.ignore({"parallel_tool_calls", "reasoning_effort"});
  fields.refuse_unread();
  return request;
}

}  // namespace heed::tools
