// States change while a graph runs: who may change what, and that fusion moves no read past a change.
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>

#include "heed/error.h"
#include "plan/lowering.h"
#include "planner/fuse.h"
#include "planner/make_plan.h"
#include "tests/unit/cpu_driver.h"
#include "tests/unit/planner/run_graph.h"

namespace heed {
namespace {

constexpr std::int64_t kWidth = 64;

std::int64_t count_ops(const Graph& graph, std::string_view op) {
  return std::ranges::count_if(graph.nodes, [&](const Node& node) { return node.op == op; });
}

/// A graph over a state "s" of one row of kWidth, which `change` overwrites with what attention puts into its cache.
struct StateGraph {
  GraphBuilder b{"g"};
  ValueId position = b.state("position", DType::I32, {1});
  ValueId s = b.state("s", DType::F32, {1, kWidth});

  ValueId linear(const std::string& name, ValueId x, std::int64_t n = kWidth) {
    return b.add("linear", name, {x, b.weight("w." + name, DType::F32, {n, kWidth})});
  }
  ValueId attention(const std::string& name, ValueId q, ValueId k, ValueId v, ValueId cache_k, ValueId cache_v) {
    return b.add("attention", name, {q, k, v, kNoValue, cache_k, cache_v, position},
                 {{"heads", std::int64_t{4}}, {"causal", std::int64_t{1}}});
  }
  void change() {
    const auto row = [&](const char* name) { return b.input(name, DType::F32, {1, kWidth}); };
    b.output(attention("changer", row("cq"), row("ck"), row("cv"), s, b.state("other", DType::F32, {1, kWidth})),
             "changed");
  }
};

DeviceCaps joining_device() {
  DeviceCaps caps = testing::cpu_driver();
  caps.max_storage_buffers = 32;
  return caps;
}

/// What fusion makes of a graph; checked to compute the same, states included.
Graph fused_same(const Graph& graph, bool joins) {
  const Bindings dims = {{"tokens", 1}};
  Graph result = graph;
  Tuning tuning;
  if (joins) {
    tuning.lanes = tuning.row_lanes = 8;
    tuning.set(&ProductTuning::lanes, 8);
    tuning.set(&ProductTuning::lane_rows, true);
    tuning.set(&ProductTuning::pairs, true);
  }
  fuse(result, dims, joins ? joining_device() : DeviceCaps{}, tuning);
  CHECK(difference(run_graph(graph, dims, 0), run_graph(result, dims, 0)) < 1e-12);
  return result;
}

struct Pass {
  const char* name;
  std::function<void(StateGraph&, const std::function<void()>& between)> build;
  const char* op;      // that the pass takes away ...
  std::int64_t apart;  // ... so many where the state changes between
  std::int64_t joined;
  bool joins = false;  // needs a device that joins small products
};

const std::vector<Pass>& passes() {
  static const std::vector<Pass> kPasses = {
      {"fuse_gate",
       [](StateGraph& g, const auto& between) {
         const ValueId a = g.linear("a", g.s), c = g.linear("c", g.s);
         between();
         g.b.output(g.b.add("gate", "gate", {a, c}, {{"activation", "silu"}}), "y");
       },
       "gate", 1, 0},
      {"fuse_norm",
       [](StateGraph& g, const auto& between) {
         const ValueId n = g.b.add("rms_norm", "norm", {g.s, g.b.weight("g", DType::F32, {kWidth})}, {{"eps", 1e-5}});
         between();
         g.b.output(g.linear("a", n), "y");
       },
       "rms_norm", 1, 0},
      {"fuse_rotary",
       [](StateGraph& g, const auto& between) {
         const Attributes turn{{"heads", std::int64_t{4}}, {"layout", "half"}, {"base", 100.0}};
         const ValueId q = g.b.add("rotary", "q", {g.b.input("q.in", DType::F32, {1, kWidth}), g.position}, turn);
         const ValueId k = g.b.add("rotary", "k", {g.b.input("k.in", DType::F32, {1, kWidth}), g.position}, turn);
         between();
         g.b.output(g.attention("attend", q, k, g.b.input("v.in", DType::F32, {1, kWidth}),
                                g.b.state("k2", DType::F32, {4, kWidth}), g.b.state("v2", DType::F32, {4, kWidth})),
                    "y");
       },
       "rotary", 2, 0},
      {"fuse_packed_attention",
       [](StateGraph& g, const auto& between) {
         const ValueId q = g.linear("q", g.s);
         between();
         const ValueId k = g.linear("k", g.s), v = g.linear("v", g.s);
         g.b.output(g.attention("attend", q, k, v, g.b.state("k2", DType::F32, {4, kWidth}),
                                g.b.state("v2", DType::F32, {4, kWidth})),
                    "y");
       },
       "linear", 3, 1},
      {"fuse_attention_blocks",
       [](StateGraph& g, const auto& between) {
         const ValueId q = g.linear("q", g.s), k = g.linear("k", g.s), v = g.linear("v", g.s);
         between();
         const ValueId y = g.attention("attend", q, k, v, g.b.state("k2", DType::F32, {4, kWidth}),
                                       g.b.state("v2", DType::F32, {4, kWidth}));
         g.b.output(g.linear("o", y), "y");
       },
       "linear", 2, 0, true},
      {"fuse_pairs",
       [](StateGraph& g, const auto& between) {
         const ValueId h = g.linear("a", g.s);
         between();
         g.b.output(g.linear("c", h), "y");
       },
       "linear", 2, 1, true},
  };
  return kPasses;
}

/// Moves the position on, as the loop that writes text does.
void sample(StateGraph& g) {
  g.b.output(g.b.add("sample", "sample",
                     {g.b.input("logits", DType::F32, {1, 8}), g.b.state("tokens", DType::I32, {"tokens"}), g.position,
                      g.b.state("history", DType::I32, {16}), g.b.state("sampler", DType::I32, {16})},
                     {{"rows", "tokens"}, {"greedy", std::int64_t{1}}}),
             "token");
}

std::string refusal(const Graph& graph) {
  try {
    make_plan(graph, {{"tokens", 1}}, {}, {});
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("no pass moves a read of a state past a change of it") {
  for (const Pass& pass : passes()) {
    CAPTURE(std::string(pass.name));
    const bool moves_position = std::string(pass.name) == "fuse_rotary";
    for (const bool between : {true, false}) {
      CAPTURE(between);
      StateGraph g;
      const auto change = [&] { moves_position ? sample(g) : g.change(); };
      if (!between) change();
      pass.build(g, [&] {
        if (between) change();
      });
      const Graph result = fused_same(std::move(g.b).finish(), pass.joins);
      CHECK(count_ops(result, pass.op) == (between ? pass.apart : pass.joined));
    }
  }
}

TEST_CASE("attention is not moved to where its cache is read, nor past who changes it too") {
  StateGraph g;
  const ValueId k2 = g.b.state("k2", DType::F32, {4, kWidth}), v2 = g.b.state("v2", DType::F32, {4, kWidth});
  const ValueId x = g.b.input("x", DType::F32, {1, kWidth});
  const auto attend = [&](const std::string& name) {
    return g.attention(name, g.linear(name + "q", x), g.linear(name + "k", x), g.linear(name + "v", x), k2, v2);
  };
  const ValueId first = attend("first");
  const ValueId second = attend("second");
  g.b.output(g.linear("o1", first), "y1");
  g.b.output(g.linear("o2", second), "y2");
  const Graph result = fused_same(std::move(g.b).finish(), true);
  CHECK(count_ops(result, "attention") == 1);  // the first; nothing lies between the second and its product
}

TEST_CASE("only states are updated") {
  for (const std::string kind : {"weight", "input", "intermediate"}) {
    CAPTURE(kind);
    StateGraph g;
    const ValueId x = g.b.input("x", DType::F32, {1, kWidth});
    const ValueId cache = kind == "weight"  ? g.b.weight("cache", DType::F32, {4, kWidth})
                          : kind == "input" ? g.b.input("cache", DType::F32, {4, kWidth})
                                            : g.b.add("neg", "cache", {g.b.input("c", DType::F32, {4, kWidth})});
    const ValueId v2 = g.b.state("v2", DType::F32, {4, kWidth});
    g.b.output(g.attention("attend", g.linear("q", x), g.linear("k", x), g.linear("v", x), cache, v2), "y");
    const Graph graph = std::move(g.b).finish();
    const std::string expected = "attention 'attend': updates its input 4 in place, which must be a state; '" +
                                 graph.value(graph.nodes.back().inputs[4]).name + "' is a" +
                                 (kind == "weight" ? " " : "n ") + kind;
    CHECK(refusal(graph) == expected);
    CHECK_THROWS_WITH_AS(run_graph(graph, {}, 0), expected.c_str(), Error);
  }
  StateGraph g;
  const ValueId x = g.b.input("x", DType::F32, {1, kWidth});
  const ValueId both = g.b.state("both", DType::F32, {4, kWidth});
  g.b.output(g.attention("attend", x, x, x, both, both), "y");
  CHECK(refusal(std::move(g.b).finish()) ==
        "attention 'attend': updates state 'both', which is another of its inputs too");
}

TEST_CASE("a node that updates nothing may read the same state twice") {
  StateGraph g;
  g.b.output(g.b.add("add", "twice", {g.s, g.s}), "y");
  CHECK(refusal(std::move(g.b).finish()) == "no error");
}

TEST_CASE("numbers that no word holds are refused or mean what they say") {
  const auto window = [](std::int64_t keys) {
    StateGraph g;
    const ValueId x = g.b.input("x", DType::F32, {1, kWidth});
    g.b.output(g.b.add("attention", "attend",
                       {x, x, x, kNoValue, g.b.state("k2", DType::F32, {4, kWidth}),
                        g.b.state("v2", DType::F32, {4, kWidth}), g.position},
                       {{"heads", std::int64_t{4}}, {"window", keys}}),
               "y");
    const Plan plan = make_plan(std::move(g.b).finish(), {}, {}, {});
    const auto attend = std::ranges::find_if(
        plan.dispatches, [](const Dispatch& dispatch) { return dispatch.shader.starts_with("attention"); });
    REQUIRE(attend != plan.dispatches.end());
    return plan.dispatches.back().push_constants.at(7);
  };
  CHECK(window(3) == 3);
  CHECK(window(4) == 4);
  CHECK(window(5) == 0);  // all keys there are
  CHECK(window((std::int64_t{1} << 32) + 1) == 0);
  CHECK(window(INT64_MAX) == 0);

  CHECK(u32(std::int64_t{UINT32_MAX}) == UINT32_MAX);
  CHECK(i32(-2) == 0xfffffffeu);
  CHECK_THROWS_WITH_AS(u32((std::int64_t{1} << 32) + 1), "number 4294967297 is outside 0 to 4294967295", Error);
  CHECK_THROWS_WITH_AS(u32(-1), "number -1 is outside 0 to 4294967295", Error);
  CHECK_THROWS_AS(i32(std::int64_t{1} << 31), Error);
  CHECK_THROWS_AS(i32(std::uint64_t{UINT64_MAX}), Error);
}

}  // namespace heed
