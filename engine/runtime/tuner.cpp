#include "runtime/tuner.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <memory>

#include "ops/op.h"
#include "plan/submissions.h"
#include "planner/make_plan.h"
#include "runtime/gpu.h"
#include "runtime/session.h"
#include "runtime/weights.h"

namespace heed {
namespace {

constexpr std::uint32_t kVersion = 14;  // of the kernels that were measured
constexpr int kRounds = 6;
constexpr int kRuns = 2;          // of a round, by the host's clock
constexpr int kClockRepeats = 3;  // of which the median counts
constexpr double kWarmUp = 0.1;   // seconds
// For the rounds of a candidate: on slow devices, whose runs are long, fewer say as much.
constexpr double kEnough = 0.5;  // seconds
constexpr std::uint32_t kMostSharedGroups = 1u << 16;
constexpr std::uint32_t kMostConvSums = 512;
constexpr std::uint32_t kMostXProducts = 4096;
constexpr std::size_t kVerdictWords = 22;  // of a verdict in the cache

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

  std::unique_ptr<Executable> prepare(const Tuning& tuning) {
    return session_.prepare(make_plan(graph_, dims_, gpu_.caps(), tuning));
  }

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
      if (candidate_seconds > 2 * best_seconds || best_seconds > 2 * candidate_seconds) break;
      if (round > 0 && since(begin) > kEnough) break;
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
  const std::unique_ptr<Executable> executable = probe.prepare(tuning);
  probe.warm_up(*executable);
  const double seconds = probe.seconds(*executable);
  double planned = 0;
  for (const Dispatch& dispatch : executable->plan().dispatches) planned += planned_seconds(dispatch);
  return seconds > 0 ? static_cast<std::uint32_t>(std::clamp(planned / seconds / 2, 1.0, double{Tuning::kMostPace}))
                     : 1;
}

bool within_limits(const Tuning& tuning, const DeviceCaps& caps) {
  const std::uint32_t lanes = std::max(tuning.lanes, tuning.row_lanes);
  return lanes <= caps.max_workgroup_invocations && lanes <= caps.max_workgroup_size[0];
}

}  // namespace

Tuning tune(Gpu& gpu) {
  const DeviceCaps& caps = gpu.caps();
  Tuning best = default_tuning(caps);
  Graph (*problem)(const DeviceCaps&) = nullptr;  // that the probe runs
  std::unique_ptr<Probe> probe;
  std::unique_ptr<Executable> best_executable;
  for (const ops::TuningStep* step : ops::all_tuning_steps()) {
    for (const Tuning& candidate : step->candidates(caps, best)) {
      if (candidate == best || !within_limits(candidate, caps)) continue;
      if (problem != step->problem) {
        best_executable.reset();
        probe = std::make_unique<Probe>(gpu, step->problem(caps), step->dims);
        problem = step->problem;
        best_executable = probe->prepare(best);
        probe->warm_up(*best_executable);
      }
      std::unique_ptr<Executable> executable = probe->prepare(candidate);
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
  const std::uint32_t words[kVerdictWords] = {kVersion,
                                              tuning.texel,
                                              tuning.same_storage,
                                              tuning.lane_rows,
                                              tuning.lanes,
                                              tuning.rows,
                                              tuning.max_groups,
                                              tuning.pairs,
                                              tuning.shuffle_rows,
                                              tuning.attention_groups,
                                              tuning.sample_groups,
                                              tuning.row_lanes,
                                              tuning.x_rows,
                                              tuning.one_pass_convs,
                                              tuning.query_tile,
                                              tuning.tile,
                                              tuning.tile_groups,
                                              tuning.cooperative,
                                              tuning.conv_sums,
                                              tuning.flops_pace,
                                              tuning.bytes_pace,
                                              tuning.x_products};
  std::vector<std::byte> bytes(sizeof(words));
  std::memcpy(bytes.data(), words, sizeof(words));
  return bytes;
}

std::optional<Tuning> tuning_from_bytes(std::span<const std::byte> bytes, const DeviceCaps& caps) {
  std::uint32_t words[kVerdictWords];
  if (bytes.size() != sizeof(words)) return std::nullopt;
  std::memcpy(words, bytes.data(), sizeof(words));
  const Tuning tuning{.texel = words[1] != 0,
                      .same_storage = words[2] != 0,
                      .lane_rows = words[3] != 0,
                      .lanes = words[4],
                      .row_lanes = words[11],
                      .rows = words[5],
                      .max_groups = words[6],
                      .pairs = words[7] != 0,
                      .x_rows = words[12],
                      .x_products = words[21],
                      .shuffle_rows = words[8] != 0,
                      .tile = words[15],
                      .tile_groups = words[16],
                      .cooperative = words[17] != 0,
                      .attention_groups = words[9],
                      .query_tile = words[14],
                      .sample_groups = words[10],
                      .one_pass_convs = words[13],
                      .conv_sums = words[18],
                      .flops_pace = words[19],
                      .bytes_pace = words[20]};
  const auto workgroup_fits = [&](std::uint32_t lanes) {
    return lanes >= 1 && (!caps.subgroup_arithmetic || lanes % caps.subgroup_size == 0);
  };
  const auto is_pace = [](std::uint32_t pace) { return pace >= 1 && pace <= Tuning::kMostPace; };
  const bool fits = words[0] == kVersion && within_limits(tuning, caps) && workgroup_fits(tuning.lanes) &&
                    workgroup_fits(tuning.row_lanes) && tuning.rows >= 1 && tuning.rows <= 16 && tuning.x_rows >= 1 &&
                    tuning.x_rows <= Tuning::kMostXRows && tuning.x_products >= 1 &&
                    tuning.x_products <= kMostXProducts && tuning.max_groups >= 1 &&
                    tuning.max_groups <= caps.max_workgroup_count[0] && tuning.attention_groups <= kMostSharedGroups &&
                    tuning.sample_groups <= kMostSharedGroups && tuning.one_pass_convs <= 2 &&
                    tuning.conv_sums <= kMostConvSums && tuning.query_tile <= kMostSharedGroups &&
                    (tuning.tile == 0 || tuning.tile == 32 || tuning.tile == 64 || tuning.tile == 128) &&
                    tuning.tile_groups <= kMostSharedGroups && is_pace(tuning.flops_pace) &&
                    is_pace(tuning.bytes_pace) && (!tuning.texel || caps.max_texel_buffer_elements > 0);
  return fits ? std::optional<Tuning>(tuning) : std::nullopt;
}

}  // namespace heed
