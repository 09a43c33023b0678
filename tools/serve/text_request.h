#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "heed/text.h"
#include "tools/serve/request_fields.h"
#include "tools/serve/server.h"

namespace heed::tools {

/// What /v1/completions and /v1/chat/completions have in common.
struct TextOptions {
  std::string model;
  GenerationOptions generation;
  std::size_t choices = 1;
  bool stream = false;
  bool usage = false;       // told at the end of a stream
  std::string grammar;      // in GBNF, that texts must be of; empty: any text
  std::string json_schema;  // that texts must be valid by; empty: any text

  /// What DRY's stretches do not reach over: tokens that hold one of these.
  std::vector<std::string> dry_breakers{"\n", ":", "\"", "*"};

  bool constrained() const { return !grammar.empty() || !json_schema.empty(); }
  /// A constraint of the grammar or the schema; nullptr where texts are free. Throws Error for what the model cannot be
  /// held to.
  std::shared_ptr<TokenConstraint> constraint(const TextGrammars& grammars,
                                              const std::vector<std::int32_t>& end = {}) const;
  /// The options of a prompt's choice: each could be had alone with its seed. `end`: tokens at which the text ends
  /// besides the model's own. Throws Error as constraint() does.
  GenerationOptions of_choice(std::size_t choice, const TextGrammars& grammars,
                              const std::vector<std::int32_t>& end = {}) const;
};

/// Reads the fields that both have. Throws HttpError 400 naming the field that makes no sense or is not known.
TextOptions read_text_options(RequestFields& fields, const ServeLimits& limits);

/// A request of /v1/completions.
struct CompletionRequest {
  TextOptions options;
  std::vector<std::variant<std::string, std::vector<std::int32_t>>> prompts;
  bool echo = false;     // texts begin with their prompts
  bool special = false;  // special tokens that a prompt spells are those tokens

  static CompletionRequest read(const nlohmann::ordered_json& body, const ServeLimits& limits);
};

/// A request of /v1/chat/completions.
struct ChatCompletionRequest {
  TextOptions options;
  ChatRequest chat;
  std::set<std::string> tools;  // that the answer may call, by name

  static ChatCompletionRequest read(const nlohmann::ordered_json& body, const ServeLimits& limits);
};

}  // namespace heed::tools
