#include "generate/text/prompt_runs.h"

#include <bit>

namespace heed {

std::vector<PromptRun> prompt_runs(std::int64_t done, std::int64_t count) {
  std::vector<PromptRun> runs;
  for (; count - done > kPromptChunk; done += kPromptChunk) runs.push_back({done, kPromptChunk});
  auto left = static_cast<std::uint64_t>(count - done);
  if (!std::has_single_bit(left) && static_cast<std::int64_t>(std::bit_ceil(left)) > count) {
    // A prompt shorter than that: nothing is before it.
    const auto first = static_cast<std::int64_t>(std::bit_floor(left));
    runs.push_back({done, first});
    left -= static_cast<std::uint64_t>(first);
  }
  const auto size = static_cast<std::int64_t>(std::bit_ceil(left));
  runs.push_back({count - size, size});
  return runs;
}

}  // namespace heed
