#include "runtime/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <exception>
#include <limits>

#include "graph/convert_dtype.h"
#include "graph/quantised.h"
#include "heed/error.h"
#include "ops/op.h"
#include "planner/infer.h"
#include "planner/make_plan.h"
#include "reference/rounding.h"

namespace heed {
namespace {

constexpr std::uint32_t kPoison = 0x7fc0dead;  // a quiet NaN that nobody computes
constexpr int kF16Digits = 10;                 // behind the point
constexpr int kF16LeastExponent = -14;
constexpr int kNudgedRuns = 4;        // of the reference
constexpr double kDeviations = 16.0;  // of those runs that a device may stray
/// Four runs may miss an element by chance, so neighbours share what was seen.
constexpr std::size_t kNeighbours = 16;
constexpr double kWrong = std::numeric_limits<double>::infinity();

using Words = std::vector<std::uint32_t>;

std::uint32_t to_word(double value, DType dtype) {
  if (is_floating(dtype)) return std::bit_cast<std::uint32_t>(static_cast<float>(value));
  return static_cast<std::uint32_t>(static_cast<std::int64_t>(value));
}

double from_word(std::uint32_t word, DType dtype) {
  if (is_floating(dtype)) return static_cast<double>(std::bit_cast<float>(word));
  return static_cast<double>(std::bit_cast<std::int32_t>(word));
}

/// Elements of an input or state as the session holds them, a word each; in states of f16, two to a word there.
void write_words(Session& session, const Value& value, const Words& words) {
  const bool f16 = device_element_bytes(value.kind, value.dtype) == 2;
  session.write(value.name, std::as_bytes(std::span(f16 ? pack_f16(words) : words)));
}

Words read_words(Session& session, const Value& value, std::size_t count) {
  const bool f16 = device_element_bytes(value.kind, value.dtype) == 2;
  Words words(f16 ? (count + 1) / 2 : count);
  session.read(value.name, std::as_writable_bytes(std::span(words)));
  return f16 ? unpack_f16(words, count) : words;
}

/// In units of `bound`, which is 0 where numbers must be the same.
double error_of(double expected, std::uint32_t word, DType dtype, double bound) {
  if (!is_floating(dtype)) return to_word(expected, dtype) == word ? 0.0 : kWrong;
  const auto want = static_cast<float>(expected);
  const auto have = std::bit_cast<float>(word);
  if (want == have) return 0.0;
  // Also the poison: it spreads from a node that is wrong to those that read it.
  if (std::isnan(want)) return std::isnan(have) ? 0.0 : kWrong;
  if (!std::isfinite(want) || !std::isfinite(have)) return kWrong;
  return std::abs(expected - static_cast<double>(have)) / (bound + kFlushed);
}

/// How far the results of a node stray when everything is rounded as on a device.
class Strays {
 public:
  /// `context` as the node left it; `updated`: which inputs are states that the node changes, and `before` those states
  /// as it found them; `byte_block`: columns of input 0 that become bytes together (nudge_bytes), 0: none do. Looks at
  /// outputs and at these.
  Strays(const ops::ReferenceContext& context, const std::vector<bool>& updated,
         const std::vector<const std::vector<double>*>& before, std::size_t byte_block)
      : before_(before), byte_block_(byte_block) {
    std::vector<Shape> inputs;
    std::vector<Shape> outputs;
    for (const HostTensor* tensor : context.inputs) inputs.push_back(tensor == nullptr ? Shape{} : tensor->type.shape);
    for (const HostTensor* tensor : context.outputs)
      outputs.push_back(tensor == nullptr ? Shape{} : tensor->type.shape);
    rounding_ = rounding_of(context.node, inputs, outputs);
    outputs_.resize(context.outputs.size());
    states_.resize(context.inputs.size());
    if (rounding_.exact) return;
    if (rounding_.scale < context.inputs.size() && context.inputs[rounding_.scale] != nullptr) {
      scale_ = 0.0;
      for (const double number : context.inputs[rounding_.scale]->data) {
        if (std::isfinite(number)) scale_ = std::max(scale_, std::abs(number));
      }
    }
    if (has_f16_cache(context)) unrounded_ = run_with_wide_caches(context);
    const bool changes_states = std::ranges::find(updated, true) != updated.end();
    for (int run = 0; run < kNudgedRuns; ++run) {
      const std::uint64_t key = 0x5eed + static_cast<std::uint64_t>(run);
      run_nudged(context, {}, key);
      // What a state held before is the same here and there.
      if (changes_states) run_nudged(context, updated, key);
    }
    for (std::size_t i = 0; i < outputs_.size(); ++i) finish(outputs_[i], context.outputs[i], false);
    for (std::size_t i = 0; i < states_.size(); ++i) {
      finish(states_[i], context.inputs[i], true);
      if (is_f16_cache(context, i)) allow_neighbours(states_[i], *context.inputs[i], *before_[i]);
    }
  }

  const std::vector<double>& output(std::size_t i) const { return outputs_[i]; }  // empty: every bit must agree
  const std::vector<double>& state(std::size_t i) const { return states_[i]; }    // 0: the node left that one alone

 private:
  /// Adds what one run strays: of the outputs, or, where `updated` is given, of the states.
  void run_nudged(const ops::ReferenceContext& context, const std::vector<bool>& updated, std::uint64_t key) {
    Nudges nudges(key);
    Operands copy = operands_of(context);
    std::vector<HostTensor>& inputs = copy.inputs;
    std::vector<HostTensor>& outputs = copy.outputs;
    const ops::ReferenceContext nudged = copy.context(context.node);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (context.inputs[i] == nullptr) continue;
      const bool mask = context.node.op == "attention" && i == 3;  // drops a key whatever its last digit
      const bool kept = !updated.empty() && updated[i];
      if (i < rounding_.operands && !mask && !kept && is_floating(inputs[i].type.dtype)) {
        nudge(inputs[i].data, {.exact = false, .result = rounding_.operand}, nudges);
      }
      if (i == 0 && byte_block_ > 0) {
        const bool normed = context.inputs.size() > 4 && context.inputs[4] != nullptr;
        nudge_bytes(inputs[0].data, byte_block_, normed ? context.inputs[4]->data : std::vector<double>(), nudges);
      }
    }
    ops::find_op(context.node.op)->reference(nudged);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (!updated.empty() || nudged.outputs[i] == nullptr || !is_floating(outputs[i].type.dtype)) continue;
      nudge(outputs[i].data, rounding_, nudges, scale_);
      add(outputs_[i], outputs[i].data, context.outputs[i]->data);
    }
    for (std::size_t i = 0; i < updated.size(); ++i) {
      if (nudged.inputs[i] == nullptr || !updated[i] || !is_floating(inputs[i].type.dtype)) continue;
      add(states_[i], inputs[i].data, is_f16_cache(context, i) ? unrounded_[i] : context.inputs[i]->data);
    }
  }

  static void add(std::vector<double>& squares, const std::vector<double>& nudged, const std::vector<double>& exact) {
    squares.resize(exact.size(), 0.0);
    for (std::size_t i = 0; i < exact.size(); ++i) {
      const double difference = nudged[i] - exact[i];
      if (std::isfinite(difference)) squares[i] += difference * difference;
    }
  }

  /// `state`: elements that never strayed must be the same.
  static void finish(std::vector<double>& squares, const HostTensor* exact, bool state) {
    for (std::size_t first = 0; first < squares.size(); first += kNeighbours) {
      const std::size_t end = std::min(squares.size(), first + kNeighbours);
      double most = 0.0;
      for (std::size_t i = first; i < end; ++i) most = std::max(most, squares[i]);
      if (state && most == 0.0) continue;
      for (std::size_t i = first; i < end; ++i) {
        squares[i] = kDeviations * (std::sqrt(most / kNudgedRuns) + kUnitRoundoff * std::abs(exact->data[i]));
      }
    }
  }

  /// Of states that the node updates.
  bool is_f16_cache(const ops::ReferenceContext& context, std::size_t i) const {
    return before_[i] != nullptr && context.inputs[i]->type.dtype == DType::F16;
  }
  bool has_f16_cache(const ops::ReferenceContext& context) const {
    for (std::size_t i = 0; i < before_.size(); ++i) {
      if (is_f16_cache(context, i)) return true;
    }
    return false;
  }

  /// What the reference runs on, apart from what is compared; `absent` ones are nullptr to it.
  struct Operands {
    std::vector<HostTensor> inputs, outputs;
    std::vector<bool> input_absent, output_absent;

    ops::ReferenceContext context(const Node& node) {
      ops::ReferenceContext result{node, {}, {}};
      for (std::size_t i = 0; i < inputs.size(); ++i) result.inputs.push_back(input_absent[i] ? nullptr : &inputs[i]);
      for (std::size_t i = 0; i < outputs.size(); ++i) {
        result.outputs.push_back(output_absent[i] ? nullptr : &outputs[i]);
      }
      return result;
    }
  };

  /// Those of the node before it ran.
  Operands operands_of(const ops::ReferenceContext& context) const {
    Operands copy;
    for (std::size_t i = 0; i < context.inputs.size(); ++i) {
      HostTensor& input = copy.inputs.emplace_back();
      copy.input_absent.push_back(context.inputs[i] == nullptr);
      if (context.inputs[i] == nullptr) continue;
      input = *context.inputs[i];
      if (before_[i] != nullptr) input.data = *before_[i];
      // Which of two neighbours of f16 is nearer a hair decides, so that here nothing is rounded to one.
      if (is_f16_cache(context, i)) input.type.dtype = DType::F32;
    }
    for (const HostTensor* output : context.outputs) {
      HostTensor& made = copy.outputs.emplace_back();
      copy.output_absent.push_back(output == nullptr);
      if (output != nullptr) made = {output->type, std::vector<double>(output->data.size())};
    }
    return copy;
  }

  /// What the node leaves in its inputs where its caches of f16 are not rounded.
  std::vector<std::vector<double>> run_with_wide_caches(const ops::ReferenceContext& context) const {
    Operands copy = operands_of(context);
    ops::find_op(context.node.op)->reference(copy.context(context.node));
    std::vector<std::vector<double>> left;
    for (HostTensor& input : copy.inputs) left.push_back(std::move(input.data));
    return left;
  }

  /// A step of f16 more for each element that the node wrote, since a hair decides which of two neighbours it becomes.
  static void allow_neighbours(std::vector<double>& bounds, const HostTensor& exact,
                               const std::vector<double>& before) {
    bounds.resize(exact.data.size(), 0.0);
    for (std::size_t i = 0; i < bounds.size(); ++i) {
      const double written = exact.data[i];
      if (before[i] == written || !std::isfinite(written)) {
        bounds[i] = 0.0;
        continue;
      }
      const int exponent = written == 0.0 ? kF16LeastExponent : std::max(std::ilogb(written), kF16LeastExponent);
      bounds[i] += std::ldexp(1.0, exponent - kF16Digits);
    }
  }

  const std::vector<const std::vector<double>*>& before_;
  std::size_t byte_block_;
  std::vector<std::vector<double>> unrounded_;  // inputs after the node, where it has a cache of f16
  Rounding rounding_;
  double scale_ = 1.0;  // of Rounding::absolute
  std::vector<std::vector<double>> outputs_;
  std::vector<std::vector<double>> states_;
};

/// Finds the worst element of a value. An empty `bounds` allows nothing.
void compare(NodeCheck& check, const std::vector<double>& expected, const Words& actual,
             const std::vector<double>& bounds, double slack) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double error = error_of(expected[i], actual[i], check.type.dtype, bounds.empty() ? 0.0 : slack * bounds[i]);
    if (error <= check.error && i > 0) continue;
    check.error = error;
    check.worst_element = i;
    check.expected = expected[i];
    check.actual = from_word(actual[i], check.type.dtype);
  }
  check.passed = check.error <= 1.0;
}

/// verify_graph() at work on one graph.
class Verification {
 public:
  Verification(Gpu& gpu, Session& session, const Graph& graph, const Bindings& dims, const VerifyOptions& options)
      : session_(session), options_(options), traced_(make_traced_plan(graph, dims, gpu.caps(), gpu.tuning())) {
    if (options.edit) options.edit(traced_);
    executable_ = session.prepare(traced_.plan);
    types_ = infer_all(traced_.graph, dims, &known_);
  }

  std::vector<NodeCheck> run(const Bindings& dims, const WeightLookup& weights,
                             std::map<std::string, HostTensor>& tensors) {
    for (auto& [name, tensor] : tensors) {
      const ValueId id = traced_.graph.find(name);
      if (id == kNoValue) continue;
      const Value& value = traced_.graph.value(id);
      const DType dtype = types_[static_cast<std::size_t>(id)].dtype;
      Words words;
      for (const double number : tensor.data) words.push_back(to_word(number, dtype));
      if (device_element_bytes(value.kind, dtype) == 2) words = unpack_f16(pack_f16(words), words.size());
      // The reference sees what the device sees.
      for (std::size_t i = 0; i < words.size(); ++i) tensor.data[i] = from_word(words[i], dtype);
      if (session_.has(name)) write_words(session_, value, words);
    }
    for (const auto& [name, tensor] : tensors) {
      const ValueId id = traced_.graph.find(name);
      if (id != kNoValue && traced_.graph.value(id).kind == ValueKind::State) held_[name] = tensor.data;
    }
    session_.fill_scratch(*executable_, kPoison);
    // A wrong node may be what made an index that names no place, so those before it are compared first.
    std::exception_ptr raised;
    try {
      session_.run(*executable_);
    } catch (const IndexOutOfRange& error) {
      raised = std::current_exception();
      const auto at = std::ranges::find(traced_.graph.nodes, error.node(), &Node::name);
      compared_nodes_ = static_cast<std::size_t>(at - traced_.graph.nodes.begin());
    }
    try {
      evaluate(traced_.graph, dims, weights, tensors, [&](const ops::ReferenceContext& context) { look_at(context); });
    } catch (const Error&) {
      if (any_wrong()) return std::move(checks_);
      if (raised) std::rethrow_exception(raised);
      throw;
    }
    if (raised && !any_wrong()) std::rethrow_exception(raised);
    if (raised) return std::move(checks_);
    for (auto& [name, state] : states_) {
      const HostTensor& expected = tensors.at(name);
      const Value& value = traced_.graph.value(traced_.graph.find(name));
      const Words words = read_words(session_, value, expected.data.size());
      compare(state.check, expected.data, words, state.bounds, options_.slack);
      checks_.push_back(state.check);
    }
    for (auto& [name, tensor] : tensors) {
      const ValueId id = traced_.graph.find(name);
      if (id == kNoValue || traced_.graph.value(id).kind != ValueKind::State || !session_.has(name)) continue;
      const Words words = read_words(session_, traced_.graph.value(id), tensor.data.size());
      for (std::size_t i = 0; i < words.size(); ++i) tensor.data[i] = from_word(words[i], tensor.type.dtype);
    }
    return std::move(checks_);
  }

 private:
  struct State {
    NodeCheck check;  // of the last node that changes it; of the first that reads it where none does
    std::vector<double> bounds;
  };

  /// Columns of x that the node at hand makes bytes of together; 0 where it does not.
  std::size_t byte_block(const Node& node) const {
    const auto begin = traced_.plan.dispatches.begin();
    const bool bytes = std::any_of(begin + static_cast<std::ptrdiff_t>(traced_.first_dispatch[node_]),
                                   begin + static_cast<std::ptrdiff_t>(traced_.first_dispatch[node_ + 1]),
                                   [](const Dispatch& d) { return d.shader == "linear_dot"; });
    return bytes ? quantised_type(types_[static_cast<std::size_t>(node.inputs[1])].dtype)->group : 0;
  }

  NodeCheck describe(const Node& node, ValueId value) const {
    NodeCheck check;
    check.node = node.name;
    check.op = node.op;
    check.value = traced_.graph.value(value).name;
    check.type = types_[static_cast<std::size_t>(value)];
    for (const ValueId id : node.inputs) {
      if (id == kNoValue) continue;
      const TensorType& type = types_[static_cast<std::size_t>(id)];
      check.inputs.push_back(
          fmt::format("{} {} {}", traced_.graph.value(id).name, dtype_name(type.dtype), to_string(type.shape)));
    }
    for (std::size_t d = traced_.first_dispatch[node_]; d < traced_.first_dispatch[node_ + 1]; ++d) {
      check.kernels.push_back(traced_.plan.dispatches[d].module_key());
    }
    return check;
  }

  void look_at(const ops::ReferenceContext& context) {
    // Fusion leaves nodes in the order of the plan, and evaluate() goes through them in that order.
    const Node& node = traced_.graph.nodes[node_];
    if (options_.progress) options_.progress(node_, traced_.graph.nodes.size());
    if (node_ >= compared_nodes_) {
      ++node_;
      return;
    }
    std::vector<std::size_t> made;
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      const ValueId id = node.outputs[i];
      if (id == kNoValue || known_.contains(id) || context.outputs[i]->data.empty()) continue;
      if (traced_.places[static_cast<std::size_t>(id)].tensor != ValuePlace::kNowhere) made.push_back(i);
    }
    std::vector<bool> updated;
    for (const ValueId id : node.inputs) updated.push_back(id != kNoValue && ops::updates(node, id));
    const bool updates_any = std::ranges::find(updated, true) != updated.end();
    if (!made.empty() || updates_any) {
      std::vector<const std::vector<double>*> before;
      for (std::size_t i = 0; i < node.inputs.size(); ++i) {
        const auto held = updated[i] ? held_.find(traced_.graph.value(node.inputs[i]).name) : held_.end();
        before.push_back(held == held_.end() ? nullptr : &held->second);
      }
      const Strays strays(context, updated, before, byte_block(node));
      for (const std::size_t i : made) check_output(node, i, *context.outputs[i], strays.output(i));
      for (std::size_t i = 0; i < node.inputs.size(); ++i) {
        if (!updated[i] || !session_.has(traced_.graph.value(node.inputs[i]).name)) continue;
        const std::string& name = traced_.graph.value(node.inputs[i]).name;
        held_[name] = context.inputs[i]->data;
        State& state = states_[name];
        state.check = describe(node, node.inputs[i]);
        if (strays.state(i).size() > state.bounds.size()) state.bounds.resize(strays.state(i).size(), 0.0);
        for (std::size_t e = 0; e < strays.state(i).size(); ++e) {
          state.bounds[e] = std::max(state.bounds[e], strays.state(i)[e]);
        }
      }
    }
    for (const ValueId id : node.inputs) {
      if (id == kNoValue || traced_.graph.value(id).kind != ValueKind::State) continue;
      const std::string& name = traced_.graph.value(id).name;
      if (!session_.has(name) || states_.contains(name)) continue;
      states_[name].check = describe(node, id);  // one that is only read must stay as it was
    }
    ++node_;
  }

  bool any_wrong() const { return std::ranges::find(checks_, false, &NodeCheck::passed) != checks_.end(); }

  /// Compares an output and hands the device's on to the nodes that read it.
  void check_output(const Node& node, std::size_t i, HostTensor& expected, const std::vector<double>& bounds) {
    const ValueId id = node.outputs[i];
    const ValuePlace& place = traced_.places[static_cast<std::size_t>(id)];
    Words words(expected.data.size());
    session_.read_tensor(*executable_, place.tensor, place.offset, std::as_writable_bytes(std::span(words)));
    NodeCheck check = describe(node, id);
    compare(check, expected.data, words, bounds, options_.slack);
    checks_.push_back(std::move(check));
    for (std::size_t e = 0; e < words.size(); ++e) expected.data[e] = from_word(words[e], expected.type.dtype);
  }

  Session& session_;
  const VerifyOptions& options_;
  TracedPlan traced_;
  std::unique_ptr<Executable> executable_;
  KnownValues known_;
  std::vector<TensorType> types_;
  std::size_t node_ = 0;
  std::size_t compared_nodes_ = SIZE_MAX;  // those after one that was given a bad index computed nothing, or nonsense
  std::map<std::string, State> states_;
  std::map<std::string, std::vector<double>> held_;  // by states of the reference, before the node that is next
  std::vector<NodeCheck> checks_;
};

}  // namespace

std::vector<NodeCheck> verify_graph(Gpu& gpu, Session& session, const Graph& graph, const Bindings& dims,
                                    const WeightLookup& weights, std::map<std::string, HostTensor>& tensors,
                                    const VerifyOptions& options) {
  return Verification(gpu, session, graph, dims, options).run(dims, weights, tensors);
}

std::vector<double> decode_weight(const WeightBytes& source, const std::string& tensor, std::size_t elements) {
  const TensorType type = source.type(tensor);
  const DTypeInfo& info = dtype_info(type.dtype);
  std::vector<std::byte> bytes(elements / static_cast<std::size_t>(info.block_elements) *
                               static_cast<std::size_t>(info.block_bytes));
  source.read(tensor, 0, bytes);
  if (is_floating(type.dtype)) {
    std::vector<float> floats(elements);
    decode_to_f32(type.dtype, bytes, elements, floats.data());
    return {floats.begin(), floats.end()};
  }
  std::vector<double> numbers(elements);
  const auto size = static_cast<std::size_t>(info.block_bytes);
  for (std::size_t i = 0; i < elements; ++i) {
    std::int64_t number = 0;
    std::memcpy(&number, bytes.data() + i * size, size);
    // Sign-extends from the type's own width; u8 and bool have none.
    const bool has_sign = type.dtype == DType::I8 || type.dtype == DType::I16 || type.dtype == DType::I32;
    if (has_sign)
      number = static_cast<std::int64_t>(static_cast<std::uint64_t>(number) << (64 - 8 * size)) >> (64 - 8 * size);
    numbers[i] = static_cast<double>(number);
  }
  return numbers;
}

}  // namespace heed
