#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "file/model_file.h"
#include "generate/cache_type.h"
#include "generate/text/graph.h"
#include "generate/text/prompt_runs.h"
#include "generate/token_choice.h"
#include "heed/text.h"
#include "ops/sample.h"
#include "runtime/session.h"

namespace heed {

/// The decode graph of a text model that chooses the next token as well: what a step of generation runs. `tokens` and
/// `position` become states, beside `history` [context] and `sampler` (ops/sample.h); the only output is `next_token`.
/// What the mode asks for besides stands around the choice (generate/token_choice.h).
Graph with_sampling(const Graph& decode, std::int64_t context, const ChoiceMode& mode);

/// The decode graph of a text model on a device, and the step state around it: prompts in runs of many tokens, then
/// steps that feed themselves. Knows token ids, not text. Used by one thread at a time.
///
/// Caches have room for the first kFirstPositions tokens, in whole blocks (with_caches_by_head()), and for twice as
/// many each time that a sequence passes that. A run is planned for the room that its last position needs, whatever
/// there is by then: a kernel may share keys among workgroups by how many there can be, and a sequence gives the same
/// tokens after another, longer one.
///
/// The step state (tokens, position, history, sampler: named as in ops/sample.cpp) lives on the device. Token p of a
/// sequence, counted from the prompt's first, stands in history[p]; the host reads new tokens there.
class TextSession {
 public:
  static constexpr std::int64_t kFirstPositions = 4096;

  /// A run takes at most `most_run` tokens of a prompt, a power of two of blocks. Throws Error when the file is no
  /// text-generation model, or `context` exceeds what it was trained for.
  TextSession(Gpu& gpu, const ModelFile& file, std::int64_t context, CacheType cache = CacheType::Auto,
              std::int64_t first_positions = kFirstPositions, std::int64_t most_run = kMostPromptRun);

  std::int64_t context() const { return text_.context; }
  std::int64_t vocabulary() const { return text_.vocabulary; }
  const TextGraph& text() const { return text_; }
  /// What others who run the same model may share.
  WeightStore& weights() { return weights_; }
  CacheType cache_type() const { return cache_type_of(text_.graph); }

  /// Starts a sequence: all of the prompt enters the cache, and the first new token is returned. Where the prompt
  /// begins like the last one, only what follows is computed, in whole runs. Throws Error when the prompt is empty,
  /// holds an id outside the vocabulary, or leaves no room in the context. `cancelled`, where there is one, is asked
  /// between the runs; once it is true nothing is returned, and a sequence must be started before the next step.
  /// `drawn`: so many tokens at the prompt's end were drawn before, so that the random generator goes on where it was.
  std::optional<std::int32_t> start(const std::vector<std::int32_t>& prompt, const TokenChoice& choice,
                                    const std::function<bool()>& cancelled = {}, std::uint32_t drawn = 0);
  /// Makes `count` more tokens, at most most_steps(), in one submission and returns them; start() + steps never pass
  /// the context. A constraint must have accepted the tokens before.
  std::vector<std::int32_t> step(int count);
  std::int64_t most_steps() const { return choice_.most_steps(); }
  /// Log probabilities of the last `count` tokens that one call of start() or step() made, where they are asked for.
  std::vector<TokenLogprobs> logprobs(std::size_t count);
  /// How many tokens step() can still make.
  std::int64_t room() const { return text_.context - 1 - position_; }

  /// Logits [tokens.size(), vocabulary]. Ends the current sequence.
  std::vector<float> logits(const std::vector<std::int32_t>& tokens);

  std::vector<AttentionLayer> attention_layers() const;
  /// What TextModel::explain says; empty where it was cancelled.
  std::vector<AttentionWeights> explain(const std::vector<std::int32_t>& tokens, const std::vector<std::size_t>& layers,
                                        const std::function<bool()>& cancelled);

  /// What TextModel::profile says.
  std::vector<DispatchTime> profile(std::int64_t tokens, std::int64_t depth);

  /// The plan of a greedy decode step at the beginning of a sequence.
  const Plan& decode_plan();

 private:
  void feed(std::span<const std::int32_t> tokens, std::int64_t position);
  /// The room that is planned for where `positions` tokens are, or will be, in the cache.
  std::int64_t room_for(std::int64_t positions) const;
  /// For a run after which `positions` tokens are in the cache. Throws Error where it cannot grow to that.
  Executable& executable(std::int64_t positions, std::int64_t tokens, std::int64_t outputs, bool sampled);
  void grow(std::int64_t room);
  /// Prompt tokens that a run takes at most, of so many, behind so many; at least a block.
  std::int64_t longest_run(std::int64_t wanted, std::int64_t behind);
  const Graph& sampled_graph();
  std::int32_t token_at(std::int64_t position);
  void write_mask();
  /// What a greedy step does is looked at: there is no sequence any more.
  void measure_greedy();

  Gpu& gpu_;
  TextGraph text_;
  FileWeights source_;
  WeightStore weights_;
  Session session_;
  std::int64_t first_positions_;
  std::int64_t most_run_;
  std::optional<PromptLength> prompt_length_;  // once a long one is read
  std::int64_t room_ = 0;                      // positions that caches have room for; 0: nothing is allocated
  TokenChoice choice_;
  ChoiceMode mode_ = {.greedy = true};  // of the choice, or of what is measured
  ChoiceStates choice_states_;
  Bindings choice_dims_;
  std::vector<std::pair<ChoiceMode, Graph>> sampled_graphs_;
  std::vector<std::int32_t> cached_;  // tokens whose keys and values are in the cache, from position 0
  std::int64_t position_ = 0;         // tokens in the cache
};

}  // namespace heed
