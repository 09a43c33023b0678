// ONNX models with branches and loops, and inputs that are fixed before they are converted.
#include <doctest/doctest.h>

#include <cmath>

#include "heed/error.h"
#include "tests/unit/convert/onnx_model.h"

namespace heed::convert {
namespace {

using namespace convert_test;
/// x [2] -> if rate == 16000: 2 x, else -x
ModelFile rate_model() {
  ModelFile file;
  file.input("x", {"2"});
  file.input("rate", {}, onnx::TensorProto::INT64);
  ModelFile::integers(file.graph(), "wide", {16000}, true);
  file.node("Equal", {"rate", "wide"}, "is_wide");
  onnx::NodeProto& branch = file.node("If", {"is_wide"}, "y");
  onnx::GraphProto& then = ModelFile::inner(branch, "then_branch");
  ModelFile::node(then, "Add", {"x", "x"}, "twice");
  ModelFile::describe(*then.add_output(), "twice", {});
  onnx::GraphProto& otherwise = ModelFile::inner(branch, "else_branch");
  ModelFile::node(otherwise, "Neg", {"x"}, "negative");
  ModelFile::describe(*otherwise.add_output(), "negative", {});
  file.output("y");
  return file;
}

/// x [2]; step by step a = 2 a + x, and the trace of a.
ModelFile loop_model(const std::string& trips, const std::string& condition) {
  ModelFile file;
  file.input("x", {"2"});
  file.tensor("zero", {2}, {0, 0});
  file.tensor("two", {}, {2});
  if (trips == "three") ModelFile::integers(file.graph(), "three", {3}, true);
  onnx::NodeProto& loop = file.node("Loop", {trips, condition, "zero"}, "last");
  loop.add_output("trace");
  onnx::GraphProto& body = ModelFile::inner(loop, "body");
  ModelFile::describe(*body.add_input(), "i", {}, onnx::TensorProto::INT64);
  ModelFile::describe(*body.add_input(), "go", {}, onnx::TensorProto::BOOL);
  ModelFile::describe(*body.add_input(), "a", {"2"});
  ModelFile::node(body, "Mul", {"a", "two"}, "doubled");
  ModelFile::node(body, "Add", {"doubled", "x"}, "next");
  ModelFile::node(body, "Identity", {"next"}, "seen");
  ModelFile::node(body, "Identity", {"go"}, "still");
  for (const char* name : {"still", "next", "seen"}) ModelFile::describe(*body.add_output(), name, {"2"});
  file.output("last");
  file.output("trace");
  return file;
}

onnx::GraphProto& body_of_loop(ModelFile& file) {
  for (onnx::NodeProto& node : *file.graph().mutable_node()) {
    if (node.op_type() == "Loop" || node.op_type() == "Scan") return *node.mutable_attribute(0)->mutable_g();
  }
  throw Error("no loop");
}

/// A running sum h = h / 2 + x along an axis of x, with its trace.
ModelFile scan_model(const std::vector<std::string>& shape, std::int64_t axis, bool backwards, std::int64_t out_axis) {
  ModelFile file;
  file.input("x", shape);
  file.tensor("zero", {2}, {0, 0});
  file.tensor("half", {}, {0.5F});
  onnx::NodeProto& scan = file.node("Scan", {"zero", "x"}, "last");
  scan.add_output("trace");
  onnx::GraphProto& body = ModelFile::inner(scan, "body");
  set_integer(scan, "num_scan_inputs", 1);
  set_integers(scan, "scan_input_axes", {axis});
  set_integers(scan, "scan_input_directions", {backwards ? 1 : 0});
  set_integers(scan, "scan_output_axes", {out_axis});
  set_integers(scan, "scan_output_directions", {backwards ? 1 : 0});
  ModelFile::describe(*body.add_input(), "h", {"2"});
  ModelFile::describe(*body.add_input(), "slice", {"2"});
  ModelFile::node(body, "Mul", {"h", "half"}, "halved");
  ModelFile::node(body, "Add", {"halved", "slice"}, "next");
  ModelFile::node(body, "Identity", {"next"}, "seen");
  for (const char* name : {"next", "seen"}) ModelFile::describe(*body.add_output(), name, {"2"});
  file.output("last");
  file.output("trace");
  return file;
}

}  // namespace

TEST_CASE("onnx: a fixed input takes a branch, and the message without it names input and option") {
  const ModelFile file = rate_model();
  CHECK(contains(
      file.complaint(),
      "node \"the If\" (If): which branch is taken depends on what the input \"rate\" (i64 []) holds, which is "
      "only known when the model runs; fix it with --set rate=VALUE"));
  const Checkpoint wide = file.read({{"rate", "16000"}});
  CHECK(wide.graphs[0].inputs.size() == 1);
  CHECK(wide.notes == std::vector<std::string>{"input \"rate\" is fixed to 16000"});
  CHECK(run(wide, {{"x", {1, -3}}}).at("y") == Numbers{2, -6});
  CHECK(run(file.read({{"rate", "8000"}}), {{"x", {1, -3}}}).at("y") == Numbers{-1, 3});
}

TEST_CASE("onnx: what is fixed must be there, and of the input's type and size") {
  const ModelFile file = rate_model();
  CHECK(contains(file.complaint({{"rat", "1"}}),
                 "--set rat=1: there is no input or dimension \"rat\"; inputs are \"x\" f32 [2], \"rate\" i64 []"));
  CHECK(contains(file.complaint({{"rate", "fast"}}), "\"fast\" is no value of i64"));
  CHECK(contains(file.complaint({{"rate", "1.5"}}), "\"1.5\" is no value of i64"));
  CHECK(contains(file.complaint({{"rate", ""}}), "\"\" is no value of i64"));
  CHECK(contains(file.complaint({{"rate", "1,2"}}), "2 values for the input \"rate\" (i64 []), expected 1"));
  CHECK(contains(file.complaint({{"x", "1"}}), "1 value for the input \"x\" (f32 [2]), expected 2"));
  CHECK(run(file.read({{"rate", "0"}, {"x", "1,-2.5e0"}}), {}).at("y") == Numbers{-1, 2.5});

  ModelFile flag;
  flag.input("on", {}, onnx::TensorProto::BOOL);
  flag.input("small", {"n"}, onnx::TensorProto::UINT8);
  flag.input("wide", {"n", "m"});
  flag.node("Not", {"on"}, "y");
  flag.output("y");
  CHECK(contains(flag.complaint({{"on", "yes"}}), "\"yes\" is no value of bool (true, false)"));
  CHECK(run(flag.read({{"on", "true"}}), {{"small", {1}}, {"wide", {1}}}, {{"n", 1}, {"m", 1}}).at("y") == Numbers{0});
  CHECK(contains(flag.complaint({{"small", "256"}}), "\"256\" is no value of u8"));
  CHECK(contains(flag.complaint({{"small", "-1"}}), "\"-1\" is no value of u8"));
  CHECK(flag.complaint({{"small", "1,2,3"}}).empty());
  CHECK(contains(flag.complaint({{"wide", "1,2,3"}}), "expected the sizes of its dimensions first"));
  CHECK(flag.complaint({{"wide", "1,2,3,4"}, {"n", "2"}}).empty());
  CHECK(contains(flag.complaint({{"wide", "1,2,3"}, {"n", "2"}}), "3 values for the input \"wide\" (f32 [2, m])"));
  CHECK(contains(flag.complaint({{"n", "-2"}}), "\"-2\" is no size of the dimension \"n\""));
  // What is fixed has sizes, which other inputs of the same dimensions must have too.
  for (const bool fixed_first : {true, false}) {
    ModelFile pair;
    for (const char* name : {fixed_first ? "a" : "x", fixed_first ? "x" : "a"}) pair.input(name, {"n"});
    pair.node("Add", {"a", "x"}, "y");
    pair.output("y");
    const std::string said = pair.complaint({{"a", "1,2"}});
    const char* expected =
        fixed_first ? "" : "another input has the dimension \"n\" too; fix its size as well: --set n=2";
    CHECK(said.empty() == fixed_first);
    CHECK(contains(said, expected));
    CHECK(run(pair.read({{"a", "1,2"}, {"n", "2"}}), {{"x", {3, 4}}}).at("y") == Numbers{4, 6});
  }
  FixedValues fixed;
  add_fixed(fixed, "a=b=1,2");
  CHECK(fixed == FixedValues{{"a=b", "1,2"}});
  CHECK(contains(error_of([&] { add_fixed(fixed, "a=b=3"); }), "is set twice"));
  for (const char* wrong : {"a", "a=", "=1", ""}) {
    CHECK(contains(error_of([&] { add_fixed(fixed, wrong); }), "expected NAME=VALUE"));
  }
}

TEST_CASE("onnx: loops unroll, with what they carry, their counter and what they leave behind") {
  const std::map<std::string, Numbers> made = run(loop_model("three", "").read(), {{"x", {1, 10}}});
  CHECK(made.at("last") == Numbers{7, 70});
  CHECK(made.at("trace") == Numbers{1, 10, 3, 30, 7, 70});

  // While i < 4, by a condition that the body computes of its counter.
  ModelFile counted = loop_model("", "");
  onnx::GraphProto& body = body_of_loop(counted);
  ModelFile::integers(body, "four", {3}, true);
  ModelFile::node(body, "Less", {"i", "four"}, "goes on");
  body.mutable_output(0)->set_name("goes on");
  CHECK(run(counted.read(), {{"x", {1, 10}}}).at("last") == Numbers{15, 150});

  // Of no steps there is nothing but the shape.
  ModelFile none = loop_model("none", "");
  none.tensor("none", {}, {}).set_data_type(onnx::TensorProto::INT64);
  none.graph().mutable_initializer(2)->add_int64_data(0);
  const std::map<std::string, Numbers> nothing = run(none.read(), {{"x", {1, 10}}});
  CHECK(nothing.at("last") == Numbers{0, 0});
  CHECK(nothing.at("trace").empty());
}

TEST_CASE("onnx: loops whose end is not known, or lies too far, are refused by name") {
  ModelFile given = loop_model("trips", "");
  given.input("trips", {}, onnx::TensorProto::INT64);
  CHECK(contains(given.complaint(),
                 "node \"the Loop\" (Loop): how often it goes round depends on what the input "
                 "\"trips\" (i64 []) holds"));
  CHECK(run(given.read({{"trips", "2"}}), {{"x", {1, 10}}}).at("last") == Numbers{3, 30});

  ModelFile by_data = loop_model("three", "");
  onnx::GraphProto& body = body_of_loop(by_data);
  ModelFile::node(body, "ReduceSum", {"next"}, "sum");
  ModelFile::node(body, "Less", {"sum", "two"}, "small");
  body.mutable_output(0)->set_name("small");
  CHECK(contains(by_data.complaint(),
                 "(Loop): whether it goes on after 1 steps depends on what the input \"x\" (f32 [2]) holds"));
  CHECK(contains(loop_model("", "").complaint(), "the model has more than 262144 nodes"));
  CHECK(contains(given.complaint({{"trips", "1000000000000"}}), "the model has more than 262144 nodes"));

  ModelFile sized = loop_model("count", "");
  sized.graph().mutable_input(0)->mutable_type()->mutable_tensor_type()->mutable_shape()->mutable_dim(0)->set_dim_param(
      "n");
  onnx::NodeProto& size = *sized.graph().add_node();
  size.set_op_type("Size");
  size.add_input("x");
  size.add_output("count");
  sized.graph().mutable_node()->SwapElements(0, 1);
  CHECK(contains(sized.complaint(),
                 "how often it goes round depends on the size of dimension \"n\", which is only known "
                 "when the model runs; fix it with --set n=N"));
  CHECK(run(sized.read({{"n", "2"}}), {{"x", {1, 10}}}).at("last") == Numbers{3, 30});
}

TEST_CASE("onnx: functions that call each other by the million are refused") {
  ModelFile file;
  file.input("x", {"2"});
  for (int depth = 0; depth < 30; ++depth) {
    onnx::FunctionProto& function = *file.model.add_functions();
    function.set_name("f" + std::to_string(depth));
    function.set_domain("own");
    function.add_input("a");
    function.add_output("c");
    std::string from = "a";
    for (const char* to : {"b", "c"}) {
      onnx::NodeProto& call = *function.add_node();
      call.set_op_type(depth == 29 ? "Relu" : "f" + std::to_string(depth + 1));
      if (depth < 29) call.set_domain("own");
      call.add_input(from);
      call.add_output(to);
      from = to;
    }
  }
  file.node("f0", {"x"}, "y").set_domain("own");
  file.output("y");
  CHECK(contains(file.complaint(), "the model has more than 262144 nodes once functions are put in place"));
}

TEST_CASE("onnx: scans unroll along any axis and in both directions") {
  const Numbers x = {1, 2, 3, 4, 5, 6};
  // h of each step from (1, 2), (3, 4), (5, 6)
  const auto rows = run(scan_model({"3", "2"}, 0, false, 0).read(), {{"x", x}});
  CHECK(rows.at("last") == Numbers{6.75, 8.5});
  CHECK(rows.at("trace") == Numbers{1, 2, 3.5, 5, 6.75, 8.5});
  const auto back = run(scan_model({"3", "2"}, 0, true, 0).read(), {{"x", x}});
  CHECK(back.at("last") == Numbers{3.75, 5.5});
  CHECK(back.at("trace") == Numbers{3.75, 5.5, 5.5, 7, 5, 6});
  // The same numbers with steps as columns: (1, 4), (2, 5), (3, 6)
  const auto columns = run(scan_model({"2", "3"}, -1, false, 1).read(), {{"x", x}});
  CHECK(columns.at("last") == Numbers{4.25, 9.5});
  CHECK(columns.at("trace") == Numbers{1, 2.5, 4.25, 4, 7, 9.5});
  CHECK(contains(scan_model({"n", "2"}, 0, false, 0).complaint(), "the size of dimension \"n\""));
  CHECK(scan_model({"n", "2"}, 0, false, 0).complaint({{"n", "5"}}).empty());
  const auto none = run(scan_model({"n", "2"}, 0, false, 0).read({{"n", "0"}}), {{"x", {}}});
  CHECK(none.at("last") == Numbers{0, 0});
}

TEST_CASE("onnx: the steps of a loop share its weights") {
  ModelFile file = loop_model("three", "");
  onnx::GraphProto& body = body_of_loop(file);
  std::vector<float> values(8, 0.5F);
  file.tensor("w", {2, 2}, {1, 2, 3, 4});
  ModelFile::integers(body, "copies", {4, 6});
  ModelFile::node(body, "Tile", {"w", "copies"}, "wide");  // computed anew in each step
  ModelFile::node(body, "MatMul", {"next", "wide"}, "product");
  body.mutable_output(2)->set_name("product");
  file.graph().mutable_input(0)->mutable_type()->mutable_tensor_type()->mutable_shape()->mutable_dim(0)->set_dim_value(
      8);
  file.graph().mutable_initializer(0)->set_dims(0, 8);
  for (int i = 0; i < 6; ++i) file.graph().mutable_initializer(0)->add_float_data(0);
  CHECK(file.read().tensors.size() == 1);
}

}  // namespace heed::convert
