#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace heed {

/// Names what an algorithm found in a text: pieces, and stretches that no piece spells. For one encoding, one thread.
class Speller {
 public:
  /// `unknown_texts`, if given, gets the text behind each unknown piece, in order.
  Speller(const Vocabulary& vocabulary, bool fuse_unknown, std::vector<std::string>* unknown_texts)
      : vocabulary_(vocabulary), fuse_unknown_(fuse_unknown), unknown_texts_(unknown_texts) {}

  /// A new stretch begins: unknown pieces before it are not joined with those in it.
  void begin(std::string_view stretch) {
    stretch_ = stretch;
    after_unknown_ = false;
  }
  /// Appends a piece.
  void add(TokenId piece, std::vector<TokenId>& ids) {
    after_unknown_ = false;
    ids.push_back(piece);
  }
  /// Appends the byte pieces of `bytes`, else the unknown piece. Throws Error when there is neither.
  void add_unspelled(std::string_view bytes, std::vector<TokenId>& ids);

 private:
  std::string of_character(std::string_view bytes) const;

  const Vocabulary& vocabulary_;
  const bool fuse_unknown_;
  std::vector<std::string>* unknown_texts_;
  std::string_view stretch_;
  bool after_unknown_ = false;
};

}  // namespace heed
