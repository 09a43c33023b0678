#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "tokenizer/charsmap.h"
#include "tokenizer/split.h"
#include "tokenizer/vocabulary.h"

namespace heed {

/// What happens to a text before it is cut into pieces (engine/file/tokenizer_format.md, "Normalize"). Immutable;
/// refers to the finder.
class Normalizer {
 public:
  /// Takes the flags of `description`, and nothing else refers to it afterwards. Throws Error when the charsmap is
  /// damaged.
  Normalizer(const TokenizerDescription& description, const PieceFinder& finder);
  ~Normalizer();

  /// A stretch of valid UTF-8 as the pieces spell it: rules applied, spaces trimmed, with the prefix, spaces escaped.
  /// `begins_text`: nothing is before it. Throws Error when a damaged charsmap makes it invalid UTF-8.
  std::string apply(std::string_view stretch, bool begins_text) const;

 private:
  bool wants_prefix(std::string_view stretch, bool begins_text) const;
  std::string with_rules(std::string_view text) const;

  const TokenizerDescription flags_;  // without pieces
  const PieceFinder& finder_;
  std::unique_ptr<const Charsmap> charsmap_;
  std::unique_ptr<const Splitter> clusters_;
};

/// `text` by the rules of a charsmap as Hugging Face's Precompiled applies them: a cluster of characters that is short
/// becomes what the shortest rule for its beginning says. `clusters` cuts text into clusters. Throws Error when the
/// result is no UTF-8.
std::string with_rules_by_cluster(const Charsmap& rules, const Splitter& clusters, std::string_view text);

/// `text` by the rules of a charsmap as SentencePiece applies them: at each place the longest. `kept_size(at)` says how
/// many bytes from there stay as they are, if any. Throws Error when the result is no UTF-8.
std::string with_longest_rules(const Charsmap& rules, std::string_view text,
                               const std::function<std::size_t(std::size_t)>& kept_size = {});

/// `text` without the white space (Unicode White_Space) at its ends.
std::string_view trim_white_space(std::string_view text, bool left, bool right);
/// How many bytes come before the first white space of `text`, all of them where it has none.
std::size_t word_size(std::string_view text);

/// A description without what fills it: the flags and short lists.
TokenizerDescription flags_of(const TokenizerDescription& description);

}  // namespace heed
