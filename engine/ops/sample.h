#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace heed::ops {

/// The state of a sampler as 32-bit words on the device, in this order; shaders/include/sampler.glsl has the same list.
struct SamplerState {
  std::uint32_t seed_low = 0;
  std::uint32_t seed_high = 0;
  std::uint32_t step = 0;  // tokens drawn so far: the counter of the random generator
  float temperature = 1.0f;
  std::uint32_t top_k = 0;  // 0: all
  float top_p = 1.0f;       // 1: all
  float min_p = 0.0f;       // 0: all
  float penalty = 1.0f;     // 1: none
  std::uint32_t penalty_window = 64;
  std::uint32_t stream = 0;  // sequences with one seed and streams of their own draw other numbers
  std::uint32_t reserved[6] = {};
};
inline constexpr std::int64_t kSamplerWords = 16;
inline constexpr std::size_t kSamplerStepWord = 2;
static_assert(sizeof(SamplerState) == kSamplerWords * 4);

/// Philox 4x32 with ten rounds (Salmon, Moraes, Dror, Shaw 2011).
std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key);
/// The state's next number in [0, 1), with 24 bits.
double uniform(const SamplerState& state);
/// Another one, which says whether XTC does something at this step (ops/filter_logits.cpp).
double xtc_chance(const SamplerState& state);
/// The choice that op sample makes, in double: the reference. -1 when no logit is finite, or one is NaN or infinity.
std::int64_t sample_token(std::vector<double> logits, const SamplerState& state, bool greedy);
/// The state of one sequence among the words of many.
SamplerState sampler_state(const std::vector<double>& words, std::size_t sequence);
/// The repetition penalty on the logits of the tokens that are there, each once.
void penalise(std::vector<double>& logits, std::vector<std::size_t> seen, float penalty);

}  // namespace heed::ops
