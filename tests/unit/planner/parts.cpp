// Nodes whose tensors a device does not bind at once.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "heed/error.h"
#include "planner/make_plan.h"

namespace heed {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

/// What many phones, and llvmpipe, bind.
DeviceCaps phone() {
  DeviceCaps caps;
  caps.max_storage_buffer_range = 128 * kMiB;
  caps.max_memory_allocation = 4095 * kMiB;
  caps.buffer_alignment = 64;
  return caps;
}

/// Checks that every dispatch fits, and that the output is written from beginning to end without a gap; parts of it
/// that are copied into place begin where bindings may, and so may overlap.
void check_pieces(const Plan& plan, const DeviceCaps& caps, const char* output) {
  const std::size_t y = plan.tensor_named(output);
  std::vector<std::pair<std::uint64_t, std::uint64_t>> written;
  for (const Dispatch& dispatch : plan.dispatches) {
    for (const Binding& binding : dispatch.bindings) {
      CHECK(binding.offset % caps.buffer_alignment == 0);
      CHECK(binding.offset + binding.size <= plan.tensors[binding.tensor].bytes);
      if (!dispatch.texel || binding.view == View::None) CHECK(binding.size <= caps.max_storage_buffer_range);
      if (binding.tensor == y && binding.access != Access::Read) {
        written.emplace_back(binding.offset, binding.offset + binding.size);
      }
    }
  }
  std::ranges::sort(written);
  std::uint64_t end = 0;
  for (const auto& piece : written) {
    CHECK(piece.first <= end);
    end = std::max(end, piece.second);
  }
  CHECK(end == plan.tensors[y].bytes);
}

std::int64_t count(const Plan& plan, std::string_view shader) {
  return std::ranges::count(plan.dispatches, shader, &Dispatch::shader);
}

/// Barriers between the first and the last dispatch.
std::int64_t barriers(const Plan& plan) { return std::ranges::count(plan.dispatches, true, &Dispatch::barrier_before); }

}  // namespace

TEST_CASE("rows, batches and channels of what is larger than a binding are computed in pieces, without copies") {
  const DeviceCaps caps = phone();
  struct Case {
    const char* name;
    Graph graph;
    std::size_t dispatches;
  };
  std::vector<Case> cases;
  const auto add = [&](const char* name, std::size_t dispatches, auto build) {
    GraphBuilder b(name);
    b.output(build(b), "y");
    cases.push_back({name, std::move(b).finish(), dispatches});
  };
  const auto input = [](GraphBuilder& b, Shape shape) {
    SymbolicShape symbolic;
    for (const std::int64_t size : shape) symbolic.push_back(size);
    return b.input("x", DType::F32, symbolic);
  };
  const auto weight = [](GraphBuilder& b, const char* name, std::int64_t size) {
    return b.weight(name, DType::F32, {size});
  };
  // 2048 rows of 128k logits are 1 GiB, and quants of the weight 512 MiB.
  add("linear", 8 * 4, [&](GraphBuilder& b) {
    return b.add("linear", "n", {input(b, {2048, 4096}), b.weight("w", DType::Q8_0, {131072, 4096})});
  });
  add("rms_norm", 3, [&](GraphBuilder& b) {
    return b.add("rms_norm", "n", {input(b, {24000, 4096}), weight(b, "g", 4096)}, {{"eps", 1e-5}});
  });
  add("softmax", 3, [&](GraphBuilder& b) {
    return b.add("softmax", "n", {input(b, {24, 1000, 4096})}, {{"axis", std::int64_t{2}}});
  });
  add("add", 7, [&](GraphBuilder& b) {
    return b.add("add", "n", {input(b, {1, 50, 2048, 2048}), weight(b, "w", 2048)});
  });
  add("relu", 14, [&](GraphBuilder& b) { return b.add("relu", "n", {input(b, {2, 50, 2048, 2048})}); });
  add("batch_norm", 7, [&](GraphBuilder& b) {
    return b.add(
        "batch_norm", "n",
        {input(b, {1, 50, 2048, 2048}), weight(b, "a", 50), weight(b, "b", 50), weight(b, "c", 50), weight(b, "d", 50)},
        {{"eps", 1e-5}});
  });
  add("group_norm", 2 * 8, [&](GraphBuilder& b) {
    return b.add("group_norm", "n", {input(b, {1, 64, 2048, 2048}), weight(b, "a", 64), weight(b, "b", 64)},
                 {{"groups", std::int64_t{32}}});
  });
  // x is bound whole; channels of y are made four, and then eight, at a time.
  add("conv", 7, [&](GraphBuilder& b) {
    return b.add("conv", "n",
                 {input(b, {1, 4, 2048, 2048}), b.weight("w", DType::F32, {50, 4, 1, 1}), weight(b, "c", 50)});
  });
  for (Case& c : cases) {
    CAPTURE(c.name);
    const Plan plan = make_plan(c.graph, {}, caps, {});
    check_pieces(plan, caps, "y");
    CHECK(plan.dispatches.size() == c.dispatches);
    CHECK(count(plan, "strided") == 0);
    // Pieces of one result do not wait for each other, but for columns of the same rows and sums of the same groups.
    const std::string_view name = c.name;
    CHECK(barriers(plan) <= (name == "group_norm" ? 15 : name == "linear" ? 24 : 0));
  }
}

TEST_CASE("lines of a large picture are convolved with the lines around them") {
  for (const bool transposed : {false, true}) {
    CAPTURE(transposed);
    GraphBuilder b("picture");
    const ValueId x = b.input("x", DType::F32, {1, 50, 2048, 2048});
    b.output(b.add(transposed ? "conv_transpose" : "conv", "n",
                   {x, b.weight("w", DType::F32, {50, 50, 3, 3}), b.weight("c", DType::F32, {50})},
                   {{"pads", std::vector<std::int64_t>{1, 1, 1, 1}}}),
             "y");
    const DeviceCaps caps = phone();
    const Plan plan = make_plan(std::move(b).finish(), {}, caps, {});
    check_pieces(plan, caps, "y");
    CHECK(count(plan, "conv_plain") == 0);
    CHECK(count(plan, "conv") <= 9);
    CHECK(count(plan, "strided") > 0);
    // Scratch memory of a piece is used again by the next.
    CHECK(plan.memory() < 2 * 800 * kMiB + 600 * kMiB);
  }
}

TEST_CASE("copies bind what they touch") {
  const DeviceCaps caps = phone();
  const auto planned = [&](auto build) {
    GraphBuilder b("g");
    b.output(build(b, b.input("x", DType::F32, {1, 50, 2048, 2048})), "y");
    const Plan plan = make_plan(std::move(b).finish(), {}, caps, {});
    check_pieces(plan, caps, "y");
    return plan.dispatches.size();
  };
  CHECK(planned([](GraphBuilder& b, ValueId x) {
          return b.add("concat", "n", {x, x}, {{"axis", std::int64_t{1}}});
        }) <= 2 * 8);
  CHECK(planned([](GraphBuilder& b, ValueId x) {
          return b.add("transpose", "n", {x}, {{"perm", std::vector<std::int64_t>{0, 2, 3, 1}}});
        }) <= 64);
  CHECK(planned([](GraphBuilder& b, ValueId x) {
          return b.add("slice", "n", {x, b.integers("begin", {7}), b.integers("end", {43}), b.integers("axis", {1})});
        }) <= 8);
  CHECK(planned([](GraphBuilder& b, ValueId x) {
          return b.add("reshape", "n", {x, b.integers("shape", {50, 4194304})});
        }) <= 8);
}

TEST_CASE("what cannot be split is refused by name") {
  const auto refusal = [](auto build) -> std::string {
    GraphBuilder b("g");
    b.output(build(b, b.input("x", DType::F32, {40'000'000})), "y");
    DeviceCaps caps = phone();
    caps.name = "phone";
    try {
      make_plan(std::move(b).finish(), {}, caps, {});
    } catch (const Error& error) {
      return error.what();
    }
    return "planned";
  };
  const std::string binds =
      ": 'x' binds 160000000 bytes; the device binds at most 134217728 (maxStorageBufferRange); use smaller sizes";
  CHECK(refusal([](GraphBuilder& b, ValueId x) {
          return b.add("cumsum", "the_sum", {x, b.integers("axis", {0})});
        }) == "cumsum 'the_sum' on phone" + binds);
  CHECK(refusal([](GraphBuilder& b, ValueId x) {
          return b.add("reduce", "all", {x}, {{"kind", "sum"}});
        }) == "reduce 'all' on phone" + binds);
  CHECK(refusal([](GraphBuilder& b, ValueId x) {
          return b.add("softmax", "soft", {x}, {{"axis", std::int64_t{0}}});
        }) == "softmax 'soft' on phone" + binds);
}

TEST_CASE("a cache larger than a binding is attended to piece by piece") {
  constexpr std::int64_t kContext = 32768;
  for (const DType type : {DType::F32, DType::F16}) {
    for (const std::int64_t tokens : {1, 64}) {
      CAPTURE(dtype_name(type));
      CAPTURE(tokens);
      GraphBuilder b("decoder");
      const auto input = [&](const char* name) { return b.input(name, DType::F32, {tokens, 4096}); };
      const ValueId position = b.state("position", DType::I32, {1});
      b.output(b.add("attention", "attend",
                     {input("q"), input("k"), input("v"), kNoValue, b.state("ck", type, {kContext, 4096}),
                      b.state("cv", type, {kContext, 4096}), position},
                     {{"heads", std::int64_t{32}},
                      {"causal", std::int64_t{1}},
                      {"rotary_layout", "half"},
                      {"rotary_base", 10000.0}}),
               "y");
      const DeviceCaps caps = phone();
      const Plan plan = make_plan(std::move(b).finish(), {}, caps, {});
      check_pieces(plan, caps, "y");
      const std::int64_t pieces = type == DType::F32 ? 4 : 2;
      CHECK(count(plan, "attention_prepare") == pieces);
      CHECK(count(plan, "attention_pieces") == pieces);
      // Every row of the caches is in one piece.
      for (const char* cache : {"ck", "cv"}) {
        std::uint64_t next = 0;
        for (const Dispatch& dispatch : plan.dispatches) {
          if (dispatch.shader != "attention_pieces") continue;
          const Binding& binding = dispatch.bindings[std::string_view(cache) == "ck" ? 1 : 2];
          CHECK(binding.tensor == plan.tensor_named(cache));
          CHECK(binding.offset == next);
          next += binding.size;
        }
        CHECK(next == plan.tensors[plan.tensor_named(cache)].bytes);
      }
    }
  }
}

}  // namespace heed
