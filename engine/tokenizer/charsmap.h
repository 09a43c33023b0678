#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace heed {

/// The precompiled rules by which SentencePiece normalizes text (nmt_nfkc and the like): strings and what each becomes,
/// the former in a double-array trie (darts-clone). Immutable.
class Charsmap {
 public:
  /// `bytes` is `precompiled_charsmap` of SentencePiece's NormalizerSpec: u32 size of the trie, the trie's units of
  /// u32, then the results, each ended by a zero byte. Throws Error when that does not fit together.
  explicit Charsmap(std::string bytes);

  struct Match {
    std::size_t size = 0;   // how many bytes of the text the rule is for; 0: there is no rule
    std::string_view text;  // what they become; perhaps nothing
  };
  /// The rule for the longest string with which `text` begins. Throws Error when the trie is damaged there.
  Match longest(std::string_view text) const { return find(text, true); }
  /// The one for the shortest.
  Match shortest(std::string_view text) const { return find(text, false); }

 private:
  Match find(std::string_view text, bool longest) const;

  std::vector<std::uint32_t> units_;
  std::string results_;
};

}  // namespace heed
