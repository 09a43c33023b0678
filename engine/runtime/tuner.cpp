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

constexpr std::uint32_t kVersion = 4;  // of the kernels that were measured
constexpr int kRounds = 6;
constexpr std::size_t kWords = 7;  // of a verdict in the cache

/// Runs two matrix-vector products, f32 and q8_0, as different tunings would.
class Probe {
 public:
  explicit Probe(Gpu& gpu) : gpu_(gpu), store_(gpu, weights_), session_(gpu, store_) {
    constexpr std::int64_t kRows = 8192;
    constexpr std::int64_t kColumns = 512;
    GraphBuilder builder("tuner");
    const ValueId x = builder.input("x", DType::F32, {1, kColumns});
    for (const DType dtype : {DType::F32, DType::Q8_0}) {
      const DTypeInfo& info = dtype_info(dtype);
      const std::string name(dtype_name(dtype));
      weights_.add(name, {dtype, {kRows, kColumns}},
                   std::vector<std::byte>(kRows * kColumns / info.block_elements * info.block_bytes));
      const ValueId w = builder.weight(name, dtype, {kRows, kColumns});
      builder.output(builder.add("linear", "product " + name, {x, w}), "y " + name);
    }
    graph_ = std::move(builder).finish();
  }

  std::unique_ptr<Executable> prepare(const Tuning& tuning) {
    return session_.prepare(make_plan(graph_, {}, gpu_.caps(), tuning));
  }

  double seconds(Executable& executable) {
    const auto begin = std::chrono::steady_clock::now();
    session_.run(executable, 2);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
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
  const DeviceCaps& caps = gpu.caps();
  Probe probe(gpu);
  Tuning best = default_tuning(caps);
  std::unique_ptr<Executable> best_executable = probe.prepare(best);
  probe.seconds(*best_executable);
  const auto consider = [&](const Tuning& candidate) {
    if (candidate == best || candidate.lanes > caps.max_workgroup_invocations ||
        candidate.lanes > caps.max_workgroup_size[0]) {
      return;
    }
    std::unique_ptr<Executable> executable = probe.prepare(candidate);
    probe.seconds(*executable);  // the first run pays for page faults and clocks
    // In turn, so that both see the same machine.
    double seconds = std::numeric_limits<double>::infinity();
    double best_seconds = seconds;
    for (int round = 0; round < kRounds; ++round) {
      best_seconds = std::min(best_seconds, probe.seconds(*best_executable));
      seconds = std::min(seconds, probe.seconds(*executable));
      if (seconds > 2 * best_seconds || best_seconds > 2 * seconds) break;
    }
    // Within the noise the plainer choice, which came first, stays.
    if (seconds < 0.97 * best_seconds) {
      best = candidate;
      best_executable = std::move(executable);
    }
  };
  const auto with = [&](auto member, auto value) {
    Tuning candidate = best;
    candidate.*member = value;
    return candidate;
  };
  if (caps.max_texel_buffer_elements > 0) consider(with(&Tuning::texel, true));

  Tuning rows_of_their_own = best;
  rows_of_their_own.lane_rows = true;
  rows_of_their_own.lanes = std::max(4u, caps.subgroup_size);
  rows_of_their_own.rows = 8;
  consider(rows_of_their_own);
  if (best.lane_rows) {
    for (const std::uint32_t rows : {4u, 16u}) consider(with(&Tuning::rows, rows));
    if (best.texel) consider(with(&Tuning::same_storage, true));
    return best;
  }
  for (const std::uint32_t lanes : {caps.subgroup_size, 32u, 64u, 128u}) {
    // CPU drivers run a workgroup's lanes one subgroup after the other.
    const bool narrow = caps.subgroup_size <= 8;
    if (lanes >= 4 && lanes >= caps.subgroup_size && (!narrow || lanes == caps.subgroup_size)) {
      consider(with(&Tuning::lanes, lanes));
    }
  }
  for (const std::uint32_t rows : {2u, 8u}) consider(with(&Tuning::rows, rows));
  for (const std::uint32_t groups : {16u, 64u, 256u}) {
    consider(with(&Tuning::max_groups, std::min(groups, caps.max_workgroup_count[0])));
  }
  return best;
}

std::vector<std::byte> tuning_to_bytes(const Tuning& tuning) {
  const std::uint32_t words[kWords] = {kVersion,     tuning.texel, tuning.same_storage, tuning.lane_rows,
                                       tuning.lanes, tuning.rows,  tuning.max_groups};
  std::vector<std::byte> bytes(sizeof(words));
  std::memcpy(bytes.data(), words, sizeof(words));
  return bytes;
}

std::optional<Tuning> tuning_from_bytes(std::span<const std::byte> bytes, const DeviceCaps& caps) {
  std::uint32_t words[kWords];
  if (bytes.size() != sizeof(words)) return std::nullopt;
  std::memcpy(words, bytes.data(), sizeof(words));
  const Tuning tuning{words[1] != 0, words[2] != 0, words[3] != 0, words[4], words[5], words[6]};
  const bool fits = words[0] == kVersion && tuning.lanes >= 1 && tuning.lanes <= caps.max_workgroup_invocations &&
                    tuning.lanes <= caps.max_workgroup_size[0] &&
                    (!caps.subgroup_arithmetic || tuning.lanes % caps.subgroup_size == 0) && tuning.rows >= 1 &&
                    tuning.rows <= 16 && tuning.max_groups >= 1 && tuning.max_groups <= caps.max_workgroup_count[0] &&
                    (!tuning.texel || caps.max_texel_buffer_elements > 0);
  return fits ? std::optional<Tuning>(tuning) : std::nullopt;
}

}  // namespace heed
