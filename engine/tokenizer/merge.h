#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tokenizer/spell.h"
#include "tokenizer/vocabulary.h"

namespace heed {

/// What merging works on: the id of a piece; or, from the vocabulary's size on, a character that is no piece but part
/// of one, and so may still be merged; or kNoSymbol, which nothing merges.
using Symbol = std::int32_t;
inline constexpr Symbol kNoSymbol = -1;

/// Which neighbours may be merged, in which order: one table whether the description orders merges by the scores of the
/// pieces they lead to or lists them. Immutable; refers to the vocabulary.
class MergeTable {
 public:
  struct Merge {
    std::uint32_t rank;  // the smallest goes first
    Symbol result;
  };
  /// Throws Error when a listed merge leads to no piece.
  MergeTable(const TokenizerDescription& description, const Vocabulary& vocabulary);

  /// nullptr when the two do not merge.
  const Merge* find(Symbol left, Symbol right) const;
  /// The symbol of a character (or byte, for that alphabet).
  Symbol symbol(std::string_view unit) const;
  /// The bytes of any symbol but kNoSymbol.
  std::string_view bytes(Symbol symbol) const;

 private:
  struct Entry {
    Symbol left;
    Symbol right;
    Merge merge;
  };
  void add_by_scores(const TokenizerDescription& description);
  void add_listed(const TokenizerDescription& description);
  void sort_entries();
  Symbol symbol_or_new(std::string_view unit);

  const Vocabulary& vocabulary_;
  std::unordered_map<std::string, Symbol> loose_symbols_;  // characters that are no piece
  std::vector<std::string> loose_bytes_;                   // theirs, by symbol less the vocabulary's size
  std::vector<Entry> entries_;                             // by left, then right
  std::vector<std::uint32_t> begins_;                      // entries of `left` are [begins_[left], begins_[left + 1])
};

/// Byte-pair encoding of stretches of text, O(n log n). Holds its working memory between stretches, so one encoding
/// uses one of them, on one thread.
class Merger {
 public:
  Merger(const Vocabulary& vocabulary, const MergeTable& table, const TokenizerDescription& flags,
         std::vector<std::string>* unknown_texts = nullptr);

  /// Appends the ids of `stretch`, which is valid UTF-8 of less than 2^31 bytes. Throws Error when a part of it has
  /// neither a piece nor byte pieces and there is no unknown piece.
  void encode(std::string_view stretch, std::vector<TokenId>& ids);

 private:
  struct Node {
    Symbol symbol;
    std::int32_t previous, next;  // indices of nodes, -1 at the ends
    std::uint32_t begin, size;    // bytes of the stretch; size 0: merged into the node before
  };
  struct Candidate {
    std::uint32_t rank;
    std::int32_t left_node;
    Symbol left, right, result;
  };
  static bool goes_later(const Candidate& a, const Candidate& b);
  void make_nodes(std::string_view stretch);
  void consider(std::int32_t left_node);
  void merge_all();
  void name(Symbol symbol, std::string_view bytes, std::vector<TokenId>& ids);

  const Vocabulary& vocabulary_;
  const MergeTable& table_;
  const bool bytes_alphabet_;
  const std::string word_suffix_;
  Speller speller_;
  std::vector<Node> nodes_;
  std::vector<Candidate> candidates_;                                // a heap
  std::unordered_map<Symbol, std::pair<Symbol, Symbol>> made_from_;  // of unused pieces: what to take them apart to
};

}  // namespace heed
