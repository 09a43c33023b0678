#include "runtime/tuner.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <memory>
#include <type_traits>
#include <variant>

#include "ops/op.h"
#include "plan/submissions.h"
#include "planner/make_plan.h"
#include "runtime/gpu.h"
#include "runtime/session.h"
#include "runtime/weights.h"

namespace heed {
namespace {

constexpr std::uint32_t kVersion = 27;  // of the kernels that were measured
constexpr int kRounds = 6;
constexpr int kRuns = 2;          // of a round, by the host's clock
constexpr int kClockRepeats = 3;  // of which the median counts
constexpr double kWarmUp = 0.1;   // seconds
// For the rounds of a candidate: on slow devices, whose runs are long, fewer say as much.
constexpr double kEnough = 0.5;  // seconds

/// A member of Tuning, or of ProductTuning, as a word of the cache, and what it may be.
template <typename Choices>
struct Field {
  std::variant<bool Choices::*, std::uint32_t Choices::*> member;
  std::uint32_t least = 0, most = 1;

  std::uint32_t word(const Choices& choices) const {
    return std::visit([&](auto m) { return static_cast<std::uint32_t>(choices.*m); }, member);
  }
  /// False where the word is nothing that the member may be.
  bool set(Choices& choices, std::uint32_t word) const {
    if (word < least || word > most) return false;
    std::visit([&](auto m) { choices.*m = static_cast<std::remove_reference_t<decltype(choices.*m)>>(word); }, member);
    return true;
  }
};
constexpr std::uint32_t kMostLanes = 1u << 16;
constexpr std::uint32_t kMostSharedGroups = 1u << 16;
constexpr Field<Tuning> kFields[] = {
    {&Tuning::texel},
    {&Tuning::same_storage},
    {&Tuning::lanes, 1, kMostLanes},
    {&Tuning::row_lanes, 1, kMostLanes},
    {&Tuning::query_lanes},
    {&Tuning::key_shuffle},
    {&Tuning::attention_groups, 0, kMostSharedGroups},
    {&Tuning::query_tile, 0, kMostSharedGroups},
    {&Tuning::cooperative_attention},
    {&Tuning::sample_groups, 0, kMostSharedGroups},
    {&Tuning::one_pass_convs, 0, 2},
    {&Tuning::conv_sums, 0, 512},
    {&Tuning::conv_shuffle},
    {&Tuning::conv_tile, 0, 128},
    {&Tuning::conv_cooperative},
    {&Tuning::conv_groups, 0, kMostSharedGroups},
    {&Tuning::flops_pace, 1, Tuning::kMostPace},
    {&Tuning::bytes_pace, 1, Tuning::kMostPace},
};
/// Of each kind of weight, behind those.
constexpr Field<ProductTuning> kProductFields[] = {
    {&ProductTuning::lane_rows},
    {&ProductTuning::lanes, 1, kMostLanes},
    {&ProductTuning::rows, 1, 16},
    {&ProductTuning::max_groups, 1, UINT32_MAX},
    {&ProductTuning::pairs},
    {&ProductTuning::x_rows, 1, ProductTuning::kMostXRows},
    {&ProductTuning::x_products, 1, 4096},
    {&ProductTuning::shuffle_rows},
    {&ProductTuning::tile, 0, 128},
    {&ProductTuning::tile_groups, 0, kMostSharedGroups},
    {&ProductTuning::cooperative},
    {&ProductTuning::dot_groups, 0, kMostSharedGroups},
    {&ProductTuning::few_dot_groups, 0, kMostSharedGroups},
};
constexpr std::size_t kVerdictWords = 1 + std::size(kFields) + kWeightKinds.size() * std::size(kProductFields);

/// Weights of zeros for a graph.
MemoryWeights zero_weights(const Graph& graph) {
  MemoryWeights weights;
  for (const Value& value : graph.values) {
    if (value.kind != ValueKind::Weight) continue;
    const Shape shape = bind(value.shape, {});
    weights.add(value.name, {value.dtype, shape}, std::vector<std::byte>(byte_size(value.dtype, shape)));
  }
  return weights;
}

/// Runs a graph as different tunings would.
class Probe {
 public:
  Probe(Gpu& gpu, Graph graph, const Bindings& dims)
      : gpu_(gpu),
        by_device_clock_(gpu.caps().type != DeviceType::Cpu && gpu.device().physical().timestamp_valid_bits > 0),
        graph_(std::move(graph)),
        dims_(dims),
        weights_(zero_weights(graph_)),
        store_(gpu, weights_),
        session_(gpu, store_) {}

  Plan plan(const Tuning& tuning) const { return make_plan(graph_, dims_, gpu_.caps(), tuning); }
  std::unique_ptr<Executable> prepare(Plan plan) { return session_.prepare(std::move(plan)); }

  /// By the device's clock, since submitting costs GPUs more than what is measured; of CPU drivers, whose dispatches
  /// are dear, by the host's, which sees that too.
  double seconds(Executable& executable) {
    if (by_device_clock_) {
      double sum = 0;
      for (const DispatchTime& time : session_.time_dispatches(executable, kClockRepeats, [] {})) sum += time.seconds;
      return sum;
    }
    const auto begin = Clock::now();
    session_.run(executable, kRuns);
    return since(begin);
  }

  /// Runs until the clocks of a GPU that was idle are up.
  void warm_up(Executable& executable) {
    const auto begin = Clock::now();
    do {
      seconds(executable);
    } while (by_device_clock_ && since(begin) < kWarmUp);
  }

  /// Whether a candidate is faster than what is known to be best; within the noise the plainer choice stays.
  bool faster(Executable& candidate, Executable& best) {
    seconds(candidate);  // the first run pays for page faults and clocks
    const auto begin = Clock::now();
    // In turn, so that both see the same machine.
    double candidate_seconds = std::numeric_limits<double>::infinity();
    double best_seconds = candidate_seconds;
    for (int round = 0; round < kRounds; ++round) {
      best_seconds = std::min(best_seconds, seconds(best));
      candidate_seconds = std::min(candidate_seconds, seconds(candidate));
      // Times as long as the best. On a busy machine a single run may take several times as long as another.
      const double hopeless = round == 0 ? 20 : round == 1 ? 2 : 1.3;
      if (round == 0 && candidate_seconds <= hopeless * best_seconds) continue;
      if (candidate_seconds > hopeless * best_seconds || best_seconds > 2 * candidate_seconds) break;
      if (since(begin) > kEnough) break;
    }
    return candidate_seconds < 0.97 * best_seconds;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static double since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

  Gpu& gpu_;
  bool by_device_clock_;
  Graph graph_;
  Bindings dims_;
  MemoryWeights weights_;
  WeightStore store_;
  Session session_;
};

/// How much faster a device does the work of a probe than the slow GPU that submissions are planned for, half of that.
std::uint32_t measured_pace(Gpu& gpu, const ops::PaceProbe& pace, const Tuning& tuning) {
  Probe probe(gpu, pace.problem(gpu.caps()), {});
  const std::unique_ptr<Executable> executable = probe.prepare(probe.plan(tuning));
  probe.warm_up(*executable);
  const double seconds = probe.seconds(*executable);
  double planned = 0;
  for (const Dispatch& dispatch : executable->plan().dispatches) planned += planned_seconds(dispatch);
  return seconds > 0 ? static_cast<std::uint32_t>(std::clamp(planned / seconds / 2, 1.0, double{Tuning::kMostPace}))
                     : 1;
}

/// Whether a device would do the same, so that there is nothing to time.
bool same_work(const Plan& a, const Plan& b) {
  const auto same_binding = [](const Binding& x, const Binding& y) { return x.view == y.view && x.size == y.size; };
  return std::ranges::equal(a.dispatches, b.dispatches, [&](const Dispatch& x, const Dispatch& y) {
    return x.module_key() == y.module_key() && x.specialization == y.specialization &&
           x.push_constants == y.push_constants && x.groups == y.groups && x.subgroup_size == y.subgroup_size &&
           std::ranges::equal(x.bindings, y.bindings, same_binding);
  });
}

bool within_limits(const Tuning& tuning, const DeviceCaps& caps) {
  std::uint32_t lanes = std::max(tuning.lanes, tuning.row_lanes);
  for (const ProductTuning& product : tuning.products) lanes = std::max(lanes, product.lanes);
  return lanes <= caps.max_workgroup_invocations && lanes <= caps.max_workgroup_size[0];
}

}  // namespace

Tuning tune(Gpu& gpu) {
  const DeviceCaps& caps = gpu.caps();
  Tuning best = default_tuning(caps);
  const ops::TuningStep* timed = nullptr;  // whose work the probe runs
  std::unique_ptr<Probe> probe;
  std::unique_ptr<Executable> best_executable;
  for (const ops::TuningStep* step : ops::all_tuning_steps()) {
    const auto planned = [&](Tuning tuning) {
      if (step->time_without != nullptr) step->time_without(tuning);
      return probe->plan(tuning);
    };
    for (const Tuning& candidate : step->candidates(caps, best)) {
      if (candidate == best || !within_limits(candidate, caps)) continue;
      if (timed == nullptr || timed->problem != step->problem || timed->time_without != step->time_without) {
        best_executable.reset();
        if (timed == nullptr || timed->problem != step->problem) {
          probe = std::make_unique<Probe>(gpu, step->problem(caps), step->dims);
        }
        best_executable = probe->prepare(planned(best));
        if (timed == nullptr) {
          probe->warm_up(*best_executable);
        } else {
          probe->seconds(*best_executable);  // on a device that was busy a moment ago
        }
        timed = step;
      }
      Plan plan = planned(candidate);
      if (same_work(plan, best_executable->plan())) continue;
      std::unique_ptr<Executable> executable = probe->prepare(std::move(plan));
      if (!probe->faster(*executable, *best_executable)) continue;
      best = candidate;
      best_executable = std::move(executable);
    }
  }
  // Of a device that has no clock of its own, submitting would be measured, too.
  if (ops::times_large_work(caps) && gpu.device().physical().timestamp_valid_bits > 0) {
    for (const ops::PaceProbe& pace : ops::pace_probes()) best.*pace.pace = measured_pace(gpu, pace, best);
  }
  return best;
}

std::vector<std::byte> tuning_to_bytes(const Tuning& tuning) {
  std::vector<std::uint32_t> words = {kVersion};
  for (const auto& field : kFields) words.push_back(field.word(tuning));
  for (const ProductTuning& product : tuning.products) {
    for (const auto& field : kProductFields) words.push_back(field.word(product));
  }
  const std::span<const std::byte> bytes = std::as_bytes(std::span(words));
  return {bytes.begin(), bytes.end()};
}

std::optional<Tuning> tuning_from_bytes(std::span<const std::byte> bytes, const DeviceCaps& caps) {
  std::uint32_t words[kVerdictWords];
  if (bytes.size() != sizeof(words)) return std::nullopt;
  std::memcpy(words, bytes.data(), sizeof(words));
  if (words[0] != kVersion) return std::nullopt;
  Tuning tuning;
  const std::uint32_t* word = words + 1;
  for (const auto& field : kFields) {
    if (!field.set(tuning, *word++)) return std::nullopt;
  }
  for (ProductTuning& product : tuning.products) {
    for (const auto& field : kProductFields) {
      if (!field.set(product, *word++)) return std::nullopt;
    }
  }
  const auto workgroup_fits = [&](std::uint32_t lanes) {
    return !caps.subgroup_arithmetic || lanes % caps.subgroup_size == 0;
  };
  const auto is_tile = [](std::uint32_t tile) { return tile == 0 || tile == 32 || tile == 64 || tile == 128; };
  const auto product_fits = [&](const ProductTuning& product) {
    return workgroup_fits(product.lanes) && product.max_groups <= caps.max_workgroup_count[0] && is_tile(product.tile);
  };
  const bool fits = within_limits(tuning, caps) && workgroup_fits(tuning.lanes) && workgroup_fits(tuning.row_lanes) &&
                    std::ranges::all_of(tuning.products, product_fits) && is_tile(tuning.conv_tile) &&
                    (!tuning.texel || caps.max_texel_buffer_elements > 0);
  return fits ? std::optional<Tuning>(tuning) : std::nullopt;
}

}  // namespace heed
