#pragma once

#include <cmath>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "reference/evaluate.h"

namespace heed {

/// Outputs and states of a graph, evaluated in double with numbers that depend on the names alone, so that a graph and
/// what fusion made of it see the same ones. i32 tensors are filled with `position`.
inline std::map<std::string, std::vector<double>> run_graph(const Graph& graph, const Bindings& dims, double position) {
  const auto numbers = [](const std::string& name, std::size_t count) {
    std::seed_seq seed(name.begin(), name.end());
    std::mt19937 engine(seed);
    std::vector<double> values(count);
    for (double& value : values) value = static_cast<double>(engine()) / 2147483648.0 - 1.0;
    return values;
  };
  std::map<std::string, HostTensor> tensors;
  for (const Value& value : graph.values) {
    if (value.kind != ValueKind::Input && value.kind != ValueKind::State) continue;
    const auto count = static_cast<std::size_t>(element_count(bind(value.shape, dims)));
    tensors[value.name].data =
        value.dtype == DType::I32 ? std::vector<double>(count, position) : numbers(value.name, count);
  }
  std::map<std::string, std::vector<double>> results;
  for (auto& [name, tensor] : evaluate(graph, dims, numbers, tensors)) results[name] = tensor.data;
  for (auto& [name, tensor] : tensors) results["after:" + name] = tensor.data;
  return results;
}

/// Largest difference between two results; infinity when they have other names or sizes.
inline double difference(const std::map<std::string, std::vector<double>>& a,
                         const std::map<std::string, std::vector<double>>& b) {
  double worst = 0.0;
  if (a.size() != b.size()) return INFINITY;
  for (const auto& [name, values] : a) {
    const auto other = b.find(name);
    if (other == b.end() || other->second.size() != values.size()) return INFINITY;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double distance = std::abs(values[i] - other->second[i]);
      worst = distance <= worst ? worst : distance;  // NaN counts
    }
  }
  return worst;
}

}  // namespace heed
