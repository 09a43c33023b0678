#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace heed {

/// What one attention node weighed: weights [heads, rows, columns]; a row is a token that was written (or read), a
/// column one that was looked at.
struct AttentionWeights {
  std::string node;  // "layer3.cross_attention"
  std::int64_t heads = 0, rows = 0, columns = 0;
  std::vector<float> weights;
};

/// Where a model looked while it wrote.
struct Attention {
  std::vector<std::string> source;  // texts of the tokens read; ids where the model has no tokenizer
  std::vector<std::string> target;  // and of those written, the end token too
  std::vector<AttentionWeights> nodes;
};

}  // namespace heed
