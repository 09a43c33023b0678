#include "tools/convert/recurrent_weights.h"

#include <fmt/format.h>

#include <algorithm>

#include "graph/dtype.h"
#include "graph/shape.h"
#include "heed/error.h"
#include "tools/convert/convert.h"

namespace heed::convert {

namespace {

/// For each gate in ONNX's order, its place in PyTorch's: of an LSTM input, forget, cell, output -> input, output,
/// forget, cell; of a GRU reset, update, new -> update, reset, hidden.
std::vector<std::size_t> gate_order(const std::string& cell) {
  return cell == "lstm" ? std::vector<std::size_t>{0, 3, 1, 2} : std::vector<std::size_t>{1, 0, 2};
}

/// Matrices [G H, K] of each direction, as [D, G H, K]; as f32 where their types differ.
SourceTensor stack_matrices(std::string name, std::vector<SourceTensor> directions, std::vector<std::size_t> order) {
  const bool one_type = std::ranges::all_of(
      directions, [&](const SourceTensor& direction) { return direction.dtype == directions.front().dtype; });
  const Shape& shape = directions.front().shape;
  SourceTensor stacked{std::move(name),
                       one_type ? directions.front().dtype : DType::F32,
                       {static_cast<std::int64_t>(directions.size()), shape[0], shape[1]},
                       {},
                       false,
                       directions.front().shown_name()};
  stacked.read = [directions = std::move(directions), order = std::move(order), one_type] {
    std::vector<std::byte> all;
    for (const SourceTensor& direction : directions) {
      std::vector<std::byte> bytes;
      if (one_type) {
        bytes = direction.read();
      } else {
        const std::vector<float> values = tensor_values(direction);
        const auto raw = std::as_bytes(std::span(values));
        bytes.assign(raw.begin(), raw.end());
      }
      const std::size_t gate = bytes.size() / order.size();
      for (const std::size_t from : order) {
        const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(from * gate);
        all.insert(all.end(), begin, begin + static_cast<std::ptrdiff_t>(gate));
      }
    }
    return all;
  };
  return stacked;
}

/// Biases of W and of R of each direction, each [G H], as [D, 2 G H].
SourceTensor stack_biases(std::string name, std::vector<SourceTensor> parts, std::vector<std::size_t> order) {
  const std::int64_t rows = 2 * parts.front().shape[0];
  SourceTensor stacked{
      std::move(name),           DType::F32, {static_cast<std::int64_t>(parts.size() / 2), rows}, {}, false,
      parts.front().shown_name()};
  stacked.read = [parts = std::move(parts), order = std::move(order)] {
    std::vector<std::byte> all;
    for (const SourceTensor& part : parts) {
      const std::vector<float> values = tensor_values(part);
      const std::size_t gate = values.size() / order.size();
      for (const std::size_t from : order) {
        const auto raw = std::as_bytes(std::span(values).subspan(from * gate, gate));
        all.insert(all.end(), raw.begin(), raw.end());
      }
    }
    return all;
  };
  return stacked;
}

SourceTensor take_shaped(NamedTensors& tensors, const std::string& name, const Shape& expected) {
  SourceTensor tensor = tensors.take(name);
  if (tensor.shape != expected) {
    throw Error(fmt::format("tensor '{}' has shape {}; expected {} beside the other tensors of the layer", name,
                            to_string(tensor.shape), to_string(expected)));
  }
  return tensor;
}

}  // namespace

TorchRecurrent give_recurrent(NamedTensors& tensors, const std::string& in_file, const std::string& name,
                              Checkpoint& checkpoint) {
  const std::string first = in_file + ".weight_hh_l0";
  const SourceTensor* r = tensors.find(first);
  const SourceTensor* w = tensors.find(in_file + ".weight_ih_l0");
  if (r == nullptr || w == nullptr) {
    throw Error(fmt::format("tensor '{}' is missing; if the layer has another name, say so in config.json: \"names\"",
                            r == nullptr ? first : in_file + ".weight_ih_l0"));
  }
  const bool matrix = r->shape.size() == 2 && w->shape.size() == 2 && r->shape[1] > 0;
  const std::int64_t gates = matrix && r->shape[0] % r->shape[1] == 0 ? r->shape[0] / r->shape[1] : 0;
  if (gates != 3 && gates != 4) {
    throw Error(fmt::format("tensor '{}' has shape {}; expected [4 H, H] of an nn.LSTM or [3 H, H] of an nn.GRU", first,
                            to_string(r->shape)));
  }
  TorchRecurrent module{gates == 4 ? "lstm" : "gru", w->shape[1], r->shape[1], 0,
                        tensors.find(first + "_reverse") != nullptr};
  const bool biases = tensors.find(in_file + ".bias_ih_l0") != nullptr;
  const std::int64_t rows = gates * module.hidden;
  std::vector<std::string> endings = {""};
  if (module.bidirectional) endings.emplace_back("_reverse");
  std::int64_t width = module.inputs;
  for (; tensors.find(fmt::format("{}.weight_hh_l{}", in_file, module.layers)) != nullptr; ++module.layers) {
    std::vector<SourceTensor> w_parts, r_parts, b_parts;
    for (const std::string& ending : endings) {
      const auto take = [&](const char* what, const Shape& shape) {
        return take_shaped(tensors, fmt::format("{}.{}_l{}{}", in_file, what, module.layers, ending), shape);
      };
      w_parts.push_back(take("weight_ih", {rows, width}));
      r_parts.push_back(take("weight_hh", {rows, module.hidden}));
      if (!biases) continue;
      b_parts.push_back(take("bias_ih", {rows}));
      b_parts.push_back(take("bias_hh", {rows}));
    }
    const std::string to = fmt::format("{}.{}", name, module.layers);
    const std::vector<std::size_t> order = gate_order(module.cell);
    checkpoint.tensors.push_back(stack_matrices(to + ".w", std::move(w_parts), order));
    checkpoint.tensors.push_back(stack_matrices(to + ".r", std::move(r_parts), order));
    if (biases) checkpoint.tensors.push_back(stack_biases(to + ".bias", std::move(b_parts), order));
    width = module.hidden * (module.bidirectional ? 2 : 1);
  }
  return module;
}

}  // namespace heed::convert
