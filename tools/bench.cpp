// heed bench: how fast a model runs, and what memory it takes.
#include "tools/bench.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>

#include <algorithm>
#include <map>
#include <memory>
#include <tuple>

#include "heed/error.h"
#include "tools/output.h"
#include "tools/program.h"

namespace heed::tools {

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

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

namespace {

/// Throws Error for an option that the work does not read.
void refuse_unread(const BenchArguments& arguments, std::string_view work,
                   std::initializer_list<std::string_view> read) {
  for (const std::string& option : arguments.given) {
    if (std::ranges::find(read, option) != read.end()) continue;
    throw Error(fmt::format("{} says nothing of {}, which reads {}", option, work, fmt::join(read, ", ")));
  }
}

int run_bench(const BenchArguments& arguments, Clock::time_point start) {
  if (arguments.kernels) return bench_kernels(arguments);
  if (arguments.model.empty()) throw Error("bench needs a MODEL, or --kernels");
  const ModelFile file = ModelFile::open(arguments.model);
  const auto task = file.metadata().find("task");
  const std::string named = task != file.metadata().end() && task->is_string() ? task->get<std::string>() : "";
  const bool whole = arguments.graph.empty() && arguments.binds.empty();
  if (whole && named == "text-generation") {
    refuse_unread(arguments, "a text model", {"-p", "-n", "--depth", "--cache", "--profile"});
    return bench_text(file, arguments, start);
  }
  if (whole && named == "translation") {
    refuse_unread(arguments, "a translation model", {"-p", "-n", "--lines", "--beam", "--cache", "--profile"});
    return bench_translation(file, arguments, start);
  }
  if (whole && named == "text-to-image") {
    refuse_unread(arguments, "a model that draws what a text says", {"--profile"});
    return bench_pictures(file, arguments, start);
  }
  refuse_unread(arguments, whole && named == "sound" ? "a sound model" : "a graph", {"--graph", "--bind", "--profile"});
  if (whole && named == "sound" && !arguments.profile) return bench_sound(file, arguments, start);
  return bench_graph(file, arguments, start);
}

}  // namespace

void add_bench(Program& program) {
  CLI::App* verb = program.app.add_subcommand("bench", "Measure the speed and memory of a model");
  verb->footer(
      "Speeds are medians. Of a text model, generation starts after a prompt of one token, or -d; 'start to first "
      "token'\n"
      "counts from the start of the program, for a prompt of one token. A translation model translates --lines of\n"
      "-p random tokens into -n each. A model that draws a text draws one picture, with the guidance that it says; a "
      "sound model makes sound. Of other models, and with --graph or --bind, "
      "a\n"
      "graph runs on random numbers; flops are those of convolutions and products, two for each multiplication and\n"
      "addition. The dimension 'batch' is 1 where --bind does not say otherwise.\n"
      "Examples:\n"
      "  heed bench stories.heed -p 64 -n 16 --json\n"
      "  heed bench rfdn.heed --bind height=128 --bind width=128 --profile\n"
      "  heed bench --kernels --only linear --only q4_0");
  auto arguments = std::make_shared<BenchArguments>();
  CLI::Option* model = verb->add_option("MODEL", arguments->model, "A .heed file");
  CLI::Option* prompt = verb->add_option("-p", arguments->prompt_tokens, "Tokens of the prompt")
                            ->capture_default_str()
                            ->transform(integers(1, INT32_MAX))
                            ->type_name("N");
  CLI::Option* generated = verb->add_option("-n", arguments->generated_tokens, "Tokens to generate")
                               ->capture_default_str()
                               ->transform(integers(1, INT32_MAX))
                               ->type_name("N");
  CLI::Option* depth =
      verb->add_option("-d,--depth", arguments->depth, "Tokens that a text model has in its cache before it generates")
          ->capture_default_str()
          ->transform(integers(0, INT32_MAX))
          ->type_name("N");
  CLI::Option* lines = verb->add_option("--lines", arguments->lines, "Lines that are translated together")
                           ->capture_default_str()
                           ->transform(integers(1, 64))
                           ->type_name("N");
  CLI::Option* beams = verb->add_option("--beam", arguments->beams, "Beams of each line")
                           ->capture_default_str()
                           ->transform(integers(1, 32))
                           ->type_name("N");
  CLI::Option* graph =
      verb->add_option("--graph", arguments->graph, "Which graph (default: the model's main one)")->type_name("NAME");
  CLI::Option* binds = verb->add_option("--bind", arguments->binds, "The size of a named dimension; repeatable")
                           ->type_name("DIM=N")
                           ->allow_extra_args(false);
  verb->add_option("-r,--repeats", arguments->repeats, "How often to measure")
      ->capture_default_str()
      ->transform(integers(1, 1000000))
      ->type_name("N");
  CLI::Option* json = verb->add_flag("--json", arguments->json, "Print JSON");
  CLI::Option* profile =
      verb->add_flag("--profile", arguments->profile, "Show which kernels take the time")->excludes(json);
  CLI::Option* cache = add_cache_option(*verb, arguments->cache);
  CLI::Option* kernels = verb->add_flag("--kernels", arguments->kernels,
                                        "Measure single kernels, at the sizes of a 7B model, instead of a model");
  const std::vector<CLI::Option*> of_some_models = {prompt, generated, depth,   lines, beams,
                                                    graph,  binds,     profile, cache};
  for (CLI::Option* of_models : of_some_models) kernels->excludes(of_models);
  kernels->excludes(model);
  CLI::Option* only = verb->add_option("--only", arguments->only, "Kernels whose line has this word in it; repeatable")
                          ->type_name("WORD")
                          ->allow_extra_args(false)
                          ->needs(kernels);
  add_device_option(*verb, arguments->device);
  verb->callback([&program, arguments, binds, only, of_some_models] {
    for (const CLI::Option* option : of_some_models) {
      if (option->count() > 0) arguments->given.push_back(option->get_name());
    }
    arguments->binds = binds->results();
    arguments->only = only->results();
    program.run = [arguments, start = program.start] { return run_bench(*arguments, start); };
  });
}

}  // namespace heed::tools
