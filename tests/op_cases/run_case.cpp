#include "tests/op_cases/run_case.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "runtime/session.h"

namespace heed::op_cases {
namespace {

constexpr std::uint32_t kPoison = 0x7fc0dead;  // a quiet NaN

using Words = std::vector<std::uint32_t>;

/// A tensor as the device holds it.
Words to_words(const HostTensor& tensor) {
  Words words;
  words.reserve(tensor.data.size());
  for (const double value : tensor.data) {
    // int64 first: a double that stands for -1 must become 0xffffffff, and one for 2^31 and above its bits.
    words.push_back(!is_floating(tensor.type.dtype) ? static_cast<std::uint32_t>(static_cast<std::int64_t>(value))
                                                    : std::bit_cast<std::uint32_t>(static_cast<float>(value)));
  }
  return words;
}

/// The same with the device's padding to 16 bytes poisoned: no kernel may let it into a result.
Words padded(Words words) {
  words.resize(std::max<std::size_t>(4, (words.size() + 3) / 4 * 4), kPoison);
  return words;
}

/// How far a word is from the number it should hold: zero or infinity for integers, relative to `magnitude` for others.
double error_of(double expected, std::uint32_t word, DType dtype, double magnitude) {
  constexpr double kWrong = std::numeric_limits<double>::infinity();
  if (!is_floating(dtype))
    return static_cast<std::uint32_t>(static_cast<std::int64_t>(expected)) == word ? 0.0 : kWrong;
  // A number too large for float is infinite on the device.
  const auto want = static_cast<float>(expected);
  const auto have = std::bit_cast<float>(word);
  if (std::isfinite(want) && std::isfinite(have)) return std::abs(expected - static_cast<double>(have)) / magnitude;
  if (std::isnan(want) && std::isnan(have)) return word == kPoison ? kWrong : 0.0;
  return want == have ? 0.0 : kWrong;
}

std::string describe(double expected, std::uint32_t word, DType dtype) {
  if (!is_floating(dtype)) {
    return fmt::format("expected {}, got {}", static_cast<std::int64_t>(expected), static_cast<std::int32_t>(word));
  }
  return fmt::format("expected {}{}, got {}", static_cast<float>(expected), word == kPoison ? " (never written)" : "",
                     std::bit_cast<float>(word));
}

/// Compares one tensor and keeps the worst.
void compare(const std::string& name, const HostTensor& expected, const Words& actual, double tolerance,
             CaseResult& result) {
  double magnitude = 1e-3;
  for (const double value : expected.data) {
    if (std::isfinite(static_cast<float>(value))) magnitude = std::max(magnitude, std::abs(value));
  }
  const DType dtype = expected.type.dtype;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double error = error_of(expected.data[i], actual[i], dtype, magnitude);
    if (error <= result.worst_error) continue;
    result.worst_error = error;
    if (error > tolerance) {
      result.message =
          fmt::format("'{}' element {} of {}: {}, error {:.3g} above {:.3g}", name, i, to_string(expected.type.shape),
                      describe(expected.data[i], actual[i], dtype), error, tolerance);
    }
  }
}

}  // namespace

std::vector<Variant> variants_of(const DeviceCaps& caps) {
  Tuning plain;
  plain.lanes =
      std::min({caps.max_workgroup_invocations, caps.max_workgroup_size[0], std::max(8u, caps.subgroup_size)});
  plain.max_groups = caps.max_workgroup_count[0];
  std::vector<Variant> variants = {{"storage", caps, plain}};
  const auto add = [&](std::string name) -> Variant& {
    variants.push_back({std::move(name), caps, plain});
    return variants.back();
  };
  if (caps.max_texel_buffer_elements > 0) add("texel").tuning.texel = true;
  if (caps.subgroup_arithmetic) {
    add("no subgroups").caps.subgroup_arithmetic = false;
    if (caps.max_texel_buffer_elements > 0) {
      Variant& both = add("texel, no subgroups");
      both.caps.subgroup_arithmetic = false;
      both.tuning.texel = true;
    }
  }
  for (const std::uint32_t rows : {1u, 2u, 8u}) add(fmt::format("{} rows", rows)).tuning.rows = rows;
  for (const std::uint32_t lanes : {4u, 32u, 128u}) {
    if (lanes < caps.subgroup_size || lanes == plain.lanes || lanes > caps.max_workgroup_invocations) continue;
    add(fmt::format("{} lanes", lanes)).tuning.lanes = lanes;
  }
  {
    Variant& odd = add("3 lanes, no subgroups");  // a workgroup of no power of two
    odd.caps.subgroup_arithmetic = false;
    odd.tuning.lanes = 3;
  }
  for (const std::uint32_t rows : {1u, 16u}) {
    Tuning& own = add(fmt::format("{} rows a lane", rows)).tuning;
    own.lane_rows = true;
    own.rows = rows;
  }
  if (caps.max_texel_buffer_elements > 0) {
    Tuning& own = add("4 rows a lane, texel").tuning;
    own.lane_rows = own.texel = true;
    add("4 rows a lane, texel, same by storage").tuning = own;
    variants.back().tuning.same_storage = true;
  }
  if (caps.subgroup_shuffle && caps.subgroup_size >= 4) {
    Tuning& pairs = add("pairs").tuning;
    pairs.lane_rows = pairs.pairs = true;
    pairs.lanes = caps.subgroup_size;
    if (caps.max_texel_buffer_elements > 0) {
      add("pairs, texel").tuning = pairs;
      variants.back().tuning.texel = true;
    }
  }
  add("3 workgroups").tuning.max_groups = 3;
  const auto add_small = [&](std::string name) -> Variant& {
    Variant& small = add(std::move(name));
    small.cut_weights = true;
    small.caps.max_workgroup_count = {29, 65535, 65535};
    small.caps.max_texel_buffer_elements = std::min<std::uint64_t>(caps.max_texel_buffer_elements, 512);
    small.tuning.texel = caps.max_texel_buffer_elements > 0;
    small.tuning.max_groups = 29;
    return small;
  };
  add_small("small limits");
  if (caps.max_texel_buffer_elements > 0) {
    // Weights too large for a texel buffer are read from storage here, next to texel buffers for the rest.
    Tuning& own = add_small("small limits, 4 rows a lane, same by storage").tuning;
    own.lane_rows = own.same_storage = true;
  }
  return variants;
}

Plan plan_case(const OpCase& op_case, const Variant& variant) {
  Plan plan = make_plan(op_case.graph, op_case.dims, variant.caps, variant.tuning);
  if (!variant.cut_weights) return plan;
  // Activations are not cut, so the largest of them must still fit.
  std::uint64_t range = 65536;
  for (const PlanTensor& tensor : plan.tensors) {
    if (tensor.storage != Storage::Weight) range = std::max(range, tensor.bytes);
  }
  for (const DeviceWeight& weight : plan.weights) {
    // Nor is a weight cut within 32 rows.
    const auto rows = static_cast<std::uint64_t>(std::max<std::int64_t>(1, weight.row_count));
    range = std::max(range, (weight.bytes / rows + 1) * std::min<std::uint64_t>(rows, 32) + 256);
  }
  DeviceCaps caps = variant.caps;
  caps.max_storage_buffer_range = std::min(caps.max_storage_buffer_range, range);
  return make_plan(op_case.graph, op_case.dims, caps, variant.tuning);
}

CaseResult run_case(Gpu& gpu, const OpCase& op_case, const CaseData& data, Plan plan, int repeats) {
  WeightStore store(gpu, data.weights);
  Session session(gpu, store);
  const std::unique_ptr<Executable> executable = session.prepare(std::move(plan));

  CaseResult result;
  std::vector<Words> first;
  for (int repeat = 0; repeat < repeats; ++repeat) {
    session.fill_scratch(*executable, kPoison);
    for (const auto* tensors : {&data.inputs, &data.states_before}) {
      for (const auto& [name, tensor] : *tensors) {
        // A tensor that no node reads is not there.
        if (!session.has(name)) continue;
        const Words words = padded(to_words(tensor));
        session.write(name, std::as_bytes(std::span(words)));
      }
    }
    session.run(*executable);

    std::vector<Words> got;
    for (const auto& [name, expected] : data.outputs) {
      got.emplace_back(expected.data.size());
      session.read_output(*executable, name, std::as_writable_bytes(std::span(got.back())));
    }
    for (const auto& [name, expected] : data.states_after) {
      got.emplace_back(expected.data.size());
      if (session.has(name)) {
        session.read(name, std::as_writable_bytes(std::span(got.back())));
      } else {
        got.back() = to_words(expected);
      }
    }
    if (repeat == 0) {
      std::size_t i = 0;
      for (const auto& [name, expected] : data.outputs) compare(name, expected, got[i++], op_case.tolerance, result);
      for (const auto& [name, expected] : data.states_after) {
        compare(name, expected, got[i++], op_case.tolerance, result);
      }
      first = std::move(got);
    } else if (got != first && result.message.empty()) {
      result.message = fmt::format("run {} gave other bits than the first", repeat + 1);
    }
  }
  result.passed = result.message.empty();
  return result;
}

CaseResult run_case(Gpu& gpu, const OpCase& op_case, const Variant& variant, int repeats) {
  const CaseData data = make_case_data(op_case);
  return run_case(gpu, op_case, data, plan_case(op_case, variant), repeats);
}

}  // namespace heed::op_cases
