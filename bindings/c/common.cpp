#include "bindings/c/common.h"

#include "heed/model.h"

namespace heed::c {

std::vector<std::string> texts_of(const char* const* texts, std::size_t count, const char* what) {
  std::vector<std::string> list;
  for (const char* text : list_of(texts, count, what)) {
    need(text, what);
    list.emplace_back(text);
  }
  return list;
}

template <>
struct Described<heed_sampling_options> {
  static constexpr const char* kName = "heed_sampling_options";
  static constexpr std::size_t kSmallest = HEED_SMALLEST(heed_sampling_options, penalty_window);
  static heed_sampling_options defaults() {
    const SamplingOptions sampling;
    heed_sampling_options options{};
    options.temperature = sampling.temperature;
    options.top_p = sampling.top_p;
    options.min_p = sampling.min_p;
    options.repetition_penalty = sampling.repetition_penalty;
    options.seed = sampling.seed;
    options.top_k = sampling.top_k;
    options.penalty_window = sampling.penalty_window;
    options.presence_penalty = sampling.presence_penalty;
    options.frequency_penalty = sampling.frequency_penalty;
    options.typical_p = sampling.typical_p;
    options.xtc_probability = sampling.xtc_probability;
    options.xtc_threshold = sampling.xtc_threshold;
    options.dry_multiplier = sampling.dry_multiplier;
    options.dry_base = sampling.dry_base;
    options.dry_allowed_length = sampling.dry_allowed_length;
    options.dry_window = sampling.dry_window;
    options.no_repeat_ngram = sampling.no_repeat_ngram;
    return options;
  }
};

SamplingOptions sampling_of(const heed_sampling_options* given) {
  const heed_sampling_options options = read_options(given);
  SamplingOptions sampling;
  sampling.temperature = options.temperature;
  sampling.top_p = options.top_p;
  sampling.min_p = options.min_p;
  sampling.repetition_penalty = options.repetition_penalty;
  sampling.seed = options.seed;
  sampling.top_k = options.top_k;
  sampling.penalty_window = options.penalty_window;
  sampling.presence_penalty = options.presence_penalty;
  sampling.frequency_penalty = options.frequency_penalty;
  sampling.typical_p = options.typical_p;
  sampling.xtc_probability = options.xtc_probability;
  sampling.xtc_threshold = options.xtc_threshold;
  sampling.dry_multiplier = options.dry_multiplier;
  sampling.dry_base = options.dry_base;
  sampling.dry_allowed_length = options.dry_allowed_length;
  sampling.dry_window = options.dry_window;
  sampling.no_repeat_ngram = options.no_repeat_ngram;
  sampling.dry_breakers = list_of(options.dry_breakers, options.dry_breaker_count, "dry_breakers");
  const auto tokens = list_of(options.logit_bias_tokens, options.logit_bias_count, "logit_bias_tokens");
  const auto biases = list_of(options.logit_biases, options.logit_bias_count, "logit_biases");
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (!sampling.logit_bias.emplace(tokens[i], biases[i]).second) {
      throw InvalidArgument(fmt::format("logit_bias_tokens: token {} is given twice", tokens[i]));
    }
  }
  return sampling;
}

}  // namespace heed::c

using namespace heed;
using namespace heed::c;

extern "C" {

const char* heed_version(void) { return HEED_VERSION; }
int32_t heed_abi_version(void) { return HEED_ABI_VERSION; }

heed_status heed_sampling_options_init(heed_sampling_options* options, size_t size) {
  return init_options(options, size);
}

heed_status heed_file_task(const char* file, const heed_text** task) {
  return guarded([&] {
    clear_out(task, "the place for the task");
    need(file, "the file's name");
    give(task, std::make_unique<TextResult>(task_of(file)));
  });
}
}
