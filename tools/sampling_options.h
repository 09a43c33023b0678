#pragma once

#include <CLI/CLI.hpp>
#include <vector>

#include "heed/text.h"

namespace heed::tools {

/// The options of a verb that draws tokens.
struct SamplingArguments {
  SamplingOptions sampling;
  std::vector<const CLI::Option*> options;  // as add_sampling_options() made them
  const CLI::Option* seed = nullptr;

  /// The first of them that was given; nullptr where none was.
  const CLI::Option* given() const;
  /// A seed of its own for a run that was given none: 32 bits, which are enough to choose from and short enough to type
  /// again.
  void choose_seed();
};

/// Adds --temperature, --top-k, --top-p, --min-p, --repetition-penalty and --seed.
void add_sampling_options(CLI::App& verb, SamplingArguments& arguments);

}  // namespace heed::tools
