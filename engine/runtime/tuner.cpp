#include "runtime/tuner.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <memory>

#include "ops/op.h"
#include "planner/make_plan.h"
#include "runtime/gpu.h"
#include "runtime/session.h"
#include "runtime/weights.h"

namespace heed {
namespace {

constexpr std::uint32_t kVersion = 6;  // of the kernels that were measured
constexpr int kRounds = 6;
constexpr std::uint32_t kMostAttentionGroups = 1u << 16;
constexpr std::size_t kWords = 10;  // of a verdict in the cache

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
  Probe(Gpu& gpu, Graph graph)
      : gpu_(gpu),
        graph_(std::move(graph)),
        weights_(zero_weights(graph_)),
        store_(gpu, weights_),
        session_(gpu, store_) {}

  std::unique_ptr<Executable> prepare(const Tuning& tuning) {
    return session_.prepare(make_plan(graph_, {}, gpu_.caps(), tuning));
  }

  double seconds(Executable& executable) {
    const auto begin = std::chrono::steady_clock::now();
    session_.run(executable, 2);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

  /// Whether a candidate is faster than what is known to be best; within the noise the plainer choice stays.
  bool faster(Executable& candidate, Executable& best) {
    seconds(candidate);  // the first run pays for page faults and clocks
    // In turn, so that both see the same machine.
    double candidate_seconds = std::numeric_limits<double>::infinity();
    double best_seconds = candidate_seconds;
    for (int round = 0; round < kRounds; ++round) {
      best_seconds = std::min(best_seconds, seconds(best));
      candidate_seconds = std::min(candidate_seconds, seconds(candidate));
      if (candidate_seconds > 2 * best_seconds || best_seconds > 2 * candidate_seconds) break;
    }
    return candidate_seconds < 0.97 * best_seconds;
  }

 private:
  Gpu& gpu_;
  Graph graph_;
  MemoryWeights weights_;
  WeightStore store_;
  Session session_;
};

bool within_limits(const Tuning& tuning, const DeviceCaps& caps) {
  return tuning.lanes <= caps.max_workgroup_invocations && tuning.lanes <= caps.max_workgroup_size[0];
}

}  // namespace

Tuning tune(Gpu& gpu) {
  const DeviceCaps& caps = gpu.caps();
  Tuning best = default_tuning(caps);
  Graph (*problem)() = nullptr;  // that the probe runs
  std::unique_ptr<Probe> probe;
  std::unique_ptr<Executable> best_executable;
  for (const ops::Op* op : ops::all_ops()) {
    for (const ops::TuningStep& step : op->tuning) {
      for (const Tuning& candidate : step.candidates(caps, best)) {
        if (candidate == best || !within_limits(candidate, caps)) continue;
        if (problem != step.problem) {
          best_executable.reset();
          probe = std::make_unique<Probe>(gpu, step.problem());
          problem = step.problem;
          best_executable = probe->prepare(best);
          probe->seconds(*best_executable);
        }
        std::unique_ptr<Executable> executable = probe->prepare(candidate);
        if (!probe->faster(*executable, *best_executable)) continue;
        best = candidate;
        best_executable = std::move(executable);
      }
    }
  }
  return best;
}

std::vector<std::byte> tuning_to_bytes(const Tuning& tuning) {
  const std::uint32_t words[kWords] = {
      kVersion,    tuning.texel,      tuning.same_storage, tuning.lane_rows,    tuning.lanes,
      tuning.rows, tuning.max_groups, tuning.pairs,        tuning.shuffle_rows, tuning.attention_groups};
  std::vector<std::byte> bytes(sizeof(words));
  std::memcpy(bytes.data(), words, sizeof(words));
  return bytes;
}

std::optional<Tuning> tuning_from_bytes(std::span<const std::byte> bytes, const DeviceCaps& caps) {
  std::uint32_t words[kWords];
  if (bytes.size() != sizeof(words)) return std::nullopt;
  std::memcpy(words, bytes.data(), sizeof(words));
  const Tuning tuning{words[1] != 0, words[2] != 0, words[3] != 0, words[4], words[5],
                      words[6],      words[7] != 0, words[8] != 0, words[9]};
  const bool fits = words[0] == kVersion && tuning.lanes >= 1 && tuning.lanes <= caps.max_workgroup_invocations &&
                    tuning.lanes <= caps.max_workgroup_size[0] &&
                    (!caps.subgroup_arithmetic || tuning.lanes % caps.subgroup_size == 0) && tuning.rows >= 1 &&
                    tuning.rows <= 16 && tuning.max_groups >= 1 && tuning.max_groups <= caps.max_workgroup_count[0] &&
                    tuning.attention_groups <= kMostAttentionGroups &&
                    (!tuning.texel || caps.max_texel_buffer_elements > 0);
  return fits ? std::optional<Tuning>(tuning) : std::nullopt;
}

}  // namespace heed
