// op lstm, gru, rnn: recurrent layers over sequences, as ONNX describes them, in one direction or both (D of them).
//
// inputs: x [T, B, I], w [D, G H, I], r [D, G H, H], bias [D, 2 G H]? (those of W, then of R), lengths [B]? (i32),
// initial_h [D, B, H]?; of lstm also initial_c [D, B, H]? and peepholes [D, 3 H]? (input, output, forget). Gates: of
// lstm input, output, forget, cell; of gru update, reset, hidden. Outputs: y [T, D, B, H]?, y_h [D, B, H]?, of lstm y_c
// [D, B, H]?. With attribute layout 1 (default 0) they are x [B, T, I], initial [B, D, H], y [B, T, D, H], y_h [B, D,
// H].
//
// Attributes: direction (forward, the default; reverse; bidirectional), activations (names, separated by commas, for
// each direction; with ONNX's default parameters), hidden_size, clip (bounds what activations are given), input_forget
// (lstm: 1 - input gate forgets), linear_before_reset (gru: the reset gate works after R). A sequence that has ended
// keeps its state, and y is 0.

#include "ops/recurrent.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "heed/error.h"
#include "ops/op.h"

namespace heed::ops {
namespace {

const Function* activation(const std::string& written) {
  std::string name = written;
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  constexpr std::pair<std::string_view, std::string_view> kNames[] = {{"relu", "relu"},
                                                                      {"tanh", "tanh"},
                                                                      {"sigmoid", "sigmoid"},
                                                                      {"leakyrelu", "leaky_relu"},
                                                                      {"thresholdedrelu", "thresholded_relu"},
                                                                      {"hardsigmoid", "hard_sigmoid"},
                                                                      {"elu", "elu"},
                                                                      {"softsign", "softsign"},
                                                                      {"softplus", "softplus"}};
  for (const auto& [onnx, own] : kNames) {
    if (name == onnx) return find_function(own);
  }
  throw Error(fmt::format("unknown activation '{}' of a recurrent layer", written));
}

std::vector<TensorType> infer(const InferContext& c) {
  if (c.node.op == "lstm") {
    c.expect_only(8, {"direction", "activations", "clip", "hidden_size", "layout", "input_forget"});
  } else if (c.node.op == "gru") {
    c.expect_only(6, {"direction", "activations", "clip", "hidden_size", "layout", "linear_before_reset"});
  } else {
    c.expect_only(6, {"direction", "activations", "clip", "hidden_size", "layout"});
  }
  const RecurrentLayer layer = RecurrentLayer::of(c.node);
  c.expect_rank(kX, 3, "x");
  c.expect_rank(kR, 3, "r");
  const RecurrentSizes s(layer, c.input(kX).shape, c.input(kR).shape);
  const std::int64_t width = c.node.attributes.integer("hidden_size", s.width);
  if (width != s.width) c.fail(fmt::format("hidden_size is {}, but r is {}", width, to_string(c.input(kR).shape)));
  if (s.steps == 0) c.fail("x has no steps");
  const std::int64_t d = layer.directions;
  c.expect_shape(kW, {d, layer.gates * s.width, s.inputs}, "w");
  c.expect_shape(kR, {d, layer.gates * s.width, s.width}, "r");
  const Shape initial = layer.batch_first ? Shape{s.batch, d, s.width} : Shape{d, s.batch, s.width};
  if (c.has(kBias)) c.expect_shape(kBias, {d, 2 * layer.gates * s.width}, "bias");
  if (c.has(kLengths)) {
    c.expect_shape(kLengths, {s.batch}, "lengths");
    if (is_floating(c.input(kLengths).dtype)) c.fail("lengths are reals, expected integers");
  }
  if (c.has(kInitialH)) c.expect_shape(kInitialH, initial, "initial_h");
  if (c.has(kInitialC)) c.expect_shape(kInitialC, initial, "initial_c");
  if (c.has(kPeepholes)) c.expect_shape(kPeepholes, {d, 3 * s.width}, "peepholes");
  constexpr std::string_view kNames[] = {"x", "w", "r", "the bias", "", "initial_h", "initial_c", "the peepholes"};
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    if (i != kLengths && c.has(i)) c.expect_floats(i, kNames[i]);
  }
  const Shape y = layer.batch_first ? Shape{s.batch, s.steps, d, s.width} : Shape{s.steps, d, s.batch, s.width};
  std::vector<TensorType> types = {{DType::F32, y}, {DType::F32, initial}};
  if (layer.lstm) types.push_back({DType::F32, initial});
  return types;
}

/// One sequence in one direction.
void run_sequence(const ReferenceContext& c, const RecurrentLayer& layer, const RecurrentSizes& s, std::int64_t d,
                  std::int64_t b) {
  const auto at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
  const std::int64_t g = layer.gates;
  const auto function = [&](std::size_t i, double v) {
    if (layer.clip > 0.0) v = std::clamp(v, -layer.clip, layer.clip);
    return apply_function(layer.function(d, i), Node{}, DType::F32, v, 0.0);
  };
  std::vector<double> h(at(s.width), 0.0);
  std::vector<double> cell(at(s.width), 0.0);
  for (std::int64_t i = 0; i < s.width; ++i) {
    if (c.has(kInitialH)) h[at(i)] = c.in(kInitialH)[at(s.state_at(d, b) + i)];
    if (c.has(kInitialC)) cell[at(i)] = c.in(kInitialC)[at(s.state_at(d, b) + i)];
  }
  const std::int64_t length = c.has(kLengths) ? c.index(kLengths, at(b), s.steps + 1, false, "length") : s.steps;
  const auto bias = [&](std::int64_t row) { return c.has(kBias) ? c.in(kBias)[at(d * 2 * g * s.width + row)] : 0.0; };
  for (std::int64_t step = 0; step < length; ++step) {
    const std::int64_t t = layer.reverse(d) ? length - 1 - step : step;
    const std::int64_t x = (layer.batch_first ? b * s.steps + t : t * s.batch + b) * s.inputs;
    const auto from_x = [&](std::int64_t gate, std::int64_t i) {
      const std::int64_t row = gate * s.width + i;
      double sum = bias(row);
      for (std::int64_t k = 0; k < s.inputs; ++k) {
        sum += c.in(kX)[at(x + k)] * c.in(kW)[at((d * g * s.width + row) * s.inputs + k)];
      }
      return sum;
    };
    const auto from_h = [&](const std::vector<double>& state, std::int64_t gate, std::int64_t i) {
      const std::int64_t row = gate * s.width + i;
      double sum = bias(g * s.width + row);
      for (std::int64_t k = 0; k < s.width; ++k) {
        sum += state[at(k)] * c.in(kR)[at((d * g * s.width + row) * s.width + k)];
      }
      return sum;
    };
    const auto gate = [&](std::int64_t number, std::int64_t i) { return from_x(number, i) + from_h(h, number, i); };
    std::vector<double> next(at(s.width));
    std::vector<double> mixed(at(s.width));
    if (layer.gru) {
      for (std::int64_t i = 0; i < s.width; ++i) mixed[at(i)] = function(0, gate(1, i)) * h[at(i)];
    }
    for (std::int64_t i = 0; i < s.width; ++i) {
      if (layer.lstm) {
        const auto peephole = [&](std::int64_t number) {
          return c.has(kPeepholes) ? c.in(kPeepholes)[at((d * 3 + number) * s.width + i)] * cell[at(i)] : 0.0;
        };
        const double open = function(0, gate(0, i) + peephole(0));
        const double keep = layer.input_forget ? 1.0 - open : function(0, gate(2, i) + peephole(2));
        cell[at(i)] = keep * cell[at(i)] + open * function(1, gate(3, i));
        next[at(i)] = function(0, gate(1, i) + peephole(1)) * function(2, cell[at(i)]);
      } else if (layer.gru) {
        const double update = function(0, gate(0, i));
        const double recurrent = layer.reset_after ? function(0, gate(1, i)) * from_h(h, 2, i) : from_h(mixed, 2, i);
        next[at(i)] = (1.0 - update) * function(1, from_x(2, i) + recurrent) + update * h[at(i)];
      } else {
        next[at(i)] = function(0, gate(0, i));
      }
    }
    h = next;
    if (c.outputs[0] != nullptr) {
      std::ranges::copy(h, c.out(0).begin() + static_cast<std::ptrdiff_t>(s.step_at(t, d, b)));
    }
  }
  const auto last = static_cast<std::ptrdiff_t>(s.state_at(d, b));
  if (c.outputs.size() > 1 && c.outputs[1] != nullptr) std::ranges::copy(h, c.out(1).begin() + last);
  if (c.outputs.size() > 2 && c.outputs[2] != nullptr) std::ranges::copy(cell, c.out(2).begin() + last);
}

void reference(const ReferenceContext& c) {
  const RecurrentLayer layer = RecurrentLayer::of(c.node);
  const RecurrentSizes s(layer, c.shape(kX), c.shape(kR));
  if (c.outputs[0] != nullptr) std::ranges::fill(c.out(0), 0.0);
  for (std::int64_t d = 0; d < layer.directions; ++d) {
    for (std::int64_t b = 0; b < s.batch; ++b) run_sequence(c, layer, s, d, b);
  }
}

}  // namespace

RecurrentLayer RecurrentLayer::of(const Node& node) {
  const Attributes& a = node.attributes;
  RecurrentLayer layer = {};
  layer.lstm = node.op == "lstm";
  layer.gru = node.op == "gru";
  layer.gates = layer.lstm ? 4 : layer.gru ? 3 : 1;
  const std::string direction = a.text("direction", "forward");
  if (direction != "forward" && direction != "reverse" && direction != "bidirectional") {
    throw Error(fmt::format("direction '{}' is none of forward, reverse and bidirectional", direction));
  }
  layer.directions = direction == "bidirectional" ? 2 : 1;
  layer.first_reverse = direction == "reverse";
  const std::int64_t layout = a.integer("layout", 0);
  if (layout != 0 && layout != 1) throw Error(fmt::format("layout is {}, expected 0 or 1", layout));
  layer.batch_first = layout == 1;
  layer.input_forget = a.integer("input_forget", 0) != 0;
  layer.reset_after = a.integer("linear_before_reset", 0) != 0;
  layer.clip = a.real("clip", 0.0);
  if (!(layer.clip >= 0.0)) throw Error(fmt::format("clip is {}, expected a bound above 0", layer.clip));
  layer.functions_each = layer.lstm ? 3 : layer.gru ? 2 : 1;
  const std::string once = layer.lstm ? "Sigmoid,Tanh,Tanh" : layer.gru ? "Sigmoid,Tanh" : "Tanh";
  const std::string names = a.text("activations", layer.directions == 2 ? once + "," + once : once);
  for (std::size_t begin = 0; begin <= names.size();) {
    const std::size_t end = std::min(names.find(',', begin), names.size());
    layer.functions.push_back(activation(names.substr(begin, end - begin)));
    begin = end + 1;
  }
  const std::size_t wanted = layer.functions_each * static_cast<std::size_t>(layer.directions);
  if (layer.functions.size() != wanted) {
    throw Error(fmt::format("has {} activations, expected {}", layer.functions.size(), wanted));
  }
  return layer;
}

RecurrentSizes::RecurrentSizes(const RecurrentLayer& layer, const Shape& x, const Shape& r)
    : steps(x[layer.batch_first ? 1 : 0]),
      batch(x[layer.batch_first ? 0 : 1]),
      inputs(x[2]),
      width(r[2]),
      directions(layer.directions),
      batch_first(layer.batch_first) {}

std::int64_t RecurrentSizes::state_at(std::int64_t direction, std::int64_t b) const {
  return (batch_first ? b * directions + direction : direction * batch + b) * width;
}

std::int64_t RecurrentSizes::step_at(std::int64_t t, std::int64_t direction, std::int64_t b) const {
  return (batch_first ? (b * steps + t) * directions + direction : (t * directions + direction) * batch + b) * width;
}

extern const Op op_recurrent;
const Op op_recurrent = {{"lstm", "gru", "rnn"}, infer, reference, lower_recurrent};

}  // namespace heed::ops
