#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "heed/attention.h"
#include "heed/cache_type.h"
#include "heed/chat.h"
#include "heed/device.h"
#include "heed/dispatch_time.h"
#include "heed/error.h"

namespace heed {

struct SamplingOptions {
  double temperature = 0.8;         // 0: greedy, the most probable token, ignoring the rest but the repetition penalty
  int top_k = 40;                   // 0: all
  double top_p = 0.95;              // 1: all
  double min_p = 0.0;               // 0: all
  double repetition_penalty = 1.0;  // 1: none
  int penalty_window = 64;          // tokens that the penalty looks back
  std::uint64_t seed = 0;

  /// Throws Error naming the option whose value makes no sense.
  void check() const;
};

struct GenerationOptions {
  SamplingOptions sampling;
  std::int64_t max_tokens = 128;  // new ones; the end of the context ends generation too
  std::vector<std::string> stop;  // texts at which it ends; not part of the result
  std::vector<std::int32_t> end;  // tokens at which it ends besides the model's own: TextModel::chat_end_tokens()
  bool ignore_end = false;        // the model's end tokens are tokens like all others: for measuring
  /// Asked between submissions, those of a long prompt too; true ends the generation cleanly.
  std::function<bool()> cancelled;
};

enum class StopReason { MaxTokens, EndToken, StopText, ContextFull, Cancelled };
std::string_view stop_reason_name(StopReason reason);

struct Generation {
  std::string text;  // the continuation
  std::vector<std::int32_t> prompt_tokens;
  std::vector<std::int32_t> tokens;  // new ones, less an end token
  StopReason reason = StopReason::MaxTokens;
  double prompt_seconds = 0;    // from the start of generate() to the first token, or to cancellation before it
  double generate_seconds = 0;  // for all tokens after the first
  int device_losses = 0;        // how often the device was lost, and the text went on after it was opened afresh
};

/// A prompt among others, and what becomes of it.
struct TextRequest {
  std::vector<std::int32_t> prompt;
  GenerationOptions options;
  std::function<void(std::string_view)> on_text{};  // gets the text as it comes, in whole UTF-8 characters
};

/// What one of several requests cannot be done for; `request` counts from 0.
class RequestError : public Error {
 public:
  RequestError(std::size_t request, const std::string& message) : Error(message), request_(request) {}
  std::size_t request() const { return request_; }

 private:
  std::size_t request_;
};

/// A text-generation model on a device. Used by one thread at a time.
class TextModel {
 public:
  /// Opens a .heed file and makes it ready: weights are uploaded, kernels compiled. `context` limits how many tokens it
  /// keeps, 0 takes the model's own. With more than one of `slots` so many texts go on together, which share each
  /// reading of the weights; their keys take the memory of so many contexts. Texts of such a model are the same with
  /// any number of slots from 2 on, whatever goes on beside them; those of one with a single slot may differ from them
  /// by rounding. Throws Error when the file is no text-generation model or does not fit the device.
  TextModel(const Device& device, const std::filesystem::path& file, std::int64_t context = 0,
            CacheType cache = CacheType::Auto, std::int64_t slots = 1);
  ~TextModel();
  TextModel(TextModel&&) noexcept;
  TextModel& operator=(TextModel&&) noexcept;

  std::int64_t context() const;
  std::int64_t vocabulary() const;
  /// What it keeps keys and values as: F32 or F16. F32 whatever was asked for where the model's heads are no multiple
  /// of four elements wide.
  CacheType cache_type() const;
  bool has_tokenizer() const;
  /// `specials`: special tokens ("</s>", "<|im_start|>") that the text spells become those tokens; otherwise they are
  /// text. Throws Error when the model has no tokenizer or the text cannot be encoded.
  std::vector<std::int32_t> tokenize(std::string_view text, bool specials = false) const;
  std::string detokenize(const std::vector<std::int32_t>& tokens) const;

  /// Whether the model brings a chat template.
  bool has_chat() const;
  /// The prompt that its template makes of a chat, and its tokens. Throws Error naming what is wrong with the request,
  /// what the template says of a chat that it does not take, and for a template or model that cannot be used so.
  std::string chat_text(const ChatRequest& request) const;
  std::vector<std::int32_t> chat_tokens(const ChatRequest& request) const;
  /// At which tokens an answer ends: what the template that the request names puts behind one, and the tokenizer's
  /// eos_token.
  std::vector<std::int32_t> chat_end_tokens(const ChatRequest& request = {}) const;

  /// Continues a prompt. `on_text` gets the text as it comes, in whole UTF-8 characters. The same model, device, prompt
  /// and options give the same bytes, with the same tuning verdict in the cache folder. Throws Error when the prompt
  /// does not leave room for one token in the context. Where the device is lost meanwhile the text goes on after it was
  /// opened afresh; from there on it may differ from that of an undisturbed run by rounding. Throws DeviceLost when
  /// that does not help.
  Generation generate(std::string_view prompt, const GenerationOptions& options,
                      const std::function<void(std::string_view)>& on_text = {});
  Generation generate(const std::vector<std::int32_t>& prompt, const GenerationOptions& options,
                      const std::function<void(std::string_view)>& on_text = {});

  /// Continues many prompts, as many at a time as there are slots, in order, and gives their continuations in that
  /// order. `on_end` gets each as soon as it is whole. Throws RequestError for what generate() throws Error for, before
  /// anything is generated where the request itself is what is wrong.
  std::vector<Generation> generate_many(const std::vector<TextRequest>& requests,
                                        const std::function<void(std::size_t, const Generation&)>& on_end = {});

  /// Logits [tokens, vocabulary] at every position, row by row. Throws Error for ids outside the vocabulary or more
  /// tokens than the context holds.
  std::vector<float> logits(const std::vector<std::int32_t>& tokens);

  /// Where the model looked while it read and wrote these tokens, a prompt and what was generated after it, by running
  /// them through it once more: nodes of kind Target, as many as `layers` names, counted from 0; all where it names
  /// none. `cancelled` is asked between submissions; once it is true there is nothing. Ends the current sequence.
  /// Throws Error as logits() does, for fewer than two tokens, a layer that there is not, and for more than 2 GiB of
  /// weights.
  std::optional<Attention> explain(const std::vector<std::int32_t>& tokens, const std::vector<std::size_t>& layers = {},
                                   const std::function<bool()>& cancelled = {});

  /// For bench: bytes of weights that one decode step reads, and its dispatches.
  std::uint64_t bytes_per_token();
  std::size_t dispatches_per_token();
  /// For bench: the dispatches of the last run of a prompt of `tokens` tokens, or of a greedy step for 1, each waited
  /// for by the next. Throws Error when the device has no clock. Ends the current sequence.
  std::vector<DispatchTime> profile(std::int64_t tokens);

 private:
  friend class TextQueue;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace heed
