#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "heed/constraint.h"
#include "heed/text.h"
#include "ops/logit_rules.h"
#include "ops/sample.h"
#include "runtime/session.h"

namespace heed {

/// How the tokens of one sequence are chosen, and what is told of them.
struct TokenChoice {
  TokenChoice() = default;
  // Sampling options alone are a choice, too.
  TokenChoice(SamplingOptions how, std::optional<int> told = {}, std::shared_ptr<TokenConstraint> within = {})
      : sampling(std::move(how)), logprobs(told), constraint(std::move(within)) {}
  explicit TokenChoice(const GenerationOptions& options)
      : TokenChoice(options.sampling, options.logprobs, options.constraint) {}

  SamplingOptions sampling;
  std::optional<int> logprobs;  // how many alternatives of each token
  std::shared_ptr<TokenConstraint> constraint;

  /// Throws Error naming the option that makes no sense, or names a token that the vocabulary does not have.
  void check(std::int64_t vocabulary) const;
  /// How many steps may follow one another before the host has to look.
  std::int64_t most_steps() const;
  /// Whether something may be left out so that no token is left.
  bool limits() const { return constraint || sampling.no_repeat_ngram > 0 || !sampling.logit_bias.empty(); }
};

/// What a graph that chooses must be able to do; each row of it does what its own choice asks for. A mode that asks for
/// nothing new gives the graph that it always gave.
struct ChoiceMode {
  bool greedy = false;
  bool penalty = false;   // the repetition penalty alone, which the choice itself applies
  bool adjusts = false;   // op adjust_logits
  bool masks = false;     // with a mask
  bool filters = false;   // op filter_logits
  bool logprobs = false;  // op token_logprobs

  static ChoiceMode of(const TokenChoice& choice);
  /// Of steps that do both.
  ChoiceMode with(const ChoiceMode& other) const;
  bool has_rules() const { return adjusts || filters || logprobs; }
  /// For names of graphs.
  std::string text() const;
  bool operator==(const ChoiceMode&) const = default;
};

/// The words of a sampler that draws as the choice says (ops/sample.h): neutral in what its rules do.
ops::SamplerState sampler_state(const TokenChoice& choice);
/// What the ops around the choice are told.
ops::LogitRules logit_rules(const TokenChoice& choice);

/// Values of a graph that chooses.
struct ChoiceInputs {
  ValueId logits, tokens, position, history, sampler;
  Dim sequences;
};
/// Adds what the mode wants before the choice; gives the logits to choose from.
ValueId add_rules(GraphBuilder& builder, const ChoiceMode& mode, const ChoiceInputs& inputs);
/// Adds what keeps log probabilities, behind the choice. `place`: which token of its sequence the chosen one is.
void add_logprobs(GraphBuilder& builder, const ChoiceMode& mode, const ChoiceInputs& inputs, ValueId place,
                  ValueId chosen);

/// The states of these nodes on a device: the host writes them before a submission and reads log probabilities after
/// it. Used by one thread at a time.
class ChoiceStates {
 public:
  /// For graphs of at most `rows` sequences.
  ChoiceStates(Session& session, std::int64_t vocabulary, std::int64_t rows)
      : session_(session), vocabulary_(vocabulary), rows_(rows) {}

  /// Makes room for choices of such a mode, and gives the sizes of the dimensions that its graph has besides: called
  /// before the graph is prepared. nullptr: a row without a choice.
  Bindings reserve(const ChoiceMode& mode, std::span<const TokenChoice* const> rows);
  /// Writes what the rows' choices say, but for masks, in the mode and sizes that reserve() was called for.
  void write(const ChoiceMode& mode, std::span<const TokenChoice* const> rows);
  /// Masks of all rows, ops::mask_words(vocabulary) each.
  void write_masks(std::span<const std::uint32_t> words);
  /// What a constraint lets come. Throws Error where that is nothing.
  std::vector<std::uint32_t> mask_of(TokenConstraint& constraint) const;
  /// Of the token at place `place` of row `row` of so many, among the last kLogprobPositions.
  TokenLogprobs logprobs(const TokenChoice& choice, std::int64_t row, std::int64_t rows, std::int64_t place);

 private:
  Session& session_;
  std::int64_t vocabulary_;
  std::int64_t rows_;
  std::int64_t list_words_ = 0;
};

}  // namespace heed
