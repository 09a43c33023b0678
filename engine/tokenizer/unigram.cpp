#include "tokenizer/unigram.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "tokenizer/utf8.h"

namespace heed {
namespace {

constexpr float kUnknownPenalty = 10;  // both libraries'

}  // namespace

Unigram::Unigram(const TokenizerDescription& description, const Vocabulary& vocabulary)
    : vocabulary_(vocabulary), double_scores_(description.double_scores), scores_(description.scores) {
  double least = std::numeric_limits<float>::max();
  double most =
      std::numeric_limits<float>::min();  // not the lowest: so SentencePiece begins, and so it nearly always ends
  for (std::size_t id = 0; id < vocabulary.size(); ++id) {
    const auto piece = static_cast<TokenId>(id);
    const PieceKind kind = vocabulary.kind(piece);
    if (kind == PieceKind::Normal) {
      least = std::min(least, scores_[id]);
      most = std::max(most, scores_[id]);
    }
    // An unused piece is never chosen: it would only be taken apart again.
    if (vocabulary.is_mergeable(piece) && kind != PieceKind::Unused) pieces_.push_back(piece);
  }
  const auto least_single = static_cast<float>(least);
  unknown_score_ = double_scores_ ? least - kUnknownPenalty : double{least_single - kUnknownPenalty};
  std::ranges::sort(pieces_, [&](TokenId a, TokenId b) { return vocabulary.bytes(a) < vocabulary.bytes(b); });
  begins_.assign(257, 0);
  for (const TokenId piece : pieces_) {
    ++begins_[static_cast<unsigned char>(vocabulary.bytes(piece).front()) + std::size_t{1}];
    if (vocabulary.kind(piece) != PieceKind::UserDefined || double_scores_) continue;
    // SentencePiece's bonus, by which these pieces are always chosen.
    const auto size = static_cast<float>(vocabulary.bytes(piece).size());
    scores_[static_cast<std::size_t>(piece)] = size * static_cast<float>(most) - 0.1;
  }
  std::partial_sum(begins_.begin(), begins_.end(), begins_.begin());
}

void Unigram::reach(Node& node, double score, std::size_t begin, TokenId piece) const {
  if (node.begin >= 0 && !(score > node.score)) return;
  node = {double_scores_ ? score : double{static_cast<float>(score)}, static_cast<std::int32_t>(begin), piece};
}

void Unigram::encode(std::string_view stretch, Speller& speller, std::vector<TokenId>& ids) const {
  speller.begin(stretch);
  if (stretch.empty()) return;
  std::vector<Node> nodes(stretch.size() + 1);
  for (std::size_t at = 0; at < stretch.size();) {
    const double here = nodes[at].score;
    const std::size_t character = scan_character(stretch, at).size;
    bool is_piece = false;
    const auto first_byte = static_cast<unsigned char>(stretch[at]);
    std::size_t low = begins_[first_byte];
    std::size_t high = begins_[first_byte + std::size_t{1}];
    // Pieces [low, high) begin with the `size` bytes from `at`; the one that is no longer, if it is there, is the
    // first.
    for (std::size_t size = 1; low < high; ++size) {
      if (const TokenId piece = pieces_[low]; vocabulary_.bytes(piece).size() == size) {
        reach(nodes[at + size], scores_[static_cast<std::size_t>(piece)] + here, at, piece);
        if (size == character) is_piece = true;
        ++low;
      }
      if (at + size == stretch.size()) break;
      const auto next = static_cast<unsigned char>(stretch[at + size]);
      const auto byte_of = [&](TokenId piece) { return static_cast<unsigned char>(vocabulary_.bytes(piece)[size]); };
      const auto first = pieces_.begin() + static_cast<std::ptrdiff_t>(low);
      const auto last = pieces_.begin() + static_cast<std::ptrdiff_t>(high);
      high = low + static_cast<std::size_t>(std::ranges::upper_bound(first, last, next, {}, byte_of) - first);
      low += static_cast<std::size_t>(std::ranges::lower_bound(first, last, next, {}, byte_of) - first);
    }
    if (!is_piece) reach(nodes[at + character], unknown_score_ + here, at, kNoPiece);
    at += character;
  }
  std::vector<std::size_t> ends;
  for (std::size_t end = stretch.size(); end > 0; end = static_cast<std::size_t>(nodes[end].begin)) {
    ends.push_back(end);
  }
  for (auto end = ends.rbegin(); end != ends.rend(); ++end) {
    const Node& node = nodes[*end];
    if (node.piece != kNoPiece) {
      speller.add(node.piece, ids);
    } else {
      const auto begin = static_cast<std::size_t>(node.begin);
      speller.add_unspelled(stretch.substr(begin, *end - begin), ids);
    }
  }
}

}  // namespace heed
