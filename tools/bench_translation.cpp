// heed bench of a translation model: needs no tokenizer, it feeds token ids.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "heed/error.h"
#include "heed/translate.h"
#include "tools/bench_report.h"
#include "tools/output.h"
#include "tools/program.h"

namespace heed::tools {
namespace {

/// Sentences of as many tokens as asked for, other ones each time.
class RandomSentences {
 public:
  explicit RandomSentences(std::int64_t vocabulary) : vocabulary_(vocabulary) {}

  std::vector<std::vector<std::int32_t>> next(std::int64_t count, std::int64_t tokens) {
    std::vector<std::vector<std::int32_t>> sentences(static_cast<std::size_t>(count));
    for (std::vector<std::int32_t>& sentence : sentences) {
      for (std::int64_t i = 0; i < tokens; ++i) {
        seed_ = seed_ * 6364136223846793005u + 1442695040888963407u;
        sentence.push_back(static_cast<std::int32_t>((seed_ >> 33) % static_cast<std::uint64_t>(vocabulary_)));
      }
    }
    return sentences;
  }

 private:
  std::int64_t vocabulary_;
  std::uint64_t seed_ = 0;
};

}  // namespace

int bench_translation(const ModelFile& file, const BenchArguments& arguments, Clock::time_point start) {
  const Device device = open_device(arguments.device);
  const Clock::time_point loading = Clock::now();
  TranslationModel model(device, arguments.model, arguments.cache);
  note_cache(arguments.cache, model.cache_type());
  const double load_seconds = seconds_since(loading);
  RandomSentences random(file.metadata().at("source_vocabulary").get<std::int64_t>());
  TranslationOptions options;
  options.beams = static_cast<int>(arguments.beams);
  options.batch = arguments.lines;
  options.min_tokens = options.max_tokens = arguments.generated_tokens;
  const auto seconds = [&] {
    const auto sentences = random.next(arguments.lines, arguments.prompt_tokens);
    const Clock::time_point begin = Clock::now();
    model.translate(sentences, options);
    return seconds_since(begin);
  };
  seconds();  // once without the clock: plans are made and recorded for these sizes
  const double startup_seconds = seconds_since(start);
  std::vector<double> times;
  for (int i = 0; i < arguments.repeats; ++i) times.push_back(seconds());
  const double middle = median(times);
  const auto made = static_cast<double>(arguments.lines * arguments.generated_tokens);
  const std::uint64_t bytes = model.bytes_per_step(arguments.lines, arguments.beams);
  const std::size_t dispatches = model.dispatches_per_step(arguments.lines, arguments.beams);
  BenchReport report(arguments, file, device, load_seconds, startup_seconds);
  if (report.wrote_json({{"tokens_per_second", made / middle},
                         {"seconds_per_step", middle / static_cast<double>(arguments.generated_tokens)},
                         {"lines", arguments.lines},
                         {"beams", arguments.beams},
                         {"source_tokens", arguments.prompt_tokens},
                         {"translated_tokens", arguments.generated_tokens},
                         {"cache", cache_type_name(model.cache_type())},
                         {"bytes_per_step", bytes},
                         {"dispatches_per_step", dispatches}}))
    return 0;
  report.line("translation",
              fmt::format("{:.1f} tokens/s ({} lines of {} tokens into {}, {} beams)", made / middle, arguments.lines,
                          arguments.prompt_tokens, arguments.generated_tokens, arguments.beams));
  report.line("a step, encoding shared",
              fmt::format("{:.2f} ms", middle / static_cast<double>(arguments.generated_tokens) * 1e3));
  report.line("read a step", format_bytes(bytes));
  report.line("keys and values", std::string(cache_type_name(model.cache_type())));
  report.line("dispatches a step", std::to_string(dispatches));
  report.line_of_loading();
  report.line_of_memory();
  std::string profile;
  if (arguments.profile) {
    profile += profile_table(model.profile(arguments.lines, arguments.beams, arguments.prompt_tokens), "a step");
  }
  report.write(profile);
  return 0;
}

}  // namespace heed::tools
