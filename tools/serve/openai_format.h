#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/serve/text_answer.h"
#include "tools/serve/text_request.h"
#include "tools/serve/tool_calls.h"

namespace heed::tools {

/// How OpenAI's interface spells the answer to a request, as a stream of chunks or as a whole. Pieces of a text come in
/// order.
class OpenAiFormat {
 public:
  using Json = nlohmann::ordered_json;

  OpenAiFormat(std::string id, std::string model, TextOptions options);
  virtual ~OpenAiFormat() = default;

  const std::string& id() const { return id_; }
  const TextOptions& options() const { return options_; }
  /// Tokens of the texts that have ended.
  std::int64_t made() const { return made_; }
  /// Tokens of their prompts whose keys were there already, each prompt counted once however many choices it has.
  std::int64_t shared() const { return shared_; }

  /// What a stream begins with for a text; null for nothing.
  virtual Json opening(std::size_t text) = 0;
  /// The object of a stream that says what a piece adds; null where it says nothing.
  Json chunk(const TextAnswer::Piece& piece);
  /// What closes a stream whose client wants to know.
  Json usage_chunk(std::int64_t prompt_tokens) const;

  /// Takes a piece of an answer that is sent as a whole.
  void take(const TextAnswer::Piece& piece);
  Json whole(std::int64_t prompt_tokens) const;

 protected:
  /// A choice of a chunk; null where the piece says nothing.
  virtual Json added(const TextAnswer::Piece& piece) = 0;
  /// A choice of an answer, from the piece that ends its text.
  virtual Json choice(const TextAnswer::Piece& piece, const std::vector<TokenSaid>& tokens) = 0;
  virtual const char* object() const = 0;
  virtual const char* chunk_object() const = 0;
  Json chunk_of(Json choice) const;

 private:
  Json frame(const char* object) const;
  Json usage(std::int64_t prompt_tokens) const;
  void count(const TextAnswer::Piece& piece);

  const std::string id_, model_;
  const TextOptions options_;
  const long long created_;
  std::int64_t made_ = 0, shared_ = 0;
  std::vector<Json> choices_;                   // by text
  std::vector<std::vector<TokenSaid>> tokens_;  // by text, so far
};

/// Of /v1/completions. `prompts`: what each text begins with where that is echoed; else empty.
class CompletionFormat final : public OpenAiFormat {
 public:
  CompletionFormat(const std::string& model, const TextOptions& options, std::vector<std::string> prompts);
  Json opening(std::size_t text) override;

 private:
  Json added(const TextAnswer::Piece& piece) override;
  Json choice(const TextAnswer::Piece& piece, const std::vector<TokenSaid>& tokens) override;
  Json logprobs(std::size_t text, const std::vector<TokenSaid>& tokens);
  const char* object() const override { return "text_completion"; }
  const char* chunk_object() const override { return "text_completion"; }

  const std::vector<std::string> prompts_;
  std::vector<std::size_t> offset_;  // in characters, of the next token of each text
};

/// Of /v1/chat/completions. `tools`: what answers may call, by name.
class ChatFormat final : public OpenAiFormat {
 public:
  ChatFormat(const std::string& model, const TextOptions& options, const std::set<std::string>& tools,
             std::size_t texts);
  Json opening(std::size_t text) override;

 private:
  Json added(const TextAnswer::Piece& piece) override;
  Json choice(const TextAnswer::Piece& piece, const std::vector<TokenSaid>& tokens) override;
  Json logprobs(const std::vector<TokenSaid>& tokens) const;
  const char* object() const override { return "chat.completion"; }
  const char* chunk_object() const override { return "chat.completion.chunk"; }

  const bool has_tools_;
  std::vector<ToolCalls> tools_;  // by text
};

}  // namespace heed::tools
