#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace heed::grammar {

/// The bytes that each token adds to a text, as a tree in the order in which it is walked: a node, then its children.
/// Tokens without bytes, which are the special ones, and the unknown token are not in it. Immutable.
class TokenTrie {
 public:
  struct Node {
    std::uint32_t end = 0;          // the node behind all that are below this one
    std::uint32_t first_token = 0;  // in tokens(); those of this node end where those of the next begin
    std::uint16_t depth = 0;        // how many bytes lead here, this one among them
    std::uint8_t byte = 0;
  };

  explicit TokenTrie(const Tokenizer& tokenizer);

  /// The first is the root, of no bytes; one more stands behind the last.
  std::span<const Node> nodes() const { return nodes_; }
  /// Of node i: those whose bytes lead to it.
  std::span<const TokenId> tokens(std::size_t i) const {
    return std::span(tokens_).subspan(nodes_[i].first_token, nodes_[i + 1].first_token - nodes_[i].first_token);
  }
  std::size_t vocabulary_size() const { return begins_.size() - 1; }
  std::size_t depth() const { return depth_; }
  /// The bytes of a token of the vocabulary; none for those that are not in the tree.
  std::string_view bytes(TokenId token) const {
    const auto i = static_cast<std::size_t>(token);
    return std::string_view(bytes_).substr(begins_[i], begins_[i + 1] - begins_[i]);
  }

 private:
  std::vector<Node> nodes_;
  std::vector<TokenId> tokens_;
  std::string bytes_;                // of all tokens, one behind the other
  std::vector<std::size_t> begins_;  // of each in it
  std::size_t depth_ = 0;
};

}  // namespace heed::grammar
