// Caches of f16: which states of a graph become so, what a plan saves by it, and that a key enters a cache with the
// same bits whichever kernel brings it. And caches by head: which may lie so.
#include "generate/cache_type.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "graph/convert_dtype.h"
#include "heed/error.h"
#include "ops/attention.h"
#include "ops/op.h"
#include "plan/default_tuning.h"
#include "planner/make_plan.h"
#include "runtime/session.h"
#include "runtime/verify.h"
#include "tests/unit/runtime/test_device.h"

namespace heed {
namespace {

constexpr std::int64_t kHeads = 4, kKvHeads = 2, kWidth = 16, kContext = 40;

struct Layer {
  std::int64_t width = kWidth;  // of a head of k
  std::int64_t value_width = kWidth;
  std::string rotary = {};
};

/// Attention with a cache; q, k and v are inputs.
GraphBuilder layer(const Layer& of) {
  GraphBuilder b("layer");
  const ValueId position = b.state("position", DType::I32, {1});
  ValueId q = b.input("q", DType::F32, {"tokens", kHeads * of.width});
  ValueId k = b.input("k", DType::F32, {"tokens", kKvHeads * of.width});
  const ValueId v = b.input("v", DType::F32, {"tokens", kKvHeads * of.value_width});
  if (!of.rotary.empty()) {
    const auto turned = [&](const char* name, ValueId x, std::int64_t heads) {
      return b.add("rotary", name, {x, position},
                   {{"layout", of.rotary}, {"base", 10000.0}, {"heads", heads}, {"dims", std::int64_t{14}}});
    };
    q = turned("turn q", q, kHeads);
    k = turned("turn k", k, kKvHeads);
  }
  const ValueId y = b.add("attention", "attention",
                          {q, k, v, kNoValue, b.state("cache.k", DType::F32, {"context", kKvHeads * of.width}),
                           b.state("cache.v", DType::F32, {"context", kKvHeads * of.value_width}), position},
                          {{"heads", kHeads}, {"kv_heads", kKvHeads}, {"causal", std::int64_t{1}}});
  b.output(y, "y");
  return b;
}

DType type_of(const Graph& graph, const char* name) { return graph.value(graph.find(name)).dtype; }

DeviceCaps caps_of(DeviceType type) {
  DeviceCaps caps;
  caps.type = type;
  return caps;
}

const Dispatch& attention_of(const Plan& plan) {
  for (const Dispatch& dispatch : plan.dispatches) {
    if (dispatch.shader.starts_with("attention") && dispatch.shader != "attention_prepare") return dispatch;
  }
  throw Error("no attention in the plan");
}

/// The bytes of both caches after `rows` rows, fed `at_once` at a time.
std::vector<std::vector<std::byte>> caches_after(Gpu& gpu, const Graph& graph, const Tuning& tuning, std::int64_t rows,
                                                 std::int64_t at_once) {
  const MemoryWeights none;
  WeightStore store(gpu, none);
  Session session(gpu, store);
  for (std::int64_t row = 0; row < rows; row += at_once) {
    const std::int64_t count = std::min(at_once, rows - row);
    const std::unique_ptr<Executable> run =
        session.prepare(make_plan(graph, {{"tokens", count}, {"context", kContext}}, gpu.caps(), tuning));
    for (const auto& [name, width] :
         {std::pair{"q", kHeads * kWidth}, std::pair{"k", kKvHeads * kWidth}, std::pair{"v", kKvHeads * kWidth}}) {
      std::vector<float> numbers;
      for (std::int64_t i = row * width; i < (row + count) * width; ++i) {
        numbers.push_back(static_cast<float>(std::sin(static_cast<double>(i * (name[0] - 'a')) * 0.7)) * 3.0f);
      }
      session.write(name, std::as_bytes(std::span(numbers)));
    }
    const auto position = static_cast<std::int32_t>(row);
    session.write("position", std::as_bytes(std::span(&position, 1)));
    session.run(*run);
  }
  std::vector<std::vector<std::byte>> caches;
  for (const char* name : {"cache.k", "cache.v"}) {
    caches.emplace_back(static_cast<std::size_t>(rows * kKvHeads * kWidth * 2));
    session.read(name, caches.back());
  }
  return caches;
}

}  // namespace

TEST_CASE("caches of attention are f16 where that is asked for, or by themselves on all but CPU drivers") {
  const Graph graph = layer({}).graph();
  const auto both = [&](CacheType wanted, const DeviceCaps& caps) {
    const Graph made = with_cache_type(graph, wanted, caps);
    CHECK(type_of(made, "cache.k") == type_of(made, "cache.v"));
    CHECK(type_of(made, "position") == DType::I32);
    CHECK(cache_type_of(made) == (type_of(made, "cache.k") == DType::F16 ? CacheType::F16 : CacheType::F32));
    return type_of(made, "cache.k");
  };
  for (const DeviceType type :
       {DeviceType::Discrete, DeviceType::Integrated, DeviceType::Virtual, DeviceType::Cpu, DeviceType::Other}) {
    CHECK(both(CacheType::F16, caps_of(type)) == DType::F16);
    CHECK(both(CacheType::F32, caps_of(type)) == DType::F32);
    CHECK(both(CacheType::Auto, caps_of(type)) == (type == DeviceType::Cpu ? DType::F32 : DType::F16));
  }
  DeviceCaps broken = caps_of(DeviceType::Discrete);
  // Attention in plainer tiles takes the last one's place.
  broken.broken_modules = {"attention_step-storage-4-1-0-f32", "linear_rows-storage-f16",
                           "attention_cooperative-storage-f16"};
  CHECK(both(CacheType::Auto, broken) == DType::F16);
  broken.broken_modules.insert("attention_step-storage-4-1-0-f16");
  CHECK(both(CacheType::Auto, broken) == DType::F32);
}

TEST_CASE("caches that kernels cannot read as f16 stay f32, both of a layer") {
  const DeviceCaps caps = caps_of(DeviceType::Discrete);
  for (const auto& [width, value_width] : {std::pair{7, 5}, std::pair{6, 8}, std::pair{8, 2}, std::pair{16, 7}}) {
    const Graph made = with_cache_type(layer({width, value_width}).graph(), CacheType::F16, caps);
    CHECK(cache_type_of(made) == CacheType::F32);
  }
  CHECK(cache_type_of(with_cache_type(layer({8, 12}).graph(), CacheType::F16, caps)) == CacheType::F16);
  // Somebody else reads it.
  GraphBuilder b = layer({});
  b.output(b.add("neg", "reader", {b.graph().find("cache.v")}), "z");
  CHECK(cache_type_of(with_cache_type(b.graph(), CacheType::F16, caps)) == CacheType::F32);
  GraphBuilder shown = layer({});
  shown.graph().outputs.push_back(shown.graph().find("cache.k"));
  CHECK(cache_type_of(with_cache_type(shown.graph(), CacheType::F16, caps)) == CacheType::F32);
}

TEST_CASE("states of f16 are refused where no kernel reads them") {
  const auto refusal = [](const Graph& graph) {
    try {
      make_plan(graph, {{"tokens", 1}, {"context", 8}}, DeviceCaps(), Tuning());
      return std::string();
    } catch (const Error& error) {
      return std::string(error.what());
    }
  };
  Graph odd = layer({6, 8}).graph();
  odd.value(odd.find("cache.k")).dtype = odd.value(odd.find("cache.v")).dtype = DType::F16;
  CHECK(refusal(odd) == "attention 'attention': caches of f16 need heads of a multiple of four elements, not 6 and 8");
  Graph mixed = layer({}).graph();
  mixed.value(mixed.find("cache.v")).dtype = DType::F16;
  CHECK(refusal(mixed) == "attention 'attention': cache_k is f32 and cache_v is f16, expected one type");
  GraphBuilder other("other");
  other.output(other.add("neg", "reader", {other.state("s", DType::F16, {4})}), "y");
  CHECK(refusal(other.graph()) ==
        "neg 'reader': state 's' is f16, which the op does not know as its input 0; make it f32");
}

TEST_CASE("caches lie by head where attention alone reads them") {
  using namespace ops::attention_input;  // NOLINT: names of inputs
  const auto lies_by_head = [](const Graph& graph) {
    return with_caches_by_head(graph).nodes.front().attributes.integer("by_head", 0) != 0;
  };
  CHECK(lies_by_head(layer({}).graph()));
  CHECK(lies_by_head(with_cache_type(layer({7, 5}).graph(), CacheType::F16, caps_of(DeviceType::Discrete))));
  GraphBuilder read = layer({});
  read.output(read.add("neg", "reader", {read.graph().find("cache.v")}), "z");
  CHECK_FALSE(lies_by_head(read.graph()));
  GraphBuilder shown = layer({});
  shown.graph().outputs.push_back(shown.graph().find("cache.k"));
  CHECK_FALSE(lies_by_head(shown.graph()));
  // Two layers share the keys, and something else reads the values of one: the keys have one place for both.
  GraphBuilder shared = layer({});
  const Node first = shared.graph().nodes.front();
  std::vector<ValueId> inputs = first.inputs;
  inputs[kCacheV] = shared.state("other.v", DType::F32, {"context", kKvHeads * kWidth});
  shared.output(shared.add("attention", "second", inputs, first.attributes), "second y");
  CHECK(lies_by_head(shared.graph()));
  Graph divided_otherwise = shared.graph();
  divided_otherwise.nodes.back().attributes.set("kv_heads", std::int64_t{1});
  CHECK_FALSE(lies_by_head(divided_otherwise));
  shared.output(shared.add("neg", "reader", {inputs[kCacheV]}), "z");
  CHECK_FALSE(lies_by_head(shared.graph()));
}

TEST_CASE("caches by head are refused where there is none, and where a table would need whole blocks") {
  const auto refusal = [](Graph graph, std::int64_t places) {
    graph.nodes.back().attributes.set("by_head", std::int64_t{1});
    try {
      make_plan(graph, {{"tokens", 2}, {"context", places}}, DeviceCaps(), Tuning());
      return std::string();
    } catch (const Error& error) {
      return std::string(error.what());
    }
  };
  CHECK(refusal(layer({}).graph(), kContext).empty());
  GraphBuilder b("memory");
  const ValueId memory = b.input("memory", DType::F32, {"context", 16});
  b.output(b.add("attention", "attention", {b.input("q", DType::F32, {"tokens", 16}), memory, memory},
                 {{"heads", std::int64_t{1}}}),
           "y");
  CHECK(refusal(b.graph(), kContext) == "attention 'attention': only a cache lies by head");
  GraphBuilder tabled = layer({});
  tabled.graph().value(tabled.graph().find("position")).shape = {"tokens"};
  Node& node = tabled.graph().nodes.back();
  node.inputs.resize(ops::attention_input::kTable + 1, kNoValue);
  node.inputs[ops::attention_input::kTable] = tabled.state("table", DType::I32, {8, "tokens"});
  CHECK(refusal(tabled.graph(), 128).empty());
  CHECK(refusal(tabled.graph(), 100) ==
        "attention 'attention': a cache of 100 rows that lies by head and has a table: expected a multiple of 64");
}

TEST_CASE("a plan with caches of f16 takes and reads half as much for them") {
  const DeviceCaps caps = caps_of(DeviceType::Discrete);
  for (const std::int64_t tokens : {1, 5}) {
    CAPTURE(tokens);
    const Bindings dims = {{"tokens", tokens}, {"context", kContext}};
    const auto planned = [&](CacheType type) {
      return make_plan(with_cache_type(layer({}).graph(), type, caps), dims, caps, default_tuning(caps));
    };
    const Plan f32 = planned(CacheType::F32);
    const Plan f16 = planned(CacheType::F16);
    const auto bytes = [](const Plan& plan) { return plan.tensors[plan.tensor_named("cache.k")].bytes; };
    CHECK(bytes(f32) == kContext * kKvHeads * kWidth * 4);
    CHECK(bytes(f16) == kContext * kKvHeads * kWidth * 2);
    CHECK(f32.memory() - f16.memory() == 2 * bytes(f16));
    CHECK(attention_of(f32).bytes_a_key == 2 * kKvHeads * kWidth * 4);
    CHECK(attention_of(f16).bytes_a_key == 2 * kKvHeads * kWidth * 2);
    CHECK(attention_of(f16).flops_a_key == attention_of(f32).flops_a_key);
    CHECK(attention_of(f16).variant.back() == "f16");
  }
}

TEST_CASE("numbers enter a cache of f16 as the nearest, and as NaN where there is none") {
  CHECK(ops::cached_as(DType::F32, 0.1) == 0.1);
  CHECK(ops::cached_as(DType::F16, 0.1) == static_cast<double>(f16_to_f32(f32_to_f16(0.1f))));
  CHECK(ops::cached_as(DType::F16, -65519.9) == -65504.0);
  for (const double large : {65520.0, -65520.0, 1e300, -HUGE_VAL, std::nan("")}) {
    CHECK(std::isnan(ops::cached_as(DType::F16, large)));
  }
}

TEST_CASE("caches of f16 are verified, and read back, an element at a time") {
  const auto device = test_device();
  if (!device) return;
  Gpu& gpu = device->gpu();
  const Graph graph = with_cache_type(layer({}).graph(), CacheType::F16, gpu.caps());
  for (const std::int64_t tokens : {1, 5}) {
    CAPTURE(tokens);
    const Bindings dims = {{"tokens", tokens}, {"context", kContext}};
    std::map<std::string, HostTensor> tensors;
    for (const Value& value : graph.values) {
      if (value.kind == ValueKind::Intermediate) continue;
      HostTensor& tensor = tensors[value.name];
      tensor.type = {value.dtype, bind(value.shape, dims)};
      for (std::int64_t i = 0; i < element_count(tensor.type.shape); ++i) {
        tensor.data.push_back(value.dtype == DType::I32 ? 7.0 : std::sin(static_cast<double>(i) * 0.3));
      }
    }
    const MemoryWeights none;
    WeightStore store(gpu, none);
    Session session(gpu, store);
    const WeightLookup no_weights = [](const std::string&, std::size_t) { return std::vector<double>(); };
    std::set<std::string> seen;
    for (const NodeCheck& check : verify_graph(gpu, session, graph, dims, no_weights, tensors)) {
      CHECK_MESSAGE(check.passed, check.value, " ", check.error);
      seen.insert(check.value);
    }
    CHECK(seen.contains("cache.k"));
    CHECK(seen.contains("cache.v"));
    // What stood there, and element 3 of the row that entered at 7.
    const std::vector<double>& keys = tensors.at("cache.k").data;
    CHECK(keys[5] == ops::cached_as(DType::F16, std::sin(5 * 0.3)));
    CHECK(keys[7 * kKvHeads * kWidth + 3] == ops::cached_as(DType::F16, std::sin(3 * 0.3)));
  }
}

TEST_CASE("a cache of f16 holds the same bits however many tokens are read at a time, by whichever kernel") {
  const auto device = test_device();
  if (!device) return;
  Gpu& gpu = device->gpu();
  constexpr std::int64_t kRows = 35;
  for (const std::string rotary : {"", "half", "interleaved"}) {
    CAPTURE(rotary);
    const Graph graph = with_cache_type(layer({.rotary = rotary}).graph(), CacheType::F16, gpu.caps());
    Tuning plain = gpu.tuning();
    plain.attention_groups = 0;
    const auto expected = caches_after(gpu, graph, plain, kRows, kRows);
    std::size_t zeros = 0;
    for (const std::byte byte : expected[0]) zeros += byte == std::byte{0} ? 1 : 0;
    CHECK(zeros < expected[0].size() / 8);
    for (const std::int64_t at_once : {1, 2, 7, 16}) {
      CAPTURE(at_once);
      CHECK(caches_after(gpu, graph, plain, kRows, at_once) == expected);
    }
    Tuning split = plain;
    split.attention_groups = 13;
    CHECK(caches_after(gpu, graph, split, kRows, 1) == expected);
  }
}

}  // namespace heed
