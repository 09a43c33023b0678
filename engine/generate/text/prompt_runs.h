#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "heed/error.h"
#include "plan/device_caps.h"
#include "plan/plan.h"

namespace heed {

/// Prompt tokens whose keys are found again, and shared, together. Keys of whole blocks are the same bits whatever runs
/// they were computed in.
inline constexpr std::int64_t kPromptBlock = 64;
/// Most prompt tokens of one run.
inline constexpr std::int64_t kMostPromptRun = 1024;

/// Tokens [begin, begin + size) of a prompt, which enter the cache in one run.
struct PromptRun {
  std::int64_t begin = 0;
  std::int64_t size = 0;
};

/// How tokens [done, count) of a prompt are run, of which `done`, whole blocks, are in the cache already: runs of
/// `most`, a power of two of blocks, then what is left. Sizes are powers of two, so that few plans are made for prompts
/// of any length; where the rest is none, its run begins earlier, with tokens that are in the cache then and are
/// computed once more. The last run, which brings the logits, never has so few rows that they are summed in another
/// order, unless the prompt has: what follows a prompt does not depend on `done`. At most one run more than without.
std::vector<PromptRun> prompt_runs(std::int64_t done, std::int64_t count, std::int64_t most);

/// How many tokens of a prompt a run takes.
struct PromptLength {
  std::int64_t most = kPromptBlock;
  // As planned; more tokens are a power of two of blocks, at most `most`.
  double seconds_a_token = 0;
  double seconds_a_token_and_key = 0;  // of those that are before it

  /// Of a run that begins behind so many tokens: others, and who cancels, should wait a moment only.
  std::int64_t behind(std::int64_t tokens) const;
};

/// That of a device: more than a block where products with weights of the kind that does most of the work go through
/// them in tiles, which then serve more rows each time they are read, as long as the run's intermediates are a small
/// part of the device's memory. `plan_of`: the plan of a run of so many tokens. At most `most`, a power of two of
/// blocks.
PromptLength prompt_length(const DeviceCaps& caps, const Tuning& tuning, std::int64_t most,
                           const std::function<Plan(std::int64_t tokens)>& plan_of);

/// What `prepare` makes of a run of so many tokens; nullptr where there is no room for so long a run: `length` is half
/// of it at most from then on. Throws Error where a single block has none.
template <typename Prepare>
auto prepared_unless_too_long(std::optional<PromptLength>& length, std::int64_t size, const Prepare& prepare) {
  try {
    return &prepare();
  } catch (const DeviceLost&) {
    throw;
  } catch (const Error&) {
    if (size <= kPromptBlock) throw;
    length.value().most = size / 2;
    return decltype(&prepare()){};
  }
}

}  // namespace heed
