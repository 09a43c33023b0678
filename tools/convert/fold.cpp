#include "tools/convert/fold.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <span>

#include "heed/error.h"
#include "plan/fuse.h"
#include "plan/infer.h"
#include "tools/convert/convert.h"

namespace heed::convert {
namespace {

/// The elements times `factors`, each of which is for as many that follow one another; f32, whatever they were.
SourceTensor scaled_tensor(std::string name, SourceTensor from, std::vector<double> factors) {
  SourceTensor tensor{std::move(name), DType::F32, from.shape, {}};
  tensor.read = [from = std::move(from), factors = std::move(factors)] {
    std::vector<float> values = tensor_values(from);
    const std::size_t inner = factors.empty() ? 1 : values.size() / factors.size();
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>(static_cast<double>(values[i]) * factors[i / inner]);
    }
    const auto bytes = std::as_bytes(std::span(values));
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  };
  return tensor;
}

/// Folds the batch norms of one graph.
class BatchNorms {
 public:
  BatchNorms(Graph& graph, std::vector<SourceTensor>& tensors, const models::TensorTable& table)
      : graph_(graph),
        tensors_(tensors),
        table_(table),
        uses_(count_uses(graph)),
        made_by_(graph.values.size(), graph.nodes.size()) {
    for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
      for (const ValueId id : graph.nodes[i].outputs) {
        if (id != kNoValue) made_by_[static_cast<std::size_t>(id)] = i;
      }
    }
  }

  std::size_t fold();

 private:
  bool fold(std::size_t at);
  const SourceTensor* source(ValueId id) const;
  std::optional<std::vector<double>> known(ValueId id) const;
  bool is_rows(ValueId id);
  ValueId add_weight(SourceTensor tensor);
  void remove_unused();

  Graph& graph_;
  std::vector<SourceTensor>& tensors_;
  const models::TensorTable& table_;
  std::vector<int> uses_;
  std::vector<std::size_t> made_by_;
  std::set<std::size_t> dead_;
  std::optional<std::vector<TensorType>> types_;  // of the values as they were; empty where sizes do not fit
};

const SourceTensor* BatchNorms::source(ValueId id) const {
  if (graph_.value(id).kind != ValueKind::Weight) return nullptr;
  const auto found = std::ranges::find(tensors_, graph_.value(id).name, &SourceTensor::name);
  return found == tensors_.end() ? nullptr : &*found;
}

/// The elements of a weight or of a constant of the graph.
std::optional<std::vector<double>> BatchNorms::known(ValueId id) const {
  if (const SourceTensor* tensor = source(id)) {
    const std::vector<float> values = tensor_values(*tensor);
    return std::vector<double>(values.begin(), values.end());
  }
  const std::size_t maker = made_by_[static_cast<std::size_t>(id)];
  if (maker == graph_.nodes.size() || graph_.nodes[maker].op != "constant") return std::nullopt;
  if (!graph_.nodes[maker].attributes.has("values")) return std::nullopt;
  return graph_.nodes[maker].attributes.reals("values");
}

/// Whether a value has two dimensions. A norm is of the second one, a linear layer gives the last.
bool BatchNorms::is_rows(ValueId id) {
  constexpr std::int64_t kAnySize = 64;  // only the number of dimensions matters
  if (!types_) {
    Bindings dims;
    for (const Value& value : graph_.values) {
      for (const Dim& dim : value.shape) {
        if (!dim.name.empty()) dims[dim.name] = kAnySize;
      }
    }
    try {
      types_ = infer_all(graph_, dims);
    } catch (const Error&) {
      types_.emplace();
    }
  }
  const auto index = static_cast<std::size_t>(id);
  return index < types_->size() && (*types_)[index].shape.size() == 2;
}

ValueId BatchNorms::add_weight(SourceTensor tensor) {
  // Another graph may have layers of these names with other numbers.
  const auto same = [&](const SourceTensor& other) {
    return other.dtype == tensor.dtype && other.shape == tensor.shape && other.read() == tensor.read();
  };
  auto known = std::ranges::find(tensors_, tensor.name, &SourceTensor::name);
  while (known != tensors_.end() && !same(*known)) {
    tensor.name += "'";
    known = std::ranges::find(tensors_, tensor.name, &SourceTensor::name);
  }
  graph_.values.push_back(
      {tensor.name, ValueKind::Weight, tensor.dtype, SymbolicShape(tensor.shape.begin(), tensor.shape.end()), {}});
  if (known == tensors_.end()) tensors_.push_back(std::move(tensor));
  return static_cast<ValueId>(graph_.values.size() - 1);
}

bool BatchNorms::fold(std::size_t at) {
  const Node& norm = graph_.nodes[at];
  const std::size_t maker = made_by_[static_cast<std::size_t>(norm.inputs[0])];
  if (maker == graph_.nodes.size() || dead_.contains(maker)) return false;
  Node& node = graph_.nodes[maker];
  const bool transposed = node.op == "conv_transpose";
  if (!transposed && node.op != "conv" && node.op != "linear") return false;
  if (uses_[static_cast<std::size_t>(norm.inputs[0])] != 1 || node.inputs.size() > 3) return false;
  if (node.attributes.text("activation", "none") != "none") return false;
  const SourceTensor* weight = source(node.inputs[1]);
  if (weight == nullptr || weight->shape.size() < 2) return false;
  // What is not in the table has been folded already.
  if (const auto stored = table_.find(weight->name); stored != table_.end() && stored->second.dtype != DType::F32) {
    return false;
  }
  if (node.op == "linear" && !is_rows(node.inputs[0])) return false;

  std::vector<std::vector<double>> parameters;  // scale, shift, mean, variance
  for (std::size_t i = 1; i < 5; ++i) {
    std::optional<std::vector<double>> values = known(norm.inputs[i]);
    if (!values) return false;
    parameters.push_back(std::move(*values));
  }
  const std::size_t channels = parameters[0].size();
  std::vector<double> bias(channels, 0.0);
  if (node.inputs.size() > 2 && node.inputs[2] != kNoValue) {
    std::optional<std::vector<double>> values = known(node.inputs[2]);
    if (!values) return false;
    bias = std::move(*values);
  }
  for (const std::vector<double>& values : parameters) {
    if (values.size() != channels || bias.size() != channels) return false;  // refused when the graph is planned
  }

  const double eps = norm.attributes.real("eps", 1e-5);
  std::vector<double> factors(channels);
  std::vector<float> biases(channels);
  for (std::size_t c = 0; c < channels; ++c) {
    factors[c] = parameters[0][c] / std::sqrt(parameters[3][c] + eps);
    biases[c] = static_cast<float>((bias[c] - parameters[2][c]) * factors[c] + parameters[1][c]);
  }
  if (transposed) {
    // The weight is [in, channels of a group, ..].
    const auto groups = static_cast<std::size_t>(node.attributes.integer("groups", 1));
    const auto in = static_cast<std::size_t>(weight->shape[0]);
    const auto of_group = static_cast<std::size_t>(weight->shape[1]);
    if (groups == 0 || in % groups != 0 || of_group * groups != channels) return false;
    std::vector<double> of_each;
    for (std::size_t i = 0; i < in; ++i) {
      const auto first = factors.begin() + static_cast<std::ptrdiff_t>(i / (in / groups) * of_group);
      of_each.insert(of_each.end(), first, first + static_cast<std::ptrdiff_t>(of_group));
    }
    factors = std::move(of_each);
  } else if (static_cast<std::size_t>(weight->shape[0]) != channels) {
    return false;
  }
  node.inputs.resize(3, kNoValue);
  const std::string name = fmt::format("{}*{}", weight->name, norm.name);
  node.inputs[1] = add_weight(scaled_tensor(name, *weight, std::move(factors)));
  node.inputs[2] = add_weight(
      make_f32_tensor(fmt::format("{}.bias*{}", node.name, norm.name), {static_cast<std::int64_t>(channels)}, biases));
  node.outputs = norm.outputs;
  made_by_[static_cast<std::size_t>(node.outputs[0])] = maker;
  dead_.insert(at);
  return true;
}

/// Takes away constants, weights and results that nobody reads any more.
void BatchNorms::remove_unused() {
  std::vector<Node> nodes;
  for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
    if (!dead_.contains(i)) nodes.push_back(std::move(graph_.nodes[i]));
  }
  graph_.nodes = std::move(nodes);
  const std::vector<int> uses = count_uses(graph_);
  const auto unused = [&](ValueId id) { return id == kNoValue || uses[static_cast<std::size_t>(id)] == 0; };
  std::erase_if(graph_.nodes,
                [&](const Node& node) { return node.op == "constant" && std::ranges::all_of(node.outputs, unused); });
  std::vector<bool> made(graph_.values.size(), false);
  for (const Node& node : graph_.nodes) {
    for (const ValueId id : node.outputs) {
      if (id != kNoValue) made[static_cast<std::size_t>(id)] = true;
    }
  }
  std::vector<ValueId> moved(graph_.values.size(), kNoValue);
  std::vector<Value> values;
  for (std::size_t i = 0; i < graph_.values.size(); ++i) {
    Value& value = graph_.values[i];
    const bool gone =
        (value.kind == ValueKind::Weight && uses[i] == 0) || (value.kind == ValueKind::Intermediate && !made[i]);
    if (gone) continue;
    moved[i] = static_cast<ValueId>(values.size());
    values.push_back(std::move(value));
  }
  graph_.values = std::move(values);
  const auto renumber = [&](std::vector<ValueId>& ids) {
    for (ValueId& id : ids) id = id == kNoValue ? id : moved[static_cast<std::size_t>(id)];
  };
  renumber(graph_.inputs);
  renumber(graph_.outputs);
  for (Node& node : graph_.nodes) {
    renumber(node.inputs);
    renumber(node.outputs);
  }
}

std::size_t BatchNorms::fold() {
  for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
    if (graph_.nodes[i].op == "batch_norm" && graph_.nodes[i].inputs.size() == 5) fold(i);
  }
  if (!dead_.empty()) remove_unused();
  return dead_.size();
}

/// A weight under spectral norm: the names of what is kept of it.
struct SpectralNames {
  const char* original;
  const char* u;
  const char* v;
};
constexpr SpectralNames kSpectralNames[] = {
    {".weight_orig", ".weight_u", ".weight_v"},
    {".parametrizations.weight.original", ".parametrizations.weight.0._u", ".parametrizations.weight.0._v"},
};

double sigma_of(const SourceTensor& weight, const SourceTensor& u_tensor, const SourceTensor& v_tensor,
                bool transposed) {
  const Shape& shape = weight.shape;
  const std::size_t axis = transposed ? 1 : 0;
  const std::int64_t rows = shape.size() > axis ? shape[axis] : 0;
  const std::int64_t count = element_count(shape);
  if (rows == 0 || u_tensor.shape != Shape{rows} || v_tensor.shape != Shape{count / rows}) {
    throw Error(fmt::format("spectral norm of '{}' {}: u is {} and v {}, expected [{}] and [{}]", weight.name,
                            to_string(shape), to_string(u_tensor.shape), to_string(v_tensor.shape), rows,
                            rows == 0 ? 0 : count / rows));
  }
  const std::vector<float> w = tensor_values(weight);
  const std::vector<float> u = tensor_values(u_tensor);
  const std::vector<float> v = tensor_values(v_tensor);
  // Where rows are the second dimension, columns are the first and the rest.
  const std::int64_t lines = transposed ? shape[0] * rows : rows;
  const auto inner = static_cast<std::size_t>(lines == 0 ? 0 : count / lines);
  double sigma = 0.0;
  for (std::size_t i = 0; i < w.size(); ++i) {
    const std::size_t line = i / inner;
    const std::size_t row = transposed ? line % static_cast<std::size_t>(rows) : line;
    const std::size_t column = transposed ? line / static_cast<std::size_t>(rows) * inner + i % inner : i % inner;
    sigma += static_cast<double>(u[row]) * w[i] * v[column];
  }
  if (!std::isfinite(sigma) || sigma == 0.0) {
    throw Error(
        fmt::format("spectral norm of '{}': sigma is {}; the checkpoint is damaged or untrained", weight.name, sigma));
  }
  return sigma;
}

}  // namespace

std::size_t fold_batch_norms(std::vector<Graph>& graphs, std::vector<SourceTensor>& tensors,
                             const models::TensorTable& table) {
  std::size_t folded = 0;
  for (Graph& graph : graphs) folded += BatchNorms(graph, tensors, table).fold();
  return folded;
}

std::size_t fold_spectral_norms(std::vector<SourceTensor>& tensors, const std::set<std::string>& transposed) {
  std::map<std::string, std::size_t> places;
  for (std::size_t i = 0; i < tensors.size(); ++i) places[tensors[i].name] = i;
  std::set<std::size_t> dead;
  std::size_t folded = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    for (const SpectralNames& names : kSpectralNames) {
      if (!tensors[i].name.ends_with(names.original)) continue;
      const std::string layer = tensors[i].name.substr(0, tensors[i].name.size() - std::string(names.original).size());
      const auto find = [&](const char* part) -> std::size_t {
        const auto found = places.find(layer + part);
        if (found == places.end()) throw Error(fmt::format("tensor '{}{}' is missing: spectral norm", layer, part));
        dead.insert(found->second);
        return found->second;
      };
      const std::size_t u = find(names.u);
      const std::size_t v = find(names.v);
      const double sigma = sigma_of(tensors[i], tensors[u], tensors[v], transposed.contains(layer));
      tensors[i] = scaled_tensor(layer + ".weight", tensors[i], {1.0 / sigma});
      ++folded;
    }
  }
  std::vector<SourceTensor> kept;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (!dead.contains(i)) kept.push_back(std::move(tensors[i]));
  }
  tensors = std::move(kept);
  return folded;
}

}  // namespace heed::convert
