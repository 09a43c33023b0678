// cases wavenet: both kinds of output, drawn, likeliest and given; channels that are no multiple of four, more of them
// than lanes, taps, dilations of one and larger than the run, conditions, samples that are no numbers.
#include "ops/wavenet.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>

#include "graph/integer.h"
#include "ops/sample.h"
#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

struct Net {
  ops::Wavenet of;
  std::int64_t steps = 7;
  std::int64_t hop = 0;  // 0: no condition
  bool given = false;
  double temperature = 1.0;
  std::int64_t begun = 0;  // samples
  std::string what = "";
};

ops::Wavenet levels(std::int64_t channels, std::vector<std::int64_t> dilations, std::int64_t count = 12) {
  ops::Wavenet w;
  w.residual = w.gate = w.skip = w.hidden = channels;
  w.outputs = w.levels = count;
  w.kernel = 2;
  w.input_kernel = 1;
  w.dilations = std::move(dilations);
  return w;
}

ops::Wavenet logistics(std::int64_t channels, std::vector<std::int64_t> dilations, std::int64_t mixtures) {
  ops::Wavenet w = levels(channels, std::move(dilations), 3 * mixtures);
  w.output = ops::Wavenet::Output::Logistics;
  w.levels = 0;
  return w;
}

OpCase net_case(const Net& net) {
  const ops::Wavenet& w = net.of;
  GraphBuilder b("wavenet");
  const std::int64_t hop = net.hop == 0 ? net.steps : net.hop;
  const ValueId condition =
      net.hop == 0 ? kNoValue : b.input("condition", DType::F32, {ceil_div(net.steps, hop), 4 * w.condition_rows()});
  Attributes attributes = w.attributes();
  attributes.set("rows", std::string("steps"));
  attributes.set("hop", hop);
  b.output(
      b.add("wavenet", "net",
            {b.weight("weights", DType::F32, {w.weight_rows(), 4}), condition,
             net.given ? b.input("given", DType::F32, {"steps"}) : kNoValue,
             b.state("past", DType::F32, {w.rings(), 4 * ops::Wavenet::rows(w.residual)}),
             b.state("recent", DType::F32, {w.input_kernel}), b.state("sampler", DType::I32, {ops::kSamplerWords})},
            attributes),
      "result");
  OpCase c{fmt::format("{} {}, {}/{}/{}/{} channels, {} layers of {} taps, {} samples{}{}", w.outputs,
                       w.levels > 0 ? "levels" : "numbers of logistics", w.residual, w.gate, w.skip, w.hidden,
                       w.layers(), w.kernel, net.steps, net.hop == 0 ? "" : fmt::format(", hop {}", net.hop),
                       net.what.empty() ? "" : ", " + net.what),
           std::move(b).finish(),
           {{"steps", net.steps}},
           {}};
  ops::SamplerState state;
  state.seed_low = 77;
  state.step = static_cast<std::uint32_t>(net.begun);
  state.temperature = static_cast<float>(net.temperature);
  state.stream = 3;
  for (const std::uint32_t word : std::bit_cast<std::array<std::uint32_t, ops::kSamplerWords>>(state)) {
    c.values["sampler"].push_back(static_cast<double>(static_cast<std::int32_t>(word)));
  }
  const auto sample = [&](std::int64_t i) {
    return w.levels > 0 ? static_cast<double>((i * 5 + 3) % w.levels) : std::sin(static_cast<double>(i)) / 2.0;
  };
  for (std::int64_t i = 0; i < w.input_kernel; ++i) c.values["recent"].push_back(sample(i + 9));
  for (std::int64_t i = 0; net.given && i < net.steps; ++i) c.values["given"].push_back(sample(i));
  return c;
}

}  // namespace

std::vector<OpCase> cases_wavenet() {
  std::vector<OpCase> cases;
  const auto add = [&](const Net& net) { cases.push_back(net_case(net)); };
  add({.of = levels(4, {1, 2})});
  add({.of = logistics(4, {1, 2}, 4)});
  add({.of = levels(4, {1, 2}), .given = true, .what = "given"});
  add({.of = logistics(4, {1, 2}, 1), .given = true, .what = "given"});
  for (const double temperature : {0.0, 0.4}) {
    const std::string what = temperature == 0.0 ? "likeliest" : "colder";
    add({.of = levels(8, {1, 2, 4}), .temperature = temperature, .what = what});
    add({.of = logistics(8, {1, 2, 4}, 3), .temperature = temperature, .what = what});
  }
  ops::Wavenet odd = levels(5, {1, 3, 9}, 11);
  odd.gate = 7;
  odd.skip = 9;
  odd.hidden = 3;
  odd.kernel = 3;
  odd.input_kernel = 2;
  add({.of = odd, .steps = 13, .hop = 4});
  add({.of = odd, .steps = 13, .hop = 5, .given = true, .what = "given"});
  add({.of = odd, .steps = 3, .hop = 8, .begun = 1000, .what = "begun"});
  ops::Wavenet odd_logistics = odd;
  odd_logistics.output = ops::Wavenet::Output::Logistics;
  odd_logistics.outputs = 15;
  odd_logistics.levels = 0;
  add({.of = odd_logistics, .steps = 13, .hop = 13, .begun = 5, .what = "begun"});
  ops::Wavenet least = levels(1, {1}, 2);
  add({.of = least, .steps = 1});
  ops::Wavenet reaching = levels(4, {64, 1, 256});
  reaching.kernel = 4;
  reaching.input_kernel = 5;
  add({.of = reaching, .steps = 70, .what = "reaching far back"});
  add({.of = reaching, .steps = 9, .given = true, .begun = 2, .what = "given"});
  ops::Wavenet wide = levels(36, {1, 2}, 256);
  wide.skip = 132;
  wide.hidden = 68;
  add({.of = wide, .hop = 3});
  add({.of = wide, .hop = 3, .given = true, .what = "given"});
  ops::Wavenet many = levels(8, {}, 16);
  for (int i = 0; i < 20; ++i) many.dilations.push_back(std::int64_t{1} << (i % 5));
  add({.of = many, .steps = 300, .temperature = 0.0, .what = "several dispatches"});
  for (const double value : {kNotANumber, kInfinity, 12.0, -1.0}) {
    add({.of = levels(4, {1, 2}), .steps = 2, .given = true, .what = fmt::format("special value {}", value)});
    cases.back().values["given"] = {3.0, value};
  }
  add({.of = levels(4, {1, 2}), .what = "special values"});
  cases.back().values["recent"] = {kNotANumber};
  add({.of = logistics(4, {1, 2}, 2), .what = "special values"});
  cases.back().values["recent"] = {kInfinity};
  return cases;
}

}  // namespace heed::op_cases
