// heed bench of a text model: needs no tokenizer, it feeds token ids.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "heed/error.h"
#include "heed/text.h"
#include "tools/bench_report.h"
#include "tools/output.h"
#include "tools/program.h"

namespace heed::tools {
namespace {

struct BenchResult {
  double load_seconds = 0;
  double startup_seconds = 0;
  double prompt_rate = 0;
  double generated_rate = 0;
};

/// Runs the same work again and again on one model.
class Bench {
 public:
  Bench(TextModel& model, const BenchArguments& arguments) : model_(model), arguments_(arguments) {
    const std::int64_t needed = std::max(arguments.prompt_tokens, start_tokens() + arguments.generated_tokens) + 1;
    if (needed > model.context()) {
      throw Error(fmt::format("-p {}, -n {} and -d {} need a context of {} tokens, but the model has {}; ask for less",
                              arguments.prompt_tokens, arguments.generated_tokens, arguments.depth, needed,
                              model.context()));
    }
    greedy_.sampling.temperature = 0;
    greedy_.ignore_end = true;
  }

  void first_token() {
    greedy_.max_tokens = 1;
    model_.generate(prompt(1), greedy_);
  }

  /// Tokens a second of a prompt.
  double time_prompt() {
    greedy_.max_tokens = 1;
    const Generation made = model_.generate(prompt(arguments_.prompt_tokens), greedy_);
    return static_cast<double>(arguments_.prompt_tokens) / made.prompt_seconds;
  }

  /// Tokens a second of the steps after a prompt that fills the cache to the depth, or of one token.
  double time_generation() {
    // One more, for the first comes with the prompt.
    greedy_.max_tokens = arguments_.generated_tokens + 1;
    const Generation made = model_.generate(prompt(start_tokens()), greedy_);
    return static_cast<double>(arguments_.generated_tokens) / made.generate_seconds;
  }

 private:
  /// Tokens of the prompt before generation, of which there must be one.
  std::int64_t start_tokens() const { return std::max<std::int64_t>(1, arguments_.depth); }

  /// Other ids every time, from the first token on: a prompt that begins like the last one would be taken from the
  /// cache.
  std::vector<std::int32_t> prompt(std::int64_t count) {
    std::vector<std::int32_t> tokens;
    for (std::int64_t i = 0; i < count; ++i) {
      seed_ = seed_ * 6364136223846793005u + 1442695040888963407u;
      tokens.push_back(static_cast<std::int32_t>((seed_ >> 33) % static_cast<std::uint64_t>(model_.vocabulary())));
    }
    return tokens;
  }

  TextModel& model_;
  const BenchArguments& arguments_;
  GenerationOptions greedy_;
  std::uint64_t seed_ = 0;
};

}  // namespace

int bench_text(const ModelFile& file, const BenchArguments& arguments, Clock::time_point start) {
  const Device device = open_device(arguments.device);
  const Clock::time_point loading = Clock::now();
  TextModel model(device, arguments.model, 0, arguments.cache);
  note_cache(arguments.cache, model.cache_type());
  BenchResult result;
  result.load_seconds = seconds_since(loading);
  Bench bench(model, arguments);
  bench.first_token();
  result.startup_seconds = seconds_since(start);

  // Once without the clock: plans are made and recorded for these sizes.
  bench.time_prompt();
  bench.time_generation();
  std::vector<double> prompt_rates;
  std::vector<double> generated_rates;
  for (int i = 0; i < arguments.repeats; ++i) {
    prompt_rates.push_back(bench.time_prompt());
    generated_rates.push_back(bench.time_generation());
  }
  result.prompt_rate = median(prompt_rates);
  result.generated_rate = median(generated_rates);

  const std::uint64_t bytes = model.bytes_per_token();
  const double bandwidth = static_cast<double>(bytes) * result.generated_rate;
  BenchReport report(arguments, file, device, result.load_seconds, result.startup_seconds);
  if (report.wrote_json({{"prompt_tokens_per_second", result.prompt_rate},
                         {"generated_tokens_per_second", result.generated_rate},
                         {"prompt_tokens", arguments.prompt_tokens},
                         {"generated_tokens", arguments.generated_tokens},
                         {"depth", arguments.depth},
                         {"cache", cache_type_name(model.cache_type())},
                         {"bytes_per_token", bytes},
                         {"bandwidth_bytes_per_second", bandwidth},
                         {"dispatches_per_token", model.dispatches_per_token()}}))
    return 0;
  report.line("prompt", fmt::format("{:.1f} tokens/s ({} tokens)", result.prompt_rate, arguments.prompt_tokens));
  report.line("generation",
              fmt::format("{:.1f} tokens/s ({} tokens{})", result.generated_rate, arguments.generated_tokens,
                          arguments.depth > 0 ? fmt::format(", after {}", arguments.depth) : ""));
  report.line("read a token",
              fmt::format("{}, {}/s", format_bytes(bytes), format_bytes(static_cast<std::uint64_t>(bandwidth))));
  report.line("keys and values", std::string(cache_type_name(model.cache_type())));
  report.line("dispatches a token", std::to_string(model.dispatches_per_token()));
  report.line_of_loading();
  report.line("start to first token", fmt::format("{:.3f} s", result.startup_seconds));
  report.line_of_memory();
  std::string profile;
  if (arguments.profile) {
    profile += profile_table(model.profile(1, arguments.depth),
                             arguments.depth > 0 ? fmt::format("a step after {} tokens", arguments.depth) : "a step");
    profile += profile_table(model.profile(arguments.prompt_tokens), "the last run of the prompt");
  }
  report.write(profile);
  return 0;
}

}  // namespace heed::tools
