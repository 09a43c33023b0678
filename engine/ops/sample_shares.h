#pragma once

#include <cstdint>
#include <optional>

#include "constants/sample.h"
#include "constants/sample_shares.h"
#include "plan/lowering.h"

namespace heed::ops {

enum class SampleWork : std::uint8_t { Greedy, Draw, Score };

/// How the logits of each sequence are shared by workgroups (shaders/include/sampler_shares.glsl).
struct SampleShares {
  SampleSharesPush push;
  SampleSharesConstants constants;
  std::uint32_t passes;  // of the search for where top-k and top-p end: to a key, and from the second on once more

  /// As tuned, for kernels that bind so many buffers, of which a draw has histograms; nothing where they are not to be
  /// shared, or the device cannot. Choices are exact, however they are shared; a score is a sum of floats, so its
  /// shares do not depend on how many sequences there are.
  static std::optional<SampleShares> of(const Lowering& l, const SamplePush& push, SampleWork work,
                                        std::size_t bindings);

  /// A dispatch of one of these kernels, but for what it binds.
  Dispatch dispatch(const Lowering& l, const char* shader) const;
  /// Memory for what the workgroups of all sequences leave.
  Binding parts(Lowering& l, std::string name) const;
};

}  // namespace heed::ops
