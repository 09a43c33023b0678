#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "heed/text.h"

namespace heed::tools {

/// The options of a verb that draws tokens.
struct SamplingArguments {
  SamplingOptions sampling;
  std::vector<const CLI::Option*> options;  // as add_sampling_options() made them
  const CLI::Option* seed = nullptr;
  // Of add_text_sampling_options(). What counts are their results(), as typed: "[a]" is a text, not a list.
  const CLI::Option* bias = nullptr;
  const CLI::Option* breaker = nullptr;
  std::vector<std::string> biases, breakers;

  /// The first of them that was given; nullptr where none was.
  const CLI::Option* given() const;
  /// A seed of its own for a run that was given none: 32 bits, which are enough to choose from and short enough to type
  /// again.
  void choose_seed();
  /// Options that say what a model's tokens are: those of --logit-bias, and the breakers of DRY. Throws Error naming
  /// the option whose text is no number, or not one token of the model.
  void resolve_tokens(const TextModel& model, SamplingOptions& into) const;
};

/// Adds --temperature, --top-k, --top-p, --min-p, --repetition-penalty and --seed.
void add_sampling_options(CLI::App& verb, SamplingArguments& arguments);
/// Adds these, and what text generation alone has: --penalty-window, --presence-penalty, --frequency-penalty,
/// --typical-p, --logit-bias, --no-repeat-ngram, --xtc-* and --dry-*. Gives those that are repeatable.
std::vector<const CLI::Option*> add_text_sampling_options(CLI::App& verb, SamplingArguments& arguments);

}  // namespace heed::tools
