#include "runtime/self_test.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <span>

#include "graph/convert_dtype.h"
#include "heed/error.h"
#include "ops/attention.h"
#include "ops/sample.h"
#include "planner/make_plan.h"
#include "reference/rounding.h"
#include "runtime/cache_folder.h"
#include "runtime/crash_mark.h"
#include "runtime/gpu.h"
#include "runtime/session.h"
#include "runtime/verify.h"
#include "runtime/weights.h"

namespace heed {
namespace {

// Positions of the caches: more than one block of those that lie by head, and no whole number of blocks.
constexpr std::int64_t kContext = 100;
constexpr std::int64_t kPosition = 70;  // of the first row: in the second block
static_assert(kPosition > ops::kKeyBlock && kContext % ops::kKeyBlock != 0);

constexpr int kMostRounds = 12;  // of turning kernels off and testing again, for one graph

/// The same on every machine.
std::uint64_t seed_of(std::string_view name) { return checksum_of(std::as_bytes(std::span(name))); }

/// A graph, its weights, and values of what must not be random.
class Trial {
 public:
  explicit Trial(const std::string& name) : name_(name), builder_(name) {}

  const std::string& name() const { return name_; }

  GraphBuilder& graph() { return builder_; }
  ValueId weight(const std::string& name, DType dtype, const Shape& shape) {
    std::vector<float> numbers(static_cast<std::size_t>(element_count(shape)));
    Nudges random(seed_of(name));
    for (float& number : numbers) number = static_cast<float>(random.next());
    const DTypeInfo& info = dtype_info(dtype);
    std::vector<std::byte> bytes(numbers.size() / info.block_elements * info.block_bytes);
    encode_from_f32(dtype, numbers, bytes);
    weights_.add(name, {dtype, shape}, std::move(bytes));
    return builder_.weight(name, dtype, SymbolicShape(shape.begin(), shape.end()));
  }
  void set(const std::string& name, std::vector<double> values) { values_[name] = std::move(values); }
  void finish() { built_ = std::move(builder_).finish(); }

  std::vector<NodeCheck> run(Gpu& gpu) const {
    WeightStore store(gpu, weights_);
    Session session(gpu, store);
    std::map<std::string, HostTensor> tensors;
    for (const Value& value : built_.values) {
      if (value.kind != ValueKind::Input && value.kind != ValueKind::State) continue;
      HostTensor tensor{{value.dtype, bind(value.shape, kDims)}, {}};
      tensor.data.assign(static_cast<std::size_t>(element_count(tensor.type.shape)), 0.0);
      Nudges random(seed_of(value.name));
      const auto given = values_.find(value.name);
      if (given != values_.end()) {
        tensor.data = given->second;
      } else if (is_floating(value.dtype)) {
        for (double& number : tensor.data) number = random.next();
      }
      tensors.emplace(value.name, std::move(tensor));
    }
    const WeightLookup lookup = [&](const std::string& name, std::size_t elements) {
      return decode_weight(weights_, name, elements);
    };
    return verify_graph(gpu, session, built_, kDims, lookup, tensors);
  }

 private:
  inline static const Bindings kDims = {{"context", kContext}, {"one", 1}};
  std::string name_;
  GraphBuilder builder_;
  Graph built_;
  MemoryWeights weights_;
  std::map<std::string, std::vector<double>> values_;
};

/// What attention of a trial has besides its heads.
Attributes attention_of(std::int64_t heads, std::int64_t kv_heads, bool by_head) {
  Attributes attributes{{"heads", heads}, {"kv_heads", kv_heads}, {"causal", std::int64_t{1}}};
  if (by_head) attributes.set("by_head", std::int64_t{1});
  return attributes;
}

/// Random keys of a cache, larger in the second block, which lies behind the first in either way of lying: for queries
/// that are positive, the largest score rises from one tile of keys to the next.
std::vector<double> rising_keys(std::int64_t row_width) {
  std::vector<double> keys;
  Nudges random(seed_of("rising keys"));
  for (std::int64_t i = 0; i < kContext * row_width; ++i) {
    keys.push_back(random.next() + (i < ops::kKeyBlock * row_width ? 0.0 : 1.0));
  }
  return keys;
}

/// A decoder layer as text models have it, for one row or several. `by_head`: whether caches lie so.
Trial decoder_layer(std::int64_t rows, bool by_head) {
  constexpr std::int64_t kWidth = 64, kHeads = 4, kKvHeads = 2, kHead = 16, kHidden = 96;
  Trial trial(fmt::format("decoder layer with {} rows", rows));
  GraphBuilder& g = trial.graph();
  const ValueId x = g.input("x", DType::F32, {rows, kWidth});
  const ValueId position = g.state("position", DType::I32, {1});
  trial.set("position", {kPosition});
  const auto product = [&](const std::string& name, ValueId in, DType dtype, std::int64_t outputs,
                           std::int64_t inputs) {
    return g.add("linear", name, {in, trial.weight(name + ".weight", dtype, {outputs, inputs})});
  };
  const ValueId normed =
      g.add("rms_norm", "norm", {x, trial.weight("norm.weight", DType::F32, {kWidth})}, {{"eps", 1e-5}});
  const auto turned = [&](const std::string& name, ValueId in, std::int64_t heads) {
    return g.add("rotary", name, {in, position}, {{"heads", heads}, {"layout", "half"}, {"base", 10000.0}});
  };
  const ValueId q = turned("turn q", product("q", normed, DType::F16, kHeads * kHead, kWidth), kHeads);
  const ValueId k = turned("turn k", product("k", normed, DType::F16, kKvHeads * kHead, kWidth), kKvHeads);
  const ValueId v = product("v", normed, DType::F16, kKvHeads * kHead, kWidth);
  const auto cache = [&](const std::string& name) { return g.state(name, DType::F32, {"context", kKvHeads * kHead}); };
  const ValueId cache_k = cache("cache k"), cache_v = cache("cache v");
  const ValueId attended = g.add("attention", "attention", {q, k, v, kNoValue, cache_k, cache_v, position},
                                 attention_of(kHeads, kKvHeads, by_head));
  const ValueId out = g.add("add", "residual", {x, product("output", attended, DType::F16, kWidth, kHeads * kHead)});
  const ValueId normed2 =
      g.add("layer_norm", "norm 2",
            {out, trial.weight("norm2.weight", DType::F32, {kWidth}), trial.weight("norm2.bias", DType::F32, {kWidth})},
            {{"eps", 1e-5}});
  const ValueId gated = g.add("gate", "gate",
                              {product("gate.a", normed2, DType::Q8_0, kHidden, kWidth),
                               product("gate.b", normed2, DType::Q8_0, kHidden, kWidth)},
                              {{"activation", "silu"}});
  g.output(product("down", gated, DType::Q4_0, kWidth, kHidden), "y");
  trial.finish();
  return trial;
}

/// Attention of one row or several with caches of f16. Its keys and values are inputs: of what is computed, a device
/// and the reference may round a number to different neighbours, and both be right.
Trial f16_caches(std::int64_t rows, bool by_head) {
  constexpr std::int64_t kHeads = 4, kKvHeads = 2, kHead = 16;
  Trial trial(fmt::format("attention of {} rows with f16 caches", rows));
  GraphBuilder& g = trial.graph();
  const ValueId position = g.state("position", DType::I32, {1});
  trial.set("position", {kPosition});
  const ValueId q = g.input("q", DType::F32, {rows, kHeads * kHead});
  std::vector<double> queries;
  Nudges random(seed_of("q"));
  for (std::int64_t i = 0; i < rows * kHeads * kHead; ++i) queries.push_back(std::abs(random.next()));
  trial.set("q", std::move(queries));
  trial.set("cache k", rising_keys(kKvHeads * kHead));
  const ValueId k = g.input("k", DType::F32, {rows, kKvHeads * kHead});
  const ValueId v = g.input("v", DType::F32, {rows, kKvHeads * kHead});
  const auto cache = [&](const std::string& name) { return g.state(name, DType::F16, {"context", kKvHeads * kHead}); };
  const ValueId cache_k = cache("cache k"), cache_v = cache("cache v");
  g.output(g.add("attention", "attention", {q, k, v, kNoValue, cache_k, cache_v, position},
                 attention_of(kHeads, kKvHeads, by_head)),
           "y");
  trial.finish();
  return trial;
}

/// A product with weights of each plain type and of two quantised ones, which the others are made like, and the choice
/// of a token.
Trial products(std::int64_t rows) {
  constexpr std::int64_t kWidth = 96, kVocabulary = 200;
  Trial trial(fmt::format("products of {} rows", rows));
  GraphBuilder& g = trial.graph();
  const ValueId ids = g.input("ids", DType::I32, {rows});
  std::vector<double> numbers;
  for (std::int64_t i = 0; i < rows; ++i) numbers.push_back(static_cast<double>(i * 7 % 50));
  trial.set("ids", numbers);
  ValueId x = g.add("embedding", "embedding", {ids, trial.weight("table", DType::F16, {50, kWidth})});
  for (const DType dtype : {DType::F32, DType::F16, DType::BF16, DType::Q8_0, DType::Q4_0}) {
    const std::string name(dtype_name(dtype));
    x = g.add("linear", name, {x, trial.weight(name + ".weight", dtype, {kWidth, kWidth})});
    x = g.add("softmax", "softmax of " + name, {x});
  }
  const ValueId last = g.add("linear", "logits", {x, trial.weight("logits.weight", DType::F32, {kVocabulary, kWidth})});
  if (rows == 1) {
    const ValueId token =
        g.add("sample", "greedy",
              {last, g.state("tokens", DType::I32, {1}), g.state("position", DType::I32, {1}),
               g.state("history", DType::I32, {"context"}), g.state("sampler", DType::I32, {ops::kSamplerWords})},
              {{"greedy", std::int64_t{1}}, {"rows", "one"}});
    g.output(token, "token");
  }
  g.output(last, "y");
  trial.finish();
  return trial;
}

/// What pictures are made with.
Trial picture() {
  Trial trial("picture");
  GraphBuilder& g = trial.graph();
  ValueId x = g.input("x", DType::F32, {1, 4, 9, 9});
  x = g.add("conv", "conv", {x, trial.weight("conv.weight", DType::F32, {8, 4, 3, 3})},
            {{"pads", std::vector<std::int64_t>{1, 1, 1, 1}}});
  x = g.add("relu", "relu", {x});
  // Enough channels for tiles, and for matrices, where the device is tuned so.
  x = g.add("conv", "conv of many", {x, trial.weight("many.weight", DType::F32, {24, 8, 3, 3})},
            {{"pads", std::vector<std::int64_t>{1, 1, 1, 1}}});
  x = g.add("conv_transpose", "conv_transpose", {x, trial.weight("up.weight", DType::F32, {24, 4, 4, 4})},
            {{"strides", std::vector<std::int64_t>{2, 2}}, {"pads", std::vector<std::int64_t>{1, 1, 1, 1}}});
  x = g.add("sigmoid", "sigmoid", {x});
  const ValueId w = g.input("w", DType::F32, {18, 6});
  g.output(g.add("matmul", "matmul", {x, w}), "y");
  trial.finish();
  return trial;
}

/// Runs a trial with these modules off as well, on a device that is as it was afterwards. Throws NoKernelLeft where it
/// cannot be planned so.
std::vector<NodeCheck> run_without(Gpu& gpu, const Trial& trial, const std::set<std::string>& off) {
  const std::set<std::string> before = gpu.caps().broken_modules;
  struct Restore {
    Gpu& gpu;
    const std::set<std::string>& modules;
    ~Restore() { gpu.set_broken_modules(modules); }
  } const restore{gpu, before};
  std::set<std::string> both = before;
  both.insert(off.begin(), off.end());
  gpu.set_broken_modules(std::move(both));
  return trial.run(gpu);
}

std::vector<NodeCheck> wrong_of(const std::vector<NodeCheck>& checks) {
  std::vector<NodeCheck> wrong;
  std::ranges::copy_if(checks, std::back_inserter(wrong), [](const NodeCheck& check) { return !check.passed; });
  return wrong;
}

std::set<std::string> nodes_of(const std::vector<NodeCheck>& checks) {
  std::set<std::string> nodes;
  for (const NodeCheck& check : checks) nodes.insert(check.node);
  return nodes;
}

/// What of `checks`, made with modules off, speaks against turning them off to mend `node`: what is wrong of the node
/// itself, and of nodes that were not wrong `before`. Where nodes are joined differently then, and there is no such
/// node any more, all that is wrong.
std::vector<NodeCheck> still_wrong(const std::vector<NodeCheck>& checks, const std::string& node,
                                   const std::set<std::string>& before) {
  const bool there = std::ranges::find(checks, node, &NodeCheck::node) != checks.end();
  std::vector<NodeCheck> wrong = wrong_of(checks);
  std::erase_if(wrong,
                [&](const NodeCheck& check) { return there && check.node != node && before.contains(check.node); });
  return wrong;
}

/// The fewest modules found without which `failure` is gone and nothing else is wrong that was not `before`; none where
/// nothing helps.
std::set<std::string> modules_at_fault(Gpu& gpu, const Trial& trial, const NodeCheck& failure,
                                       const std::set<std::string>& before_nodes) {
  for (const std::string& kernel : failure.kernels) {
    try {
      if (still_wrong(run_without(gpu, trial, {kernel}), failure.node, before_nodes).empty()) return {kernel};
    } catch (const DeviceLost&) {
      throw;
    } catch (const Error&) {
      // It is not this one, or there is nothing else that works.
    }
  }
  std::set<std::string> off(failure.kernels.begin(), failure.kernels.end());
  for (int round = 0; round < kMostRounds; ++round) {
    std::vector<NodeCheck> wrong;
    try {
      wrong = still_wrong(run_without(gpu, trial, off), failure.node, before_nodes);
    } catch (const DeviceLost&) {
      throw;
    } catch (const Error&) {
      break;
    }
    if (wrong.empty()) return off;
    // What took their place is wrong as well.
    const std::size_t before = off.size();
    off.insert(wrong.front().kernels.begin(), wrong.front().kernels.end());
    if (off.size() == before) break;
  }
  return {};
}

/// Runs a trial until it is right.
void judge(Gpu& gpu, const Trial& trial, SelfTest& result) {
  std::set<std::string> hopeless;  // nodes that no kernel computes rightly
  for (int round = 0; round < kMostRounds; ++round) {
    const std::vector<NodeCheck> wrong = wrong_of(trial.run(gpu));
    const auto failure =
        std::ranges::find_if(wrong, [&](const NodeCheck& check) { return !hopeless.contains(check.node); });
    if (failure == wrong.end()) return;
    const std::string reason = fmt::format("self-test: {} {}: expected {:.6g}, got {:.6g}", failure->op,
                                           to_string(failure->type.shape), failure->expected, failure->actual);
    // What goes wrong once and not again may be a race, or the machine; no kernel can be blamed for it alone.
    const std::set<std::string> again = nodes_of(wrong_of(trial.run(gpu)));
    if (!again.contains(failure->node)) {
      result.conclusive = false;
      result.notes.push_back(
          fmt::format("{} gave a wrong result once and a right one the next time ({}): see what "
                      "'heed conform' says, update the driver, or choose another --device",
                      gpu.caps().name, reason));
      hopeless.insert(failure->node);
      continue;
    }
    const std::set<std::string> at_fault = modules_at_fault(gpu, trial, *failure, nodes_of(wrong));
    if (at_fault.empty()) {
      result.conclusive = false;
      result.notes.push_back(
          fmt::format("{} gives wrong results for {} with every kernel there is ({}); do not trust what uses it: see "
                      "what 'heed conform' says, update the driver, or choose another --device",
                      gpu.caps().name, failure->op, reason));
      hopeless.insert(failure->node);
      continue;
    }
    for (const std::string& module : at_fault) {
      gpu.put_into_quarantine({{module, reason}});
      result.notes.push_back(
          fmt::format("kernel {} is wrong on {} and is off from now on ({})", module, gpu.caps().name, reason));
    }
  }
  result.conclusive = false;
  result.notes.push_back(fmt::format("{}: kernels of the self-test's {} are still wrong after {} were turned off",
                                     gpu.caps().name, trial.name(), kMostRounds));
}

}  // namespace

SelfTest self_test(Gpu& gpu, CrashMark& mark) {
  SelfTest result;
  std::vector<Trial> trials = {decoder_layer(1, true), decoder_layer(5, false), products(1), products(5), picture()};
  // Where models are run with such caches (generate/cache_type.h).
  if (gpu.caps().type != DeviceType::Cpu) trials.insert(trials.end(), {f16_caches(1, false), f16_caches(5, true)});
  for (const Trial& trial : trials) {
    const std::string what = fmt::format("the self-test's {}", trial.name());
    if (!mark.begin(what)) continue;
    try {
      judge(gpu, trial, result);
    } catch (const DeviceLost& lost) {
      mark.lost(what);
      throw DeviceLost(
          fmt::format("{}; this was while heed tested its kernels ({}), which it does not try again there: "
                      "start again",
                      lost.what(), what));
    } catch (const NoKernelLeft&) {
      // What is off already leaves no way: models that need it will say so.
    } catch (const Error& error) {
      result.conclusive = false;
      result.notes.push_back(fmt::format("{} could not run: {}", what, error.what()));
    }
    mark.survived(what);
  }
  return result;
}

}  // namespace heed
