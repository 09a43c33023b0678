#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ops/sample.h"

namespace heed::ops {

struct InferContext;  // ops/op.h

/// What op beam_search and op sample_rows let come, and when they end: the first words of their input `options`;
/// shaders/include/search_options.glsl has the same list. Behind them, from kFirstForced on, come `forced` tokens for
/// each sentence or row: what its first tokens must be, -1 where they are free.
struct SearchOptions {
  static constexpr std::size_t kMostEnds = 16;
  static constexpr std::size_t kMostSuppressed = 96;
  static constexpr std::int32_t kMostNoRepeat = 64;

  std::int32_t max_tokens = 1;  // of a hypothesis, its end token counted
  std::int32_t min_tokens = 0;  // before which there is no end token
  std::int32_t no_repeat = 0;   // n, to kMostNoRepeat: no n tokens in a row come twice; 0: they may
  std::int32_t early_stop = 0;  // EarlyStop; of beams alone, as renormalise and repetition_penalty
  float length_penalty = 1.0f;
  std::int32_t end_count = 0;
  std::int32_t suppressed_count = 0;
  std::int32_t forced = 0;          // a sentence, or a row
  std::int32_t forced_last = -1;    // what a hypothesis of max_tokens must end with; -1: anything
  std::int32_t renormalise = 0;     // 1: probabilities are those among the tokens that may come
  float repetition_penalty = 1.0f;  // 1 or more, for tokens that are there already
  std::int32_t reserved[5] = {};
  std::int32_t ends[kMostEnds] = {};
  std::int32_t suppressed[kMostSuppressed] = {};

  bool ends_with(std::int64_t token) const;
};
inline constexpr std::size_t kFirstForced = 128;
static_assert(sizeof(SearchOptions) == kFirstForced * 4);

/// Throws Error where input `input` of a search has no room for these options and tokens for `lists` sentences or rows,
/// as `of` names them.
void check_search_options(const InferContext& c, std::size_t input, std::int64_t lists, std::string_view of);
/// The first words of `options`.
SearchOptions search_options(const std::vector<double>& words);
/// What token number `made`, from 0, of a sentence or row must be; -1: it is free.
std::int64_t forced_token(const SearchOptions& options, const std::vector<double>& words, std::int64_t list,
                          std::int64_t made);

/// When a sentence with as many hypotheses as beams is done: when no beam can improve on the worst of them if it ended
/// now; at once; or when none could even if it grew to max_tokens (for penalties above 0). The words of Hugging Face's
/// early_stopping: false, true, "never".
enum class EarlyStop : std::int32_t { IfNoBetter = 0, AtOnce = 1, Never = 2 };

inline constexpr std::int64_t kMostBeams = 32;

/// The sum of a row without a beam; shaders/include/beam.glsl has the same.
inline constexpr float kNoScore = -3.0e38f;

/// What `progress` says of a sentence.
enum class SearchProgress : std::int32_t { Broken = -1, Running = 0, Done = 1 };

}  // namespace heed::ops
