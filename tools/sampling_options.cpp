#include "tools/sampling_options.h"

#include <algorithm>
#include <cstdint>
#include <random>

#include "tools/program.h"

namespace heed::tools {

const CLI::Option* SamplingArguments::given() const {
  const auto found = std::ranges::find_if(options, [](const CLI::Option* option) { return option->count() > 0; });
  return found == options.end() ? nullptr : *found;
}

void SamplingArguments::choose_seed() {
  if (seed->count() == 0) sampling.seed = std::random_device()();
}

void add_sampling_options(CLI::App& verb, SamplingArguments& arguments) {
  SamplingOptions& sampling = arguments.sampling;
  arguments.seed =
      verb.add_option("--seed", sampling.seed, "The same seed gives the same text (default: random, told at the end)")
          ->transform(integers(0, UINT64_MAX))
          ->type_name("SEED");
  arguments.options = {
      verb.add_option("--temperature", sampling.temperature, "0 takes the most probable token, always")
          ->capture_default_str()
          ->type_name("T"),
      verb.add_option("--top-k", sampling.top_k, "Only the K most probable tokens; 0 for all")
          ->capture_default_str()
          ->type_name("K"),
      verb.add_option("--top-p", sampling.top_p, "Only the most probable tokens that sum to P; 1 for all")
          ->capture_default_str()
          ->type_name("P"),
      verb.add_option("--min-p", sampling.min_p, "Only tokens with P times the probability of the best; 0 for all")
          ->capture_default_str()
          ->type_name("P"),
      verb.add_option("--repetition-penalty", sampling.repetition_penalty,
                      "Above 1 disfavours tokens that were there; 1 for none")
          ->capture_default_str()
          ->type_name("R"),
      arguments.seed};
}

}  // namespace heed::tools
