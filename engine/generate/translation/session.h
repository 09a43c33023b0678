#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "file/model_file.h"
#include "generate/cache_type.h"
#include "generate/sampling.h"
#include "generate/search.h"
#include "generate/step_state.h"
#include "heed/text.h"
#include "heed/translate.h"
#include "runtime/session.h"

namespace heed {

/// A sentence as a translation model gets it.
struct SourceSentence {
  std::vector<std::int32_t> tokens;  // end token included where the model wants one
  std::vector<std::int32_t> forced;  // what its translation must begin with
};

/// How translations are found: by beam search, or drawn.
struct SearchKind {
  std::int64_t ways = 1;                    // beams, or how often each sentence is drawn
  std::optional<SamplingOptions> sampling;  // drawn so
};

/// The graphs of a translation model on a device: `encode` runs once a batch of sentences and leaves what its decoder
/// reads of them in states, which all beams or draws of a sentence share; `decode` runs once a token. Knows token ids,
/// not text. Used by one thread at a time.
class TranslationSession {
 public:
  /// Throws Error when the file is no translation model.
  TranslationSession(Gpu& gpu, const ModelFile& file, CacheType cache = CacheType::Auto);

  std::int64_t vocabulary() const { return vocabulary_; }
  CacheType cache_type() const { return cache_type_of(decode_); }
  std::int64_t source_vocabulary() const { return source_vocabulary_; }
  /// Tokens that a source may have, and that a translation may have.
  std::int64_t source_context() const { return source_context_; }
  std::int64_t target_context() const { return context_ - 1; }
  const std::vector<std::int32_t>& end_tokens() const { return end_tokens_; }
  /// What stands before the first token that is chosen.
  std::int32_t first_token() const { return first_token_; }

  /// Whether the model itself says what a translation begins with.
  bool forces_first() const { return forced_first_ >= 0; }

  /// Throws Error where a sentence is empty, longer than the model reads, or holds an id that it does not know.
  void check(const SourceSentence& sentence) const;

  /// How many sentences one call of translate() may have: what fits the device's buffers.
  std::int64_t most_sentences(std::int64_t ways, std::int64_t max_tokens) const;
  /// The best hypotheses of each sentence, at most as many as ways, after `first_token`. The end tokens and suppressed
  /// tokens of `options` are set here. What comes for a sentence depends neither on the others nor on its place among
  /// them. Throws Error where check() does, naming the sentence. `cancelled` is asked between submissions; nothing is
  /// returned once it is true.
  std::vector<std::vector<Hypothesis>> translate(const std::vector<SourceSentence>& sentences, std::int32_t first_token,
                                                 const SearchKind& kind, ops::SearchOptions options,
                                                 const std::function<bool()>& cancelled = {});

  /// The decoder's attention over the source.
  std::vector<AttentionLayer> attention_layers() const;
  /// What nodes of attention weigh while `target` is written behind `first_token`: those of the decoder over the
  /// source, in order, one row a token of the target; with `all` also those of the encoder and the decoder over
  /// themselves.
  std::vector<AttentionWeights> explain(const std::vector<std::int32_t>& source, std::int32_t first_token,
                                        const std::vector<std::int32_t>& target, bool all);

  /// The plan of a step for so many sentences and beams.
  const Plan& step_plan(std::int64_t sentences, std::int64_t beams);
  /// What TranslationModel::profile says.
  std::vector<DispatchTime> profile(std::int64_t sentences, std::int64_t beams, std::int64_t source_tokens);

 private:
  /// Steps for one number of sentences and one kind of search.
  struct Steps {
    Steps(Session& session, const Graph& stepped_and_searched, std::int64_t of_sentences, std::int64_t of_ways,
          std::optional<Sampling::Mode> of_sampling)
        : sentences(of_sentences),
          ways(of_ways),
          sampling(of_sampling),
          graph(stepped_and_searched),
          state(session, graph, sentences * ways) {}
    const std::int64_t sentences, ways;
    const std::optional<Sampling::Mode> sampling;  // nothing: beams
    const Graph graph;
    StepState state;
    std::unique_ptr<Search> search;
  };
  /// Runs an encoder's graph for sources filled up with others to so many `sentences` of `source_tokens`; states for
  /// `rows` rows.
  Executable& encode(const Graph& graph, const std::vector<const std::vector<std::int32_t>*>& sources,
                     std::int64_t sentences, std::int64_t source_tokens, std::int64_t rows);
  Steps& steps_of(std::int64_t sentences, const SearchKind& kind);
  Executable& executable(Steps& steps, std::int64_t source_tokens);

  Gpu& gpu_;
  Graph encode_;
  Graph decode_;
  FileWeights source_;
  WeightStore weights_;
  Session session_;
  std::int64_t context_, source_context_, vocabulary_, source_vocabulary_;
  std::int32_t first_token_, pad_;
  std::vector<std::int32_t> end_tokens_, suppressed_;
  std::int32_t forced_first_ = -1, forced_last_ = -1;  // what a translation must begin and end with, -1: nothing
  bool recurrent_;                                     // the decoder goes a token at a time
  bool recurrent_encoder_;                             // so does the encoder
  std::unique_ptr<Steps> current_;
  double seconds_a_step_;
};

}  // namespace heed
