#pragma once

#include <string>

#include "formats/attention_average.h"
#include "heed/attention.h"

namespace heed {

/// What alignments count: tokens, or words, which are tokens up to the next that begins with a space or "▁". Of a model
/// without a tokenizer, whose tokens are ids, only tokens can be counted.
enum class AlignmentUnit { Tokens, Words };

/// Which source unit each target unit looked at most, as pairs "0-0 1-2" (source-target, from 0) in the order of the
/// target, on one line without its end. Special tokens (Attention::source_special, target_special) are not aligned.
/// Tokens are numbered as they stand in Attention, words without special tokens, as they stand in the texts. The weight
/// of two words is the sum over the source's tokens, averaged over the target's; of equal weights the first counts.
/// Empty where all tokens are special. Throws Error as average_attention() does, and when the choice is no
/// cross-attention.
std::string pharaoh_pairs(const Attention& attention, const AttentionChoice& choice, AlignmentUnit unit);

}  // namespace heed
