#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace heed::ops {

/// What a sequence asks of the ops around the choice of its tokens, adjust_logits, filter_logits and token_logprobs, as
/// 32-bit words on the device, in this order; shaders/include/logit_rules.glsl has the same list.
struct LogitRules {
  // adjust_logits
  std::uint32_t adjusts = 0;  // 1: some of these is on
  std::uint32_t masked = 0;   // 1: the mask says which tokens may come
  std::uint32_t biases = 0;   // pairs of token and bias at the beginning of the sequence's list
  float repetition = 1.0f;
  float presence = 0.0f;
  float frequency = 0.0f;
  std::uint32_t window = 64;    // tokens that these three look back
  std::uint32_t no_repeat = 0;  // n, to SearchOptions::kMostNoRepeat; 0: tokens may repeat
  float dry_multiplier = 0.0f;
  float dry_base = 1.75f;
  std::uint32_t dry_allowed = 2;
  std::uint32_t dry_window = 0xffffffffu;
  std::uint32_t breakers = 0;  // tokens in the list behind the biases
  // filter_logits
  std::uint32_t filters = 0;  // 1: it does all that follows, in place of what the choice itself would
  float temperature = 1.0f;
  std::uint32_t top_k = 0;
  float typical_p = 1.0f;
  float top_p = 1.0f;
  float min_p = 0.0f;
  float xtc_probability = 0.0f;
  float xtc_threshold = 0.1f;
  // token_logprobs
  std::uint32_t logprobs = 0;  // 1 more than alternatives are wanted; 0: nothing is
  std::uint32_t reserved[10] = {};
};
inline constexpr std::int64_t kLogitRulesWords = 32;
static_assert(sizeof(LogitRules) == kLogitRulesWords * 4);

/// How long a repetition DRY sees: what it takes off grows with it, to more than logits differ by.
inline constexpr std::int64_t kMostDryLength = 64;

/// What token_logprobs keeps: of so many of the last positions, for each sequence, the token's and those of the best.
inline constexpr std::int64_t kLogprobPositions = 64;
inline constexpr std::int64_t kLogprobChoices = 20;

/// Words of a sequence's mask.
inline constexpr std::int64_t mask_words(std::int64_t vocabulary) { return (vocabulary + 31) / 32; }

/// Those of one sequence among the words of many.
LogitRules logit_rules(const std::vector<double>& words, std::size_t sequence);

/// Calls forbid(token) for every token that would make `n` tokens in a row stand twice in text[0, end).
template <typename Text, typename Forbid>
void for_each_repeat(const Text& text, std::int64_t end, std::int64_t n, const Forbid& forbid) {
  for (std::int64_t at = n - 1; n > 0 && at < end; ++at) {
    bool same = true;
    for (std::int64_t back = 1; back < n && same; ++back) same = text(at - back) == text(end - back);
    if (same) forbid(text(at));
  }
}

/// The logits that filter_logits leaves, in double; `chance` is the number that XTC draws. NaN or infinity among them:
/// they stay as they are.
void filter_logits(std::vector<double>& logits, const LogitRules& rules, double chance);

}  // namespace heed::ops
