#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "generate/token_choice.h"
#include "heed/error.h"
#include "heed/text.h"
#include "tokenizer/tokenizer.h"

namespace heed {

/// A constraint could not take a token: what it threw says why.
class ConstraintError : public Error {
 public:
  using Error::Error;
};

/// One text that is being made: takes tokens as they come, shows their text, and knows when it ends.
class Continuation {
 public:
  /// `tokenizer`: none where the model has none. What is given must live as long. Throws Error for options that make no
  /// sense.
  Continuation(std::vector<std::int32_t> prompt, const GenerationOptions& options, const Tokenizer* tokenizer,
               std::span<const std::int32_t> end_tokens, std::function<void(std::string_view)> on_text,
               std::function<void(std::int32_t, const TokenLogprobs*)> on_token = {});

  /// The time of its prompt counts from now on, unless it has tokens.
  void begin() {
    if (!first_) begin_ = Clock::now();
  }
  /// Takes one token, with its log probabilities where they are asked for; false when the text has ended, with this one
  /// or before. Throws ConstraintError where its constraint does not accept it.
  bool take(std::int32_t token, const TokenLogprobs* logprobs = nullptr);
  /// Ends it from outside, where it has not ended by itself.
  void stop(StopReason reason) {
    if (!stopped_) stopped_ = reason;
  }
  bool stopped() const { return stopped_.has_value(); }
  bool cancelled() const { return options_.cancelled && options_.cancelled(); }
  TokenChoice choice() const { return TokenChoice(options_); }

  /// The prompt and the tokens made so far.
  std::vector<std::int32_t> so_far() const;
  std::int64_t made() const { return static_cast<std::int64_t>(result_.tokens.size()); }
  /// How many tokens it may still take.
  std::int64_t wanted() const { return options_.max_tokens - made(); }
  void set_shared(std::int64_t prompt_tokens) { result_.shared_prompt_tokens = prompt_tokens; }
  void count_loss() { ++result_.device_losses; }
  int losses() const { return result_.device_losses; }

  /// The whole, once it is stopped.
  Generation finish();

 private:
  using Clock = std::chrono::steady_clock;
  void show(const std::string& text);

  const GenerationOptions& options_;
  const Tokenizer* tokenizer_;
  std::span<const std::int32_t> end_tokens_;
  std::function<void(std::string_view)> on_text_;
  std::function<void(std::int32_t, const TokenLogprobs*)> on_token_;
  TextStream stream_;
  Generation result_;
  std::optional<StopReason> stopped_;
  Clock::time_point begin_ = Clock::now();
  std::optional<Clock::time_point> first_;  // when the first token came
};

}  // namespace heed
