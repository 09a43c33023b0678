#include "ops/sample_shares.h"

#include <algorithm>
#include <string>
#include <utility>

#include "graph/integer.h"

namespace heed::ops {
namespace {

constexpr std::uint32_t kScoredSequences = 4;                          // that scores are shared as if there were
constexpr std::uint32_t kFewestLogits = 16;                            // worth a workgroup
constexpr std::uint32_t kMostLogits = (1u << 24) - 1;                  // whose masses 64 bits hold
constexpr std::uint64_t kMostHistogramBytes = std::uint64_t{1} << 24;  // of wide ones, of all sequences

std::uint64_t histogram_words(std::uint32_t bin_bits) { return std::uint64_t{kHistograms} * kBinWords << bin_bits; }

/// What the kernels have in shared memory, at most: bins, a scan over the lanes and the first of them.
std::uint64_t shared_bytes(std::uint32_t lanes, std::uint32_t bin_bits) {
  return (std::uint64_t{kBinWords} << bin_bits) * 4 + std::uint64_t{lanes} * 20 + 64;
}

/// The most loop iterations of an invocation.
std::uint64_t most_iterations(const SampleShares& s) {
  const std::uint64_t logits = ceil_div(s.push.share_size, s.constants.lanes) + 1;
  const std::uint64_t shares = ceil_div(s.push.shares, s.constants.lanes) + 1;
  const std::uint64_t bins = ceil_div(s.constants.bins, s.constants.lanes) + 1;
  return 4 * (logits + shares) + 16 * bins + 4 * Lowering::reduce_iterations(s.constants.lanes) + 128;
}

}  // namespace

std::optional<SampleShares> SampleShares::of(const Lowering& l, const SamplePush& push, SampleWork work,
                                             std::size_t bindings) {
  const DeviceCaps& caps = l.caps();
  const bool draws = work == SampleWork::Draw;
  const std::uint32_t sequences = work == SampleWork::Score ? kScoredSequences : push.sequences;
  const std::uint64_t wanted = l.tuning().sample_groups;
  if (wanted == 0 || push.vocabulary > kMostLogits || bindings > caps.max_storage_buffers) return std::nullopt;
  SampleShares s{};
  s.constants.lanes = s.constants.workgroup = l.lanes(256);
  s.push.sequences = push.sequences;
  s.push.vocabulary = push.vocabulary;
  s.push.first = push.first;
  s.push.rows = push.rows;
  s.push.context = push.context;
  const std::uint64_t shares = std::clamp<std::uint64_t>(ceil_div(wanted, std::uint64_t{sequences}), 1,
                                                         ceil_div(push.vocabulary, kFewestLogits));
  s.push.share_size = u32(ceil_div(std::uint64_t{push.vocabulary}, shares));
  s.push.shares = ceil_div(push.vocabulary, s.push.share_size);
  // Three passes with 2048 bins, or four with 256, which are little enough for every device.
  s.constants.bin_bits = 11;
  if (!draws || shared_bytes(s.constants.lanes, 11) > caps.max_shared_memory ||
      histogram_words(11) * 4 * push.sequences > kMostHistogramBytes) {
    s.constants.bin_bits = 8;
  }
  s.constants.bins = 1u << s.constants.bin_bits;
  s.passes = 2 * ceil_div(32u, s.constants.bin_bits) - 1;
  const std::uint64_t words =
      kSearchWords + std::uint64_t{s.push.shares} * kShareWords + (draws ? histogram_words(s.constants.bin_bits) : 0);
  const std::uint64_t bytes = words * push.sequences * 4;
  const std::uint64_t groups = std::uint64_t{push.sequences} * s.push.shares;
  if (shared_bytes(s.constants.lanes, draws ? s.constants.bin_bits : 0) > caps.max_shared_memory ||
      std::max(bytes + 16, std::uint64_t{push.sequences} * 4 + 16) >
          std::min(caps.largest_binding(), std::uint64_t{0xffffffffu}) ||
      groups > std::uint64_t{caps.max_workgroup_count[0]} * caps.max_workgroup_count[1] || groups > 0xffffffffu ||
      most_iterations(s) > caps.max_loop_iterations) {
    return std::nullopt;
  }
  s.push.words = u32(words);
  return s;
}

Dispatch SampleShares::dispatch(const Lowering& l, const char* shader) const {
  Dispatch d;
  d.shader = shader;
  d.push_constants = words_of(push);
  d.specialization = words_of(constants);
  d.groups = l.spread(std::uint64_t{push.sequences} * push.shares);
  return d;
}

Binding SampleShares::parts(Lowering& l, std::string name) const {
  return l.scratch(std::move(name), std::uint64_t{push.words} * push.sequences * 4);
}

}  // namespace heed::ops
