#include "tokenizer/normalize.h"

#include <algorithm>
#include <array>

#include "heed/error.h"
#include "tokenizer/utf8.h"

namespace heed {
namespace {

// Unicode's property White_Space, which has not changed since version 6.3.
constexpr std::array<std::string_view, 25> kWhiteSpace = {
    "\t",           "\n",           "\v",           "\f",           "\r",           " ",
    "\xC2\x85",     "\xC2\xA0",     "\xE1\x9A\x80", "\xE2\x80\x80", "\xE2\x80\x81", "\xE2\x80\x82",
    "\xE2\x80\x83", "\xE2\x80\x84", "\xE2\x80\x85", "\xE2\x80\x86", "\xE2\x80\x87", "\xE2\x80\x88",
    "\xE2\x80\x89", "\xE2\x80\x8A", "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F",
    "\xE3\x80\x80"};

// The size of the white space that `text` begins with, one character of it; 0 when there is none.
std::size_t white_space_at(std::string_view text) {
  for (const std::string_view space : kWhiteSpace) {
    if (text.starts_with(space)) return space.size();
  }
  return 0;
}

std::string without_runs(std::string_view text) {
  std::string squeezed;
  for (const char c : text) {
    if (c != ' ' || !squeezed.ends_with(' ')) squeezed += c;
  }
  return squeezed;
}

// As SentencePiece's remove_extra_whitespaces does it; what the end of the text has too much goes after escaping.
std::string without_extra_spaces(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  return without_runs(text);
}

// Words with a space before each that does not begin with "▁": what WhitespaceSplit and then Metaspace make.
std::string spaced_words(std::string_view text) {
  std::string words;
  bool begins_word = true;
  for (std::size_t at = 0; at < text.size();) {
    if (const std::size_t space = white_space_at(text.substr(at)); space > 0) {
      begins_word = true;
      at += space;
      continue;
    }
    if (begins_word && !text.substr(at).starts_with(kEscapedSpace)) words += ' ';
    begins_word = false;
    words += text[at++];
  }
  return words;
}

void check_rules_made_utf8(std::string_view text) {
  if (find_invalid_utf8(text) == text.size()) return;
  throw Error(
      "tokenizer.json: a rule of normalization (charsmap) makes text that is not UTF-8; convert the model again");
}

std::string escaped(std::string_view text) {
  std::string result;
  result.reserve(text.size() + text.size() / 2);
  for (const char c : text) {
    if (c == ' ') {
      result += kEscapedSpace;
    } else {
      result += c;
    }
  }
  return result;
}

}  // namespace

// tokenizers (normalizers/precompiled.rs): a cluster of less than 6 bytes that begins with a rule's string becomes what
// the rule says, all of it; others go character by character.
std::string with_rules_by_cluster(const Charsmap& rules, const Splitter& clusters, std::string_view text) {
  constexpr std::size_t kLongCluster = 6;
  Splitter::Matcher matcher(clusters);
  std::string result;
  for (const std::string_view cluster : matcher.split(text)) {
    if (cluster.size() < kLongCluster) {
      if (const Charsmap::Match match = rules.shortest(cluster); match.size > 0) {
        result += match.text;
        continue;
      }
    }
    for (std::size_t at = 0; at < cluster.size();) {
      const std::string_view character = cluster.substr(at, scan_character(cluster, at).size);
      const Charsmap::Match match = rules.shortest(character);
      result += match.size > 0 ? match.text : character;
      at += character.size();
    }
  }
  check_rules_made_utf8(result);
  return result;
}

std::string with_longest_rules(const Charsmap& rules, std::string_view text,
                               const std::function<std::size_t(std::size_t)>& kept_size) {
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t size = kept_size ? kept_size(at) : 0;
    std::string_view becomes = text.substr(at, size);
    if (size == 0) {
      const Charsmap::Match match = rules.longest(text.substr(at));
      size = match.size > 0 ? match.size : scan_character(text, at).size;
      becomes = match.size > 0 ? match.text : text.substr(at, size);
    }
    result += becomes;
    at += size;
  }
  check_rules_made_utf8(result);
  return result;
}

std::string_view trim_white_space(std::string_view text, bool left, bool right) {
  while (left && white_space_at(text) > 0) text.remove_prefix(white_space_at(text));
  for (bool more = right; more;) {
    const auto* const end = std::ranges::find_if(kWhiteSpace, [&](std::string_view s) { return text.ends_with(s); });
    more = end != kWhiteSpace.end();
    if (more) text.remove_suffix(end->size());
  }
  return text;
}

std::size_t word_size(std::string_view text) {
  std::size_t size = 0;
  while (size < text.size() && white_space_at(text.substr(size)) == 0) ++size;
  return size;
}

TokenizerDescription flags_of(const TokenizerDescription& description) {
  TokenizerDescription flags;
  flags.alphabet = description.alphabet;
  flags.merging = description.merging;
  flags.double_scores = description.double_scores;
  flags.whole_pieces_first = description.whole_pieces_first;
  flags.fuse_unknown = description.fuse_unknown;
  flags.charsmap_by_cluster = description.charsmap_by_cluster;
  flags.trim_spaces = description.trim_spaces;
  flags.squeeze_spaces = description.squeeze_spaces;
  flags.strip_left = description.strip_left;
  flags.strip_right = description.strip_right;
  flags.whitespace_words = description.whitespace_words;
  flags.escape_spaces = description.escape_spaces;
  flags.prefix = description.prefix;
  flags.prefix_unless_space = description.prefix_unless_space;
  flags.strip_prefix = description.strip_prefix;
  flags.strip_each = description.strip_each;
  flags.strip_decoded = description.strip_decoded;
  flags.match_normalized = description.match_normalized;
  flags.before = description.before;
  flags.after = description.after;
  flags.end = description.end;
  flags.languages = description.languages;
  flags.leading_code = description.leading_code;
  flags.word_suffix = description.word_suffix;
  flags.show_unknown = description.show_unknown;
  flags.continuing_prefix = description.continuing_prefix;
  flags.most_characters = description.most_characters;
  return flags;
}

Normalizer::Normalizer(const TokenizerDescription& description, const PieceFinder& finder)
    : flags_(flags_of(description)), finder_(finder) {
  if (description.charsmap.empty()) return;
  charsmap_ = std::make_unique<Charsmap>(description.charsmap);
  if (flags_.charsmap_by_cluster) clusters_ = std::make_unique<Splitter>(std::vector<std::string>{"\\X"});
}

Normalizer::~Normalizer() = default;

bool Normalizer::wants_prefix(std::string_view stretch, bool begins_text) const {
  if (flags_.prefix == TokenizerDescription::Prefix::Never || flags_.whitespace_words) return false;
  if (flags_.prefix == TokenizerDescription::Prefix::First && !begins_text) return false;
  const bool has_space = stretch.starts_with(' ') || (flags_.escape_spaces && stretch.starts_with(kEscapedSpace));
  return !(flags_.prefix_unless_space && has_space);
}

// SentencePiece leaves user-defined pieces as they are.
std::string Normalizer::with_rules(std::string_view text) const {
  if (!flags_.match_normalized || !finder_.finds_any()) return with_longest_rules(*charsmap_, text);
  TokenId piece = 0;
  return with_longest_rules(*charsmap_, text, [&](std::size_t at) { return finder_.longest_at(text, at, piece); });
}

std::string Normalizer::apply(std::string_view stretch, bool begins_text) const {
  if (stretch.empty()) return {};
  std::string text(stretch);
  if (charsmap_ != nullptr) {
    text = flags_.charsmap_by_cluster ? with_rules_by_cluster(*charsmap_, *clusters_, text) : with_rules(text);
  }
  text = std::string(trim_white_space(text, flags_.strip_left, flags_.strip_right));
  if (flags_.squeeze_spaces) text = without_runs(text);
  if (flags_.trim_spaces) text = without_extra_spaces(text);
  if (flags_.whitespace_words) text = spaced_words(text);
  // To SentencePiece a text of which nothing is left is one still.
  if ((flags_.match_normalized || !text.empty()) && wants_prefix(text, begins_text)) text.insert(0, 1, ' ');
  if (flags_.escape_spaces) text = escaped(text);
  const std::string_view space = flags_.escape_spaces ? kEscapedSpace : " ";
  while (flags_.trim_spaces && text.ends_with(space)) text.resize(text.size() - space.size());
  return text;
}

}  // namespace heed
