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
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "graph/integer.h"
#include "heed/error.h"
#include "ops/functions.h"
#include "ops/loops.h"
#include "ops/matmul.h"
#include "ops/op.h"
#include "ops/strided.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

enum Input : std::size_t { kX, kW, kR, kBias, kLengths, kInitialH, kInitialC, kPeepholes };

/// What the attributes say. Reading them throws Error.
struct Layer {
  bool lstm, gru;
  std::int64_t gates;
  std::int64_t directions;
  bool first_reverse;
  bool batch_first;
  bool input_forget;
  bool reset_after;
  double clip;                             // 0 for none
  std::vector<const Function*> functions;  // so many for each direction
  std::size_t functions_each;

  const Function& function(std::int64_t direction, std::size_t i) const {
    return *functions[static_cast<std::size_t>(direction) * functions_each + i];
  }
  bool reverse(std::int64_t direction) const { return first_reverse || direction == 1; }
};

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

Layer layer_of(const Node& node) {
  const Attributes& a = node.attributes;
  Layer layer = {};
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

struct Sizes {
  std::int64_t steps, batch, inputs, width;
};

Sizes sizes_of(const Layer& layer, const Shape& x, const Shape& r) {
  return {x[layer.batch_first ? 1 : 0], x[layer.batch_first ? 0 : 1], x[2], r[2]};
}

std::vector<TensorType> infer(const InferContext& c) {
  if (c.node.op == "lstm") {
    c.expect_only(8, {"direction", "activations", "clip", "hidden_size", "layout", "input_forget"});
  } else if (c.node.op == "gru") {
    c.expect_only(6, {"direction", "activations", "clip", "hidden_size", "layout", "linear_before_reset"});
  } else {
    c.expect_only(6, {"direction", "activations", "clip", "hidden_size", "layout"});
  }
  const Layer layer = layer_of(c.node);
  c.expect_rank(kX, 3, "x");
  c.expect_rank(kR, 3, "r");
  const Sizes s = sizes_of(layer, c.input(kX).shape, c.input(kR).shape);
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

/// Where element 0 of a state and of a step lies.
std::int64_t state_at(const Layer& layer, const Sizes& s, std::int64_t direction, std::int64_t b) {
  return (layer.batch_first ? b * layer.directions + direction : direction * s.batch + b) * s.width;
}
std::int64_t step_at(const Layer& layer, const Sizes& s, std::int64_t t, std::int64_t direction, std::int64_t b) {
  const std::int64_t d = layer.directions;
  return (layer.batch_first ? (b * s.steps + t) * d + direction : (t * d + direction) * s.batch + b) * s.width;
}

/// One sequence in one direction.
void run_sequence(const ReferenceContext& c, const Layer& layer, const Sizes& s, std::int64_t d, std::int64_t b) {
  const auto at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
  const std::int64_t g = layer.gates;
  const auto function = [&](std::size_t i, double v) {
    if (layer.clip > 0.0) v = std::clamp(v, -layer.clip, layer.clip);
    return apply_function(layer.function(d, i), Node{}, DType::F32, v, 0.0);
  };
  std::vector<double> h(at(s.width), 0.0);
  std::vector<double> cell(at(s.width), 0.0);
  for (std::int64_t i = 0; i < s.width; ++i) {
    if (c.has(kInitialH)) h[at(i)] = c.in(kInitialH)[at(state_at(layer, s, d, b) + i)];
    if (c.has(kInitialC)) cell[at(i)] = c.in(kInitialC)[at(state_at(layer, s, d, b) + i)];
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
      std::ranges::copy(h, c.out(0).begin() + static_cast<std::ptrdiff_t>(step_at(layer, s, t, d, b)));
    }
  }
  const auto last = static_cast<std::ptrdiff_t>(state_at(layer, s, d, b));
  if (c.outputs.size() > 1 && c.outputs[1] != nullptr) std::ranges::copy(h, c.out(1).begin() + last);
  if (c.outputs.size() > 2 && c.outputs[2] != nullptr) std::ranges::copy(cell, c.out(2).begin() + last);
}

void reference(const ReferenceContext& c) {
  const Layer layer = layer_of(c.node);
  const Sizes s = sizes_of(layer, c.shape(kX), c.shape(kR));
  if (c.outputs[0] != nullptr) std::ranges::fill(c.out(0), 0.0);
  for (std::int64_t d = 0; d < layer.directions; ++d) {
    for (std::int64_t b = 0; b < s.batch; ++b) run_sequence(c, layer, s, d, b);
  }
}

Binding as(Binding binding, Access access, View view) {
  binding.access = access;
  binding.view = view;
  return binding;
}

/// Biases and peepholes of a direction side by side: [D, 2 G H + 3 H]. x where there are none.
Binding gather_parameters(Lowering& l, const Layer& layer, const Sizes& s, const Binding& x) {
  if (!l.has(kBias) && !l.has(kPeepholes)) return x;
  const std::int64_t biases = 2 * layer.gates * s.width;
  const std::int64_t all = biases + 3 * s.width;
  const Binding parameters = l.scratch("parameters", static_cast<std::uint64_t>(layer.directions * all) * 4);
  const auto copy = [&](std::size_t i, std::int64_t count, std::int64_t first) {
    if (!l.has(i)) return;
    const Loops loops = {{layer.directions, count}, {{count, 1}, {all, 1}}};
    emit_copy(l, l.read(i, View::I32), as(parameters, Access::Write, View::None), {loops, 0, first});
  };
  copy(kBias, biases, 0);
  copy(kPeepholes, 3 * s.width, biases);
  return parameters;
}

// Of shaders/recurrent.comp.
enum Cell : std::uint32_t { kRnn, kGru, kGruGates, kGruState, kLstm };
enum Flag : std::uint32_t {
  kReverse = 1,
  kHasH = 2,
  kHasC = 4,
  kHasBias = 8,
  kHasPeepholes = 16,
  kHasLengths = 32,
  kInputForget = 64,
  kClips = 128,
  kWritesY = 256,
};

void lower(Lowering& l) {
  const Layer layer = layer_of(l.node());
  const Sizes s = sizes_of(layer, l.input(kX).shape, l.input(kR).shape);
  const std::int64_t g = layer.gates;
  const std::int64_t count = s.batch * s.width;
  if (count == 0) return;
  if (count * 3 > 0x7fffffff || layer.directions * s.steps * count * g > 0xffffffff) l.fail("has too many elements");
  if (static_cast<std::uint64_t>(s.width) + 64 > l.caps().max_loop_iterations) l.fail("a state is too wide");

  // W x of all steps, and R with the gates of an element side by side.
  Binding products =
      l.scratch("products", static_cast<std::uint64_t>(layer.directions * s.steps * s.batch * g * s.width) * 4);
  const Loops rows = layer.batch_first ? Loops{{s.steps, s.batch}, {{s.inputs, s.steps * s.inputs}}}
                                       : Loops{{s.steps * s.batch}, {{s.inputs}}};
  emit_product(l, {l.read(kX, View::F32), {{layer.directions}, {{0}}}, rows, {{s.inputs}, {{1}}}},
               {l.read(kW, View::F32),
                {{layer.directions}, {{g * s.width * s.inputs}}},
                {{s.inputs}, {{1}}},
                {{g * s.width}, {{s.inputs}}}},
               products, 1.0);
  products = as(products, Access::Read, View::F32);
  const Binding r = emit_packed(l,
                                {l.read(kR, View::F32),
                                 {{layer.directions}, {{g * s.width * s.width}}},
                                 {{s.width, s.width}, {{1, s.width}}},
                                 {{g}, {{s.width * s.width}}}},
                                "r");
  const Binding parameters = gather_parameters(l, layer, s, products);
  const Binding h = l.scratch("h", static_cast<std::uint64_t>(count) * 12);  // before, after, and after reset
  const Binding state = l.scratch("state", static_cast<std::uint64_t>(count) * 4);
  if (l.has(kLengths)) l.check_indices(kLengths, "length", {s.steps + 1}, false);
  const Binding lengths = l.has(kLengths) ? l.read(kLengths, View::I32) : as(products, Access::Read, View::I32);
  const bool writes_y = l.wants_output(0);
  const Binding y = writes_y ? l.write(0) : as(h, Access::Write, View::None);

  for (std::int64_t d = 0; d < layer.directions; ++d) {
    // Sequences of a state, as it lies in a tensor and here.
    const std::int64_t apart = state_at(layer, s, d, 1) - state_at(layer, s, d, 0);
    const auto copy_in = [&](std::size_t i, const Binding& to) {
      if (!l.has(i)) return;
      emit_copy(l, l.read(i, View::I32), as(to, Access::Write, View::None),
                {{{s.batch, s.width}, {{apart, 1}, {s.width, 1}}}, state_at(layer, s, d, 0), 0});
    };
    const auto copy_out = [&](std::size_t i, const Binding& from, std::int64_t first) {
      if (!l.wants_output(i)) return;
      emit_copy(l, as(from, Access::Read, View::I32), l.write(i),
                {{{s.batch, s.width}, {{s.width, 1}, {apart, 1}}}, first, state_at(layer, s, d, 0)});
    };
    copy_in(kInitialH, h);
    copy_in(kInitialC, state);
    for (std::int64_t step = 0; step < s.steps; ++step) {
      const auto append = [&](Cell cell) {
        Dispatch dispatch;
        dispatch.shader = "recurrent";
        dispatch.bindings = {products,
                             as(r, Access::Read, View::F32x4),
                             as(parameters, Access::Read, View::F32),
                             as(h, Access::Read, View::F32),
                             lengths,
                             as(state, Access::ReadWrite, View::None),
                             as(h, Access::Write, View::None),
                             y};
        std::uint32_t flags = 0;
        const auto set = [&](Flag flag, bool on) { flags |= on ? flag : 0u; };
        set(kReverse, layer.reverse(d));
        set(kHasH, step > 0 || l.has(kInitialH));
        set(kHasC, step > 0 || l.has(kInitialC));
        set(kHasBias, l.has(kBias));
        set(kHasPeepholes, l.has(kPeepholes));
        set(kHasLengths, l.has(kLengths));
        set(kInputForget, layer.input_forget);
        set(kClips, layer.clip > 0.0);
        set(kWritesY, writes_y);
        const std::int64_t y_first = step_at(layer, s, 0, 0, 0);
        dispatch.push_constants = {u32(s.batch),
                                   u32(s.width),
                                   u32(s.steps),
                                   u32(step),
                                   u32(d),
                                   flags,
                                   u32(step % 2 * count),
                                   u32((step + 1) % 2 * count),
                                   u32(2 * count),
                                   i32(step_at(layer, s, 1, 0, 0) - y_first),
                                   i32(step_at(layer, s, 0, 1, 0) - y_first),
                                   i32(step_at(layer, s, 0, 0, 1) - y_first),
                                   bits(layer.clip)};
        const std::uint32_t lanes = l.lanes(64);
        dispatch.specialization = {lanes, cell};
        for (std::size_t i = 0; i < 3; ++i) {
          dispatch.specialization.push_back(layer.function(d, std::min(i, layer.functions_each - 1)).number);
        }
        for (std::size_t parameter = 0; parameter < 2; ++parameter) {
          for (std::size_t i = 0; i < 3; ++i) {
            const Function& f = layer.function(d, std::min(i, layer.functions_each - 1));
            dispatch.push_constants.push_back(bits(function_parameter(f, Node{}, parameter)));
          }
        }
        dispatch.groups = l.spread(ceil_div(static_cast<std::uint64_t>(count), lanes));
        dispatch.flops = saturating_product({2, u64(count), u64(g * s.width)});
        l.emit(std::move(dispatch));
      };
      if (layer.gru && !layer.reset_after) {
        append(kGruGates);
        append(kGruState);
      } else {
        append(layer.lstm ? kLstm : layer.gru ? kGru : kRnn);
      }
    }
    copy_out(1, h, s.steps % 2 * count);
    if (layer.lstm) copy_out(2, state, 0);
  }
}

}  // namespace

extern const Op op_recurrent;
const Op op_recurrent = {{"lstm", "gru", "rnn"}, infer, reference, lower};

}  // namespace heed::ops
