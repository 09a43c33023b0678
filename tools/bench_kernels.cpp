// heed bench --kernels: single kernels on made-up weights of the sizes that 7B models, and networks of pictures, have,
// by the device's clock.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <tuple>
#include <utility>

#include "graph/convert_dtype.h"
#include "heed/error.h"
#include "ops/sample.h"
#include "planner/make_plan.h"
#include "runtime/session.h"
#include "tools/bench.h"
#include "tools/output.h"
#include "tools/program.h"

namespace heed::tools {
namespace {

constexpr double kWarmUp = 0.1;                 // seconds: an idle GPU runs at a fraction of its clock
constexpr std::uint64_t kBeyondCaches = 256e6;  // bytes that are gone through before any is read again
constexpr std::int64_t kWidth = 4096;
constexpr std::int64_t kHeadWidth = 128;
constexpr std::int64_t kContext = 4096;

/// Weights that repeat some random numbers: of real ones they have the cost, and no NaN.
class RepeatedWeights : public WeightBytes {
 public:
  explicit RepeatedWeights(const Graph& graph) {
    for (const Value& value : graph.values) {
      if (value.kind == ValueKind::Weight) types_[value.name] = {value.dtype, bind(value.shape, {})};
    }
    std::mt19937 engine(1);
    std::vector<float> numbers(1 << 16);
    for (float& number : numbers) number = static_cast<float>(engine()) / 4294967296.0f - 0.5f;
    for (const auto& [name, type] : types_) {
      std::vector<std::byte>& pattern = patterns_[type.dtype];
      if (!pattern.empty()) continue;
      pattern.resize(byte_size(type.dtype, {static_cast<std::int64_t>(numbers.size())}));
      encode_from_f32(type.dtype, numbers, pattern);
    }
  }
  TensorType type(const std::string& tensor) const override { return types_.at(tensor); }
  void read(const std::string& tensor, std::uint64_t begin, std::span<std::byte> out) const override {
    const std::vector<std::byte>& pattern = patterns_.at(types_.at(tensor).dtype);
    for (std::size_t done = 0; done < out.size();) {
      const std::size_t from = static_cast<std::size_t>(begin + done) % pattern.size();
      const std::size_t count = std::min(out.size() - done, pattern.size() - from);
      std::memcpy(out.data() + done, pattern.data() + from, count);
      done += count;
    }
  }
  bool checksum(const std::string&, std::uint64_t&) const override { return false; }
  std::string origin() const override { return "memory"; }

 private:
  std::map<std::string, TensorType> types_;
  std::map<DType, std::vector<std::byte>> patterns_;
};

/// What is measured: `copies` of the same work on memory of their own.
struct Problem {
  std::string work;
  std::string type;
  std::int64_t rows = 1;
  std::int64_t copies = 1;
  std::uint64_t bytes = 0;  // that one of them must read and write at least; 0: what its plan says
  Graph graph = {};
  std::function<void(Session&)> before_each = [](Session&) {};
};

struct Measured {
  std::vector<std::string> kernels;
  double seconds = 0;  // of one copy
  std::uint64_t bytes = 0;
  std::uint64_t flops = 0;
  std::size_t dispatches = 0;
};

/// Reads and writes as much as a binding holds: the bandwidth that there is.
Problem copy_problem(const DeviceCaps& caps) {
  const auto most = std::min(caps.max_storage_buffer_range, kBeyondCaches) / 4 / 1024 * 1024;
  GraphBuilder b("copy");
  b.output(b.add("neg", "copy", {b.input("x", DType::F32, {static_cast<std::int64_t>(most)})}), "y");
  return {.work = "copy", .type = "f32", .rows = 1, .copies = 1, .bytes = 8 * most, .graph = std::move(b).finish()};
}

Problem product_problem(DType dtype, std::int64_t outputs, std::int64_t rows) {
  Problem problem{
      .work = fmt::format("linear {}x{}", outputs, kWidth), .type = std::string(dtype_name(dtype)), .rows = rows};
  // Of many rows arithmetic is what counts.
  const std::uint64_t each = byte_size(dtype, {outputs, kWidth});
  if (rows <= 8) problem.copies = static_cast<std::int64_t>(std::max<std::uint64_t>(1, kBeyondCaches / each));
  GraphBuilder b("products");
  const ValueId x = b.input("x", DType::F32, {rows, kWidth});
  for (std::int64_t i = 0; i < problem.copies; ++i) {
    const std::string name = fmt::format("{}", i);
    const ValueId w = b.weight("w" + name, dtype, {outputs, kWidth});
    // As steps of a few texts say it.
    Attributes attributes;
    if (rows > 1 && rows <= 8) attributes.set("most_rows", std::int64_t{8});
    b.output(b.add("linear", name, {x, w}, attributes), "y" + name);
  }
  problem.graph = std::move(b).finish();
  return problem;
}

/// A step of generation, or the last piece of a prompt, whose cache is full, and by head, as texts have it.
Problem attention_problem(std::int64_t kv_heads, DType dtype, std::int64_t tokens) {
  Problem problem{.work = fmt::format("attention {} heads on {}, {} keys", kWidth / kHeadWidth, kv_heads, kContext),
                  .type = std::string(dtype_name(dtype)),
                  .rows = tokens};
  const std::int64_t width = kv_heads * kHeadWidth;
  const auto cache_bytes = static_cast<std::int64_t>(2 * byte_size(dtype, {kContext, width}));
  // Of many rows arithmetic is what counts.
  if (tokens == 1) problem.copies = std::max<std::int64_t>(1, static_cast<std::int64_t>(kBeyondCaches) / cache_bytes);
  GraphBuilder b("attention");
  const ValueId q = b.input("q", DType::F32, {tokens, kWidth});
  const ValueId k = b.input("k", DType::F32, {tokens, width});
  const ValueId position =
      b.add("cast", "position", {b.integers("first", {kContext - tokens})}, {{"to", std::string("i32")}});
  for (std::int64_t i = 0; i < problem.copies; ++i) {
    const std::string name = fmt::format("{}", i);
    const ValueId keys = b.state("keys" + name, dtype, {kContext, width});
    const ValueId values = b.state("values" + name, dtype, {kContext, width});
    b.output(b.add("attention", name, {q, k, k, kNoValue, keys, values, position},
                   {{"heads", kWidth / kHeadWidth},
                    {"kv_heads", kv_heads},
                    {"causal", std::int64_t{1}},
                    {"by_head", std::int64_t{1}}}),
             "y" + name);
  }
  problem.graph = std::move(b).finish();
  return problem;
}

/// Of as many channels as it makes, with padding around it.
Problem conv_problem(std::int64_t channels, std::int64_t kernel, std::int64_t size) {
  const std::int64_t tensor_bytes = channels * size * size * 4;
  Problem problem{.work = fmt::format("conv {}x{} of {} channels, {}x{}", kernel, kernel, channels, size, size),
                  .type = "f32",
                  .bytes = static_cast<std::uint64_t>(2 * tensor_bytes + channels * channels * kernel * kernel * 4)};
  GraphBuilder b("convolution");
  const ValueId x = b.input("x", DType::F32, {1, channels, size, size});
  const ValueId w = b.weight("w", DType::F32, {channels, channels, kernel, kernel});
  b.output(b.add("conv", "conv", {x, w}, {{"pads", std::vector<std::int64_t>(4, kernel / 2)}}), "y");
  problem.graph = std::move(b).finish();
  return problem;
}

Problem sample_problem(std::int64_t vocabulary, bool greedy) {
  Problem problem{.work = fmt::format("sample {} of {}", greedy ? "the largest" : "top-k 40, top-p 0.95", vocabulary),
                  .type = "f32",
                  .bytes = static_cast<std::uint64_t>(vocabulary) * 4};
  GraphBuilder b("sample");
  Attributes attributes{{"rows", std::string("tokens")}};
  if (greedy) attributes.set("greedy", std::int64_t{1});
  const ValueId chosen =
      b.add("sample", "sample",
            {b.input("logits", DType::F32, {1, vocabulary}), b.state("tokens", DType::I32, {"tokens"}),
             b.state("position", DType::I32, {1}), b.state("history", DType::I32, {kContext}),
             b.state("sampler", DType::I32, {ops::kSamplerWords})},
            attributes);
  b.output(chosen, "token");
  problem.graph = std::move(b).finish();
  problem.before_each = [](Session& session) {
    const ops::SamplerState state{.seed_low = 1, .temperature = 0.8f, .top_k = 40, .top_p = 0.95f};
    session.write("sampler", std::as_bytes(std::span(&state, 1)));
    session.clear("position");
  };
  return problem;
}

/// Random numbers in every floating input.
void fill_inputs(Session& session, const Graph& graph) {
  std::mt19937 engine(2);
  for (const ValueId id : graph.inputs) {
    const Value& input = graph.value(id);
    if (!session.has(input.name) || !is_floating(input.dtype)) continue;
    std::vector<float> values(static_cast<std::size_t>(element_count(bind(input.shape, {}))));
    for (float& value : values) value = static_cast<float>(engine()) / 4294967296.0f * 8.0f - 4.0f;
    session.write(input.name, std::as_bytes(std::span(values)));
  }
}

Measured measure(Gpu& gpu, const Problem& problem, int repeats) {
  const RepeatedWeights source(problem.graph);
  WeightStore weights(gpu, source);
  Session session(gpu, weights);
  const auto executable = session.prepare(make_plan(problem.graph, {{"tokens", 1}}, gpu.caps(), gpu.tuning()));
  fill_inputs(session, problem.graph);
  const Clock::time_point begin = Clock::now();
  do {
    problem.before_each(session);
    session.run(*executable);
  } while (seconds_since(begin) < kWarmUp);
  Measured result;
  for (const DispatchTime& time :
       session.time_dispatches(*executable, repeats, [&] { problem.before_each(session); })) {
    result.seconds += time.seconds;
    if (std::ranges::find(result.kernels, time.kernel) == result.kernels.end()) result.kernels.push_back(time.kernel);
  }
  for (const Dispatch& d : executable->plan().dispatches) {
    result.bytes += d.bytes + d.bytes_a_key * (d.most_keys - d.first_key);
    result.flops += d.flops + d.flops_a_key * (d.most_keys - d.fewest_keys);
  }
  const auto copies = static_cast<std::uint64_t>(problem.copies);
  result.seconds /= static_cast<double>(copies);
  result.bytes = problem.bytes > 0 ? problem.bytes : result.bytes / copies;
  result.flops /= copies;
  result.dispatches = executable->plan().dispatches.size() / copies;
  return result;
}

/// All problems in the order in which they are shown, made one at a time since each is large.
std::vector<std::function<Problem()>> all_problems(const DeviceCaps& caps) {
  std::vector<std::function<Problem()>> problems = {[&caps] { return copy_problem(caps); }};
  for (const std::int64_t outputs : {std::int64_t{4096}, std::int64_t{11008}, std::int64_t{32000}}) {
    for (const DType dtype : {DType::F16, DType::Q8_0, DType::Q4_0, DType::Q4_K}) {
      for (const std::int64_t rows : {1, 2, 4, 8, 64, 512}) {
        problems.emplace_back([=] { return product_problem(dtype, outputs, rows); });
      }
    }
  }
  for (const std::int64_t kv_heads : {32, 8}) {
    for (const DType dtype : {DType::F32, DType::F16}) {
      for (const std::int64_t tokens : {1, 64, 512}) {
        problems.emplace_back([=] { return attention_problem(kv_heads, dtype, tokens); });
      }
    }
  }
  for (const auto& [channels, kernel, size] :
       {std::tuple{50, 3, 256}, {64, 3, 128}, {256, 3, 32}, {512, 1, 16}, {128, 3, 8}}) {
    problems.emplace_back([c = channels, k = kernel, s = size] { return conv_problem(c, k, s); });
  }
  for (const std::int64_t vocabulary : {32000, 128256}) {
    for (const bool greedy : {true, false}) problems.emplace_back([=] { return sample_problem(vocabulary, greedy); });
  }
  return problems;
}

bool is_asked_for(const Problem& problem, const std::vector<std::string>& words) {
  const std::string all = fmt::format("{} {} rows {}", problem.work, problem.type, problem.rows);
  return std::ranges::all_of(words,
                             [&](const std::string& word) { return (all + " ").find(word) != std::string::npos; });
}

}  // namespace

int bench_kernels(const BenchArguments& arguments) {
  const Device device = open_device(arguments.device);
  using enum Table::Align;
  Table table({Left, Left, Right, Left, Right, Right, Right, Right});
  table.add({"work", "type", "rows", "kernels", "dispatches", "microseconds", "GB/s", "GFLOP/s"});
  nlohmann::json rows = nlohmann::json::array();
  for (const std::function<Problem()>& make : all_problems(device.gpu().caps())) {
    const Problem problem = make();
    if (!is_asked_for(problem, arguments.only)) continue;
    const Measured m = measure(device.gpu(), problem, arguments.repeats);
    const double gigabytes = static_cast<double>(m.bytes) * 1e-9 / m.seconds;
    const double gigaflops = static_cast<double>(m.flops) * 1e-9 / m.seconds;
    table.add({problem.work, problem.type, std::to_string(problem.rows), fmt::format("{}", fmt::join(m.kernels, ", ")),
               std::to_string(m.dispatches), fmt::format("{:.1f}", m.seconds * 1e6), fmt::format("{:.1f}", gigabytes),
               m.flops == 0 ? "-" : fmt::format("{:.1f}", gigaflops)});
    rows.push_back({{"work", problem.work},
                    {"type", problem.type},
                    {"rows", problem.rows},
                    {"kernels", m.kernels},
                    {"dispatches", m.dispatches},
                    {"seconds", m.seconds},
                    {"bytes", m.bytes},
                    {"flops", m.flops}});
  }
  if (rows.empty())
    throw Error(fmt::format("--only {}: no kernel's work is called so; without --only all are shown",
                            fmt::join(arguments.only, " --only ")));
  if (!arguments.json) {
    write_output(fmt::format("{}\n{}", device.info().name, table.text()));
    return 0;
  }
  write_output(json_text({{"device", device.info().name},
                          {"driver", device.info().driver},
                          {"repeats", arguments.repeats},
                          {"kernels", rows}},
                         2) +
               "\n");
  return 0;
}

}  // namespace heed::tools
