#include "tokenizer/charsmap.h"

#include <fmt/format.h>

#include <cstring>

#include "heed/error.h"

namespace heed {
namespace {

[[noreturn]] void damaged_charsmap() {
  throw Error("tokenizer.json: the rules of normalization (charsmap) are damaged; convert the model again");
}

// A unit of darts-clone (include/darts.h): what a node says of itself.
struct Unit {
  std::uint32_t bits;
  bool has_leaf() const { return (bits >> 8 & 1) != 0; }
  std::uint32_t value() const { return bits & 0x7FFFFFFF; }
  std::uint32_t label() const { return bits & (0x80000000 | 0xFF); }
  std::uint32_t offset() const { return (bits >> 10) << ((bits & (1u << 9)) >> 6); }
};

}  // namespace

Charsmap::Charsmap(std::string bytes) {
  std::uint32_t trie_bytes = 0;
  if (bytes.size() <= sizeof trie_bytes) damaged_charsmap();
  std::memcpy(&trie_bytes, bytes.data(), sizeof trie_bytes);
  if (trie_bytes < 4 || trie_bytes % 4 != 0 || trie_bytes > bytes.size() - sizeof trie_bytes) damaged_charsmap();
  units_.resize(trie_bytes / 4);
  std::memcpy(units_.data(), bytes.data() + sizeof trie_bytes, trie_bytes);
  results_ = bytes.substr(sizeof trie_bytes + trie_bytes);
  if (results_.empty() || results_.back() != '\0') damaged_charsmap();
}

Charsmap::Match Charsmap::find(std::string_view text, bool longest) const {
  Match match;
  std::uint32_t node = Unit{units_[0]}.offset();
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    node ^= byte;
    if (node >= units_.size()) damaged_charsmap();
    const Unit unit = {units_[node]};
    if (unit.label() != byte) break;
    node ^= unit.offset();
    if (node >= units_.size()) damaged_charsmap();
    if (!unit.has_leaf()) continue;
    const std::uint32_t at = Unit{units_[node]}.value();
    if (at >= results_.size()) damaged_charsmap();
    match = {i + 1, std::string_view(results_.data() + at)};
    if (!longest) break;
  }
  return match;
}

}  // namespace heed
