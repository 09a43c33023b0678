#include "runtime/tuner.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>

#include "runtime/gpu.h"
#include "runtime/session.h"
#include "runtime/weights.h"

namespace heed {
namespace {

constexpr std::uint32_t kVersion = 1;  // of the kernels that were measured

/// Seconds of a matrix-vector product, the best of a few runs.
class Probe {
 public:
  explicit Probe(Gpu& gpu) : gpu_(gpu), store_(gpu, weights_), session_(gpu, store_) {
    constexpr std::int64_t kRows = 2048;
    constexpr std::int64_t kColumns = 512;
    std::vector<std::byte> zeros(kRows * kColumns * 4);
    weights_.add("weight", {DType::F32, {kRows, kColumns}}, std::move(zeros));
    GraphBuilder builder("tuner");
    const ValueId x = builder.input("x", DType::F32, {1, kColumns});
    const ValueId w = builder.weight("weight", DType::F32, {kRows, kColumns});
    builder.output(builder.add("linear", "product", {x, w}), "y");
    graph_ = std::move(builder).finish();
  }

  double seconds(const Tuning& tuning) {
    const std::unique_ptr<Executable> executable = session_.prepare(make_plan(graph_, {}, gpu_.caps(), tuning));
    double best = std::numeric_limits<double>::infinity();
    session_.run(*executable, 4);  // the first run pays for page faults and clocks
    for (int i = 0; i < 3; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      session_.run(*executable, 4);
      best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
    return best;
  }

 private:
  Gpu& gpu_;
  MemoryWeights weights_;
  WeightStore store_;
  Session session_;
  Graph graph_;
};

}  // namespace

Tuning default_tuning(const DeviceCaps& caps) {
  Tuning tuning;
  tuning.texel = false;
  tuning.lanes =
      std::min({caps.max_workgroup_invocations, caps.max_workgroup_size[0], std::max(8u, caps.subgroup_size)});
  tuning.rows = 4;
  tuning.max_groups = caps.max_workgroup_count[0];
  return tuning;
}

Tuning tune(Gpu& gpu) {
  Probe probe(gpu);
  Tuning best = default_tuning(gpu.caps());
  double best_seconds = probe.seconds(best);
  const auto consider = [&](const Tuning& candidate) {
    if (candidate == best) return;
    const double seconds = probe.seconds(candidate);
    // Within the noise the plainer choice, which came first, stays.
    if (seconds < 0.95 * best_seconds) {
      best = candidate;
      best_seconds = seconds;
    }
  };
  if (gpu.caps().max_texel_buffer_elements > 0) {
    Tuning candidate = best;
    candidate.texel = true;
    consider(candidate);
  }
  const Tuning base = best;
  for (const std::uint32_t lanes : {gpu.caps().subgroup_size, 32u, 64u, 128u}) {
    Tuning candidate = base;
    candidate.lanes = lanes;
    const bool narrow =
        gpu.caps().subgroup_size <= 8;  // CPU drivers run a workgroup's lanes one subgroup after the other
    if (lanes >= 4 && lanes >= gpu.caps().subgroup_size && lanes <= gpu.caps().max_workgroup_invocations &&
        (!narrow || lanes == gpu.caps().subgroup_size)) {
      consider(candidate);
    }
  }
  for (const std::uint32_t rows : {2u, 8u}) {
    Tuning candidate = best;
    candidate.rows = rows;
    consider(candidate);
  }
  for (const std::uint32_t groups : {16u, 64u, 256u}) {
    Tuning candidate = best;
    candidate.max_groups = std::min(groups, gpu.caps().max_workgroup_count[0]);
    consider(candidate);
  }
  return best;
}

std::vector<std::byte> tuning_to_bytes(const Tuning& tuning) {
  const std::uint32_t words[] = {kVersion, tuning.texel, tuning.lanes, tuning.rows, tuning.max_groups};
  std::vector<std::byte> bytes(sizeof(words));
  std::memcpy(bytes.data(), words, sizeof(words));
  return bytes;
}

std::optional<Tuning> tuning_from_bytes(std::span<const std::byte> bytes, const DeviceCaps& caps) {
  std::uint32_t words[5];
  if (bytes.size() != sizeof(words)) return std::nullopt;
  std::memcpy(words, bytes.data(), sizeof(words));
  const Tuning tuning{words[1] != 0, words[2], words[3], words[4]};
  const bool fits = words[0] == kVersion && tuning.lanes >= 1 && tuning.lanes <= caps.max_workgroup_invocations &&
                    tuning.lanes <= caps.max_workgroup_size[0] && tuning.rows >= 1 && tuning.rows <= 16 &&
                    tuning.max_groups >= 1 && tuning.max_groups <= caps.max_workgroup_count[0] &&
                    (!tuning.texel || caps.max_texel_buffer_elements > 0);
  return fits ? std::optional<Tuning>(tuning) : std::nullopt;
}

}  // namespace heed
