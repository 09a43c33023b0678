#include "tests/unit/convert/graph_in_double.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "graph/convert_dtype.h"
#include "graph/shape.h"

namespace heed::convert_test {

namespace {

double activate(const std::string& name, double x) {
  if (name == "none") return x;
  if (name == "silu") return x / (1 + std::exp(-x));
  if (name == "gelu") return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
  if (name == "gelu_tanh")
    return 0.5 * x * (1 + std::tanh(std::sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
  if (name == "relu") return std::max(x, 0.0);
  throw std::logic_error("activation " + name);
}

}  // namespace

GraphInDouble::GraphInDouble(const Graph& graph, const convert::Checkpoint& checkpoint) : graph_(graph) {
  for (const convert::SourceTensor& tensor : checkpoint.tensors) {
    if (graph.find(tensor.name) == kNoValue) continue;  // an attribute now
    const std::vector<std::byte> bytes = tensor.read();
    std::vector<float> values(static_cast<std::size_t>(element_count(tensor.shape)));
    decode_to_f32(tensor.dtype, bytes, values.size(), values.data());
    Matrix& matrix = values_[graph.find(tensor.name)];
    matrix.rows = tensor.shape.size() == 2 ? tensor.shape[0] : 1;
    matrix.columns = tensor.shape.back();
    matrix.values.assign(values.begin(), values.end());
  }
}

const GraphInDouble::Matrix* GraphInDouble::input(const Node& node, std::size_t index) const {
  if (index >= node.inputs.size() || node.inputs[index] == kNoValue) return nullptr;
  return &values_.at(node.inputs[index]);
}

GraphInDouble::Matrix GraphInDouble::attention(const Node& node) {
  const auto& a = node.attributes;
  const Matrix& q = *input(node, 0);
  const std::int64_t heads = a.integer("heads"), kv_heads = a.integer("kv_heads"), window = a.integer("window", 0);
  const std::int64_t d = q.columns / heads;
  const double scale = a.real("scale", 1 / std::sqrt(static_cast<double>(d)));
  Matrix* caches[2];
  for (std::size_t i = 0; i < 2; ++i) {
    const Matrix& fresh = *input(node, 1 + i);
    Matrix& cache = values_[node.inputs.at(4 + i)];
    cache.values.insert(cache.values.end(), fresh.values.begin(), fresh.values.end());
    cache.rows += fresh.rows;
    cache.columns = fresh.columns;
    caches[i] = &cache;
  }
  Matrix y{q.rows, q.columns, std::vector<double>(q.values.size())};
  for (std::int64_t t = 0; t < q.rows; ++t) {
    const std::int64_t p = position_ + t;
    const std::int64_t first = window > 0 ? std::max<std::int64_t>(0, p - window + 1) : 0;
    for (std::int64_t h = 0; h < heads; ++h) {
      const std::int64_t kv = h / (heads / kv_heads);
      std::vector<double> scores;
      for (std::int64_t s = first; s <= p; ++s) {
        double sum = 0;
        for (std::int64_t i = 0; i < d; ++i) sum += q.at(t, h * d + i) * caches[0]->at(s, kv * d + i);
        scores.push_back(sum * scale);
      }
      const double most = *std::ranges::max_element(scores);
      double total = 0;
      for (double& score : scores) total += score = std::exp(score - most);
      for (std::int64_t s = first; s <= p; ++s) {
        const double weight = scores[static_cast<std::size_t>(s - first)] / total;
        for (std::int64_t i = 0; i < d; ++i) y.at(t, h * d + i) += weight * caches[1]->at(s, kv * d + i);
      }
    }
  }
  return y;
}

GraphInDouble::Matrix GraphInDouble::evaluate(const Node& node) {
  const auto& a = node.attributes;
  if (node.op == "attention") return attention(node);
  const Matrix& x = *input(node, 0);
  if (node.op == "positions") {
    Matrix y{values_.at(graph_.find("tokens")).rows, 1, {}};
    for (std::int64_t t = 0; t < y.rows; ++t) y.values.push_back(static_cast<double>(position_ + t));
    return y;
  }
  if (node.op == "embedding") {
    const Matrix& table = *input(node, 1);
    Matrix y{x.rows, table.columns, {}};
    for (const double id : x.values) {
      const auto row = table.values.begin() + static_cast<std::ptrdiff_t>(id) * table.columns;
      y.values.insert(y.values.end(), row, row + table.columns);
    }
    return y;
  }
  Matrix y = x;
  if (node.op == "rms_norm" || node.op == "layer_norm") {
    const Matrix& weight = *input(node, 1);
    const Matrix* bias = input(node, 2);
    for (std::int64_t t = 0; t < x.rows; ++t) {
      double mean = 0, square = 0;
      for (std::int64_t i = 0; i < x.columns; ++i) mean += x.at(t, i) / static_cast<double>(x.columns);
      if (node.op == "rms_norm") mean = 0;
      for (std::int64_t i = 0; i < x.columns; ++i) {
        square += (x.at(t, i) - mean) * (x.at(t, i) - mean) / static_cast<double>(x.columns);
      }
      for (std::int64_t i = 0; i < x.columns; ++i) {
        y.at(t, i) = (x.at(t, i) - mean) / std::sqrt(square + a.real("eps")) * weight.at(0, i) +
                     (bias == nullptr ? 0 : bias->at(0, i));
      }
    }
  } else if (node.op == "linear") {
    const Matrix& weight = *input(node, 1);
    const Matrix* bias = input(node, 2);
    const Matrix* residual = input(node, 3);
    y = {x.rows, weight.rows, std::vector<double>(static_cast<std::size_t>(x.rows * weight.rows))};
    for (std::int64_t t = 0; t < x.rows; ++t) {
      for (std::int64_t n = 0; n < weight.rows; ++n) {
        double sum = bias == nullptr ? 0 : bias->at(0, n);
        for (std::int64_t k = 0; k < x.columns; ++k) sum += x.at(t, k) * weight.at(n, k);
        y.at(t, n) = activate(a.text("activation", "none"), sum) + (residual == nullptr ? 0 : residual->at(t, n));
      }
    }
  } else if (node.op == "gate") {
    const Matrix& b = *input(node, 1);
    for (std::size_t i = 0; i < y.values.size(); ++i) {
      y.values[i] = activate(a.text("activation"), x.values[i]) * b.values[i];
    }
  } else if (node.op == "add") {
    for (std::size_t i = 0; i < y.values.size(); ++i) y.values[i] += input(node, 1)->values[i];
  } else if (node.op == "rotary") {
    const std::int64_t heads = a.integer("heads"), d = x.columns / heads, dims = a.integer("dims");
    const bool interleaved = a.text("layout") == "interleaved";
    const auto factors =
        a.has("freq_factors") ? a.reals("freq_factors") : std::vector<double>(static_cast<std::size_t>(dims / 2), 1.0);
    for (std::int64_t t = 0; t < x.rows; ++t) {
      for (std::int64_t i = 0; i < dims / 2; ++i) {
        const double angle = static_cast<double>(position_ + t) *
                             std::pow(a.real("base"), -2.0 * static_cast<double>(i) / static_cast<double>(dims)) /
                             factors.at(static_cast<std::size_t>(i));
        for (std::int64_t h = 0; h < heads; ++h) {
          const std::int64_t first = h * d + (interleaved ? 2 * i : i);
          const std::int64_t second = interleaved ? first + 1 : first + dims / 2;
          y.at(t, first) = x.at(t, first) * std::cos(angle) - x.at(t, second) * std::sin(angle);
          y.at(t, second) = x.at(t, first) * std::sin(angle) + x.at(t, second) * std::cos(angle);
        }
      }
    }
  } else if (node.op != "tail") {  // all rows are wanted here
    throw std::logic_error("op " + node.op);
  }
  return y;
}

std::vector<double> GraphInDouble::run(const std::vector<std::int32_t>& tokens) {
  values_[graph_.find("tokens")] = {static_cast<std::int64_t>(tokens.size()), 1, {tokens.begin(), tokens.end()}};
  values_[graph_.find("position")] = {1, 1, {static_cast<double>(position_)}};
  for (const Node& node : graph_.nodes) values_[node.outputs.at(0)] = evaluate(node);
  position_ += static_cast<std::int64_t>(tokens.size());
  return values_.at(graph_.outputs.at(0)).values;
}

}  // namespace heed::convert_test
