// Plans for devices that are not here: each limit alone made small.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "heed/error.h"
#include "planner/make_plan.h"

namespace heed {
namespace {

Graph linear_graph(DType type, std::int64_t n, std::int64_t columns, bool gate = false) {
  GraphBuilder b("g");
  const ValueId x = b.input("x", DType::F32, {1, columns});
  const ValueId a = b.add("linear", "project", {x, b.weight("w", type, {n, columns})});
  if (!gate) {
    b.output(a, "y");
    return std::move(b).finish();
  }
  const ValueId c = b.add("linear", "up", {x, b.weight("v", type, {n, columns})});
  b.output(b.add("gate", "act", {a, c}, {{"activation", "silu"}}), "y");
  return std::move(b).finish();
}

Graph norm_graph(std::int64_t rows, std::int64_t width) {
  GraphBuilder b("g");
  const ValueId x = b.input("x", DType::F32, {rows, width});
  b.output(b.add("rms_norm", "the_norm", {x, b.weight("g", DType::F32, {width})}, {{"eps", 1e-5}}), "y");
  return std::move(b).finish();
}

Graph attention_graph(std::int64_t d) {
  GraphBuilder b("g");
  const ValueId q = b.input("q", DType::F32, {1, d});
  b.output(b.add("attention", "attend", {q, b.input("k", DType::F32, {3, d}), b.input("v", DType::F32, {3, d})},
                 {{"heads", std::int64_t{1}}}),
           "y");
  return std::move(b).finish();
}

/// Checks that no dispatch breaks a limit of the device.
void check_limits(const Plan& plan, const DeviceCaps& caps) {
  for (const Dispatch& dispatch : plan.dispatches) {
    CAPTURE(dispatch.label);
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(dispatch.groups[i] >= 1);
      CHECK(dispatch.groups[i] <= caps.max_workgroup_count[i]);
    }
    CHECK(dispatch.push_constants.size() * 4 <= caps.max_push_constants);
    std::uint32_t storage_buffers = 0;
    CHECK(dispatch.specialization.at(0) <= caps.max_workgroup_invocations);
    for (const Binding& binding : dispatch.bindings) {
      const bool texel = dispatch.texel && binding.view != View::None;
      CHECK(binding.size > 0);
      CHECK(binding.offset % caps.buffer_alignment == 0);
      CHECK(binding.offset + binding.size <= plan.tensors[binding.tensor].bytes);
      if (texel) {
        CHECK(binding.size % view_texel_bytes(binding.view) == 0);
        CHECK(binding.size / view_texel_bytes(binding.view) <= caps.max_texel_buffer_elements);
      } else {
        CHECK(binding.size <= caps.max_storage_buffer_range);
        ++storage_buffers;
      }
    }
    CHECK(storage_buffers <= caps.max_storage_buffers);
  }
  for (const PlanTensor& tensor : plan.tensors) CHECK(tensor.bytes <= caps.max_memory_allocation);
}

std::string planning_error(const Graph& graph, const DeviceCaps& caps, const Tuning& tuning = {}) {
  try {
    make_plan(graph, {}, caps, tuning);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("a weight larger than a binding is cut, and every row is multiplied once") {
  for (const DType type : matrix_types()) {
    const std::int64_t columns = std::max<std::int64_t>(64, dtype_info(type).block_elements);
    for (const bool by_range : {true, false}) {
      for (const std::int64_t n : {1, 31, 32, 33, 1000, 4097}) {
        CAPTURE(dtype_name(type));
        CAPTURE(n);
        DeviceCaps caps;
        (by_range ? caps.max_storage_buffer_range : caps.max_memory_allocation) = 20000;
        const Plan plan = make_plan(linear_graph(type, n, columns), {}, caps, {});
        check_limits(plan, caps);
        // Push constants 3 and 4 of a linear: how many columns it makes, and the first of them.
        std::map<std::uint32_t, std::uint32_t> made;
        for (const Dispatch& dispatch : plan.dispatches) made[dispatch.push_constants[4]] = dispatch.push_constants[3];
        std::uint32_t next = 0;
        for (const auto& [first, count] : made) {
          CHECK(first == next);
          next = first + count;
        }
        CHECK(next == n);
        CHECK(made.size() == plan.dispatches.size());
        std::int64_t rows = 0;
        for (const DeviceWeight& weight : plan.weights) {
          CHECK(weight.row_begin == rows);
          rows += weight.row_count;
        }
        CHECK(rows == n);
        if (type == DType::F32 && n == 4097) CHECK(plan.dispatches.size() > 50);
      }
    }
  }
}

TEST_CASE("a table larger than a binding is cut, and the first piece answers for foreign ids") {
  GraphBuilder b("g");
  const ValueId ids = b.input("ids", DType::I32, {5});
  b.output(b.add("embedding", "embed", {ids, b.weight("table", DType::F16, {1000, 64})}), "y");
  DeviceCaps caps;
  caps.max_storage_buffer_range = 20000;
  const Plan plan = make_plan(std::move(b).finish(), {}, caps, {});
  check_limits(plan, caps);
  CHECK(plan.dispatches.size() > 1);
  std::uint32_t next = 0;
  for (const Dispatch& dispatch : plan.dispatches) {
    if (dispatch.shader != "embedding") continue;
    CHECK(dispatch.push_constants[3] == next);
    next += dispatch.push_constants[4];
    CHECK(dispatch.push_constants[5] == 1000);
  }
  CHECK(next == 1000);
}

TEST_CASE("a gate whose stacked weight is too large stays apart and is cut") {
  DeviceCaps caps;
  caps.max_storage_buffer_range = 20000;
  const Plan plan = make_plan(linear_graph(DType::F32, 200, 64, true), {}, caps, {});
  check_limits(plan, caps);
  bool gates = false;
  for (const Dispatch& dispatch : plan.dispatches) gates = gates || dispatch.shader == "elementwise";
  CHECK(gates);
}

TEST_CASE("texel views are used where the device has enough elements, storage buffers elsewhere") {
  Tuning tuning;
  tuning.texel = true;
  DeviceCaps caps;
  const Graph graph = linear_graph(DType::F32, 64, 64);  // 1024 vec4s
  caps.max_texel_buffer_elements = 1024;
  Plan plan = make_plan(graph, {}, caps, tuning);
  check_limits(plan, caps);
  CHECK(plan.dispatches.at(0).texel);
  CHECK(plan.dispatches[0].module_key().find("-texel") != std::string::npos);
  caps.max_texel_buffer_elements = 1023;
  plan = make_plan(graph, {}, caps, tuning);
  check_limits(plan, caps);
  CHECK_FALSE(plan.dispatches.at(0).texel);
  caps.max_texel_buffer_elements = 0;
  CHECK_FALSE(make_plan(graph, {}, caps, tuning).dispatches.at(0).texel);
  caps.max_texel_buffer_elements = 1 << 20;
  CHECK_FALSE(make_plan(graph, {}, caps, {}).dispatches.at(0).texel);
}

TEST_CASE("workgroups are folded into two dimensions, and loops take over where tuned so") {
  DeviceCaps caps;
  caps.max_workgroup_count = {100, 65535, 65535};
  Plan plan = make_plan(norm_graph(70001, 4), {}, caps, {});
  check_limits(plan, caps);
  const Dispatch& norm = plan.dispatches.at(0);
  CHECK(std::uint64_t{norm.groups[0]} * norm.groups[1] >= 70001);
  CHECK(std::uint64_t{norm.groups[0]} * norm.groups[1] < 70001 + 100);

  Tuning tuning;
  tuning.set(&ProductTuning::max_groups, 13);
  for (const std::int64_t n : {1, 4, 51, 52, 53, 1000}) {
    plan = make_plan(linear_graph(DType::F32, n, 64), {}, caps, tuning);
    check_limits(plan, caps);
    const Dispatch& product = plan.dispatches.at(0);
    CHECK(product.groups[0] <= 13);
    const std::uint64_t per_group = product.push_constants.at(7);
    CHECK(product.groups[0] * per_group * tuning.of(DType::F32).rows >= static_cast<std::uint64_t>(n));
    CHECK((product.groups[0] - 1) * per_group * tuning.of(DType::F32).rows < static_cast<std::uint64_t>(n));
  }
}

TEST_CASE("a refusal names the node, the device and the limit") {
  DeviceCaps caps;
  caps.name = "tiny";
  caps.max_workgroup_count = {10, 10, 10};
  std::string message = planning_error(norm_graph(1000, 4), caps);
  CHECK_MESSAGE(message == "rms_norm 'the_norm' on tiny: needs 1000 workgroups; the device runs at most 10 x 10",
                message);

  caps = {};
  caps.name = "tiny";
  caps.max_push_constants = 8;
  message = planning_error(norm_graph(1, 4), caps);
  CHECK_MESSAGE(message == "rms_norm 'the_norm' on tiny: needs 12 bytes of push constants; the device has 8", message);

  caps = {};
  caps.name = "tiny";
  caps.max_memory_allocation = 1000;
  message = planning_error(norm_graph(10, 100), caps);
  CHECK_MESSAGE(message.find("rms_norm 'the_norm' on tiny: tensor 'x' needs 4000 bytes") == 0, message);

  caps = {};
  caps.name = "tiny";
  caps.max_storage_buffer_range = 1000;
  message = planning_error(norm_graph(10, 100), caps);  // two rows at a time
  CHECK_MESSAGE(message == "no error", message);
  message = planning_error(norm_graph(10, 300), caps);
  CHECK_MESSAGE(message.find("rms_norm 'the_norm' on tiny: 'x' binds 12000 bytes") == 0, message);
  CHECK_MESSAGE(message.find("maxStorageBufferRange") != std::string::npos, message);

  message = planning_error(linear_graph(DType::F32, 33, 64), caps);
  CHECK_MESSAGE(message.find("linear 'project'") == 0, message);
  CHECK_MESSAGE(message.find("binds 1000") != std::string::npos, message);

  caps = {};
  caps.name = "tiny";
  message = planning_error(attention_graph(8192), caps);
  CHECK_MESSAGE(message.find("attention 'attend' on tiny: heads of 8192 elements") == 0, message);
  CHECK_MESSAGE(message.find("shared memory") != std::string::npos, message);

  caps.max_workgroup_invocations = 32;
  message = planning_error(norm_graph(1, 4), caps, {.lanes = 64});
  CHECK_MESSAGE(message == "rms_norm 'the_norm' on tiny: needs workgroups of 64; the device runs at most 32", message);
}

TEST_CASE("attention of one row is done in one dispatch where the device binds enough buffers") {
  GraphBuilder b("g");
  const ValueId q = b.input("q", DType::F32, {1, 8});
  const ValueId k = b.input("k", DType::F32, {1, 8});
  const ValueId v = b.input("v", DType::F32, {1, 8});
  const ValueId position = b.state("position", DType::I32, {1});
  const ValueId cache_k = b.state("cache.k", DType::F32, {16, 8});
  const ValueId cache_v = b.state("cache.v", DType::F32, {16, 8});
  b.output(b.add("attention", "attend", {q, k, v, kNoValue, cache_k, cache_v, position}, {{"heads", std::int64_t{2}}}),
           "y");
  const Graph graph = std::move(b).finish();
  DeviceCaps caps;
  caps.max_storage_buffers = 11;
  const Plan one = make_plan(graph, {}, caps, {});
  REQUIRE(one.dispatches.size() == 1);
  CHECK(one.dispatches[0].shader == "attention_step");
  check_limits(one, caps);
  caps.max_storage_buffers = 8;
  const Plan two = make_plan(graph, {}, caps, {});
  CHECK(two.dispatches.size() == 2);
  check_limits(two, caps);
  caps.max_storage_buffers = 4;
  const std::string message = planning_error(graph, caps);
  CHECK_MESSAGE(
      message.find("attention 'attend' on guaranteed minimum: kernel attention_prepare binds 8 storage buffers; "
                   "the device has 4") == 0,
      message);
}

TEST_CASE("attention of rows of which none sees another's newest key is done in one dispatch, too") {
  GraphBuilder b("g");
  const ValueId q = b.input("q", DType::F32, {4, 8});
  const ValueId k = b.input("k", DType::F32, {4, 8});
  const ValueId v = b.input("v", DType::F32, {4, 8});
  const ValueId position = b.state("position", DType::I32, {4});
  const ValueId cache_k = b.state("cache.k", DType::F32, {64, 8});
  const ValueId cache_v = b.state("cache.v", DType::F32, {64, 8});
  const ValueId table = b.state("table", DType::I32, {16, 4});
  const std::int64_t one = 1;
  b.output(b.add("attention", "attend", {q, k, v, kNoValue, cache_k, cache_v, position, kNoValue, table},
                 {{"heads", std::int64_t{2}}, {"apart", one}}),
           "y");
  const Graph graph = std::move(b).finish();
  DeviceCaps caps;
  caps.max_storage_buffers = 12;
  const auto attention_of = [&](const Graph& of) {
    std::vector<std::string> shaders;
    const Plan plan = make_plan(of, {}, caps, {.attention_groups = 640});
    check_limits(plan, caps);
    for (const Dispatch& dispatch : plan.dispatches) {
      if (dispatch.shader.starts_with("attention")) shaders.push_back(dispatch.shader);
    }
    return shaders;
  };
  CHECK(attention_of(graph) == std::vector<std::string>{"attention_step"});
  Graph together = graph;
  together.nodes[0].attributes.set("apart", std::int64_t{0});
  const std::vector<std::string> both = {"attention_prepare", "attention"};
  CHECK(attention_of(together) == both);
  caps.max_storage_buffers = 11;
  CHECK(attention_of(graph) == both);
}

TEST_CASE("lanes get rows of their own where tuned so, fewer for narrow outputs, none where loops are too short") {
  DeviceCaps caps;
  Tuning tuning;
  tuning.set(&ProductTuning::lane_rows, true);
  tuning.lanes = tuning.row_lanes = 8;
  tuning.set(&ProductTuning::lanes, 8);
  tuning.set(&ProductTuning::rows, 16);
  const auto plan = [&](std::int64_t n, std::int64_t columns, bool gate = false) {
    const Plan made = make_plan(linear_graph(DType::Q8_0, n, columns, gate), {}, caps, tuning);
    check_limits(made, caps);
    REQUIRE(made.dispatches.size() == 1);
    return made.dispatches[0];
  };
  CHECK(plan(32000, 256).shader == "linear_lanes");
  CHECK(plan(32000, 256).specialization.at(1) == 16);
  CHECK(plan(32000, 256).groups[0] == 250);
  CHECK(plan(32000, 256, true).specialization.at(1) == 8);
  CHECK(plan(288, 256).specialization.at(1) == 4);
  CHECK(plan(7, 256).specialization.at(1) == 1);
  CHECK(plan(7, 256).groups[0] == 1);
  // What a workgroup reads lies together, in every plan that reads the weight.
  CHECK(plan(32000, 256).specialization.at(7) == 128);
  CHECK(plan(32000, 256, true).specialization.at(7) == 64);
  CHECK(plan(288, 256).specialization.at(7) == 32);
  CHECK(plan(7, 256).specialization.at(7) == 8);
  caps.max_loop_iterations = 1000;
  CHECK(plan(320, 4096).shader == "linear_lanes");
  CHECK(plan(320, 8192).shader == "linear_vector");
}

TEST_CASE("where a driver ends long loops, workgroups grow or become more") {
  DeviceCaps caps;
  caps.name = "short";
  caps.max_workgroup_invocations = 1024;
  caps.max_workgroup_size = {1024, 1, 1};
  Tuning tuning;
  tuning.lanes = tuning.row_lanes = 8;
  tuning.set(&ProductTuning::lanes, 8);
  tuning.set(&ProductTuning::max_groups, 2);
  const Graph product = linear_graph(DType::F32, 40000, 64);
  const std::uint64_t free_per_group = make_plan(product, {}, caps, tuning).dispatches.at(0).push_constants.at(7);
  CHECK(free_per_group == 5000);
  CHECK(make_plan(norm_graph(1, 200000), {}, caps, tuning).dispatches.at(0).specialization.at(0) == 8);

  caps.max_loop_iterations = 10000;
  Plan plan = make_plan(product, {}, caps, tuning);
  check_limits(plan, caps);
  const Dispatch& dispatch = plan.dispatches.at(0);
  // A block of four rows runs more than ten loop iterations.
  CHECK(dispatch.push_constants.at(7) < 1000);
  CHECK(std::uint64_t{dispatch.push_constants.at(7)} * dispatch.groups[0] * tuning.of(DType::F32).rows >= 40000);

  plan = make_plan(norm_graph(1, 200000), {}, caps, tuning);
  CHECK(plan.dispatches.at(0).specialization.at(0) >= 16);
  check_limits(plan, caps);
  caps.max_loop_iterations = 50;
  const std::string message = planning_error(norm_graph(1, 2000000), caps, tuning);
  CHECK_MESSAGE(message.find("rms_norm 'the_norm' on short: needs more than 50 loop iterations") == 0, message);
}

TEST_CASE("a tail shares memory exactly where bindings may start") {
  const auto dispatches = [](std::int64_t width, std::uint64_t alignment) {
    GraphBuilder b("g");
    const ValueId x = b.add("neg", "before", {b.input("x", DType::F32, {5, width})});
    const ValueId last = b.add("tail", "last", {x}, {{"rows", "rows"}});
    b.output(b.add("neg", "after", {last}), "y");
    DeviceCaps caps;
    caps.buffer_alignment = alignment;
    const Plan plan = make_plan(std::move(b).finish(), {{"rows", 1}}, caps, {});
    check_limits(plan, caps);
    return plan.dispatches.size();
  };
  CHECK(dispatches(64, 256) == 2);
  CHECK(dispatches(8, 256) == 3);
  CHECK(dispatches(8, 64) == 2);
  CHECK(dispatches(1, 16) == 2);
  CHECK(dispatches(3, 16) == 2);
  CHECK(dispatches(3, 32) == 3);
}

TEST_CASE("a tail of no rows stays inside its tensor") {
  {
    // Of a prompt's piece without logits: a norm that nobody needs is planned all the same.
    GraphBuilder b("g");
    const ValueId x = b.add("neg", "before", {b.input("x", DType::F32, {"tokens", 64})});
    const ValueId none = b.add("tail", "none", {x}, {{"rows", "rows"}});
    const ValueId normed = b.add("rms_norm", "norm", {none, b.weight("g", DType::F32, {64})}, {{"eps", 1e-5}});
    b.output(b.add("linear", "product", {normed, b.weight("w", DType::F32, {9, 64})}), "y");
    b.output(b.add("neg", "after", {none}), "z");
    const Graph graph = std::move(b).finish();
    for (const std::int64_t tokens : {1, 4, 6, 64}) {
      const Plan plan = make_plan(graph, {{"tokens", tokens}, {"rows", 0}}, DeviceCaps{}, {});
      for (const Dispatch& dispatch : plan.dispatches) {
        for (const Binding& binding : dispatch.bindings) {
          CHECK_MESSAGE(binding.offset + binding.size <= plan.tensors[binding.tensor].bytes, dispatch.label);
        }
      }
    }
  }
  GraphBuilder b("g");
  const ValueId x = b.add("neg", "before", {b.input("x", DType::F32, {64, 1})});
  const ValueId none = b.add("tail", "none", {x}, {{"rows", "rows"}});
  b.output(b.add("neg", "after", {none}), "y");
  b.output(b.add("add", "sum", {none, none}), "z");
  const DeviceCaps caps;
  check_limits(make_plan(std::move(b).finish(), {{"rows", 0}}, caps, {}), caps);
}

TEST_CASE("a plan for the guaranteed minimum runs a decoder block") {
  GraphBuilder b("g");
  const ValueId x = b.input("x", DType::F32, {"tokens", 288});
  const ValueId position = b.state("position", DType::I32, {1});
  const auto product = [&](const char* name, ValueId from, std::int64_t n, std::int64_t k) {
    return b.add("linear", name, {from, b.weight(std::string("w.") + name, DType::Q8_0, {n, k})});
  };
  const ValueId normed = b.add("rms_norm", "norm", {x, b.weight("g", DType::F32, {288})}, {{"eps", 1e-5}});
  const ValueId y =
      b.add("attention", "attend",
            {product("q", normed, 288, 288), product("k", normed, 96, 288), product("v", normed, 96, 288), kNoValue,
             b.state("ck", DType::F32, {"context", 96}), b.state("cv", DType::F32, {"context", 96}), position},
            {{"heads", std::int64_t{6}}, {"kv_heads", std::int64_t{2}}, {"causal", std::int64_t{1}}});
  b.output(product("logits", y, 32000, 288), "logits");
  const Graph graph = std::move(b).finish();
  const DeviceCaps caps;
  for (const std::int64_t tokens : {1, 2, 64}) {
    for (const bool texel : {false, true}) {
      Tuning tuning;
      tuning.texel = texel;
      const Plan plan = make_plan(graph, {{"tokens", tokens}, {"context", 2048}}, caps, tuning);
      check_limits(plan, caps);
      CHECK(plan.flops() > 2u * 288 * 32000);
      CHECK(plan.tensors[plan.tensor_named("logits")].bytes == static_cast<std::uint64_t>(tokens) * 32000 * 4);
    }
  }
  const Plan plan = make_plan(graph, {{"tokens", 1}, {"context", 16}}, caps, {});
  CHECK_THROWS_WITH_AS(plan.tensor_named("nothing"), doctest::Contains("x, "), Error);
}

}  // namespace heed
