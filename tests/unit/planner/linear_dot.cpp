// Products in integers (shaders/linear_dot.comp): which run so, and how they are shared.
#include "constants/linear_dot.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "graph/quantised.h"
#include "plan/default_tuning.h"
#include "planner/make_plan.h"
#include "tests/unit/from_words.h"
#include "tests/unit/large_gpu.h"

namespace heed {
namespace {

DeviceCaps gpu_with_dots(std::uint32_t subgroup_size = 32) {
  DeviceCaps caps = testing::large_gpu(subgroup_size);
  caps.subgroup_shuffle = caps.integer_dot_product = true;
  return caps;
}

struct Product {
  std::int64_t rows = 1;
  std::int64_t columns = 4096;
  std::int64_t outputs = 4096;
  DType dtype = DType::Q4_0;
  std::int64_t most_rows = 0;
  bool norm = false;
};

Plan plan_of(const Product& product, const DeviceCaps& caps, const Tuning& tuning) {
  GraphBuilder b("product");
  ValueId x = b.input("x", DType::F32, {product.rows, product.columns});
  if (product.norm) {
    x = b.add("rms_norm", "norm", {x, b.weight("g", DType::F32, {product.columns})}, {{"eps", 1e-5}});
  }
  Attributes attributes;
  if (product.most_rows > 0) attributes.set("most_rows", product.most_rows);
  const ValueId w = b.weight("w", product.dtype, {product.outputs, product.columns});
  b.output(b.add("linear", "product", {x, w}, attributes), "y");
  return make_plan(std::move(b).finish(), {}, caps, tuning);
}

std::string shaders(const Plan& plan) {
  std::string names;
  for (const Dispatch& d : plan.dispatches) names += (names.empty() ? "" : " ") + d.shader;
  return names;
}

std::string shaders(const Product& product, const DeviceCaps& caps) {
  return shaders(plan_of(product, caps, default_tuning(caps)));
}

ops::LinearDotConstants constants_of(const Dispatch& d) {
  REQUIRE(d.shader == "linear_dot");
  return testing::from_words<ops::LinearDotConstants>(d.specialization);
}

}  // namespace

TEST_CASE("rows that need not agree with many run in integers, and no others") {
  const DeviceCaps caps = gpu_with_dots();
  for (const QuantisedType& type : quantised_types()) {
    CAPTURE(type.name);
    CHECK(shaders({.dtype = type.dtype}, caps) == "linear_dot");
    for (const std::int64_t rows : {2, 3}) {
      CHECK(shaders({.rows = rows, .dtype = type.dtype}, caps) == "linear_bytes linear_dot");
    }
    // What a row of four or more gives must not depend on how many others there are.
    for (const std::int64_t rows : {4, 8, 9, 64}) {
      CHECK(shaders({.rows = rows, .dtype = type.dtype}, caps).find("linear_dot") == std::string::npos);
    }
    for (const std::int64_t rows : {2, 4, 7, 8}) {
      CAPTURE(rows);
      CHECK(shaders({.rows = rows, .dtype = type.dtype, .most_rows = 8}, caps) == "linear_bytes linear_dot");
      CHECK(shaders({.rows = rows, .dtype = type.dtype, .most_rows = 9}, caps).find("linear_dot") == std::string::npos);
    }
    CHECK(shaders({.rows = 9, .dtype = type.dtype, .most_rows = 8}, caps).find("linear_dot") == std::string::npos);
  }
  for (const DType dtype : {DType::F32, DType::F16, DType::BF16}) {
    CHECK(shaders({.dtype = dtype}, caps) == "linear_vector");
  }
}

TEST_CASE("products are in integers where the device can and the tuner found it faster") {
  DeviceCaps caps = gpu_with_dots();
  Tuning off = default_tuning(caps);
  off.set(&ProductTuning::dot_groups, 0);
  CHECK(shaders(plan_of({}, caps, off)) == "linear_vector");
  const Tuning on = default_tuning(caps);
  const auto without = [&](auto member) {
    DeviceCaps less = caps;
    less.*member = false;
    return shaders(plan_of({}, less, on));
  };
  CHECK(without(&DeviceCaps::integer_dot_product) == "linear_vector");
  CHECK(without(&DeviceCaps::subgroup_arithmetic) == "linear_vector");
  CHECK(without(&DeviceCaps::subgroup_shuffle) == "linear_vector");
  DeviceCaps short_loops = caps;
  short_loops.max_loop_iterations = 500;
  CHECK(shaders(plan_of({.columns = 65536}, short_loops, on)) == "linear_vector");
  for (const char* access : {"storage", "texel"}) {
    caps.broken_modules.insert(std::string("linear_dot-") + access + "-q4_0-floats");
  }
  CHECK(shaders({}, caps) == "linear_vector");
}

TEST_CASE("a row that does not fit shared memory becomes bytes in a dispatch of its own") {
  DeviceCaps caps = gpu_with_dots();
  CHECK(shaders({.norm = true}, caps) == "linear_dot");
  CHECK(shaders({.columns = 11008}, caps) == "linear_dot");
  caps.max_shared_memory = 16384;
  CHECK(shaders({.columns = 4096, .norm = true}, caps) == "linear_dot");
  CHECK(shaders({.columns = 11008}, caps) == "linear_bytes linear_dot");
  CHECK(plan_of({.columns = 11008}, caps, default_tuning(caps)).dispatches[1].barrier_before);
  // Where a norm's factor is known after the row has been read, there is no such dispatch.
  CHECK(shaders({.columns = 11008, .norm = true}, caps) == "linear_vector");
}

TEST_CASE("narrow products are shared by more workgroups, each with fewer rows") {
  for (const std::uint32_t subgroup : {8u, 16u, 32u, 64u, 128u}) {
    const DeviceCaps caps = gpu_with_dots(subgroup);
    for (const std::uint32_t groups : {1u, 256u, 1024u}) {
      Tuning tuning = default_tuning(caps);
      tuning.set(&ProductTuning::dot_groups, groups);
      for (const std::int64_t outputs : {1, 33, 512, 4096, 32000}) {
        CAPTURE(subgroup);
        CAPTURE(groups);
        CAPTURE(outputs);
        const Dispatch d = plan_of({.outputs = outputs}, caps, tuning).dispatches[0];
        const ops::LinearDotConstants c = constants_of(d);
        CHECK(d.subgroup_size == subgroup);
        CHECK(c.subgroup_size == subgroup);
        CHECK(c.lanes % subgroup == 0);
        CHECK(c.lanes <= std::max(128u, subgroup));
        const std::uint32_t block = c.rows * (c.lanes / subgroup);
        CHECK(d.groups[0] <= groups);
        // None without work, and as many as there should be unless a row is all that is left to share.
        CHECK((d.groups[0] - 1) * block < outputs);
        CHECK((d.groups[0] == groups || c.rows == 1));
      }
    }
  }
}

}  // namespace heed
