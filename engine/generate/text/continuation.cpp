#include "generate/text/continuation.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "heed/error.h"

namespace heed {

Continuation::Continuation(std::vector<std::int32_t> prompt, const GenerationOptions& options,
                           const Tokenizer* tokenizer, std::span<const std::int32_t> end_tokens,
                           std::function<void(std::string_view)> on_text,
                           std::function<void(std::int32_t, const TokenLogprobs*)> on_token)
    : options_(options),
      tokenizer_(tokenizer),
      end_tokens_(end_tokens),
      on_text_(std::move(on_text)),
      on_token_(std::move(on_token)),
      stream_(options.stop) {
  if (options.max_tokens <= 0) {
    throw Error(fmt::format("{} new tokens were asked for, expected at least 1", options.max_tokens));
  }
  if (options.ignore_end && options.constraint != nullptr) {
    throw Error(
        "end tokens were to be ignored, but they are all that a constraint leaves behind a text that is complete");
  }
  result_.prompt_tokens = std::move(prompt);
}

void Continuation::show(const std::string& text) {
  result_.text += text;
  if (on_text_ && !text.empty()) on_text_(text);
}

bool Continuation::take(std::int32_t token, const TokenLogprobs* logprobs) {
  if (stopped_) return false;
  if (!first_) first_ = Clock::now();
  const bool ends = std::ranges::find(end_tokens_, token) != end_tokens_.end() ||
                    std::ranges::find(options_.end, token) != options_.end.end();
  if (!options_.ignore_end && ends) {
    stopped_ = StopReason::EndToken;
    return false;
  }
  result_.tokens.push_back(token);
  if (logprobs != nullptr) result_.logprobs.push_back(*logprobs);
  try {
    if (options_.constraint) options_.constraint->accept(token);
  } catch (const std::exception& error) {
    throw ConstraintError(error.what());
  }
  if (on_token_) on_token_(token, logprobs);
  if (tokenizer_ != nullptr) show(stream_.push(tokenizer_->piece(token)));
  if (stream_.stopped()) {
    stopped_ = StopReason::StopText;
  } else if (made() >= options_.max_tokens) {
    stopped_ = StopReason::MaxTokens;
  }
  return !stopped_;
}

std::vector<std::int32_t> Continuation::so_far() const {
  std::vector<std::int32_t> tokens = result_.prompt_tokens;
  tokens.insert(tokens.end(), result_.tokens.begin(), result_.tokens.end());
  return tokens;
}

Generation Continuation::finish() {
  const Clock::time_point now = Clock::now();
  const auto seconds = [](Clock::duration time) { return std::chrono::duration<double>(time).count(); };
  result_.prompt_seconds = seconds(first_.value_or(now) - begin_);
  result_.generate_seconds = seconds(now - first_.value_or(now));
  result_.reason = stopped_.value_or(StopReason::MaxTokens);
  if (!stream_.stopped()) show(stream_.finish());
  return std::move(result_);
}

}  // namespace heed
