// op wavenet: N samples of a WaveNet (van den Oord et al. 2016), one after the other, each read by the next.
//
// inputs: weights [W, 4] (Wavenet in ops/wavenet.h says what lies where), condition [F, C]? what each frame of hop
// samples adds in each layer (C = 4 condition_rows), given [N]?; states past [rings, 4 rows(residual)], in which each
// layer keeps, sample by sample in a ring, what it read, recent [input_kernel], the last samples that were read, the
// oldest first, and sampler [16] i32 (ops/sample.h). Frame F - 1 holds for the last samples: F = ceil(N / hop).
//
// Sample t, counted by the sampler's step: recent's last is what is read. x = the first convolution of recent (what
// lies before sample 0 adds nothing). Each layer: z = tanh(a) sigmoid(b), where a and b are dilated convolutions of x
// plus the condition; x += residual(z), skip += its own(z). Outputs of relu, hidden layer, relu, output layer: logits
// of levels, or logits, means and logarithms of scales (at least least_log_scale) of logistics.
//
// Without `given`: output samples [N], each drawn with the sampler's temperature (0: the likeliest; the mean of the
// likeliest logistic) from numbers of Philox 4x32-10 keyed by its seed at (step, stream): a level, or a value that is
// cut to [-1, 1]; it becomes recent's last. NaN where an output is NaN or infinite, and from there on. With it:
// given[i] enters recent before sample i, and the output is logits [N, outputs], whatever they are of. Both move past,
// recent and the sampler's step on.
//
// attributes: those of Wavenet, hop (default N), rows (names the dimension that says N).
#include "ops/wavenet.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "constants/wavenet.h"
#include "graph/integer.h"
#include "heed/error.h"
#include "ops/linear.h"
#include "ops/op.h"
#include "ops/sample.h"
#include "plan/lowering.h"

namespace heed::ops {

namespace {

enum WavenetInput : std::size_t { kWeights, kCondition, kGiven, kPast, kRecent, kSampler };

constexpr std::int64_t kMostChannels = 8192;
constexpr std::int64_t kMostLayers = 1024;
constexpr std::int64_t kMostSamples = std::int64_t{1} << 24;  // that all layers remember together
constexpr double kSurest = 1e-5;  // of the numbers that a logistic is drawn with: how far from 0 and 1 they stay

}  // namespace

Wavenet Wavenet::of(const Attributes& a) {
  const auto size = [&](const char* name, std::int64_t least, std::int64_t most) {
    const std::int64_t value = a.integer(name);
    if (value < least || value > most) {
      throw Error(fmt::format("attribute {} is {}; expected {} to {}", name, value, least, most));
    }
    return value;
  };
  Wavenet w;
  w.residual = size("residual", 1, kMostChannels);
  w.gate = size("gate", 1, kMostChannels);
  w.skip = size("skip", 1, kMostChannels);
  w.hidden = size("hidden", 1, kMostChannels);
  w.outputs = size("outputs", 1, 65536);
  w.levels = size("levels", 0, 65536);
  w.kernel = size("kernel", 2, 16);
  w.input_kernel = size("input_kernel", 1, 16);
  w.dilations = a.integers("dilations");
  if (w.dilations.empty() || std::ssize(w.dilations) > kMostLayers) {
    throw Error(fmt::format("there are {} layers; expected 1 to {}", w.dilations.size(), kMostLayers));
  }
  for (const std::int64_t dilation : w.dilations) {
    if (dilation < 1 || dilation > kMostSamples) throw Error(fmt::format("a dilation is {}", dilation));
  }
  if (w.rings() > kMostSamples) {
    throw Error(fmt::format("the layers remember {} samples; at most {}", w.rings(), kMostSamples));
  }
  const std::string output = a.text("output");
  if (output != "levels" && output != "logistics") {
    throw Error(fmt::format("output is '{}'; expected levels or logistics", output));
  }
  w.output = output == "levels" ? Output::Levels : Output::Logistics;
  if (w.output == Output::Logistics && (w.outputs % 3 != 0 || w.levels != 0)) {
    throw Error(
        fmt::format("{} outputs and {} levels; a mixture of logistics has three numbers for each, and reads "
                    "values",
                    w.outputs, w.levels));
  }
  if (w.output == Output::Levels && w.levels != w.outputs) {
    throw Error(fmt::format("{} levels are read and {} written", w.levels, w.outputs));
  }
  w.least_log_scale = a.real("least_log_scale", w.least_log_scale);
  return w;
}

Attributes Wavenet::attributes() const {
  return {{"residual", residual},
          {"gate", gate},
          {"skip", skip},
          {"hidden", hidden},
          {"outputs", outputs},
          {"levels", levels},
          {"kernel", kernel},
          {"input_kernel", input_kernel},
          {"dilations", dilations},
          {"output", std::string(output == Output::Levels ? "levels" : "logistics")},
          {"least_log_scale", least_log_scale}};
}

std::int64_t Wavenet::rings() const {
  return (kernel - 1) * std::accumulate(dilations.begin(), dilations.end(), std::int64_t{0});
}

std::int64_t Wavenet::layer_at(std::int64_t layer) const {
  const std::int64_t first = (input_kernel * std::max<std::int64_t>(levels, 1) + 1) * rows(residual);
  const std::int64_t gated = (4 * kernel * rows(residual) + 1) * 2 * rows(gate);
  const std::int64_t mixed = (4 * rows(gate) + 1) * (rows(residual) + rows(skip));
  return first + layer * (gated + mixed);
}

std::int64_t Wavenet::mix_at(std::int64_t layer) const {
  return layer_at(layer) + (4 * kernel * rows(residual) + 1) * 2 * rows(gate);
}

std::uint64_t Wavenet::products() const {
  const auto n = [](std::int64_t value) { return static_cast<std::uint64_t>(value); };
  return n(layers()) * (n(2 * kernel) * n(residual) * n(gate) + n(gate) * n(residual + skip)) + n(skip) * n(hidden) +
         n(hidden) * n(outputs);
}

namespace {

std::vector<TensorType> infer(const InferContext& c) {
  c.expect_only(6, {"residual", "gate", "skip", "hidden", "outputs", "levels", "kernel", "input_kernel", "dilations",
                    "output", "least_log_scale", "hop", "rows"});
  Wavenet w;
  try {
    w = Wavenet::of(c.node.attributes);
  } catch (const Error& error) {
    c.fail(error.what());
  }
  const std::int64_t steps = c.dim("rows");
  if (steps < 1) c.fail("there are no samples to make");
  const std::int64_t hop = c.node.attributes.integer("hop", steps);
  if (hop < 1) c.fail(fmt::format("hop is {}", hop));
  c.expect_shape(kWeights, {w.weight_rows(), 4}, "the weights");
  c.expect_floats(kWeights, "the weights");
  if (c.has(kCondition)) {
    c.expect_shape(kCondition, {ceil_div(steps, hop), 4 * w.condition_rows()}, "the condition");
    c.expect_floats(kCondition, "the condition");
  }
  if (c.has(kGiven)) {
    c.expect_shape(kGiven, {steps}, "given samples");
    c.expect_floats(kGiven, "given samples");
  }
  c.expect_shape(kPast, {w.rings(), 4 * Wavenet::rows(w.residual)}, "past");
  c.expect_shape(kRecent, {w.input_kernel}, "recent");
  c.expect_floats(kPast, "past");
  c.expect_floats(kRecent, "recent");
  c.expect_shape(kSampler, {kSamplerWords}, "sampler");
  c.expect_integers(kSampler, "sampler");
  if (c.has(kGiven)) return {{DType::F32, {steps, w.outputs}}};
  return {{DType::F32, {steps}}};
}

/// The reference: a sample at a time, as the formula reads.
class WavenetReference {
 public:
  explicit WavenetReference(const ReferenceContext& c)
      : c_(c), w_(Wavenet::of(c.node.attributes)), weights_(c.in(kWeights)) {}

  void run() {
    const auto steps = c_.outputs[0]->type.shape[0];
    const std::int64_t hop = c_.node.attributes.integer("hop", steps);
    std::vector<double>& recent = c_.inputs[kRecent]->data;
    std::vector<double>& words = c_.inputs[kSampler]->data;
    for (std::int64_t i = 0; i < steps; ++i) {
      const auto shift_in = [&](double value) {
        std::rotate(recent.begin(), recent.begin() + 1, recent.end());
        recent.back() = value;
      };
      const SamplerState state = sampler_state(words, 0);
      if (c_.has(kGiven)) shift_in(c_.in(kGiven)[at(i)]);
      const std::vector<double> outputs = outputs_of(state.step, i / hop);
      if (c_.has(kGiven)) {
        std::ranges::copy(outputs, c_.out(0).begin() + i * w_.outputs);
      } else {
        c_.out(0)[at(i)] = draw(outputs, state);
        shift_in(c_.out(0)[at(i)]);
      }
      words[kSamplerStepWord] += 1.0;
    }
  }

 private:
  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }
  /// Adds a product to y: columns from group `first` on, `inputs` of them, each with `rows` groups; then the biases.
  void multiply(std::int64_t first, const std::vector<double>& x, std::int64_t rows, std::vector<double>& y) const {
    for (std::int64_t k = 0; k <= std::ssize(x); ++k) {
      const double factor = k < std::ssize(x) ? x[at(k)] : 1.0;
      for (std::int64_t r = 0; r < 4 * rows; ++r) y[at(r)] += factor * weights_[at(4 * (first + k * rows) + r)];
    }
  }

  /// The first convolution of sample `t`.
  std::vector<double> first(std::uint32_t t) const {
    const std::int64_t rows = Wavenet::rows(w_.residual);
    const std::int64_t columns = std::max<std::int64_t>(w_.levels, 1);
    std::vector<double> x(at(4 * rows));
    multiply(w_.input_kernel * columns * rows, {}, rows, x);
    for (std::int64_t tap = 0; tap < w_.input_kernel; ++tap) {
      if (t + tap + 1 < w_.input_kernel) continue;
      const double value = c_.in(kRecent)[at(tap)];
      const double level = std::round(value);
      const bool is_level = level >= 0.0 && level < static_cast<double>(w_.levels);
      if (!std::isfinite(value) || (w_.levels > 0 && !is_level)) return std::vector<double>(x.size(), kNan);
      const std::int64_t column = tap * columns + (w_.levels > 0 ? static_cast<std::int64_t>(level) : 0);
      const double factor = w_.levels > 0 ? 1.0 : value;
      for (std::size_t r = 0; r < x.size(); ++r) x[r] += factor * weights_[at(4 * column * rows) + r];
    }
    return x;
  }

  std::vector<double> outputs_of(std::uint32_t t, std::int64_t frame) {
    const std::int64_t rows = Wavenet::rows(w_.residual);
    const std::int64_t gates = Wavenet::rows(w_.gate);
    const std::int64_t skips = Wavenet::rows(w_.skip);
    std::vector<double>& past = c_.inputs[kPast]->data;
    std::vector<double> x = first(t);
    std::vector<double> skip(at(4 * skips));
    std::int64_t ring = 0;
    for (std::int64_t layer = 0; layer < w_.layers(); ++layer) {
      const std::int64_t length = w_.ring(layer);
      const auto slot = [&](std::int64_t tap) {
        return 4 * rows * (ring + (t + tap * w_.dilations[at(layer)]) % length);
      };
      std::vector<double> taps;
      for (std::int64_t tap = 0; tap + 1 < w_.kernel; ++tap) {
        taps.insert(taps.end(), past.begin() + slot(tap), past.begin() + slot(tap) + 4 * rows);
      }
      taps.insert(taps.end(), x.begin(), x.end());
      std::ranges::copy(x, past.begin() + slot(0));
      std::vector<double> both(at(8 * gates));
      multiply(w_.layer_at(layer), taps, 2 * gates, both);
      std::vector<double> z(at(4 * gates));
      for (std::int64_t g = 0; g < 4 * gates; ++g) {
        double a = both[at(g)];
        double b = both[at(4 * gates + g)];
        if (c_.has(kCondition)) {
          const std::int64_t added = (frame * w_.condition_rows() + layer * 2 * gates) * 4;
          a += c_.in(kCondition)[at(added + g)];
          b += c_.in(kCondition)[at(added + 4 * gates + g)];
        }
        z[at(g)] = std::tanh(a) / (1.0 + std::exp(-b));
      }
      std::vector<double> mixed(at(4 * (rows + skips)));
      multiply(w_.mix_at(layer), z, rows + skips, mixed);
      for (std::size_t r = 0; r < x.size(); ++r) x[r] += mixed[r];
      for (std::size_t r = 0; r < skip.size(); ++r) skip[r] += mixed[x.size() + r];
      ring += length;
    }
    const auto relu = [](std::vector<double>& v) {
      for (double& value : v) value = std::isnan(value) ? value : std::max(value, 0.0);
    };
    relu(skip);
    std::vector<double> hidden(at(4 * Wavenet::rows(w_.hidden)));
    multiply(w_.hidden_at(), skip, Wavenet::rows(w_.hidden), hidden);
    relu(hidden);
    std::vector<double> outputs(at(4 * Wavenet::rows(w_.outputs)));
    multiply(w_.output_at(), hidden, Wavenet::rows(w_.outputs), outputs);
    outputs.resize(at(w_.outputs));
    return outputs;
  }

  double draw(const std::vector<double>& outputs, SamplerState state) const {
    if (!std::ranges::all_of(outputs, [](double value) { return std::isfinite(value); })) return kNan;
    const bool greedy = !(state.temperature > 0.0f);
    state.top_k = 0;
    state.top_p = 1.0f;
    state.min_p = 0.0f;
    const std::int64_t logits = w_.output == Wavenet::Output::Levels ? w_.outputs : w_.mixtures();
    const auto chosen =
        static_cast<std::int64_t>(sample_token({outputs.begin(), outputs.begin() + logits}, state, greedy));
    if (w_.output == Wavenet::Output::Levels) return static_cast<double>(chosen);
    double value = outputs[at(logits + chosen)];
    if (!greedy) {
      const auto words = philox({state.step, state.stream, 0, 0}, {state.seed_low, state.seed_high});
      const double u = std::clamp(static_cast<double>(words[1] >> 8) / 16777216.0, kSurest, 1.0 - kSurest);
      const double log_scale = std::max(outputs[at(2 * logits + chosen)], w_.least_log_scale);
      value += std::exp(log_scale) * static_cast<double>(state.temperature) * (std::log(u) - std::log1p(-u));
    }
    return std::clamp(value, -1.0, 1.0);
  }

  static constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  const ReferenceContext& c_;
  const Wavenet w_;
  const std::vector<double>& weights_;
};

void reference(const ReferenceContext& c) { WavenetReference(c).run(); }

/// Where a layer's ring begins, and its dilation, of every layer.
std::vector<std::int32_t> ring_table(const Wavenet& w) {
  std::vector<std::int32_t> table;
  std::int64_t ring = 0;
  for (std::int64_t layer = 0; layer < w.layers(); ++layer) {
    table.push_back(static_cast<std::int32_t>(w.dilations[static_cast<std::size_t>(layer)]));
    table.push_back(static_cast<std::int32_t>(ring));
    ring += w.ring(layer);
  }
  return table;
}

void lower(Lowering& l) {
  const Wavenet w = Wavenet::of(l.attributes());
  const auto rows = [](std::int64_t channels) { return u64(Wavenet::rows(channels)); };
  const std::uint64_t residual = rows(w.residual), gate = rows(w.gate), skip = rows(w.skip), hidden = rows(w.hidden);
  const std::uint64_t outputs = rows(w.outputs);
  const std::uint64_t widest = std::max({u64(w.kernel) * residual, skip, hidden});
  const std::uint32_t subgroup = std::max<std::uint32_t>(1, l.caps().subgroup_size);
  const bool hand_on = can_shuffle_rows(DType::F32, l.caps(), l.tuning());
  // As many as the layers have work for: lanes beyond that wait at every barrier.
  const std::uint64_t busy = ceil_div(std::max(residual, gate), subgroup) * subgroup;
  const std::uint32_t lanes = hand_on ? subgroup : l.lanes(u32(std::min<std::uint64_t>(256, busy)));
  const std::uint64_t shared = 16 * (widest + gate + outputs) + 4 * (outputs + lanes + u64(w.input_kernel)) + 64;
  if (shared > l.caps().max_shared_memory) {
    l.fail(fmt::format("needs {} bytes of shared memory for its channels; the device has {}", shared,
                       l.caps().max_shared_memory));
  }

  const auto rounds = [&](std::uint64_t groups) { return ceil_div(groups, std::uint64_t{lanes}); };
  const std::uint64_t layer = rounds(residual) * (2 + u64(w.kernel)) + u64(w.kernel) * residual * rounds(gate) +
                              2 * rounds(gate) + gate * (1 + rounds(residual) + rounds(skip)) + rounds(skip);
  // Where inputs are handed on, their loops are two.
  const std::uint64_t handed =
      hand_on ? u64(w.layers()) * (rounds(u64(w.kernel) * residual) * rounds(gate) + rounds(gate)) +
                    rounds(skip) * rounds(hidden) + rounds(hidden) * rounds(outputs)
              : 0;
  const std::uint64_t loops = handed + u64(w.layers()) * (1 + layer) + (skip + 2) * (1 + rounds(hidden)) +
                              (hidden + 6) * (1 + rounds(outputs)) + 2 * outputs + lanes + 64 +
                              rounds(residual) * u64(w.input_kernel) + u64(w.outputs);
  if (loops > l.caps().max_loop_iterations) {
    l.fail(fmt::format("needs {} loop iterations for a sample; the device runs at most {}", loops,
                       l.caps().max_loop_iterations));
  }
  constexpr std::uint64_t kMostAtOnce = 128;  // samples: a GPU's watchdog should not meet a dispatch
  const std::uint64_t at_once = std::min(kMostAtOnce, l.caps().max_loop_iterations / loops);

  const std::int64_t steps = l.dims().at(l.attributes().text("rows"));
  const Binding weights = l.read(kWeights, View::F32x4);
  const Binding condition = l.read_or(kCondition, View::F32x4, weights);
  const Binding given = l.read_or(kGiven, View::F32, weights);
  const Binding rings = l.constant("rings", ring_table(w), View::I32);
  const Binding states[] = {l.update(kPast), l.update(kRecent), l.update(kSampler)};
  const Binding result = l.write();
  for (std::int64_t first = 0; first < steps; first += static_cast<std::int64_t>(at_once)) {
    const std::uint64_t count = std::min(at_once, u64(steps - first));
    Dispatch d;
    d.shader = "wavenet";
    d.variant = {hand_on ? "shuffle" : "read"};
    d.bindings = {weights, condition, given, rings, states[0], states[1], states[2], result};
    d.push_constants = words_of(WavenetPush{.first = u32(first),
                                            .steps = u32(count),
                                            .hop = u32(l.attributes().integer("hop", steps)),
                                            .has_condition = l.has(kCondition),
                                            .least_log_scale = static_cast<float>(w.least_log_scale)});
    d.specialization = words_of(WavenetConstants{.lanes = lanes,
                                                 .residual = u32(residual),
                                                 .gate = u32(gate),
                                                 .skip = u32(skip),
                                                 .hidden = u32(hidden),
                                                 .output_rows = u32(outputs),
                                                 .outputs = u32(w.outputs),
                                                 .levels = u32(w.levels),
                                                 .kernel = u32(w.kernel),
                                                 .input_kernel = u32(w.input_kernel),
                                                 .layers = u32(w.layers()),
                                                 .work = l.has(kGiven)                         ? kTellsLogits
                                                         : w.output == Wavenet::Output::Levels ? kDrawsLevels
                                                                                               : kDrawsLogistics,
                                                 .widest = u32(widest)});
    d.flops = saturating_product({2, w.products(), count});
    d.bytes = saturating_product({16, u64(w.weight_rows())});
    l.emit(std::move(d));
  }
}

}  // namespace

extern const Op op_wavenet;
const Op op_wavenet = {.names = {"wavenet"},
                       .infer = infer,
                       .reference = reference,
                       .lower = lower,
                       .updates = {kPast, kRecent, kSampler}};

}  // namespace heed::ops
