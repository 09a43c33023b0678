// The tables that a plan brings.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "heed/error.h"
#include "planner/make_plan.h"

namespace heed {
namespace {

constexpr const char* kName = "pad.zero";  // of the table with what ops put around tensors

struct PadOptions {
  Attributes constant;     // a known value of the name of that table
  bool floating = false;   // pads reals, not integers
  bool also_conv = false;  // a convolution that needs padding as well
};

/// y = pad(x) with zeros that the op brings; z = pad(x, the known value).
Graph pad_graph(const PadOptions& options) {
  const DType type = options.floating ? DType::F32 : DType::I32;
  GraphBuilder b("g");
  const ValueId x = b.input("x", type, {1, 1, 3, 3});
  const ValueId pads = b.integers("pads", {0, 0, 1, 1, 0, 0, 1, 1});
  b.output(b.add("pad", "plain", {x, pads}), "y");
  if (options.also_conv) {
    b.output(b.add("conv", "conv", {x, b.weight("w", DType::F32, {4, 1, 3, 3})},
                   {{"pads", std::vector<std::int64_t>{1, 1, 1, 1}}}),
             "c");
  }
  const ValueId value = b.add("constant", kName, {}, options.constant);
  b.output(b.add("pad", "other", {x, pads, value}), "z");
  return std::move(b).finish();
}

Attributes integers(std::vector<std::int64_t> values) {
  return {{"dtype", "i32"}, {"shape", Shape{static_cast<std::int64_t>(values.size())}}, {"integers", values}};
}
Attributes reals(std::vector<double> values) {
  return {{"dtype", "f32"}, {"shape", Shape{static_cast<std::int64_t>(values.size())}}, {"values", values}};
}

Plan plan_of(const PadOptions& options) { return make_plan(pad_graph(options), {}, DeviceCaps{}, Tuning{}); }

const Dispatch& dispatch(const Plan& plan, const std::string& node) {
  const auto found = std::ranges::find(plan.dispatches, node, &Dispatch::label);
  REQUIRE_MESSAGE(found != plan.dispatches.end(), node);
  return *found;
}

/// The table that the pad of this node reads what it puts around from: a tensor of the plan.
std::size_t table(const Plan& plan, const std::string& node) {
  const Binding& binding = dispatch(plan, node).bindings.at(2);
  CHECK(binding.access == Access::Read);
  CHECK(binding.offset == 0);
  const PlanTensor& tensor = plan.tensors.at(binding.tensor);
  CHECK(tensor.name == kName);
  REQUIRE(tensor.storage == Storage::Constant);
  REQUIRE(tensor.source < plan.constants.size());
  CHECK(plan.constants[tensor.source].size() == tensor.bytes);
  CHECK(binding.size == tensor.bytes);
  return binding.tensor;
}

template <typename T>
T first(const Plan& plan, std::size_t tensor) {
  T value;
  std::memcpy(&value, plan.constants[plan.tensors[tensor].source].data(), sizeof value);
  return value;
}

std::ptrdiff_t tables_named(const Plan& plan) { return std::ranges::count(plan.tensors, kName, &PlanTensor::name); }

}  // namespace

TEST_CASE("constants: tables of one name that differ are kept apart") {
  const Plan plan = plan_of({.constant = integers({7})});
  const std::size_t plain = table(plan, "plain");
  const std::size_t other = table(plan, "other");
  CHECK(plain != other);
  CHECK(plan.tensors[plain].source != plan.tensors[other].source);
  CHECK(first<std::int32_t>(plan, plain) == 0);
  CHECK(first<std::int32_t>(plan, other) == 7);
  CHECK(tables_named(plan) == 2);
}

TEST_CASE("constants: equal tables of one name are one") {
  const Plan plan = plan_of({.constant = integers({0})});
  CHECK(table(plan, "plain") == table(plan, "other"));
  CHECK(tables_named(plan) == 1);
}

TEST_CASE("constants: the same bytes of another type are another table") {
  const Plan plan = plan_of({.constant = reals({0.0}), .floating = true});
  const std::size_t plain = table(plan, "plain");
  const std::size_t other = table(plan, "other");
  CHECK(plain != other);
  CHECK(plan.tensors[plain].type.dtype == DType::I32);
  CHECK(plan.tensors[other].type.dtype == DType::F32);
}

TEST_CASE(
    "constants: a pad beside a convolution, which pads without a table, shares none with a known value of that name") {
  const Plan plan = plan_of({.constant = reals({2.5}), .floating = true, .also_conv = true});
  const std::size_t plain = table(plan, "plain");
  CHECK(dispatch(plan, "conv").shader == "conv_pad");  // its first dispatch
  const std::size_t other = table(plan, "other");
  CHECK(other != plain);
  CHECK(first<std::int32_t>(plan, plain) == 0);
  CHECK(first<float>(plan, other) == 2.5f);
  CHECK(tables_named(plan) == 2);
}

TEST_CASE(
    "constants: an integer that needs more than 32 bits is refused by the node's name, but for the ends of int64") {
  const auto padded_with = [](const std::string& type, std::int64_t value) {
    const Plan plan = plan_of({.constant = {{"dtype", type}, {"shape", Shape{1}}, {"integers", Shape{value}}}});
    return first<std::int32_t>(plan, table(plan, "other"));
  };
  const std::int64_t most = std::int64_t{1} << 31;
  CHECK(padded_with("i64", most - 1) == most - 1);
  CHECK(padded_with("i64", -most) == -most);
  CHECK(padded_with("i64", INT64_MAX) == most - 1);
  CHECK(padded_with("i64", INT64_MIN) == -most);
  CHECK(padded_with("i64", std::int64_t{1} << 53) == most - 1);  // an end, as files have it
  for (const std::int64_t value : {most, -most - 1, std::int64_t{1} << 52, (std::int64_t{1} << 53) - 1, most * 2 - 1}) {
    CAPTURE(value);
    const std::string told = "pad 'other' on guaranteed minimum: reads " + std::to_string(value) +
                             " of 'pad.zero', which needs more than 32 bits; heed computes with integers of 32";
    CHECK_THROWS_WITH_AS(padded_with("i64", value), doctest::Contains(told.c_str()), Error);
    if (value == most) CHECK_THROWS_AS(padded_with("u32", value), Error);
  }
}

TEST_CASE(
    "constants: to ops that look at order alone a large integer is the nearest, to those that wrap its lower bits") {
  const auto word = [](const char* op, const char* type, std::int64_t value) {
    GraphBuilder b("g");
    const ValueId x = b.input("x", *dtype_from_name(type), {1});
    const ValueId constant =
        b.add("constant", "value", {}, {{"dtype", std::string(type)}, {"shape", Shape{1}}, {"integers", Shape{value}}});
    b.output(b.add(op, op, {x, constant}), "y");
    const Plan plan = make_plan(std::move(b).finish(), {}, DeviceCaps{}, Tuning{});
    const auto table = std::ranges::find(plan.tensors, Storage::Constant, &PlanTensor::storage);
    REQUIRE(table != plan.tensors.end());
    return first<std::int32_t>(plan, static_cast<std::size_t>(table - plan.tensors.begin()));
  };
  for (const char* op : {"max", "min", "less", "less_equal", "greater", "greater_equal"}) {
    CHECK(word(op, "i64", std::int64_t{1} << 40) == INT32_MAX);
    CHECK(word(op, "i64", -(std::int64_t{1} << 40)) == INT32_MIN);
  }
  for (const char* op : {"bitwise_and", "bitwise_or", "bitwise_xor"}) CHECK(word(op, "i64", 0xffffffff) == -1);
  for (const char* op : {"add", "sub", "mul", "equal"}) {
    CHECK(word(op, "u32", 0xfffffffe) == -2);
    CHECK_THROWS_AS(word(op, "i64", 0xfffffffe), Error);
  }
  CHECK_THROWS_AS(word("div", "u32", 0xfffffffe), Error);
}

}  // namespace heed
