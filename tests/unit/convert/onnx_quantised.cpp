// ONNX's quantised tensors: integers of few bits, rounding, and which sums f32 may add up.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "tests/unit/convert/onnx_model.h"

namespace heed::convert {
namespace {

using namespace convert_test;

constexpr int kUint4 = 21;  // of newer schemas than distributions have
constexpr int kInt4 = 22;
constexpr int kInt2 = 26;

onnx::TensorProto& scalar(ModelFile& file, const std::string& name, int type, std::int32_t value) {
  onnx::TensorProto& added = *file.graph().add_initializer();
  added.set_name(name);
  added.set_data_type(type);
  added.add_int32_data(value);
  return added;
}

onnx::TensorProto& packed(ModelFile& file, const std::string& name, int type, const std::vector<std::int64_t>& shape,
                          const std::string& bytes) {
  onnx::TensorProto& added = *file.graph().add_initializer();
  added.set_name(name);
  added.set_data_type(type);
  for (const std::int64_t dim : shape) added.add_dims(dim);
  added.set_raw_data(bytes);
  return added;
}

bool has(const Checkpoint& checkpoint, const std::string& op) {
  return std::ranges::any_of(checkpoint.graphs[0].nodes, [&](const Node& node) { return node.op == op; });
}

/// x u8 [1, 4] times w u8 [4, 1], all of whose elements are `weight`, as i32.
ModelFile product(int weight, int rows = 4) {
  ModelFile file;
  const std::string length = std::to_string(rows);
  file.input("x", {"1", length}, onnx::TensorProto::UINT8);
  packed(file, "w", onnx::TensorProto::UINT8, {rows, 1},
         std::string(static_cast<std::size_t>(rows), static_cast<char>(weight)));
  file.node("MatMulInteger", {"x", "w"}, "y");
  file.output("y");
  return file;
}

}  // namespace

TEST_CASE("onnx quantised: integers of 4 and 2 bits lie low bits first, with their sign") {
  ModelFile file(21);
  file.input("x", {"5"});
  packed(file, "w", kInt4, {5}, std::string("\x87\xf0\x01", 3));  // 7, -8, 0, -1, 1
  file.tensor("scale", {}, {0.5F});
  file.node("DequantizeLinear", {"w", "scale"}, "real");
  file.node("Mul", {"x", "real"}, "y");
  file.output("y");
  CHECK(run(file.read(), {{"x", {1, 1, 1, 1, 1}}}).at("y") == Numbers{3.5, -4, 0, -0.5, 0.5});
  file.graph().mutable_initializer(0)->set_data_type(kUint4);
  CHECK(run(file.read(), {{"x", {1, 1, 1, 1, 1}}}).at("y") == Numbers{3.5, 4, 0, 7.5, 0.5});
  file.graph().mutable_initializer(0)->set_data_type(kInt2);
  CHECK(contains(file.complaint(), "tensor \"w\": 3 bytes of data, expected 2 for 5 integers of 2 bits"));
  file.graph().mutable_initializer(0)->set_raw_data(std::string("\xe4\x01", 2));  // 0, 1, -2, -1, 1
  CHECK(run(file.read(), {{"x", {1, 1, 1, 1, 1}}}).at("y") == Numbers{0, 0.5, -1, -0.5, 0.5});
}

TEST_CASE("onnx quantised: halves go to the even neighbour, and what is beyond a type to its end") {
  const auto quantised = [](int type) {
    ModelFile file(21);
    file.input("x", {"8"});
    file.tensor("scale", {}, {2});
    scalar(file, "zero", type, 1);
    file.node("Identity", {"zero"}, "the same");  // moves on, with its type
    file.node("QuantizeLinear", {"x", "scale", "the same"}, "q");
    file.node("Cast", {"q"}, "y").add_attribute()->set_name("to");
    onnx::AttributeProto& to = *file.graph().mutable_node(2)->mutable_attribute(0);
    to.set_type(onnx::AttributeProto::INT);
    to.set_i(onnx::TensorProto::FLOAT);
    file.output("y");
    return run(file.read(), {{"x", {1, 3, 5, -1, -3, 13, -19, 1e6}}}).at("y");
  };
  CHECK(quantised(onnx::TensorProto::INT8) == Numbers{1, 3, 3, 1, -1, 7, -9, 127});
  CHECK(quantised(onnx::TensorProto::UINT8) == Numbers{1, 3, 3, 1, 0, 7, 0, 255});
  CHECK(quantised(onnx::TensorProto::INT16) == Numbers{1, 3, 3, 1, -1, 7, -9, 32767});
  CHECK(quantised(onnx::TensorProto::UINT16) == Numbers{1, 3, 3, 1, 0, 7, 0, 65535});
  CHECK(quantised(kInt4) == Numbers{1, 3, 3, 1, -1, 7, -8, 7});
  CHECK(quantised(kUint4) == Numbers{1, 3, 3, 1, 0, 7, 0, 15});
  CHECK(quantised(kInt2) == Numbers{1, 1, 1, 1, -1, 1, -2, 1});
}

TEST_CASE("onnx quantised: casts to few bits keep the low ones") {
  ModelFile file(21);
  file.input("x", {"5"});
  scalar(file, "like", kInt4, 0);
  file.node("CastLike", {"x", "like"}, "y");
  file.output("y");
  CHECK(run(file.read(), {{"x", {-9, 7, 8, 15, 16}}}).at("y") == Numbers{7, 7, -8, -1, 0});
  file.graph().mutable_initializer(0)->set_data_type(kUint4);
  CHECK(run(file.read(), {{"x", {-9, 7, 8, 15, 16}}}).at("y") == Numbers{7, 7, 8, 15, 0});
}

TEST_CASE("onnx quantised: sums run in f32 while none can pass 2^24, and in i32 from there on") {
  // 257 times 255 x 255 is 2^24 - 65,791, and 259 times is more than 2^24.
  const Checkpoint small = product(255, 257).read();
  CHECK(has(small, "linear"));
  CHECK(run(small, {{"x", Numbers(257, 255)}}).at("y") == Numbers{255.0 * 255 * 257});
  const Checkpoint large = product(255, 259).read();
  CHECK(!has(large, "linear"));
  CHECK(has(large, "matmul"));
  CHECK(run(large, {{"x", Numbers(259, 255)}}).at("y") == Numbers{255.0 * 255 * 259});
  // A zero point within makes all differences smaller, and one that is given at run time may lie anywhere.
  ModelFile centred = product(128, 259);
  scalar(centred, "x zero", onnx::TensorProto::UINT8, 128);
  centred.graph().mutable_node(0)->add_input("x zero");
  CHECK(has(centred.read(), "linear"));
  ModelFile other = product(255, 4);
  scalar(other, "x zero", onnx::TensorProto::INT8, 1);
  other.graph().mutable_node(0)->add_input("x zero");
  CHECK(contains(other.complaint(), "has a zero point of another type than its tensor"));
}

TEST_CASE("onnx quantised: dynamic scales of zeros alone are 1") {
  ModelFile file;
  file.input("x", {"3"});
  onnx::NodeProto& node = file.node("DynamicQuantizeLinear", {"x"}, "q");
  node.add_output("scale");
  node.add_output("zero");
  for (const char* name : {"q", "scale", "zero"}) file.output(name);
  const Checkpoint checkpoint = file.read();
  const auto zeros = run(checkpoint, {{"x", {0, 0, 0}}});
  CHECK(zeros.at("q") == Numbers{0, 0, 0});
  CHECK(zeros.at("scale") == Numbers{1});
  const auto some = run(checkpoint, {{"x", {-255, 0, 255}}});
  CHECK(some.at("scale") == Numbers{2});
  CHECK(some.at("zero") == Numbers{128});
  CHECK(some.at("q") == Numbers{0, 128, 255});
}

TEST_CASE("onnx: diagonals of ones, and sequences that come backwards as far as they go") {
  ModelFile eye;
  eye.input("x", {"2", "3"}, onnx::TensorProto::INT32);
  set_integer(eye.node("EyeLike", {"x"}, "y"), "k", 1);
  eye.output("y");
  CHECK(run(eye.read(), {{"x", Numbers(6)}}).at("y") == Numbers{0, 1, 0, 0, 0, 1});

  ModelFile reverse;
  reverse.input("x", {"3", "2", "1"});
  reverse.input("lengths", {"2"}, onnx::TensorProto::INT64);
  onnx::NodeProto& node = reverse.node("ReverseSequence", {"x", "lengths"}, "y");
  reverse.output("y");
  const std::map<std::string, Numbers> given = {{"x", {1, 2, 3, 4, 5, 6}}, {"lengths", {3, 1}}};
  CHECK(run(reverse.read(), given).at("y") == Numbers{5, 2, 3, 4, 1, 6});
  set_integer(node, "time_axis", 1);
  CHECK(contains(reverse.complaint(), "time_axis is 1 and batch_axis 1"));
  set_integer(node, "batch_axis", 0);
  reverse.graph()
      .mutable_input(1)
      ->mutable_type()
      ->mutable_tensor_type()
      ->mutable_shape()
      ->mutable_dim(0)
      ->set_dim_value(3);
  CHECK(run(reverse.read(), {{"x", {1, 2, 3, 4, 5, 6}}, {"lengths", {2, 1, 0}}}).at("y") == Numbers{2, 1, 3, 4, 5, 6});
}

}  // namespace heed::convert
