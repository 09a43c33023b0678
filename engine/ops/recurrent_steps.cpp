// How recurrent layers run: W x of all steps at once, then one or two dispatches of shaders/recurrent.comp a step.
#include <algorithm>

#include "constants/recurrent.h"
#include "graph/integer.h"
#include "ops/loops.h"
#include "ops/matmul.h"
#include "ops/op.h"
#include "ops/recurrent.h"
#include "ops/strided.h"
#include "plan/lowering.h"

namespace heed::ops {
namespace {

Binding as(Binding binding, Access access, View view) {
  binding.access = access;
  binding.view = view;
  return binding;
}

/// Biases and peepholes of a direction side by side: [D, 2 G H + 3 H]. x where there are none.
Binding gather_parameters(Lowering& l, const RecurrentLayer& layer, const RecurrentSizes& s, const Binding& x) {
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

/// What the steps of a layer read and write on the device.
struct Buffers {
  Binding products;    // W x of all steps; stands for what is absent, too
  Binding r;           // R with the gates of an element side by side
  Binding parameters;  // gather_parameters()
  Binding h;           // before a step, after it, and after reset
  Binding state;       // cells of an LSTM, update gates of a GRU
  Binding lengths;
  Binding y;
};

Binding multiply_inputs(Lowering& l, const RecurrentLayer& layer, const RecurrentSizes& s) {
  const std::int64_t rows_of_w = layer.gates * s.width;
  const Binding products =
      l.scratch("products", static_cast<std::uint64_t>(layer.directions * s.steps * s.batch * rows_of_w) * 4);
  const Loops rows = layer.batch_first ? Loops{{s.steps, s.batch}, {{s.inputs, s.steps * s.inputs}}}
                                       : Loops{{s.steps * s.batch}, {{s.inputs}}};
  emit_product(l, {l.read(kX, View::F32), {{layer.directions}, {{0}}}, rows, {{s.inputs}, {{1}}}},
               {l.read(kW, View::F32),
                {{layer.directions}, {{rows_of_w * s.inputs}}},
                {{s.inputs}, {{1}}},
                {{rows_of_w}, {{s.inputs}}}},
               products, 1.0);
  return as(products, Access::Read, View::F32);
}

Binding pack_r(Lowering& l, const RecurrentLayer& layer, const RecurrentSizes& s) {
  return emit_packed(l,
                     {l.read(kR, View::F32),
                      {{layer.directions}, {{layer.gates * s.width * s.width}}},
                      {{s.width, s.width}, {{1, s.width}}},
                      {{layer.gates}, {{s.width * s.width}}}},
                     "r");
}

Buffers prepare_buffers(Lowering& l, const RecurrentLayer& layer, const RecurrentSizes& s) {
  const auto elements = static_cast<std::uint64_t>(s.batch * s.width);
  Buffers b;
  b.products = multiply_inputs(l, layer, s);
  b.r = pack_r(l, layer, s);
  b.parameters = gather_parameters(l, layer, s, b.products);
  b.h = l.scratch("h", elements * 12);
  b.state = l.scratch("state", elements * 4);
  if (l.has(kLengths)) l.check_indices(kLengths, "length", {s.steps + 1}, false);
  b.lengths = l.has(kLengths) ? l.read(kLengths, View::I32) : as(b.products, Access::Read, View::I32);
  b.y = l.wants_output(0) ? l.write(0) : as(b.h, Access::Write, View::None);
  return b;
}

/// Where the states of a direction lie in an input or output of the node; in buffers of this op they are dense.
struct StatePlace {
  std::int64_t first;  // in the tensor
  std::int64_t apart;  // from sequence to sequence there
};

StatePlace place_of_state(const RecurrentSizes& s, std::int64_t d) {
  const std::int64_t first = s.state_at(d, 0);
  return {first, s.state_at(d, 1) - first};
}

/// A state that a direction begins with, where the node has it.
void copy_in(Lowering& l, const RecurrentSizes& s, const StatePlace& place, std::size_t input, const Binding& to) {
  if (!l.has(input)) return;
  emit_copy(l, l.read(input, View::I32), as(to, Access::Write, View::None),
            {{{s.batch, s.width}, {{place.apart, 1}, {s.width, 1}}}, place.first, 0});
}

/// The state that it ends with, from element `first` of a buffer on, where somebody wants it.
void copy_out(Lowering& l, const RecurrentSizes& s, const StatePlace& place, std::size_t output, const Binding& from,
              std::int64_t first) {
  if (!l.wants_output(output)) return;
  emit_copy(l, as(from, Access::Read, View::I32), l.write(output),
            {{{s.batch, s.width}, {{s.width, 1}, {place.apart, 1}}}, first, place.first});
}

std::uint32_t flags_of(const Lowering& l, const RecurrentLayer& layer, std::int64_t d, std::int64_t step) {
  std::uint32_t flags = 0;
  const auto set = [&](std::uint32_t flag, bool on) { flags |= on ? flag : 0u; };
  set(kReverse, layer.reverse(d));
  set(kHasH, step > 0 || l.has(kInitialH));
  set(kHasC, step > 0 || l.has(kInitialC));
  set(kHasBias, l.has(kBias));
  set(kHasPeepholes, l.has(kPeepholes));
  set(kHasLengths, l.has(kLengths));
  set(kInputForget, layer.input_forget);
  set(kClips, layer.clip > 0.0);
  set(kWritesY, l.wants_output(0));
  return flags;
}

void emit_step(Lowering& l, const RecurrentLayer& layer, const RecurrentSizes& s, const Buffers& b, std::int64_t d,
               std::int64_t step, std::uint32_t cell) {
  const std::int64_t count = s.batch * s.width;
  const std::int64_t y_first = s.step_at(0, 0, 0);
  const auto function = [&](std::size_t i) -> const Function& {
    return layer.function(d, std::min(i, layer.functions_each - 1));
  };
  RecurrentPush push = {.batch = u32(s.batch),
                        .width = u32(s.width),
                        .steps = u32(s.steps),
                        .step = u32(step),
                        .direction = u32(d),
                        .flags = flags_of(l, layer, d, step),
                        .from = u32(step % 2 * count),
                        .to = u32((step + 1) % 2 * count),
                        .mixed = u32(2 * count),
                        .y_step = i32(s.step_at(1, 0, 0) - y_first),
                        .y_direction = i32(s.step_at(0, 1, 0) - y_first),
                        .y_batch = i32(s.step_at(0, 0, 1) - y_first),
                        .clip = static_cast<float>(layer.clip),
                        .alphas = {},
                        .betas = {}};
  for (std::size_t i = 0; i < 3; ++i) {
    push.alphas[i] = static_cast<float>(function_parameter(function(i), Node{}, 0));
    push.betas[i] = static_cast<float>(function_parameter(function(i), Node{}, 1));
  }
  const std::uint32_t lanes = l.lanes(64);
  Dispatch dispatch;
  dispatch.shader = "recurrent";
  dispatch.bindings = {b.products,
                       as(b.r, Access::Read, View::F32x4),
                       as(b.parameters, Access::Read, View::F32),
                       as(b.h, Access::Read, View::F32),
                       b.lengths,
                       as(b.state, Access::ReadWrite, View::None),
                       as(b.h, Access::Write, View::None),
                       b.y};
  dispatch.push_constants = words_of(push);
  dispatch.specialization = words_of(RecurrentConstants{.lanes = lanes,
                                                        .cell = cell,
                                                        .function_f = function(0).number,
                                                        .function_g = function(1).number,
                                                        .function_h = function(2).number});
  dispatch.groups = l.spread(ceil_div(static_cast<std::uint64_t>(count), lanes));
  const std::int64_t gates = cell == kGruGates ? 2 : cell == kGruState ? 1 : layer.gates;
  dispatch.flops = saturating_product({2, u64(count), u64(gates * s.width)});
  l.emit(std::move(dispatch));
}

/// The dispatches of a step, one after the other: a GRU whose reset gate works before R needs its gates first.
std::vector<std::uint32_t> cells_of(const RecurrentLayer& layer) {
  if (layer.lstm) return {kLstm};
  if (!layer.gru) return {kRnn};
  if (layer.reset_after) return {kGru};
  return {kGruGates, kGruState};
}

}  // namespace

void lower_recurrent(Lowering& l) {
  const RecurrentLayer layer = RecurrentLayer::of(l.node());
  const RecurrentSizes s(layer, l.input(kX).shape, l.input(kR).shape);
  const std::int64_t count = s.batch * s.width;
  if (count == 0) return;
  if (count * 3 > 0x7fffffff || layer.directions * s.steps * count * layer.gates > 0xffffffff) {
    l.fail("has too many elements");
  }
  if (static_cast<std::uint64_t>(s.width) + 64 > l.caps().max_loop_iterations) l.fail("a state is too wide");

  const Buffers buffers = prepare_buffers(l, layer, s);
  for (std::int64_t d = 0; d < layer.directions; ++d) {
    const StatePlace place = place_of_state(s, d);
    copy_in(l, s, place, kInitialH, buffers.h);
    copy_in(l, s, place, kInitialC, buffers.state);
    for (std::int64_t step = 0; step < s.steps; ++step) {
      for (const std::uint32_t cell : cells_of(layer)) emit_step(l, layer, s, buffers, d, step, cell);
    }
    copy_out(l, s, place, 1, buffers.h, s.steps % 2 * count);
    if (layer.lstm) copy_out(l, s, place, 2, buffers.state, 0);
  }
}

}  // namespace heed::ops
