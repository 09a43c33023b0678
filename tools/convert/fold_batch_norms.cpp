#include <fmt/format.h>

#include <cmath>

#include "tools/convert/fold.h"
#include "tools/convert/graph_edit.h"

namespace heed::convert {
namespace {

/// Elements of a channel in the pictures that a reshape makes of rows of so many; nothing where it makes something
/// else.
std::optional<std::size_t> channel_elements(GraphEdit& edit, const Node& reshape, std::size_t channels,
                                            std::size_t row) {
  const std::optional<std::vector<std::int64_t>> sizes =
      edit.known_integers(reshape.inputs.size() > 1 ? reshape.inputs[1] : kNoValue);
  if (!sizes || sizes->size() < 3 || sizes->front() != 0 || reshape.attributes.integer("allow_zero", 0) != 0) {
    return std::nullopt;
  }
  std::int64_t product = 1;
  for (std::size_t d = 2; d < sizes->size(); ++d) {
    constexpr std::int64_t kMost = 1 << 20;
    if ((*sizes)[d] < 1 || (*sizes)[d] > kMost || product > kMost) return std::nullopt;
    product *= (*sizes)[d];
  }
  const auto elements = static_cast<std::size_t>(product);
  const bool whole = (*sizes)[1] == static_cast<std::int64_t>(channels) && channels * elements == row;
  return whole ? std::optional<std::size_t>(elements) : std::nullopt;
}

std::vector<double> each_repeated(const std::vector<double>& values, std::size_t times) {
  std::vector<double> all;
  all.reserve(values.size() * times);
  for (const double value : values) all.insert(all.end(), times, value);
  return all;
}

void fold_batch_norm(GraphEdit& edit, std::size_t at) {
  const Node& norm = edit.graph().nodes[at];
  Node* maker = edit.only_maker(norm.inputs[0]);
  Node* reshape = maker != nullptr && maker->op == "reshape" ? maker : nullptr;
  if (reshape != nullptr) {
    maker = edit.only_maker(reshape->inputs[0]);
    if (maker == nullptr || maker->op != "linear") return;
  }
  if (maker == nullptr || maker->inputs.size() > 3) return;
  Node& node = *maker;
  const bool transposed = node.op == "conv_transpose";
  if (!transposed && node.op != "conv" && node.op != "linear") return;
  if (node.attributes.text("activation", "none") != "none") return;
  const SourceTensor* weight = edit.float_weight(node.inputs[1]);
  if (weight == nullptr || weight->shape.size() < 2) return;
  // A norm is of the second dimension, a linear layer gives the last.
  if (node.op == "linear" && !edit.is_rows(node.inputs[0])) return;

  std::vector<std::vector<double>> parameters;  // scale, shift, mean, variance
  for (std::size_t i = 1; i < 5; ++i) {
    std::optional<std::vector<double>> values = edit.known(norm.inputs[i]);
    if (!values) return;
    parameters.push_back(std::move(*values));
  }
  std::size_t channels = parameters[0].size();
  if (reshape != nullptr) {
    const std::optional<std::size_t> elements =
        channel_elements(edit, *reshape, channels, static_cast<std::size_t>(weight->shape[0]));
    if (!elements) return;
    for (std::vector<double>& values : parameters)
      values = each_repeated(values, values.size() == channels ? *elements : 1);
    channels *= *elements;
  }
  std::vector<double> bias(channels, 0.0);
  if (node.inputs.size() > 2 && node.inputs[2] != kNoValue) {
    std::optional<std::vector<double>> values = edit.known(node.inputs[2]);
    if (!values) return;
    bias = std::move(*values);
  }
  for (const std::vector<double>& values : parameters) {
    if (values.size() != channels || bias.size() != channels) return;  // refused when the graph is planned
  }

  const double eps = norm.attributes.real("eps", 1e-5);
  std::vector<double> factors(channels);
  std::vector<float> biases(channels);
  for (std::size_t c = 0; c < channels; ++c) {
    factors[c] = parameters[0][c] / std::sqrt(parameters[3][c] + eps);
    biases[c] = static_cast<float>((bias[c] - parameters[2][c]) * factors[c] + parameters[1][c]);
    if (!std::isfinite(factors[c]) || !std::isfinite(biases[c])) return;  // the norm itself shows what it makes
  }
  if (transposed) {
    // The weight is [in, channels of a group, ..].
    const auto groups = static_cast<std::size_t>(node.attributes.integer("groups", 1));
    const auto in = static_cast<std::size_t>(weight->shape[0]);
    const auto of_group = static_cast<std::size_t>(weight->shape[1]);
    if (groups == 0 || in % groups != 0 || of_group * groups != channels) return;
    std::vector<double> of_each;
    for (std::size_t i = 0; i < in; ++i) {
      const auto first = factors.begin() + static_cast<std::ptrdiff_t>(i / (in / groups) * of_group);
      of_each.insert(of_each.end(), first, first + static_cast<std::ptrdiff_t>(of_group));
    }
    factors = std::move(of_each);
  } else if (static_cast<std::size_t>(weight->shape[0]) != channels) {
    return;
  }
  node.inputs.resize(3, kNoValue);
  const std::string name = fmt::format("{}*{}", weight->name, norm.name);
  node.inputs[1] = edit.add_weight(make_scaled_tensor(name, *weight, std::move(factors)));
  node.inputs[2] = edit.add_weight(
      make_f32_tensor(fmt::format("{}.bias*{}", node.name, norm.name), {static_cast<std::int64_t>(channels)}, biases));
  edit.take_over(reshape == nullptr ? node : *reshape, at);
}

}  // namespace

std::size_t fold_batch_norms(std::vector<Graph>& graphs, std::vector<SourceTensor>& tensors,
                             const models::TensorTable& table) {
  std::size_t folded = 0;
  for (Graph& graph : graphs) {
    GraphEdit edit(graph, tensors, table);
    for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
      if (graph.nodes[i].op == "batch_norm" && graph.nodes[i].inputs.size() == 5) fold_batch_norm(edit, i);
    }
    folded += edit.finish();
  }
  return folded;
}

}  // namespace heed::convert
