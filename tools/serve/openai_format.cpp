#include "tools/serve/openai_format.h"

#include <algorithm>
#include <utility>

#include "tools/serve/ids.h"

namespace heed::tools {
namespace {

using Json = OpenAiFormat::Json;

const char* finish_reason(StopReason reason) {
  return reason == StopReason::EndToken || reason == StopReason::StopText ? "stop" : "length";
}

/// Of UTF-8; bytes that are none count too.
std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

Json bytes_of(const std::string& text) {
  Json bytes = Json::array();
  for (const char c : text) bytes.push_back(static_cast<unsigned char>(c));
  return bytes;
}

}  // namespace

OpenAiFormat::OpenAiFormat(std::string id, std::string model, TextOptions options)
    : id_(std::move(id)), model_(std::move(model)), options_(std::move(options)), created_(unix_time()) {}

Json OpenAiFormat::frame(const char* object) const {
  return {{"id", id_},
          {"object", object},
          {"created", created_},
          {"model", model_},
          {"seed", options_.generation.sampling.seed}};
}

Json OpenAiFormat::usage(std::int64_t prompt_tokens) const {
  return {{"prompt_tokens", prompt_tokens},
          {"completion_tokens", made_},
          {"total_tokens", prompt_tokens + made_},
          {"prompt_tokens_details", {{"cached_tokens", shared_}}}};
}

void OpenAiFormat::count(const TextAnswer::Piece& piece) {
  if (!piece.end) return;
  made_ += static_cast<std::int64_t>(piece.end->tokens.size());
  if (piece.text % options_.choices == 0) shared_ += piece.end->shared_prompt_tokens;
}

Json OpenAiFormat::chunk_of(Json choice) const {
  Json chunk = frame(chunk_object());
  chunk["choices"] = Json::array({std::move(choice)});
  if (options_.usage) chunk["usage"] = nullptr;
  return chunk;
}

Json OpenAiFormat::chunk(const TextAnswer::Piece& piece) {
  count(piece);
  Json choice = added(piece);
  return choice.is_null() ? choice : chunk_of(std::move(choice));
}

Json OpenAiFormat::usage_chunk(std::int64_t prompt_tokens) const {
  Json chunk = frame(chunk_object());
  chunk["choices"] = Json::array();
  chunk["usage"] = usage(prompt_tokens);
  return chunk;
}

void OpenAiFormat::take(const TextAnswer::Piece& piece) {
  if (tokens_.size() <= piece.text) tokens_.resize(piece.text + 1);
  std::vector<TokenSaid>& tokens = tokens_[piece.text];
  tokens.insert(tokens.end(), piece.tokens.begin(), piece.tokens.end());
  count(piece);
  if (!piece.end) return;
  if (choices_.size() <= piece.text) choices_.resize(piece.text + 1);
  choices_[piece.text] = choice(piece, tokens);
}

Json OpenAiFormat::whole(std::int64_t prompt_tokens) const {
  Json answer = frame(object());
  answer["choices"] = choices_;
  answer["usage"] = usage(prompt_tokens);
  return answer;
}

CompletionFormat::CompletionFormat(const std::string& model, const TextOptions& options,
                                   std::vector<std::string> prompts)
    : OpenAiFormat(random_id("cmpl-"), model, options), prompts_(std::move(prompts)) {}

Json CompletionFormat::opening(std::size_t text) {
  if (prompts_.empty()) return nullptr;
  return chunk_of({{"index", text}, {"text", prompts_[text]}, {"logprobs", nullptr}, {"finish_reason", nullptr}});
}

Json CompletionFormat::added(const TextAnswer::Piece& piece) {
  if (piece.added.empty() && piece.tokens.empty() && !piece.end) return nullptr;
  return {{"index", piece.text},
          {"text", piece.added},
          {"logprobs", logprobs(piece.text, piece.tokens)},
          {"finish_reason", piece.end ? Json(finish_reason(piece.end->reason)) : Json()}};
}

Json CompletionFormat::choice(const TextAnswer::Piece& piece, const std::vector<TokenSaid>& tokens) {
  return {{"index", piece.text},
          {"text", (prompts_.empty() ? std::string() : prompts_[piece.text]) + piece.end->text},
          {"logprobs", logprobs(piece.text, tokens)},
          {"finish_reason", finish_reason(piece.end->reason)}};
}

Json CompletionFormat::logprobs(std::size_t text, const std::vector<TokenSaid>& tokens) {
  if (!options().generation.logprobs) return nullptr;
  while (offset_.size() <= text) {
    offset_.push_back(prompts_.empty() ? 0 : characters(prompts_[offset_.size()]));
  }
  Json said = {{"tokens", Json::array()},
               {"token_logprobs", Json::array()},
               {"top_logprobs", Json::array()},
               {"text_offset", Json::array()}};
  for (const TokenSaid& token : tokens) {
    said["tokens"].push_back(token.text);
    said["token_logprobs"].push_back(token.logprob);
    Json best = Json::object();
    for (const TokenSaid::Choice& other : token.best) best[other.text] = other.logprob;
    said["top_logprobs"].push_back(best);
    said["text_offset"].push_back(offset_[text]);
    offset_[text] += characters(token.text);
  }
  return said;
}

ChatFormat::ChatFormat(const std::string& model, const TextOptions& options, const std::set<std::string>& tools,
                       std::size_t texts)
    : OpenAiFormat(random_id("chatcmpl-"), model, options),
      has_tools_(!tools.empty()),
      tools_(texts, ToolCalls(tools)) {}

Json ChatFormat::opening(std::size_t text) {
  return chunk_of({{"index", text},
                   {"delta", {{"role", "assistant"}, {"content", ""}}},
                   {"logprobs", nullptr},
                   {"finish_reason", nullptr}});
}

Json ChatFormat::added(const TextAnswer::Piece& piece) {
  std::string text = has_tools_ ? tools_[piece.text].push(piece.added) : piece.added;
  Json delta = Json::object();
  Json reason = nullptr;
  if (piece.end) {
    reason = finish_reason(piece.end->reason);
    if (has_tools_) {
      text += tools_[piece.text].finish();
      Json calls = tools_[piece.text].calls();
      for (std::size_t i = 0; i < calls.size(); ++i) calls[i]["index"] = i;
      if (!calls.empty()) {
        delta["tool_calls"] = calls;
        reason = "tool_calls";
      }
    }
  }
  if (!text.empty()) delta["content"] = text;
  if (delta.empty() && reason.is_null() && piece.tokens.empty()) return nullptr;
  return {{"index", piece.text}, {"delta", delta}, {"logprobs", logprobs(piece.tokens)}, {"finish_reason", reason}};
}

Json ChatFormat::choice(const TextAnswer::Piece& piece, const std::vector<TokenSaid>& tokens) {
  Json message = {{"role", "assistant"}, {"content", piece.end->text}, {"refusal", nullptr}};
  Json reason = finish_reason(piece.end->reason);
  if (has_tools_) {
    ToolCalls& tools = tools_[piece.text];
    std::string text = tools.push(piece.end->text);
    text += tools.finish();
    if (!tools.calls().empty()) {
      message["content"] = text.empty() ? Json(nullptr) : Json(text);
      message["tool_calls"] = tools.calls();
      reason = "tool_calls";
    }
  }
  return {{"index", piece.text}, {"message", message}, {"logprobs", logprobs(tokens)}, {"finish_reason", reason}};
}

Json ChatFormat::logprobs(const std::vector<TokenSaid>& tokens) const {
  if (!options().generation.logprobs) return nullptr;
  Json content = Json::array();
  for (const TokenSaid& token : tokens) {
    Json best = Json::array();
    for (const TokenSaid::Choice& other : token.best) {
      best.push_back({{"token", other.text}, {"logprob", other.logprob}, {"bytes", bytes_of(other.text)}});
    }
    content.push_back(
        {{"token", token.text}, {"logprob", token.logprob}, {"bytes", bytes_of(token.text)}, {"top_logprobs", best}});
  }
  return {{"content", content}, {"refusal", nullptr}};
}

}  // namespace heed::tools
