#include "tests/golden/attention_system.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>

#include "reference/evaluate.h"

namespace heed::golden {
namespace {

constexpr double kDeviceTolerance = 1e-5;  // of the range of what is expected
constexpr double kReferenceTolerance = 1e-6;

std::filesystem::path attention_file() {
  return std::filesystem::path(HEED_SOURCE_DIR) / "tests" / "golden" / "attention.npz";
}

}  // namespace

const std::set<std::string>& attention_arrays() {
  static const std::set<std::string> kNames = [] {
    const std::vector<std::string> names = names_in_npz(attention_file());
    return std::set<std::string>(names.begin(), names.end());
  }();
  return kNames;
}

System::System(std::string arrays, bool with_weights)
    : b(arrays), arrays_(std::move(arrays)), row_(arrays_.substr(0, arrays_.find('.'))), with_weights_(with_weights) {}

ValueId System::input(const std::string& name) {
  const HostTensor& tensor = inputs_[name] = read(name);
  return b.input(name, tensor.type.dtype, {tensor.type.shape.begin(), tensor.type.shape.end()});
}

ValueId System::weight(const std::string& name) {
  const HostTensor tensor = read(name);
  std::vector<std::byte> bytes;
  for (const double value : tensor.data) {
    const auto single = static_cast<float>(value);
    const auto part = std::as_bytes(std::span(&single, 1));
    bytes.insert(bytes.end(), part.begin(), part.end());
  }
  weights_.add(name, tensor.type, std::move(bytes));
  decoded_[name] = tensor.data;
  return b.weight(name, tensor.type.dtype, {tensor.type.shape.begin(), tensor.type.shape.end()});
}

ValueId System::linear(const std::string& layer, ValueId x, ValueId residual, const char* activation) {
  const ValueId bias = has(layer + ".bias") ? weight(layer + ".bias") : kNoValue;
  return b.add("linear", layer, {x, weight(layer + ".weight"), bias, residual},
               {{"activation", std::string(activation)}});
}

ValueId System::norm(const std::string& layer, ValueId x) {
  return b.add("layer_norm", layer, {x, weight(layer + ".weight"), weight(layer + ".bias")}, {{"eps", 1e-5}});
}

ValueId System::attend(ValueId q, ValueId k, ValueId v, const Attend& attend) {
  Attributes how = attend.how;
  how.set("heads", attend.heads);
  how.set("kv_heads", attend.kv_heads == 0 ? attend.heads : attend.kv_heads);
  const std::vector<ValueId> outputs =
      b.add_many("attention", "attend." + attend.weights,
                 {q, k, v, attend.mask, kNoValue, kNoValue, kNoValue, attend.lengths, kNoValue, attend.score_weight},
                 how, with_weights_ ? 2 : 1);
  if (with_weights_) {
    const Shape& shape = attend.weights_shape;
    b.output(shape.empty() ? outputs[1] : reshape("rows", outputs[1], shape), attend.weights);
  }
  return outputs[0];
}

ValueId System::number(const std::string& name, double value) {
  return b.add("constant", name, {},
               {{"dtype", std::string("f32")}, {"shape", Shape{}}, {"values", std::vector<double>{value}}});
}

ValueId System::sum(const std::string& name, ValueId x, std::int64_t axis) {
  return b.add("reduce", name, {x, b.integers(name + ".axis", {axis})},
               {{"kind", std::string("sum")}, {"keep_dims", std::int64_t{0}}});
}

ValueId System::concat(const std::string& name, ValueId left, ValueId right) {
  return b.add("concat", name, {left, right}, {{"axis", std::int64_t{1}}});
}

ValueId System::reshape(const std::string& name, ValueId x, std::vector<std::int64_t> sizes) {
  return b.add("reshape", name, {x, b.integers(name + ".sizes", std::move(sizes))});
}

ValueId System::additive(ValueId keep) {
  return b.add("where", "mask",
               {keep, number("kept", 0.0), number("dropped", -std::numeric_limits<double>::infinity())});
}

ValueId System::additive_rows(ValueId keep, const Shape& shape) {
  const ValueId rows = reshape("mask.rows", additive(keep), {shape[0], 1, 1, shape[3]});
  return b.add("expand", "mask.queries", {rows, b.integers("mask.shape", shape)});
}

bool System::has(const std::string& name) const {
  return attention_arrays().contains(arrays_ + "." + name) || attention_arrays().contains(row_ + "." + name);
}

HostTensor System::read(const std::string& name) {
  const std::string own = arrays_ + "." + name;
  const std::string full = attention_arrays().contains(own) ? own : row_ + "." + name;
  used_.insert(full);
  return read_npz_tensor(attention_file(), full);
}

double System::compare(const std::map<std::string, HostTensor>& outputs) {
  double worst = 0.0;
  for (const auto& [output, actual] : outputs) {
    const std::string& name = output;  // clang 14 captures no structured bindings
    CAPTURE(name);
    const HostTensor expected = read(name);
    REQUIRE(actual.type.shape == expected.type.shape);
    worst = std::max(worst, range_error(actual, expected));
    // What is dropped weighs nothing, and what sees nothing gives zeros.
    for (std::size_t i = 0; i < expected.data.size(); ++i) {
      if (expected.data[i] == 0.0 && actual.data[i] != 0.0) FAIL_CHECK("element " << i << " is not 0");
    }
  }
  return worst;
}

void System::check() {
  const Graph graph = b.graph();
  const WeightLookup lookup = [&](const std::string& tensor, std::size_t) { return decoded_.at(tensor); };
  std::map<std::string, HostTensor> tensors = inputs_;
  const double by_reference = compare(evaluate(graph, {}, lookup, tensors));
  WeightStore store(device().gpu(), weights_);
  Session session(device().gpu(), store);
  const double by_device = compare(run(session, graph, inputs_, {}));
  MESSAGE(arrays_ << std::string(with_weights_ ? "" : ", no weights") << ": device within " << by_device
                  << ", reference within " << by_reference);
  CHECK(by_device < kDeviceTolerance);
  CHECK(by_reference < kReferenceTolerance);
  const std::string prefix = arrays_ + ".";
  for (const std::string& name : attention_arrays()) {
    if (!with_weights_ && name.starts_with(prefix + "weights")) continue;
    if (name.starts_with(prefix)) CHECK_MESSAGE(used_.contains(name), name << " is in no graph");
  }
}

}  // namespace heed::golden
