// cases recurrent: every layer, direction and layout, with and without what is optional, sequences that end early.
#include <fmt/format.h>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

struct Layer {
  std::string op = "lstm";
  std::int64_t steps = 3, batch = 3, inputs = 5, width = 6;
  std::string direction = "forward";
  std::int64_t layout = 0;
  bool bias = true, lengths = false, initial = true, peepholes = false;
  Attributes more = {};
  std::string what = "";
};

OpCase layer_case(const Layer& layer) {
  const bool lstm = layer.op == "lstm";
  const std::int64_t d = layer.direction == "bidirectional" ? 2 : 1;
  const std::int64_t rows = (lstm ? 4 : layer.op == "gru" ? 3 : 1) * layer.width;
  const bool batch_first = layer.layout == 1;
  GraphBuilder b("recurrent");
  const auto state = [&](bool wanted, const std::string& name) {
    if (!wanted) return kNoValue;
    return b.input(
        name, DType::F32,
        batch_first ? SymbolicShape{layer.batch, d, layer.width} : SymbolicShape{d, layer.batch, layer.width});
  };
  std::vector<ValueId> inputs = {b.input("x", DType::F32,
                                         batch_first ? SymbolicShape{layer.batch, layer.steps, layer.inputs}
                                                     : SymbolicShape{layer.steps, layer.batch, layer.inputs}),
                                 b.weight("w", DType::F32, {d, rows, layer.inputs}),
                                 b.weight("r", DType::F32, {d, rows, layer.width}),
                                 layer.bias ? b.input("bias", DType::F32, {d, 2 * rows}) : kNoValue,
                                 layer.lengths ? b.input("lengths", DType::I32, {layer.batch}) : kNoValue,
                                 state(layer.initial, "h")};
  if (lstm) {
    inputs.push_back(state(layer.initial, "c"));
    inputs.push_back(layer.peepholes ? b.input("p", DType::F32, {d, 3 * layer.width}) : kNoValue);
  }
  Attributes attributes = layer.more;
  attributes.set("direction", layer.direction);
  attributes.set("layout", layer.layout);
  attributes.set("hidden_size", layer.width);
  const std::vector<ValueId> outputs = b.add_many(layer.op, "l", inputs, attributes, lstm ? 3 : 2);
  for (std::size_t i = 0; i < outputs.size(); ++i) b.output(outputs[i], fmt::format("y{}", i));
  OpCase c{
      fmt::format("{} {} layout {} {}x{}x{}x{}{}{}{}{} {}", layer.op, layer.direction, layer.layout, layer.steps,
                  layer.batch, layer.inputs, layer.width, layer.bias ? " bias" : "", layer.lengths ? " lengths" : "",
                  layer.initial ? " initial" : "", layer.peepholes ? " peepholes" : "", layer.what),
      std::move(b).finish(),
      {},
      {}};
  for (std::int64_t i = 0; layer.lengths && i < layer.batch; ++i) {
    c.values["lengths"].push_back(static_cast<double>((i * 3 + 2) % (layer.steps + 1)));
  }
  return c;
}

}  // namespace

std::vector<OpCase> cases_recurrent() {
  const std::int64_t one = 1;
  std::vector<OpCase> cases;
  const auto add = [&](const Layer& layer) { cases.push_back(layer_case(layer)); };
  for (const std::string op : {"lstm", "gru", "rnn"}) {
    for (const std::string direction : {"forward", "reverse", "bidirectional"}) {
      for (const std::int64_t layout : {0, 1}) {
        add({.op = op, .direction = direction, .layout = layout, .lengths = layout == 1});
      }
    }
    add({.op = op, .bias = false, .initial = false});
    add({.op = op, .direction = "bidirectional", .bias = false, .lengths = true, .initial = false});
    add({.op = op, .steps = 1, .batch = 1, .inputs = 1, .width = 1});
    add({.op = op, .batch = 2, .inputs = 40, .width = 70});
    add({.op = op, .steps = 2, .batch = 13, .inputs = 3, .width = 67});
    add({.op = op, .batch = 0});
    add({.op = op, .more = {{"clip", 0.3}}, .what = "clip"});
  }
  add({.op = "gru", .lengths = true, .more = {{"linear_before_reset", one}}, .what = "reset after"});
  add({.op = "gru", .initial = false, .more = {{"linear_before_reset", one}}, .what = "reset after"});
  for (const std::string op : {"lstm", "gru", "rnn"}) {
    // A sequence with NaN and one with an infinity, beside one that is as ever.
    for (const bool relu : {false, true}) {
      if (relu && op != "rnn") continue;
      add({.op = op, .what = "special values"});
      if (relu) cases.pop_back();
      if (relu) add({.op = op, .more = {{"activations", "Relu"}}, .what = "activations, special values"});
      std::vector<double>& x = cases.back().values["x"];  // [3, 3, 5]
      for (int i = 0; i < 45; ++i) x.push_back(i % 11 / 5.0 - 1.0);
      x[15 + 5] = kNotANumber;
      if (!relu) x[2] = kInfinity;
    }
  }
  add({.peepholes = true});
  add({.direction = "bidirectional", .layout = 1, .bias = false, .lengths = true, .peepholes = true});
  add({.more = {{"input_forget", one}}, .what = "input_forget"});
  add({.more = {{"activations", "HardSigmoid,Softsign,LeakyRelu"}}, .what = "activations"});
  add({.direction = "bidirectional",
       .more = {{"activations", "Sigmoid,Tanh,Tanh,Elu,Relu,Softplus"}},
       .what = "activations"});
  add({.op = "rnn", .more = {{"activations", "ThresholdedRelu"}}, .what = "activations"});
  {
    GraphBuilder b("recurrent");  // the last states alone
    const ValueId x = b.input("x", DType::F32, {3, 2, 4});
    const std::vector<ValueId> outputs = b.add_many(
        "lstm", "l", {x, b.weight("w", DType::F32, {1, 12, 4}), b.weight("r", DType::F32, {1, 12, 3})}, {}, 3);
    b.output(outputs[2], "c");
    b.graph().nodes.back().outputs[0] = b.graph().nodes.back().outputs[1] = kNoValue;
    cases.push_back({"lstm, cells alone", std::move(b).finish(), {}, {}});
  }
  return cases;
}

}  // namespace heed::op_cases
