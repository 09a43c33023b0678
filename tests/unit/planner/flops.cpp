// The work that plans count: that of the nodes of a graph, whatever kernels it becomes.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "heed/error.h"
#include "planner/make_plan.h"
#include "tests/unit/cpu_driver.h"
#include "tests/unit/large_gpu.h"
#include "tests/unit/planner/fused.h"

namespace heed {
namespace {

using Sizes = std::vector<std::int64_t>;

/// Of a plan, with so many keys in its caches.
std::uint64_t flops_with_keys(const Plan& plan, std::uint64_t keys) {
  std::uint64_t flops = plan.flops();
  for (const Dispatch& d : plan.dispatches) {
    const std::uint64_t end = std::clamp(keys, d.fewest_keys, d.most_keys);
    flops += d.flops_a_key * (end - d.fewest_keys);
  }
  return flops;
}

/// Read of the caches.
std::uint64_t key_bytes(const Plan& plan, std::uint64_t keys) {
  std::uint64_t bytes = 0;
  for (const Dispatch& d : plan.dispatches) {
    bytes += d.bytes_a_key * (std::clamp(keys, d.first_key, d.most_keys) - d.first_key);
  }
  return bytes;
}

/// A graph all of whose values somebody wants, so that its nodes stay apart.
Graph apart(Graph graph) {
  for (const Node& node : graph.nodes) {
    for (const ValueId id : node.outputs) {
      if (std::ranges::find(graph.outputs, id) == graph.outputs.end()) graph.outputs.push_back(id);
    }
  }
  return graph;
}

struct FusedWork {
  const char* name;
  Graph graph;
  std::size_t nodes;  // that fusion leaves
  std::uint64_t flops;
  DeviceCaps caps = {};
  Tuning tuning = {};
};

ValueId product(GraphBuilder& b, const std::string& name, ValueId x, std::int64_t columns, std::int64_t n,
                ValueId residual = kNoValue, const std::string& activation = "none") {
  return b.add("linear", name, {x, b.weight("w." + name, DType::F32, {n, columns}), kNoValue, residual},
               {{"activation", activation}});
}

ValueId normed(GraphBuilder& b, const std::string& name, ValueId x, std::int64_t columns) {
  return b.add("rms_norm", name, {x, b.weight("w." + name, DType::F32, {columns})}, {{"eps", 1e-5}});
}

/// 32 to 64 by a gate, or a function, and back.
Graph feed_forward(bool gate) {
  GraphBuilder b("feed forward");
  const ValueId x = b.input("x", DType::F32, {1, 32});
  const ValueId in = normed(b, "norm", x, 32);
  ValueId h = product(b, "up", in, 32, 64, kNoValue, gate ? "none" : "relu");
  if (gate) h = b.add("gate", "gate", {product(b, "in", in, 32, 64), h}, {{"activation", "silu"}});
  b.output(product(b, "down", h, 64, 32, x), "y");
  return std::move(b).finish();
}

/// Two heads of 16 over a cache of 8 keys.
Graph attention_layer(std::int64_t rows) {
  GraphBuilder b("attention");
  const ValueId x = b.input("x", DType::F32, {rows, 32});
  const ValueId position = b.state("position", DType::I32, {1});
  const ValueId in = normed(b, "norm", x, 32);
  const auto turned = [&](const std::string& name) {
    return b.add("rotary", "turn." + name, {product(b, name, in, 32, 32), position},
                 {{"heads", std::int64_t{2}}, {"layout", "half"}, {"base", 10000.0}});
  };
  const ValueId q = turned("q");
  const ValueId k = turned("k");
  const ValueId y = b.add("attention", "attend",
                          {q, k, product(b, "v", in, 32, 32), kNoValue, b.state("ck", DType::F32, {"context", 32}),
                           b.state("cv", DType::F32, {"context", 32}), position},
                          {{"heads", std::int64_t{2}}, {"causal", std::int64_t{1}}});
  b.output(product(b, "o", y, 32, 32, x), "y");
  return std::move(b).finish();
}

/// 6 channels of 16 places, 3 wide, that look at each other.
Graph picture_attention(bool map) {
  GraphBuilder b("picture");
  const ValueId x = b.input("x", DType::F32, {1, 6, 4, 4});
  const ValueId scores =
      b.add("matmul", "scores", {b.input("k", DType::F32, {1, 3, 16}), b.input("q", DType::F32, {1, 3, 16})},
            {{"transpose_a", std::int64_t{1}}});
  const ValueId weights = b.add("softmax", "weights", {scores}, {{"axis", std::int64_t{1}}});
  const ValueId sums = b.add("matmul", "sums", {b.input("v", DType::F32, {1, 6, 16}), weights});
  const ValueId o = b.add("reshape", "o", {sums, b.integers("sizes", {1, 6, 4, 4})});
  b.output(b.add("add", "sum", {x, b.add("mul", "scaled", {o, b.weight("gamma", DType::F32, {1})})}), "y");
  if (map) b.output(weights, "map");
  return std::move(b).finish();
}

/// 4 channels of 6x8 to 8, a function, and what is made of that.
Graph convolution(bool transposed, bool shuffle) {
  GraphBuilder b("convolution");
  const ValueId x = b.input("x", DType::F32, {1, 4, 6, 8});
  ValueId y = transposed
                  ? b.add("conv_transpose", "c", {x, b.weight("w", DType::F32, {4, 8, 4, 4})},
                          {{"strides", Sizes{2, 2}}, {"pads", Sizes{1, 1, 1, 1}}})
                  : b.add("conv", "c", {x, b.weight("w", DType::F32, {8, 4, 3, 3})}, {{"pads", Sizes{1, 1, 1, 1}}});
  if (shuffle) {
    y = b.add("reshape", "split", {y, b.integers("parts", {1, 2, 2, 2, 6, 8})});
    y = b.add("transpose", "mixed", {y}, {{"perm", Sizes{0, 1, 4, 2, 5, 3}}});
    y = b.add("reshape", "joined", {y, b.integers("whole", {1, 2, 12, 16})});
  } else {
    y = b.add("relu", "relu", {y});
    const SymbolicShape shape = transposed ? SymbolicShape{1, 8, 12, 16} : SymbolicShape{1, 8, 6, 8};
    y = b.add("add", "sum", {y, b.input("other", DType::F32, shape)});
  }
  b.output(y, "y");
  return std::move(b).finish();
}

Graph chosen_experts() {
  GraphBuilder b("experts");
  const ValueId x = b.input("x", DType::F32, {3, 32});
  const ValueId y =
      b.add("expert_linear", "e", {x, b.weight("w", DType::F32, {4, 8, 32}), b.state("chosen", DType::I32, {3, 2})});
  b.output(b.add("silu", "silu", {y}), "y");
  return std::move(b).finish();
}

Tuning tuning_with(auto change) {
  Tuning tuning;
  change(tuning);
  return tuning;
}

/// The ways to compute convolutions.
std::vector<Tuning> conv_tunings() {
  std::vector<Tuning> tunings;
  for (const std::uint32_t one_pass : {0u, 1u, 2u}) {
    for (const std::uint32_t sums : {32u, 128u}) {
      tunings.push_back(tuning_with([&](Tuning& t) {
        t.lanes = 8;
        t.set(&ProductTuning::lanes, 8);
        t.one_pass_convs = one_pass;
        t.conv_sums = sums;
      }));
    }
  }
  for (const std::uint32_t groups : {0u, 1000u}) {
    tunings.push_back(tuning_with([&](Tuning& t) {
      t.lanes = 8;
      t.set(&ProductTuning::lanes, 8);
      t.conv_tile = 64;
      t.conv_groups = groups;
    }));
  }
  return tunings;
}

}  // namespace

TEST_CASE("what is fused counts the work of all that it took the place of") {
  DeviceCaps joining = testing::cpu_driver();
  joining.max_storage_buffers = 32;
  const Tuning joined = tuning_with([](Tuning& t) {
    t.lanes = t.row_lanes = 8;
    t.set(&ProductTuning::lanes, 8);
    t.set(&ProductTuning::lane_rows, true);
    t.set(&ProductTuning::pairs, true);
  });
  const Bindings dims = {{"context", 8}};
  std::vector<FusedWork> cases = {
      {"gate", feed_forward(true), 2, 2 * 3 * 32 * 64},
      {"gate and pair", feed_forward(true), 1, 2 * 3 * 32 * 64, joining, joined},
      {"pair", feed_forward(false), 1, 2 * 2 * 32 * 64, joining, joined},
      {"packed attention of rows", attention_layer(3), 4, 2 * 3 * (4 * 32 * 32 + 3 * 2 * 32)},
      {"packed attention of a row", attention_layer(1), 3, 2 * (4 * 32 * 32 + 2 * 32)},
      {"attention block", attention_layer(1), 1, 2 * (4 * 32 * 32 + 2 * 32), joining, joined},
      {"experts", chosen_experts(), 1, 2 * 3 * 2 * 32 * 8},
  };
  for (const bool map : {false, true}) {
    cases.push_back({"places of a picture", picture_attention(map), 1, 2 * 16 * 16 * (3 + 6), testing::large_gpu(),
                     tuning_with([](Tuning& t) { t.one_pass_convs = 2; })});
  }
  for (const Tuning& tuning : conv_tunings()) {
    const DeviceCaps caps = testing::large_gpu();
    cases.push_back({"convolution", convolution(false, false), 1, 2 * 4 * 8 * 6 * 8 * 9, caps, tuning});
    cases.push_back({"blocks of pixels", convolution(false, true), 1, 2 * 4 * 8 * 6 * 8 * 9, caps, tuning});
    cases.push_back({"transposed convolution", convolution(true, false), 1, 2 * 4 * 8 * 6 * 8 * 16, caps, tuning});
  }
  for (const FusedWork& c : cases) {
    INFO(std::string(c.name));
    CAPTURE(c.tuning.one_pass_convs);
    CAPTURE(c.tuning.conv_sums);
    Graph graph = c.graph;
    fuse(graph, dims, c.caps, c.tuning);
    CHECK(graph.nodes.size() - count_ops(graph, "constant") == c.nodes);
    const Plan fused_plan = make_plan(c.graph, dims, c.caps, c.tuning);
    const Plan apart_plan = make_plan(apart(c.graph), dims, c.caps, c.tuning);
    CHECK(fused_plan.dispatches.size() < apart_plan.dispatches.size());
    CHECK(fused_plan.flops() == c.flops);
    for (const std::uint64_t keys : {0, 5, 8, 100}) {
      CHECK(flops_with_keys(fused_plan, keys) == flops_with_keys(apart_plan, keys));
    }
  }
}

TEST_CASE("a convolution counts the same work however it is computed") {
  struct Case {
    bool transposed;
    SymbolicShape x, w;
    Attributes attributes;
    std::uint64_t flops;
  };
  const Attributes padded = {{"pads", Sizes{1, 1, 1, 1}}};
  const Attributes twice = {{"pads", Sizes{1, 1, 1, 1}}, {"strides", Sizes{2, 2}}};
  const Case cases[] = {
      {false, {2, 6, 12, 16}, {5, 6, 3, 3}, padded, 2 * 2 * 6 * 5 * 12 * 16 * 9},
      {false, {1, 6, 12, 15}, {1, 6, 3, 3}, twice, 2 * 6 * 6 * 8 * 9},
      {false, {1, 8, 5, 8}, {12, 8, 1, 1}, {}, 2 * 8 * 12 * 5 * 8},
      {false, {2, 65, 5, 7}, {40, 65, 3, 3}, padded, 2 * 2 * 65 * 40 * 5 * 7 * 9},
      {false, {1, 64, 9, 11}, {24, 64, 2, 3}, twice, 2 * 64 * 24 * 5 * 6 * 6},
      {false, {1, 8, 6, 8}, {4, 4, 3, 3}, {{"groups", std::int64_t{2}}}, 2 * 8 * 2 * 4 * 6 * 9},
      {false, {1, 4, 9, 100}, {8, 4, 2, 40}, {}, 2 * 4 * 8 * 8 * 61 * 80},  // plain
      {false, {1, 3, 4, 5, 8}, {6, 3, 2, 3, 3}, {}, 2 * 3 * 6 * 3 * 3 * 6 * 18},
      {true, {2, 6, 12, 16}, {6, 5, 4, 4}, twice, 2 * 2 * 6 * 5 * 12 * 16 * 16},
      {true, {1, 6, 5, 7}, {6, 1, 4, 4}, twice, 2 * 6 * 5 * 7 * 16},
      {true, {1, 32, 1, 1}, {32, 20, 4, 4}, {}, 2 * 32 * 20 * 16},  // every pixel of a tile but one lies outside x
      {true, {1, 9, 7, 6}, {9, 5, 2, 2}, {{"strides", Sizes{3, 2}}}, 2 * 9 * 5 * 7 * 6 * 4},
      {true, {1, 2, 5, 5}, {2, 3, 9, 9}, {{"strides", Sizes{9, 9}}}, 2 * 2 * 3 * 5 * 5 * 81},  // plain
      {true, {1, 8, 9, 9}, {8, 6, 3, 3}, {{"groups", std::int64_t{2}}}, 2 * 8 * 6 * 9 * 9 * 9},
  };
  std::set<std::string> shaders;
  std::set<std::string> cut;  // and those with several dispatches, of some channels each
  for (const Case& c : cases) {
    for (const Tuning& tuning : conv_tunings()) {
      std::size_t dispatches = 0;
      for (const std::uint64_t loops : {UINT64_MAX, std::uint64_t{290}}) {
        GraphBuilder b("convolution");
        b.output(b.add(c.transposed ? "conv_transpose" : "conv", "c",
                       {b.input("x", DType::F32, c.x), b.weight("w", DType::F32, c.w)}, c.attributes),
                 "y");
        DeviceCaps caps = testing::large_gpu();
        caps.max_loop_iterations = loops;
        Plan plan;
        try {
          plan = make_plan(std::move(b).finish(), {}, caps, tuning);
        } catch (const Error&) {
          REQUIRE(loops < UINT64_MAX);
          continue;
        }
        std::string shader = plan.dispatches.back().shader;
        if (shader == "conv_parts") shader = plan.dispatches[plan.dispatches.size() - 2].shader + ", " + shader;
        CAPTURE(shader);
        CHECK(plan.flops() == c.flops);
        shaders.insert(shader);
        if (loops == UINT64_MAX) dispatches = plan.dispatches.size();
        if (plan.dispatches.size() > dispatches) cut.insert(shader);
      }
    }
  }
  const std::set<std::string> products = {"conv_matrix", "conv_matrix, conv_parts"};
  std::set<std::string> all = {"conv", "conv_plain", "conv_transpose"};
  CHECK(std::ranges::includes(shaders, all));
  // Products of matrices leave longer loops to the others.
  CHECK(cut == all);
  all.insert(products.begin(), products.end());
  CHECK(shaders == all);
}

TEST_CASE("a step of a recurrent layer counts each gate once") {
  struct Layer {
    const char* op;
    std::int64_t gates;
    std::int64_t after;  // the reset gate works after R
  };
  for (const Layer& layer : {Layer{"rnn", 1, 0}, Layer{"gru", 3, 0}, Layer{"gru", 3, 1}, Layer{"lstm", 4, 0}}) {
    constexpr std::int64_t kSteps = 5, kBatch = 2, kInputs = 8, kWidth = 12;
    INFO(std::string(layer.op));
    CAPTURE(layer.after);
    GraphBuilder b("recurrent");
    Attributes attributes = {{"hidden_size", kWidth}};
    if (layer.after != 0) attributes.set("linear_before_reset", layer.after);
    b.output(b.add(layer.op, "l",
                   {b.input("x", DType::F32, {kSteps, kBatch, kInputs}),
                    b.weight("w", DType::F32, {1, layer.gates * kWidth, kInputs}),
                    b.weight("r", DType::F32, {1, layer.gates * kWidth, kWidth})},
                   attributes),
             "y");
    const Plan plan = make_plan(std::move(b).finish(), {}, testing::large_gpu(), {});
    CHECK(plan.flops() == static_cast<std::uint64_t>(2 * kSteps * kBatch * layer.gates * kWidth * (kInputs + kWidth)));
  }
}

TEST_CASE("pieces of a cache count its keys once") {
  constexpr std::int64_t kContext = 100, kHeads = 4, kWide = 64, kRows = 40;
  for (const DType cache : {DType::F32, DType::F16}) {
    const auto plan_with = [&](std::uint64_t range) {
      GraphBuilder b("attention");
      const auto input = [&](const char* name) { return b.input(name, DType::F32, {kRows, kWide}); };
      b.output(b.add("attention", "attend",
                     {input("q"), input("k"), input("v"), kNoValue, b.state("ck", cache, {kContext, kWide}),
                      b.state("cv", cache, {kContext, kWide}), b.state("position", DType::I32, {1})},
                     {{"heads", kHeads}, {"causal", std::int64_t{1}}}),
               "y");
      DeviceCaps caps = testing::large_gpu();
      caps.max_storage_buffer_range = range;
      return make_plan(std::move(b).finish(), {}, caps, {});
    };
    const Plan whole = plan_with(1 << 20);
    const Plan pieces = plan_with(12288);  // what the rows take besides fits
    REQUIRE(std::ranges::count(pieces.dispatches, "attention_pieces", &Dispatch::shader) ==
            (cache == DType::F32 ? 3 : 2));
    for (std::uint64_t keys = 0; keys <= kContext + 10; ++keys) {
      const auto seen = std::clamp<std::uint64_t>(keys, kRows, kContext);
      CHECK(flops_with_keys(whole, keys) == 2 * kRows * seen * 2 * kWide);
      CHECK(flops_with_keys(pieces, keys) == 2 * kRows * seen * 2 * kWide);
      CHECK(key_bytes(pieces, keys) ==
            std::min<std::uint64_t>(keys, kContext) * 2 * kWide * (cache == DType::F32 ? 4 : 2));
    }
  }
}

}  // namespace heed
