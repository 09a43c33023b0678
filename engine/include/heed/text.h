#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "heed/attention.h"
#include "heed/cache_type.h"
#include "heed/chat.h"
#include "heed/constraint.h"
#include "heed/device.h"
#include "heed/dispatch_time.h"
#include "heed/error.h"

namespace heed {

inline constexpr std::size_t kMostBiases = 1024;

/// How a token is chosen. In this order: what a constraint or no_repeat_ngram forbids goes; logit_bias is added; the
/// repetition penalty, then presence and frequency penalties change logits, then DRY; logits are divided by the
/// temperature; of the tokens sorted by probability top_k, typical_p, top_p, min_p and XTC keep some, each of what the
/// one before it kept; one of these is drawn. Greedy choices (temperature 0) take the largest logit after the
/// penalties. Penalties look at the last `penalty_window` tokens, those of the prompt too, as llama.cpp's do.
struct SamplingOptions {
  double temperature = 0.8;         // 0: greedy, ignoring top_k, typical_p, top_p, min_p and XTC
  int top_k = 40;                   // 0: all
  double top_p = 0.95;              // 1: all
  double min_p = 0.0;               // 0: all
  double repetition_penalty = 1.0;  // 1: none; divides positive logits of tokens that were there, multiplies others
  int penalty_window = 64;          // tokens that penalties look back; 0: none
  std::uint64_t seed = 0;

  double presence_penalty = 0.0;   // 0: none; taken off the logit of each token that was there
  double frequency_penalty = 0.0;  // 0: none; taken off as often as it was there
  /// Locally typical sampling (Meister et al. 2022): of the tokens whose surprise is nearest to the entropy the fewest
  /// that have this probability together; equals of the last one too. 1: all.
  double typical_p = 1.0;
  /// By token, of at most kMostBiases: added to its logit, -100 to 100; -infinity forbids it.
  std::map<std::int32_t, double> logit_bias{};
  int no_repeat_ngram = 0;  // n, to 64: no n tokens in a row come twice, the prompt's among them; 0: they may
  /// XTC, "exclude top choices": with this probability all tokens that have at least xtc_threshold go, but for the
  /// least probable of them. 0: never.
  double xtc_probability = 0.0;
  double xtc_threshold = 0.1;  // above 0.5 there are never two such tokens
  /// DRY, "don't repeat yourself": a token that would make the end of the text, of n >= dry_allowed_length tokens, come
  /// again as it stands within the last dry_window tokens loses dry_multiplier * dry_base^(n - dry_allowed_length).
  double dry_multiplier = 0.0;  // 0: none
  double dry_base = 1.75;
  int dry_allowed_length = 2;
  int dry_window = -1;                       // tokens; -1: the whole text
  std::vector<std::int32_t> dry_breakers{};  // tokens over which no repetition reaches

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
  /// Log probabilities of each token and of so many of the best, 0 to kMostLogprobs, are wanted. None: they are not.
  std::optional<int> logprobs;
  std::shared_ptr<TokenConstraint> constraint;  // says which tokens may come; none: all
};
inline constexpr int kMostLogprobs = 20;

/// What the model said of a place in a text: natural logarithms of probabilities, of a softmax over its logits as they
/// are, before penalties, biases, constraints, temperature and filters.
struct TokenLogprobs {
  struct Choice {
    std::int32_t token = 0;
    float logprob = 0;
  };
  float logprob = 0;         // of the token that came
  std::vector<Choice> best;  // the most probable tokens, whether or not it is among them: the best first
};

enum class StopReason { MaxTokens, EndToken, StopText, ContextFull, Cancelled };
std::string_view stop_reason_name(StopReason reason);

struct Generation {
  std::string text;  // the continuation
  std::vector<std::int32_t> prompt_tokens;
  std::int64_t shared_prompt_tokens = 0;  // whose keys another text that begins alike had left; of a TextQueue
  std::vector<std::int32_t> tokens;       // new ones, less an end token
  StopReason reason = StopReason::MaxTokens;
  double prompt_seconds = 0;            // from the start of generate() to the first token, or to cancellation before it
  double generate_seconds = 0;          // for all tokens after the first
  std::vector<TokenLogprobs> logprobs;  // of each of `tokens`, where the options ask for them
  int device_losses = 0;  // how often the device was lost, and the text went on after it was opened afresh
};

/// A prompt among others, and what becomes of it.
struct TextRequest {
  std::vector<std::int32_t> prompt;
  GenerationOptions options;
  std::function<void(std::string_view)> on_text{};  // gets the text as it comes, in whole UTF-8 characters
  /// Gets every token of the text, before on_text gets what it adds to it, and its log probabilities, nullptr where the
  /// options do not ask for them.
  std::function<void(std::int32_t, const TokenLogprobs*)> on_token{};
};

/// What one of several requests cannot be done for; `request` counts from 0.
class RequestError : public Error {
 public:
  RequestError(std::size_t request, const std::string& message) : Error(message), request_(request) {}
  std::size_t request() const { return request_; }

 private:
  std::size_t request_;
};

/// Grammars for the texts of a model, apart from the model: any thread may call it, also while the model works and when
/// it is gone. What was made of the last few grammars is kept, and of those that constraints are left of.
class TextGrammars {
 public:
  /// As TextModel's functions of these names.
  std::shared_ptr<TokenConstraint> grammar(std::string_view gbnf, std::span<const std::int32_t> end = {}) const;
  std::shared_ptr<TokenConstraint> json_schema(std::string_view schema, std::span<const std::int32_t> end = {}) const;

 private:
  friend class TextModel;
  struct State;
  explicit TextGrammars(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

/// A text-generation model on a device. Used by one thread at a time.
class TextModel {
 public:
  /// Opens a .heed file and makes it ready: weights are uploaded, kernels compiled. `context` limits how many tokens it
  /// keeps, 0 takes the model's own. With more than one of `slots` so many texts go on together, which share each
  /// reading of the weights; the memory of their keys grows with what they may say, to that of so many contexts. Texts
  /// of such a model are the same with any number of slots from 2 to 8, and with any from 9 on, whatever goes on beside
  /// them; between these, and with a single slot, they may differ by rounding. Throws Error when the file is no
  /// text-generation model or does not fit the device.
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
  /// What a token adds to a text: bytes, which may be a part of a character; empty for special tokens, those outside
  /// the vocabulary, and without a tokenizer. Any thread may ask.
  std::string token_text(std::int32_t token) const;

  /// For GenerationOptions::constraint, one for each text: what the model writes is a text of a grammar in GBNF,
  /// llama.cpp's format, or JSON that is valid by a JSON Schema ({"type": "object"}: any object). README.md says what
  /// of both heed knows. `end`: tokens at which the text ends besides the model's own, as in GenerationOptions::end;
  /// they come where the text is complete, and there alone. Any thread may ask; what was made of the last few grammars
  /// is kept. A constraint may outlive the model. Throws Error naming the place of what is wrong or not understood, and
  /// for a model without a tokenizer.
  std::shared_ptr<TokenConstraint> grammar(std::string_view gbnf, std::span<const std::int32_t> end = {}) const;
  std::shared_ptr<TokenConstraint> json_schema(std::string_view schema, std::span<const std::int32_t> end = {}) const;
  TextGrammars grammars() const;

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

  /// The layers that explain() counts.
  std::vector<AttentionLayer> attention_layers() const;

  /// For bench: bytes of weights that one decode step reads, and its dispatches.
  std::uint64_t bytes_per_token();
  std::size_t dispatches_per_token();
  /// For bench: the dispatches of the last run of a prompt of `tokens` tokens, or of a greedy step for 1, behind
  /// `depth` others, each waited for by the next. Throws Error when the device has no clock. Ends the current sequence.
  std::vector<DispatchTime> profile(std::int64_t tokens, std::int64_t depth = 0);

 private:
  friend class TextQueue;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace heed
