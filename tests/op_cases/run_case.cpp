#include "tests/op_cases/run_case.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>

#include "graph/convert_dtype.h"
#include "heed/error.h"
#include "planner/make_plan.h"
#include "reference/rounding.h"
#include "runtime/session.h"

namespace heed::op_cases {
namespace {

// A quiet NaN; as an integer 2143346349, which no case has for an answer.
constexpr std::uint32_t kPoison = 0x7fc0dead;
// Around inputs: another one, or what is read beyond an input and written beyond an output would look untouched.
constexpr std::uint32_t kInputPoison = 0x7fc1beef;
// Before and after tensors, a whole number of alignments.
constexpr std::uint64_t kGuardBytes = kMostAlignment;
constexpr std::size_t kGuardWords = kGuardBytes / 4;

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

/// Whether a device holds two elements to a word.
bool is_packed(const HostTensor& tensor, ValueKind kind) { return device_element_bytes(kind, tensor.type.dtype) == 2; }

/// What a device holds of a state.
Words state_words(const HostTensor& tensor) {
  const Words words = to_words(tensor);
  return is_packed(tensor, ValueKind::State) ? pack_f16(words) : words;
}

/// The same in the middle of guards and the device's padding: no kernel may let them into a result.
Words guarded(const Words& words, std::uint32_t poison = kPoison) {
  Words image(kGuardWords, poison);
  image.insert(image.end(), words.begin(), words.end());
  image.resize(kGuardWords + std::max<std::size_t>(4, (words.size() + 3) / 4 * 4) + kGuardWords, poison);
  return image;
}

/// Moves what bindings see of tensors that live by themselves away from the edges of their memory.
void make_room_for_guards(Plan& plan) {
  const auto has_guards = [](const PlanTensor& tensor) {
    return tensor.storage == Storage::Output || tensor.storage == Storage::Input || tensor.storage == Storage::State;
  };
  for (PlanTensor& tensor : plan.tensors) {
    if (has_guards(tensor)) tensor.bytes += 2 * kGuardBytes;
  }
  for (Dispatch& dispatch : plan.dispatches) {
    for (Binding& binding : dispatch.bindings) {
      if (has_guards(plan.tensors[binding.tensor])) binding.offset += kGuardBytes;
    }
  }
}

/// A state in its guards, read back; a word an element, however it was packed.
Words read_state(Session& session, const std::string& name, const HostTensor& expected) {
  const std::size_t count = expected.data.size();
  const bool packed = is_packed(expected, ValueKind::State);
  Words image = guarded(Words(packed ? (count + 1) / 2 : count));
  session.read(name, std::as_writable_bytes(std::span(image)));
  if (!packed) return image;
  Words unpacked(image.begin(), image.begin() + kGuardWords);
  const Words elements = unpack_f16(std::span(image).subspan(kGuardWords), count);
  unpacked.insert(unpacked.end(), elements.begin(), elements.end());
  unpacked.insert(unpacked.end(), image.end() - kGuardWords, image.end());
  return unpacked;
}

/// How far a word is from the number it should hold, in units of what is allowed; infinity where it is not even near.
double error_of(double expected, std::uint32_t word, DType dtype, double bound) {
  constexpr double kWrong = std::numeric_limits<double>::infinity();
  if (!is_floating(dtype))
    return static_cast<std::uint32_t>(static_cast<std::int64_t>(expected)) == word ? 0.0 : kWrong;
  // A number too large for float is infinite on the device.
  const auto want = static_cast<float>(expected);
  const auto have = std::bit_cast<float>(word);
  if (bound == 0.0)
    return std::bit_cast<std::uint32_t>(want) == word ? 0.0 : kWrong;  // every bit, the sign of zero too
  if (want == have) return 0.0;
  if (std::isnan(want)) return std::isnan(have) && word != kPoison ? 0.0 : kWrong;
  if (std::isnan(have)) return kWrong;
  if (std::abs(expected - static_cast<double>(have)) <= kFlushed) return 0.0;  // zero, or what may be taken for it
  if (std::isinf(bound)) return (want > 0) == (have > 0) ? 0.0 : kWrong;       // at the edge of what float holds
  if (!std::isfinite(want) || !std::isfinite(have)) return kWrong;
  return std::abs(expected - static_cast<double>(have)) / bound;
}

std::string describe(double expected, std::uint32_t word, DType dtype) {
  const char* never = word == kPoison ? " (never written)" : "";
  if (!is_floating(dtype)) {
    return fmt::format("expected {}, got {}{}", static_cast<std::int64_t>(expected), static_cast<std::int32_t>(word),
                       never);
  }
  return fmt::format("expected {:.9g}, got {:.9g}{}", static_cast<float>(expected), std::bit_cast<float>(word), never);
}

/// "[1, 7]" of an element's place.
std::string place_of(std::size_t index, const Shape& shape) {
  std::vector<std::size_t> place(shape.size());
  for (std::size_t d = shape.size(); d-- > 0;) {
    place[d] = index % static_cast<std::size_t>(shape[d]);
    index /= static_cast<std::size_t>(shape[d]);
  }
  return fmt::format("[{}]", fmt::join(place, ", "));
}

/// Compares one tensor within its guards and keeps the worst. Elements may be those of `also_right` instead.
void compare(const std::string& name, const HostTensor& expected, const std::vector<const HostTensor*>& also_right,
             const Words& image, const std::vector<double>& bounds, CaseResult& result) {
  const DType dtype = expected.type.dtype;
  std::size_t beyond = 0;
  std::size_t worst = 0;
  double worst_error = -1.0;
  for (std::size_t i = 0; i < expected.data.size(); ++i) {
    double error = error_of(expected.data[i], image[kGuardWords + i], dtype, bounds[i]);
    for (const HostTensor* other : also_right) {
      error = std::min(error, error_of(other->data[i], image[kGuardWords + i], dtype, bounds[i]));
    }
    beyond += error > 1.0 ? 1u : 0u;
    if (error <= worst_error) continue;
    worst_error = error;
    worst = i;
  }
  if (worst_error > 1.0 && worst_error > result.worst_error) {
    const std::string bound =
        is_floating(dtype) ? fmt::format(", off by {:.3g} of the bound {:.3g}", worst_error, bounds[worst]) : "";
    result.message = fmt::format("'{}' element {} of {}: {}{}; {} of {} elements are wrong", name,
                                 place_of(worst, expected.type.shape), to_string(expected.type.shape),
                                 describe(expected.data[worst], image[kGuardWords + worst], dtype), bound, beyond,
                                 expected.data.size());
  }
  result.worst_error = std::max(result.worst_error, worst_error);
  for (std::size_t i = 0; i < image.size(); ++i) {
    const bool inside = i >= kGuardWords && i < image.size() - kGuardWords;
    if (inside || image[i] == kPoison) continue;
    result.worst_error = std::numeric_limits<double>::infinity();
    const std::string where = i < kGuardWords
                                  ? fmt::format("{} words before", kGuardWords - i)
                                  : fmt::format("{} words after the end of", i - (image.size() - kGuardWords) + 1);
    result.message = fmt::format("{} '{}' {:#010x} was written", where, name, image[i]);
    return;
  }
}

/// Everything a run leaves behind, by name, in the order of the reference's.
std::vector<Words> read_back(Session& session, const Executable& executable, const CaseData& data) {
  std::vector<Words> images;
  for (const auto& [name, expected] : data.outputs) {
    images.push_back(guarded(Words(expected.data.size())));
    session.read_output(executable, name, std::as_writable_bytes(std::span(images.back())));
  }
  for (const auto& [name, expected] : data.states_after) {
    if (session.has(name)) images.push_back(read_state(session, name, expected));
  }
  for (const auto& [name, expected] : data.inputs) {
    if (!session.has(name)) continue;
    images.push_back(guarded(Words(expected.data.size())));
    session.read(name, std::as_writable_bytes(std::span(images.back())));
  }
  return images;
}

CaseResult compare_all(const std::vector<Words>& images, const Session& session, const CaseData& data,
                       const Bounds& bounds, bool with_inputs) {
  CaseResult result;
  std::size_t next = 0;
  const auto compare_next = [&](const std::string& name, const HostTensor& expected) {
    std::vector<const HostTensor*> also_right;
    for (const auto& tensors : data.also_right) also_right.push_back(&tensors.at(name));
    compare(name, expected, also_right, images[next++], bounds.at(name), result);
  };
  for (const auto& [name, expected] : data.outputs) compare_next(name, expected);
  for (const auto& [name, expected] : data.states_after) {
    if (session.has(name)) compare_next(name, expected);
  }
  if (!with_inputs) return result;
  for (const auto& [name, tensor] : data.inputs) {
    if (!session.has(name)) continue;
    // Nothing may write them: not a bit.
    const Words expected = guarded(to_words(tensor), kInputPoison);
    const Words& image = images[next++];
    for (std::size_t i = 0; i < image.size() && result.message.empty(); ++i) {
      if (image[i] == expected[i]) continue;
      result.message =
          fmt::format("input '{}' was written: word {} of it is {:#010x}, it was {:#010x}", name,
                      static_cast<std::int64_t>(i) - static_cast<std::int64_t>(kGuardWords), image[i], expected[i]);
      result.worst_error = std::numeric_limits<double>::infinity();
    }
  }
  return result;
}

}  // namespace

namespace {

/// For bindings as small as can be, without more dispatches than a test has time for.
Plan plan_with_small_bindings(const OpCase& op_case, const Variant& variant) {
  constexpr std::size_t kMostDispatches = 40;
  std::uint64_t largest = 0;
  for (const PlanTensor& tensor : make_plan(op_case.graph, op_case.dims, variant.caps, variant.tuning).tensors) {
    if (tensor.storage != Storage::Weight) largest = std::max(largest, tensor.bytes);
  }
  for (std::uint64_t range = std::max<std::uint64_t>(256, std::bit_ceil(largest / 8));; range *= 2) {
    DeviceCaps caps = variant.caps;
    caps.max_storage_buffer_range = std::min(caps.max_storage_buffer_range, range);
    try {
      Plan plan = make_plan(op_case.graph, op_case.dims, caps, variant.tuning);
      if (plan.dispatches.size() <= kMostDispatches || range >= variant.caps.max_storage_buffer_range) return plan;
    } catch (const Error&) {
      if (range >= variant.caps.max_storage_buffer_range) throw;
    }
  }
}

}  // namespace

Plan plan_case(const OpCase& op_case, const Variant& variant) {
  if (variant.cut_bindings) return plan_with_small_bindings(op_case, variant);
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

CaseResult run_case(Gpu& gpu, const CaseData& data, const Bounds& bounds, Plan plan, const Repeats& repeats) {
  make_room_for_guards(plan);
  WeightStore store(gpu, data.weights);
  Session session(gpu, store);
  const std::unique_ptr<Executable> executable = session.prepare(std::move(plan));

  // Elements that a run must change. A state that no node reads has no memory; then nothing may want it changed.
  std::size_t elements = 0;
  for (const auto& [name, expected] : data.outputs) elements += expected.data.size();
  for (const auto& [name, expected] : data.states_after) {
    if (session.has(name)) {
      const Words after = to_words(expected);
      const Words before = to_words(data.states_before.at(name));
      for (std::size_t i = 0; i < after.size(); ++i) elements += after[i] != before[i] ? 1u : 0u;
    } else if (to_words(expected) != to_words(data.states_before.at(name))) {
      return {false, false, std::numeric_limits<double>::infinity(), 0,
              fmt::format("state '{}' should change, and the plan does not have it", name)};
    }
  }
  const auto set_back = [&] {
    session.fill_scratch(*executable, kPoison);
    const auto write = [&](const std::string& name, const Words& image) {
      // A tensor that no node reads is not there.
      if (session.has(name)) session.write(name, std::as_bytes(std::span(image)));
    };
    for (const auto& [name, tensor] : data.inputs) write(name, guarded(to_words(tensor), kInputPoison));
    for (const auto& [name, tensor] : data.states_before) write(name, guarded(state_words(tensor)));
  };

  set_back();
  if (elements > 0) {
    const CaseResult before = compare_all(read_back(session, *executable, data), session, data, bounds, false);
    if (before.message.empty()) {
      return {false, false, 0.0, 0, "memory holds what is expected before anything has run: the case finds nothing"};
    }
  }
  CaseResult result;
  std::vector<Words> first;
  const auto start = std::chrono::steady_clock::now();
  int run = 0;
  for (; run < std::max(repeats.least, repeats.wanted); ++run) {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (run >= repeats.least && seconds > repeats.seconds) break;
    if (run > 0) set_back();
    session.run(*executable);
    std::vector<Words> got = read_back(session, *executable, data);
    if (run == 0) {
      result = compare_all(got, session, data, bounds, true);
      first = std::move(got);
      if (!result.message.empty()) break;
    } else if (got != first) {
      const CaseResult then = compare_all(got, session, data, bounds, true);
      result.worst_error = std::max(result.worst_error, then.worst_error);
      result.message =
          fmt::format("run {} of {} gave other bits than the first{}{}", run + 1,
                      std::max(repeats.least, repeats.wanted), then.message.empty() ? "" : ": ", then.message);
      break;
    }
  }
  result.runs = run;
  result.nothing = elements == 0 && result.message.empty();
  result.passed = result.message.empty() && !result.nothing;
  return result;
}

CaseResult run_case(Gpu& gpu, const OpCase& op_case, const Variant& variant, int repeats) {
  const CaseData data = make_case_data(op_case);
  Plan plan = plan_case(op_case, variant);
  const Bounds bounds = bounds_of(op_case, data, makes_bytes(plan));
  return run_case(gpu, data, bounds, std::move(plan), {repeats, repeats, 0.0});
}

}  // namespace heed::op_cases
