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
#include "heed/device.h"
#include "heed/dispatch_time.h"
#include "heed/text.h"

namespace heed {

/// When the search for a sentence ends that has as many hypotheses as beams: when no beam can improve on the worst of
/// them if it ended now; at once; or when none could even if it grew to the greatest length.
enum class EarlyStopping { IfNoBetter, AtOnce, Never };

struct Translation {
  std::string text;                  // empty where the model has no tokenizer
  std::vector<std::int32_t> tokens;  // without an end token
  double score = 0;                  // as TranslationOptions::length_penalty says
  bool ended = true;                 // by an end token; else it is as long as was allowed
  std::int32_t end_token = -1;       // that one; -1: the model's first
};

/// How translations are searched for. What is not given is what the model's file says, else what stands here.
struct TranslationOptions {
  std::optional<int> beams;              // 1 to 32, else 4; 1 takes the most probable token, always
  std::optional<double> length_penalty;  // hypotheses are scored by sum of log probabilities / tokens^penalty; else 1
  std::optional<EarlyStopping> early_stopping;  // else IfNoBetter
  std::optional<int> no_repeat_ngram;           // no so many tokens in a row (to 64) come twice; else 0, they may
  std::optional<std::int64_t> max_tokens;       // of a translation, its end token counted; else the model's most
  std::optional<std::int64_t> min_tokens;       // before which there is no end token; else 0
  int n_best = 1;                               // hypotheses of a sentence that are returned, at most beams or samples
  std::string from, to;                         // languages, of models that have tokens for them
  std::string prefix;                           // text that every translation begins with
  std::vector<std::int32_t> prefix_tokens;      // or its token ids
  std::int64_t batch = 32;                      // sentences at a time, at most; fewer where the device's limits ask
  // Draws `samples` translations of each sentence, 1 to 32, instead of searching for the best with beams; they are
  // ordered by score, which is by the model's own probabilities. The repetition penalty, 1 or more, is over all that
  // was written; where it is 1 the model's own counts. The same seed gives a sentence the same translations, wherever
  // it stands.
  std::optional<int> samples;
  SamplingOptions sampling;
  std::function<bool()> cancelled;  // asked between submissions; true ends the translation cleanly
  std::function<void(std::size_t done, std::size_t total)> progress;  // sentences
  // Gets the translations of sentence `index` as soon as they are there, not in the order of the sentences. What it
  // throws ends the translation.
  std::function<void(std::size_t index, const std::vector<Translation>& best)> translated;
};

/// A translation model on a device. Used by one thread at a time.
class TranslationModel {
 public:
  /// Opens a .heed file. Throws Error when the file is no translation model, or does not fit the device.
  TranslationModel(const Device& device, const std::filesystem::path& file, CacheType cache = CacheType::Auto);
  ~TranslationModel();
  TranslationModel(TranslationModel&&) noexcept;
  TranslationModel& operator=(TranslationModel&&) noexcept;

  /// As TextModel::cache_type(), of what the decoder reads of its own translation.
  CacheType cache_type() const;
  bool has_tokenizer() const;
  /// Codes of the languages that the model has tokens for.
  std::vector<std::string> languages() const;
  /// Whether sources have tokens of their language, so that TranslationOptions::from can say it.
  bool has_source_languages() const;
  /// Beams of a search that is not told how many.
  int default_beams() const;
  /// Tokens of a text as the model reads it, with those of its language and its end. Throws Error when the model has no
  /// tokenizer, and for a language that it lacks.
  std::vector<std::int32_t> tokenize(std::string_view text, const TranslationOptions& options = {}) const;

  /// Translations of each line, the best first: n_best, or fewer where the search found fewer. An empty line, or one of
  /// white space alone, has one empty translation. A line's result depends neither on the others nor on its place.
  /// Where it is cancelled the lines that are done have results. Throws Error, before anything is translated, naming
  /// the line that is too long for the model or cannot be encoded.
  std::vector<std::vector<Translation>> translate(const std::vector<std::string>& lines,
                                                  const TranslationOptions& options = {});
  /// The same for token ids, an empty list too; the end token is part of the ids where the model wants one.
  std::vector<std::vector<Translation>> translate(const std::vector<std::vector<std::int32_t>>& sources,
                                                  const TranslationOptions& options = {});

  /// Where the decoder looked while it wrote `translation` of these source tokens, by running both through the model
  /// once more; with `all` also what encoder and decoder weighed of themselves. Nothing else is changed by it.
  Attention explain(const std::vector<std::int32_t>& source, const Translation& translation,
                    const TranslationOptions& options = {}, bool all = false);

  /// The decoder's layers of attention over the source, in the order in which explain() gives them.
  std::vector<AttentionLayer> attention_layers() const;

  /// For bench: bytes of weights that one step of so many sentences and beams reads, and its dispatches.
  std::uint64_t bytes_per_step(std::int64_t sentences, std::int64_t beams);
  std::size_t dispatches_per_step(std::int64_t sentences, std::int64_t beams);
  /// For bench: the dispatches of a step for so many sentences of so many tokens, each waited for by the next. Throws
  /// Error when the device has no clock.
  std::vector<DispatchTime> profile(std::int64_t sentences, std::int64_t beams, std::int64_t source_tokens);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace heed
