#include "grammar/token_trie.h"

#include <algorithm>
#include <limits>

namespace heed::grammar {
namespace {

std::size_t common_size(std::string_view left, std::string_view right) {
  return static_cast<std::size_t>(std::ranges::mismatch(left, right).in1 - left.begin());
}

}  // namespace

TokenTrie::TokenTrie(const Tokenizer& tokenizer) {
  const std::size_t count = tokenizer.vocabulary_size();
  begins_.push_back(0);
  for (std::size_t i = 0; i < count; ++i) {
    const auto token = static_cast<TokenId>(i);
    // Longer ones than the tree has room for do not come.
    if (token != tokenizer.unknown_token()) {
      const std::string piece = tokenizer.piece(token);
      if (piece.size() <= std::numeric_limits<std::uint16_t>::max()) bytes_ += piece;
    }
    begins_.push_back(bytes_.size());
    if (begins_[i] < begins_[i + 1]) tokens_.push_back(token);
  }
  std::ranges::stable_sort(tokens_, {}, [&](TokenId token) { return bytes(token); });

  nodes_.push_back({});
  std::vector<std::size_t> path{0};  // nodes from the root to the last
  std::string_view before;
  const auto close = [&](std::size_t depth) {
    for (; path.size() > depth + 1; path.pop_back())
      nodes_[path.back()].end = static_cast<std::uint32_t>(nodes_.size());
  };
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    const std::string_view now = bytes(tokens_[i]);
    const std::size_t shared = common_size(before, now);
    close(shared);
    for (std::size_t depth = shared; depth < now.size(); ++depth) {
      path.push_back(nodes_.size());
      nodes_.push_back({0, static_cast<std::uint32_t>(i), static_cast<std::uint16_t>(depth + 1),
                        static_cast<std::uint8_t>(now[depth])});
    }
    depth_ = std::max(depth_, now.size());
    before = now;
  }
  close(0);
  nodes_[0].end = static_cast<std::uint32_t>(nodes_.size());
  nodes_.push_back({static_cast<std::uint32_t>(nodes_.size() + 1), static_cast<std::uint32_t>(tokens_.size()), 0, 0});
}

}  // namespace heed::grammar
