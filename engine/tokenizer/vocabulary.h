#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/description.h"

namespace heed {

/// The pieces of a description, found by their bytes. Immutable.
class Vocabulary {
 public:
  /// `description` must be valid. Nothing refers to it afterwards.
  explicit Vocabulary(const TokenizerDescription& description);

  std::size_t size() const { return kinds_.size(); }
  PieceKind kind(TokenId id) const { return kinds_[static_cast<std::size_t>(id)]; }
  std::optional<TokenId> unknown() const { return unknown_; }
  /// What merging compares with the (normalized) text; for control, byte and unknown pieces their name.
  const std::string& bytes(TokenId id) const { return bytes_[static_cast<std::size_t>(id)]; }
  /// What decoding gives.
  std::string decoded(TokenId id) const;

  /// Whether merging knows the piece: it is normal, user-defined or unused, and is the one that `find` gives for its
  /// bytes.
  bool is_mergeable(TokenId id) const { return mergeable_[static_cast<std::size_t>(id)]; }
  /// The piece of these bytes that merging knows; one that can be produced before an unused one, then the smallest id.
  std::optional<TokenId> find(std::string_view bytes) const;
  /// The byte piece of a byte, if there is one.
  std::optional<TokenId> byte_piece(unsigned char byte) const;

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  std::vector<PieceKind> kinds_;
  std::vector<std::string> bytes_;
  std::vector<bool> mergeable_;
  std::unordered_map<std::string, TokenId, Hash, std::equal_to<>> ids_;
  std::array<TokenId, 256> byte_pieces_;
  std::optional<TokenId> unknown_;
  bool escape_spaces_ = false;
};

/// "▁", which stands for a space in the pieces of SentencePiece.
inline constexpr std::string_view kEscapedSpace = "\xE2\x96\x81";

}  // namespace heed
