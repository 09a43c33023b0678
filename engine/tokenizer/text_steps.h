#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace heed {

/// One thing that is done to a text before it becomes ids (engine/file/tokenizer_format.md, "Steps"). Parts of Hugging
/// Face's tokenizers are one or a few of these each.
struct TextStep {
  enum class Kind : std::uint8_t {
    Nfc,
    Nfd,
    Nfkc,
    Nfkd,
    Lower,
    Charsmap,
    SpaceIdeographs,
    Strip,
    Replace,
    Prepend,
    Split
  };
  /// What becomes of the matches of a Split.
  enum class Matches : std::uint8_t { Isolated, Removed, Contiguous, WithPrevious, WithNext };

  Kind kind = Kind::Nfc;
  std::string find;           // Replace, Split: what is looked for, as it is or
  bool is_regex = false;      // as a pattern of Oniguruma
  std::string text;           // Replace: what takes its place; Prepend: what comes in front
  bool left = false;          // Strip: white space at the beginning goes
  bool right = false;         // and at the end
  bool unless_there = false;  // Prepend: not where the stretch begins with it
  bool first_only = false;    // Prepend: only where the stretch begins the text
  bool longest = false;       // Charsmap: at each place the longest rule, as SentencePiece has it, not by cluster
  Matches matches = Matches::Isolated;
  bool inverted = false;  // Split: what is between matches is taken for them, and they for what is between

  bool operator==(const TextStep&) const = default;
};

/// One thing that is done to the texts of tokens, in a row, to make a text of them.
struct DecodeStep {
  enum class Kind : std::uint8_t {
    Replace,       // `find` by `text`, in each
    Bytes,         // "<0x0A>" becomes that byte
    Join,          // all become one
    Strip,         // up to `left` times `text` at the beginning of each goes, up to `right` times at the end
    DropFirst,     // of the first token every `find` goes
    SpaceBetween,  // each but the first gets a space in front, or loses `find` there
    Contract,      // spaces before marks and English contractions go, as Hugging Face's "cleanup" has it
    WordEnds,      // `find` becomes a space, of the last token nothing
  };
  Kind kind = Kind::Join;
  std::string find;
  std::string text;
  std::uint32_t left = 0, right = 0;

  bool operator==(const DecodeStep&) const = default;
};

/// How text and ids become each other in steps.
struct Steps {
  std::vector<TextStep> normalize;  // no Split: what added tokens with `normalized` are looked for in
  std::vector<TextStep> cut;        // into the stretches that are merged
  std::vector<DecodeStep> decode;

  bool operator==(const Steps&) const = default;
};

}  // namespace heed
