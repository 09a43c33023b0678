#include "runtime/tuner.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>

#include "ops/linear.h"
#include "planner/make_plan.h"
#include "runtime/gpu.h"
#include "runtime/session.h"
#include "runtime/weights.h"

namespace heed {
namespace {

constexpr std::uint32_t kVersion = 4;  // of the kernels that were measured
constexpr int kRounds = 6;
constexpr std::size_t kWords = 8;  // of a verdict in the cache

/// Runs a graph of weights of zeros as different tunings would.
class Probe {
 public:
  explicit Probe(Gpu& gpu) : gpu_(gpu), store_(gpu, weights_), session_(gpu, store_) {}

  ValueId weight(GraphBuilder& builder, const std::string& name, DType dtype, std::int64_t rows, std::int64_t columns) {
    const DTypeInfo& info = dtype_info(dtype);
    const std::int64_t blocks = rows * columns / static_cast<std::int64_t>(info.block_elements);
    weights_.add(name, {dtype, {rows, columns}},
                 std::vector<std::byte>(static_cast<std::size_t>(blocks) * info.block_bytes));
    return builder.weight(name, dtype, {rows, columns});
  }
  void finish(GraphBuilder builder) { graph_ = std::move(builder).finish(); }

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
  MemoryWeights weights_;
  WeightStore store_;
  Session session_;
  Graph graph_;
};

/// Two large matrix-vector products, f32 and q8_0.
void probe_products(Probe& probe) {
  GraphBuilder builder("products");
  const ValueId x = builder.input("x", DType::F32, {1, 512});
  for (const DType dtype : {DType::F32, DType::Q8_0}) {
    const std::string name(dtype_name(dtype));
    const ValueId w = probe.weight(builder, name, dtype, 8192, 512);
    builder.output(builder.add("linear", "product " + name, {x, w}), "y " + name);
  }
  probe.finish(std::move(builder));
}

/// Small products, each of what the one before made.
void probe_chain(Probe& probe) {
  GraphBuilder builder("chain");
  ValueId x = builder.input("x", DType::F32, {1, 256});
  for (int i = 0; i < 4; ++i) {
    for (const DType dtype : {DType::F32, DType::Q8_0}) {
      const std::string name = std::to_string(i) + " " + std::string(dtype_name(dtype));
      const ValueId h =
          builder.add("linear", "first " + name, {x, probe.weight(builder, "first " + name, dtype, 512, 256)});
      x = builder.add("linear", "second " + name, {h, probe.weight(builder, "second " + name, dtype, 256, 512)});
    }
  }
  builder.output(x, "y");
  probe.finish(std::move(builder));
}

}  // namespace

Tuning tune(Gpu& gpu) {
  const DeviceCaps& caps = gpu.caps();
  Probe probe(gpu);
  probe_products(probe);
  Tuning best = default_tuning(caps);
  std::unique_ptr<Executable> best_executable = probe.prepare(best);
  probe.seconds(*best_executable);
  const auto consider = [&](const Tuning& candidate) {
    if (candidate == best || candidate.lanes > caps.max_workgroup_invocations ||
        candidate.lanes > caps.max_workgroup_size[0]) {
      return;
    }
    std::unique_ptr<Executable> executable = probe.prepare(candidate);
    if (probe.faster(*executable, *best_executable)) {
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
    const Tuning pairs = with(&Tuning::pairs, true);
    if (ops::can_shuffle_x(DType::F32, caps, pairs)) {
      Probe chain(gpu);
      probe_chain(chain);
      best.pairs = chain.faster(*chain.prepare(pairs), *chain.prepare(best));
    }
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
                                       tuning.lanes, tuning.rows,  tuning.max_groups,   tuning.pairs};
  std::vector<std::byte> bytes(sizeof(words));
  std::memcpy(bytes.data(), words, sizeof(words));
  return bytes;
}

std::optional<Tuning> tuning_from_bytes(std::span<const std::byte> bytes, const DeviceCaps& caps) {
  std::uint32_t words[kWords];
  if (bytes.size() != sizeof(words)) return std::nullopt;
  std::memcpy(words, bytes.data(), sizeof(words));
  const Tuning tuning{words[1] != 0, words[2] != 0, words[3] != 0, words[4], words[5], words[6], words[7] != 0};
  const bool fits = words[0] == kVersion && tuning.lanes >= 1 && tuning.lanes <= caps.max_workgroup_invocations &&
                    tuning.lanes <= caps.max_workgroup_size[0] &&
                    (!caps.subgroup_arithmetic || tuning.lanes % caps.subgroup_size == 0) && tuning.rows >= 1 &&
                    tuning.rows <= 16 && tuning.max_groups >= 1 && tuning.max_groups <= caps.max_workgroup_count[0] &&
                    (!tuning.texel || caps.max_texel_buffer_elements > 0);
  return fits ? std::optional<Tuning>(tuning) : std::nullopt;
}

}  // namespace heed
