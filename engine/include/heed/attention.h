#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace heed {

/// What the rows and columns of an attention node are.
enum class AttentionKind {
  Cross,   // rows: tokens of the target, columns: of the source
  Source,  // both: tokens of the source, an encoder's look at itself
  Target,  // rows: tokens of the target, columns: what was read to write them: `begin`, then all but the last
};

/// A node of attention that a model can explain, and how many heads it has.
struct AttentionLayer {
  std::string name;
  std::int64_t heads = 0;
};

/// What one attention node weighed: weights [heads, rows, columns]; a row is a token that was written (or read), a
/// column one that was looked at.
struct AttentionWeights {
  std::string node;  // "layer3.cross_attention"
  std::int64_t heads = 0, rows = 0, columns = 0;
  std::vector<float> weights;
  AttentionKind kind = AttentionKind::Cross;
};

/// Where a model looked while it wrote.
struct Attention {
  std::vector<std::string> source;  // texts of the tokens read; ids without a tokenizer; none where all is target
  std::vector<std::string> target;  // and of those written, the end token too
  std::vector<AttentionWeights> nodes;
  std::string begin;  // the token that the first row was made from
  // Tokens that are no text: of languages, the beginning, the end. As long as `source` and `target`, or empty: none.
  std::vector<bool> source_special, target_special;
};

}  // namespace heed
