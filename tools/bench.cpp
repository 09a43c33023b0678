// heed bench: how fast a text model runs. Needs no tokenizer: it feeds token ids.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <tuple>

#include "file/model_file.h"
#include "heed/error.h"
#include "heed/text.h"
#include "tools/output.h"
#include "tools/program.h"

namespace heed::tools {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

struct BenchArguments {
  std::string model;
  std::string device;
  std::int64_t prompt_tokens = 64;
  std::int64_t generated_tokens = 16;
  int repeats = 3;
  bool json = false;
  bool profile = false;
};

struct BenchResult {
  double load_seconds = 0;
  double startup_seconds = 0;
  double prompt_rate = 0;
  double generated_rate = 0;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

/// The type that most elements of the matrices have (not bytes: a few that stay f32 outweigh many that are quantised);
/// of all tensors where there is no matrix.
std::string main_type(const ModelFile& file) {
  const std::vector<TensorInfo>& tensors = file.header().tensors;
  const auto is_matrix = [](const TensorInfo& tensor) { return tensor.shape.size() == 2; };
  const bool has_matrix = std::any_of(tensors.begin(), tensors.end(), is_matrix);
  std::map<DType, std::int64_t> elements;
  for (const TensorInfo& tensor : tensors) {
    if (is_matrix(tensor) || !has_matrix) elements[tensor.dtype] += element_count(tensor.shape);
  }
  if (elements.empty()) return "none";
  const auto most = std::max_element(elements.begin(), elements.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return std::string(dtype_name(most->first));
}

std::uint64_t peak_memory() {
  rusage usage = {};
  if (getrusage(RUSAGE_SELF, &usage) != 0) throw Error("getrusage failed: peak memory is not known");
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;  // kilobytes on Linux
}

/// Runs the same work again and again on one model.
class Bench {
 public:
  Bench(TextModel& model, const BenchArguments& arguments) : model_(model), arguments_(arguments) {
    const std::int64_t needed = std::max(arguments.prompt_tokens, arguments.generated_tokens + 1) + 1;
    if (needed > model.context()) {
      throw Error(fmt::format("-p {} and -n {} need a context of {} tokens, but the model has {}; ask for less",
                              arguments.prompt_tokens, arguments.generated_tokens, needed, model.context()));
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

  /// Tokens a second of the steps after a prompt of one token.
  double time_generation() {
    // One more, for the first comes with the prompt.
    greedy_.max_tokens = arguments_.generated_tokens + 1;
    return static_cast<double>(arguments_.generated_tokens) / model_.generate(prompt(1), greedy_).generate_seconds;
  }

 private:
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

/// A table of the dispatches that take longest, those of equal kernels and work taken together.
std::string profile_table(const std::vector<DispatchTime>& times, const std::string& heading) {
  struct Sum {
    std::string label;
    int count = 0;
    double seconds = 0;
    std::uint64_t bytes = 0;
    std::uint64_t flops = 0;
  };
  std::map<std::tuple<std::string, std::uint64_t, std::uint64_t>, Sum> sums;
  double total = 0;
  for (const DispatchTime& time : times) {
    Sum& sum = sums[{time.kernel, time.bytes, time.flops}];
    if (sum.count++ == 0) sum.label = time.label;
    sum.seconds += time.seconds;
    sum.bytes += time.bytes;
    sum.flops += time.flops;
    total += time.seconds;
  }
  std::vector<std::pair<std::string, Sum>> rows;
  for (const auto& [key, sum] : sums) rows.emplace_back(std::get<0>(key), sum);
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.second.seconds > b.second.seconds; });
  using enum Table::Align;
  Table table({Left, Left, Right, Right, Right, Right, Right});
  table.add({"kernel", "first node", "times", "microseconds", "share", "GB/s", "GFLOP/s"});
  for (const auto& row : rows) {
    const auto& kernel = row.first;
    const Sum& sum = row.second;  // no structured binding: clang 14 captures none in a lambda
    const auto rate = [&](std::uint64_t amount) {
      return amount == 0 ? std::string("-") : fmt::format("{:.1f}", static_cast<double>(amount) * 1e-9 / sum.seconds);
    };
    table.add({kernel, sum.label, std::to_string(sum.count), fmt::format("{:.1f}", sum.seconds * 1e6),
               fmt::format("{:.1f} %", 100 * sum.seconds / total), rate(sum.bytes), rate(sum.flops)});
  }
  return fmt::format("\n{}: {} dispatches, {:.1f} microseconds\n{}", heading, times.size(), total * 1e6, table.text());
}

int run_bench(const BenchArguments& arguments, Clock::time_point start) {
  const Device device = open_device(arguments.device);
  const Clock::time_point loading = Clock::now();
  TextModel model(device, arguments.model);
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
  const std::uint64_t memory = peak_memory();
  const std::string type = main_type(ModelFile::open(arguments.model));
  if (arguments.json) {
    write_output(json_text({{"prompt_tokens_per_second", result.prompt_rate},
                            {"generated_tokens_per_second", result.generated_rate},
                            {"prompt_tokens", arguments.prompt_tokens},
                            {"generated_tokens", arguments.generated_tokens},
                            {"repeats", arguments.repeats},
                            {"bytes_per_token", bytes},
                            {"bandwidth_bytes_per_second", bandwidth},
                            {"dispatches_per_token", model.dispatches_per_token()},
                            {"load_seconds", result.load_seconds},
                            {"startup_seconds", result.startup_seconds},
                            {"peak_memory_bytes", memory},
                            {"device", device.info().name},
                            {"driver", device.info().driver},
                            {"model", arguments.model},
                            {"type", type}},
                           2) +
                 "\n");
    return 0;
  }
  std::string text = fmt::format("{}, {}, {}\n", arguments.model, type, device.info().name);
  const auto line = [&](const char* what, const std::string& value) { text += fmt::format("{:<24}{}\n", what, value); };
  line("prompt", fmt::format("{:.1f} tokens/s ({} tokens)", result.prompt_rate, arguments.prompt_tokens));
  line("generation", fmt::format("{:.1f} tokens/s ({} tokens)", result.generated_rate, arguments.generated_tokens));
  line("read a token",
       fmt::format("{}, {}/s", format_bytes(bytes), format_bytes(static_cast<std::uint64_t>(bandwidth))));
  line("dispatches a token", std::to_string(model.dispatches_per_token()));
  line("loading", fmt::format("{:.3f} s", result.load_seconds));
  line("start to first token", fmt::format("{:.3f} s", result.startup_seconds));
  line("peak memory", format_bytes(memory));
  if (arguments.profile) {
    text += profile_table(model.profile(1), "a step");
    text += profile_table(model.profile(arguments.prompt_tokens), "the last run of the prompt");
  }
  write_output(text);
  return 0;
}

}  // namespace

void add_bench(Program& program) {
  CLI::App* verb = program.app.add_subcommand("bench", "Measure the speed and memory of a text model");
  verb->footer(
      "Speeds are medians. Generation starts after a prompt of one token. 'start to first token' counts from the "
      "start\n"
      "of the program, for a prompt of one token.\n"
      "Example:\n  heed bench stories.heed -p 64 -n 16 --json");
  auto arguments = std::make_shared<BenchArguments>();
  verb->add_option("MODEL", arguments->model, "A .heed file")->required();
  verb->add_option("-p", arguments->prompt_tokens, "Tokens of the prompt")
      ->capture_default_str()
      ->transform(integers(1, INT32_MAX))
      ->type_name("N");
  verb->add_option("-n", arguments->generated_tokens, "Tokens to generate")
      ->capture_default_str()
      ->transform(integers(1, INT32_MAX))
      ->type_name("N");
  verb->add_option("-r,--repeats", arguments->repeats, "How often to measure")
      ->capture_default_str()
      ->transform(integers(1, 1000000))
      ->type_name("N");
  CLI::Option* json = verb->add_flag("--json", arguments->json, "Print JSON");
  verb->add_flag("--profile", arguments->profile, "Show which kernels take the time")->excludes(json);
  add_device_option(*verb, arguments->device);
  verb->callback([&program, arguments] {
    program.run = [arguments, start = program.start] { return run_bench(*arguments, start); };
  });
}

}  // namespace heed::tools
