#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "ops/op.h"
#include "reference/evaluate.h"
#include "tests/unit/convert/sample_files.h"
#include "tools/convert/convert.h"
#include "tools/convert/fold.h"

/// Graphs and tensors for tests of what conversion folds.
namespace heed::convert {

inline constexpr double kSame = 1e-5;  // folded weights are rounded to f32

/// A tensor whose numbers depend on its name.
inline SourceTensor numbers(const std::string& name, const Shape& shape, bool positive = false) {
  std::vector<float> values =
      convert_test::ramp(static_cast<std::size_t>(element_count(shape)), std::accumulate(name.begin(), name.end(), 0));
  for (float& value : values) value = positive ? value * value + 0.25f : value;
  return make_f32_tensor(name, shape, values);
}

/// Graphs of one builder each, with the tensors they read.
struct Model {
  std::vector<Graph> graphs;
  std::vector<SourceTensor> tensors;
  models::TensorTable table;

  ValueId add(GraphBuilder& b, const SourceTensor& tensor) {
    if (table.emplace(tensor.name, TensorType{tensor.dtype, tensor.shape}).second) tensors.push_back(tensor);
    return b.weight(tensor.name, DType::F32, SymbolicShape(tensor.shape.begin(), tensor.shape.end()));
  }
  ValueId norm(GraphBuilder& b, const std::string& name, ValueId x, std::int64_t channels,
               const std::string& tensors_of = "") {
    const std::string of = tensors_of.empty() ? name : tensors_of;
    return b.add("batch_norm", name,
                 {x, add(b, numbers(of + ".weight", {channels})), add(b, numbers(of + ".bias", {channels})),
                  add(b, numbers(of + ".mean", {channels})), add(b, numbers(of + ".var", {channels}, true))},
                 {{"eps", 0.125}});
  }
  Graph& graph() { return graphs.front(); }
  std::size_t weights() const {
    return static_cast<std::size_t>(std::ranges::count(graphs.front().values, ValueKind::Weight, &Value::kind));
  }
};

inline const SourceTensor& tensor_named(const std::vector<SourceTensor>& tensors, const std::string& name) {
  const auto found = std::ranges::find(tensors, name, &SourceTensor::name);
  REQUIRE_MESSAGE(found != tensors.end(), name);
  return *found;
}

inline std::map<std::string, HostTensor> evaluated(const Graph& graph, const std::vector<SourceTensor>& tensors) {
  const Bindings dims = {{"batch", 2}};
  std::map<std::string, HostTensor> inputs;
  for (const ValueId id : graph.inputs) {
    const std::vector<float> values =
        convert_test::ramp(static_cast<std::size_t>(element_count(bind(graph.value(id).shape, dims))), 5);
    inputs[graph.value(id).name].data.assign(values.begin(), values.end());
  }
  const auto lookup = [&](const std::string& name, std::size_t count) {
    const std::vector<float> values = tensor_values(tensor_named(tensors, name));
    REQUIRE(values.size() == count);
    return std::vector<double>(values.begin(), values.end());
  };
  return evaluate(graph, dims, lookup, inputs);
}

using Fold = std::size_t (*)(std::vector<Graph>&, std::vector<SourceTensor>&, const models::TensorTable&);

/// Folds, and checks that the graphs are well formed and compute the same.
inline std::size_t fold(Model& model, Fold fold_all = fold_batch_norms) {
  std::vector<std::map<std::string, HostTensor>> before;
  for (const Graph& graph : model.graphs) before.push_back(evaluated(graph, model.tensors));
  const std::size_t folded = fold_all(model.graphs, model.tensors, model.table);
  for (std::size_t i = 0; i < model.graphs.size(); ++i) {
    validate(model.graphs[i], ops::is_op);
    for (const auto& output : evaluated(model.graphs[i], model.tensors)) {
      const std::string& name = output.first;  // no structured binding: clang 14 captures none in a lambda
      const HostTensor& tensor = output.second;
      const std::vector<double>& expected = before[i].at(name).data;
      REQUIRE(tensor.data.size() == expected.size());
      double worst = 0.0;
      double largest = 0.0;
      for (std::size_t k = 0; k < expected.size(); ++k) {
        worst = std::max(worst, std::abs(tensor.data[k] - expected[k]));
        largest = std::max(largest, std::abs(expected[k]));
      }
      CAPTURE(name);
      CHECK(largest > 0.1);
      CHECK(worst < kSame * largest);
    }
  }
  return folded;
}

inline std::size_t count_ops(const Graph& graph, std::string_view op) {
  return static_cast<std::size_t>(std::ranges::count(graph.nodes, op, &Node::op));
}

}  // namespace heed::convert
