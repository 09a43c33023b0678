// heed bench of any graph: runs it on random numbers.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>

#include "heed/error.h"
#include "ops/op.h"
#include "planner/infer.h"
#include "runtime/session.h"
#include "tools/bench_report.h"
#include "tools/graph_arguments.h"
#include "tools/output.h"
#include "tools/program.h"
#include "tools/smaller_sizes.h"

namespace heed::tools {
namespace {

constexpr double kShortestMeasurement = 0.2;  // seconds; runs that are shorter are timed together
constexpr int kProfileRepeats = 9;

/// A batch of one where the graph has batches and --bind does not say otherwise.
Bindings one_picture(const Graph& graph, const std::vector<std::string>& binds) {
  Bindings dims;
  if (std::ranges::any_of(binds, [](const std::string& bind) { return bind.starts_with("batch="); })) return dims;
  for (const ValueId id : graph.inputs) {
    for (const Dim& dim : graph.value(id).shape) {
      if (dim.name == "batch") dims["batch"] = 1;
    }
  }
  return dims;
}

/// Reals between 0 and 1, as pictures have them; integers 0, which every table has a row for.
void fill_inputs(Session& session, const Graph& graph, const Bindings& dims) {
  std::mt19937 engine(1);
  for (const ValueId id : graph.inputs) {
    const Value& input = graph.value(id);
    if (!session.has(input.name)) continue;
    const auto count = static_cast<std::size_t>(element_count(bind(input.shape, dims)));
    std::vector<float> values(count, 0.0f);
    if (is_floating(input.dtype)) {
      for (float& value : values) value = static_cast<float>(engine()) / 4294967296.0f;
    }
    session.write(input.name, std::as_bytes(std::span(values)));
  }
}

/// Seconds of a run: the median of `repeats` measurements.
double time_runs(Session& session, Executable& executable, int repeats) {
  const auto time = [&](int runs) {
    const Clock::time_point begin = Clock::now();
    for (int i = 0; i < runs; ++i) session.run(executable);
    return seconds_since(begin) / runs;
  };
  const int runs = std::clamp(static_cast<int>(kShortestMeasurement / std::max(time(1), 1e-6)), 1, 10000);
  std::vector<double> seconds;
  for (int i = 0; i < repeats; ++i) seconds.push_back(time(runs));
  return median(std::move(seconds));
}

}  // namespace

int bench_graph(const ModelFile& file, const BenchArguments& arguments, Clock::time_point start) {
  const Graph& graph = choose_graph(file, arguments.graph);
  validate(graph, ops::is_op);
  if (const std::vector<ValueId> needed = inputs_to_fix(graph); !needed.empty()) {
    throw Error(fmt::format("graph '{}': sizes depend on the numbers in input '{}', which bench does not know",
                            graph.name, graph.value(needed.front()).name));
  }
  const Bindings dims = bind_dims(file, graph, arguments.binds, one_picture(graph, arguments.binds));
  const std::vector<TensorType> types = infer_all(graph, dims);
  if (!graph.outputs.empty() && std::ranges::all_of(graph.outputs, [&](ValueId id) {
        return element_count(types[static_cast<std::size_t>(id)].shape) == 0;
      })) {
    throw Error(
        fmt::format("graph '{}': its outputs are empty with these sizes; there is nothing to measure", graph.name));
  }

  const Device device = open_device(arguments.device);
  const Clock::time_point loading = Clock::now();
  const FileWeights source(file);
  WeightStore weights(device.gpu(), source);
  Session session(device.gpu(), weights);
  Executable& executable = prepare(session, file, graph, dims, device.gpu());
  const double load_seconds = seconds_since(loading);
  fill_inputs(session, graph, dims);
  session.run(executable);
  const double startup_seconds = seconds_since(start);

  const double seconds = time_runs(session, executable, arguments.repeats);
  const auto flops = static_cast<double>(executable.plan().flops());
  const std::size_t dispatches = executable.plan().dispatches.size();
  BenchReport report(arguments, file, device, load_seconds, startup_seconds);
  nlohmann::json bound = nlohmann::json::object();
  for (const auto& [name, size] : dims) bound[name] = size;
  if (report.wrote_json({{"run_seconds", seconds},
                         {"runs_per_second", 1.0 / seconds},
                         {"flops", flops},
                         {"flops_per_second", flops / seconds},
                         {"dispatches", dispatches},
                         {"graph", graph.name},
                         {"sizes", bound}}))
    return 0;
  std::vector<std::string> sizes;
  for (const auto& [name, size] : dims) sizes.push_back(fmt::format("{}={}", name, size));
  report.line("graph", fmt::format("{} {}", graph.name, fmt::join(sizes, " ")));
  report.line("a run", fmt::format("{:.2f} ms, {:.1f} runs/s", seconds * 1e3, 1.0 / seconds));
  report.line("work", fmt::format("{:.3f} GFLOP, {:.1f} GFLOP/s", flops * 1e-9, flops * 1e-9 / seconds));
  report.line("dispatches", std::to_string(dispatches));
  report.line_of_loading();
  report.line("start to first result", fmt::format("{:.3f} s", startup_seconds));
  report.line_of_memory();
  std::string profile;
  if (arguments.profile) {
    profile += profile_table(session.time_dispatches(executable, kProfileRepeats, [] {}), "a run");
  }
  report.write(profile);
  return 0;
}

}  // namespace heed::tools
