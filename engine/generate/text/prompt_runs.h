#pragma once

#include <cstdint>
#include <vector>

namespace heed {

/// Most prompt tokens of one run.
inline constexpr std::int64_t kPromptChunk = 64;

/// Tokens [begin, begin + size) of a prompt, which enter the cache in one run.
struct PromptRun {
  std::int64_t begin = 0;
  std::int64_t size = 0;
};

/// How tokens [done, count) of a prompt are run, of which `done`, whole chunks, are in the cache already: chunks, then
/// what is left. Sizes are powers of two, so that few plans are made for prompts of any length; where the rest is none,
/// its run begins earlier, with tokens that are in the cache then and are computed once more. At most one run more than
/// without.
std::vector<PromptRun> prompt_runs(std::int64_t done, std::int64_t count);

}  // namespace heed
