#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "heed/attention.h"

namespace heed::testing {

/// "Das Haus ist klein" for "the house is small", which it looks at word by word, each word with its own head a little
/// differently: two layers of two heads; weights of a row add up to 1.
inline Attention sample_attention() {
  Attention attention;
  attention.source = {" the", " ho", "use", " is", " small", "<2>"};
  attention.target = {" Das", " Ha", "us", " ist", " klein", "<2>"};
  attention.source_special = attention.target_special = {false, false, false, false, false, true};
  for (int layer = 0; layer < 2; ++layer) {
    AttentionWeights node{"layer" + std::to_string(layer) + ".cross_attention", 2, 6, 6, {}, AttentionKind::Cross};
    for (int head = 0; head < 2; ++head) {
      const float most = head == 0 ? 0.9f : 0.5f;
      for (int row = 0; row < 6; ++row) {
        for (int column = 0; column < 6; ++column) {
          node.weights.push_back(row == column ? most : (1 - most) / 5);
        }
      }
    }
    attention.nodes.push_back(node);
  }
  return attention;
}

/// Tokens "t0", "t1"... and a node of one head whose weights are all the same.
inline Attention even_attention(std::size_t targets, std::size_t sources) {
  Attention attention;
  for (std::size_t i = 0; i < targets; ++i) attention.target.push_back("t" + std::to_string(i));
  for (std::size_t i = 0; i < sources; ++i) attention.source.push_back("s" + std::to_string(i));
  attention.nodes = {{"cross", 1, static_cast<std::int64_t>(targets), static_cast<std::int64_t>(sources),
                      std::vector<float>(targets * sources, 1.0f / static_cast<float>(sources)), AttentionKind::Cross}};
  return attention;
}

}  // namespace heed::testing
