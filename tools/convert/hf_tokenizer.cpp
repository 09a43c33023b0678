// tokenizer.json of Hugging Face's tokenizers library; tokenizer.model is in sentencepiece.cpp.
#include "tools/convert/hf_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <unordered_map>

#include "heed/error.h"
#include "tokenizer/base64.h"
#include "tokenizer/split.h"
#include "tools/convert/json_text.h"
#include "tools/convert/split_patterns.h"
#include "tools/convert/text.h"

namespace heed::convert {

namespace {

using Json = nlohmann::json;

constexpr std::string_view kSpace = "▁";  // U+2581, stands for a space in the pieces

bool is_byte_piece(const std::string& piece) {
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); };
  return piece.size() == 6 && piece.starts_with("<0x") && is_digit(piece[3]) && is_digit(piece[4]) && piece[5] == '>';
}

class TokenizerJson {
 public:
  TokenizerJson(const std::string& name, const Json& json, std::int64_t vocabulary)
      : name_(name), json_(json), vocabulary_(vocabulary) {}

  TokenizerDescription read() {
    only_keys(json_, "the file",
              {"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor",
               "decoder", "model"});
    read_vocabulary(member(json_, "model"));
    read_splitting();
    read_merges(member(json_, "model"));
    read_added_tokens(member(json_, "added_tokens"));
    read_post_processor(member(json_, "post_processor"));
    return std::move(description_);
  }

 private:
  [[noreturn]] void fail(const std::string& message) const { throw Error(fmt::format("{}: {}", name_, message)); }

  // Access to JSON whose types are not trusted. Absent members read as null.
  const Json& member(const Json& object, const char* key) const {
    static const Json kNull;
    if (!object.is_object()) fail(fmt::format("an object with '{}' is expected instead of {}", key, shown(object)));
    const auto found = object.find(key);
    return found == object.end() ? kNull : *found;
  }
  bool flag(const Json& object, const char* key, bool otherwise) const {
    const Json& value = member(object, key);
    if (value.is_null()) return otherwise;
    if (!value.is_boolean()) fail(fmt::format("'{}' is {}; expected true or false", key, shown(value)));
    return value.get<bool>();
  }
  std::string text(const Json& object, const char* key) const {
    const Json& value = member(object, key);
    if (!value.is_string()) fail(fmt::format("'{}' is {}; expected a string", key, shown(value)));
    return value.get<std::string>();
  }
  std::string type(const Json& object, const char* what) const {
    const Json& value = member(object, "type");
    if (!value.is_string()) fail(fmt::format("the {} has no type", what));
    return value.get<std::string>();
  }
  const Json& list(const Json& object, const char* key) const {
    const Json& value = member(object, key);
    if (!value.is_array()) fail(fmt::format("'{}' is {}; expected a list", key, shown(value)));
    return value;
  }
  void only_keys(const Json& object, std::string_view what, std::initializer_list<std::string_view> keys) const {
    if (!object.is_object()) fail(fmt::format("{} is not a JSON object", what));
    for (const auto& [key, value] : object.items()) {
      if (std::ranges::find(keys, key) == keys.end() && !value.is_null()) {
        fail(fmt::format("{} has the property {}, which heed does not know", what, in_quotes(key)));
      }
    }
  }
  TokenId token_id(const Json& value, std::string_view what) const {
    if (natural(value).value_or(UINT64_MAX) >= static_cast<std::uint64_t>(vocabulary_)) {
      fail(fmt::format("the id of {} is {}; the model has the ids below {}", what, shown(value), vocabulary_));
    }
    return value.get<TokenId>();
  }
  /// Puts a piece at an id that is free or already has this piece.
  void place(TokenId id, const std::string& piece, PieceKind kind) {
    const auto at = static_cast<std::size_t>(id);
    description_.pad(at + 1);
    if (!taken_.emplace(id, piece).second && description_.pieces[at] != piece) {
      fail(fmt::format("id {} belongs to both {} and {}", id, in_quotes(description_.pieces[at]), in_quotes(piece)));
    }
    if (const auto known = ids_.emplace(piece, id); !known.second && known.first->second != id) {
      fail(fmt::format("token {} has the ids {} and {}", in_quotes(piece), known.first->second, id));
    }
    description_.pieces[at] = piece;
    description_.kinds[at] = kind;
  }

  void read_vocabulary(const Json& model) {
    const std::string kind = member(model, "type").is_null() && model.contains("merges") ? "BPE" : type(model, "model");
    if (kind == "Unigram") return read_unigram(model);
    if (kind != "BPE") fail(fmt::format("the model is of type {}; heed reads BPE and Unigram", in_quotes(kind)));
    only_keys(model, "the model",
              {"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
               "byte_fallback", "ignore_merges", "vocab", "merges"});
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      if (const Json& value = member(model, key); !value.is_null() && value != "") {
        fail(fmt::format("the model's {} is {}, which heed does not support", key, shown(value)));
      }
    }
    if (const Json& dropout = member(model, "dropout"); !dropout.is_null() && dropout != 0) {
      fail(fmt::format("the model's dropout is {}, which heed does not support", shown(dropout)));
    }
    description_.merging = TokenizerDescription::Merging::Ranks;
    description_.whole_pieces_first = flag(model, "ignore_merges", false);
    description_.fuse_unknown = flag(model, "fuse_unk", false);
    const bool byte_fallback = flag(model, "byte_fallback", false);
    const Json& vocabulary = member(model, "vocab");
    if (!vocabulary.is_object() || vocabulary.empty()) fail("the model has no vocabulary");
    for (const auto& [piece, id] : vocabulary.items()) {
      place(token_id(id, in_quotes(piece)), piece,
            byte_fallback && is_byte_piece(piece) ? PieceKind::Byte : PieceKind::Normal);
    }
    if (!member(model, "unk_token").is_null()) unknown_ = text(model, "unk_token");
  }

  void read_unigram(const Json& model) {
    only_keys(model, "the model", {"type", "unk_id", "vocab", "byte_fallback"});
    description_.merging = TokenizerDescription::Merging::Unigram;
    description_.double_scores = true;
    description_.fuse_unknown = true;
    const bool byte_fallback = flag(model, "byte_fallback", false);
    const Json& vocabulary = list(model, "vocab");
    if (vocabulary.empty()) fail("the model has no vocabulary");
    for (const Json& item : vocabulary) {
      if (!item.is_array() || item.size() != 2 || !item[0].is_string() || !item[1].is_number()) {
        fail(fmt::format("the vocabulary holds {}; expected a token and its score", shown(item)));
      }
      const auto piece = item[0].get<std::string>();
      const auto id = static_cast<std::int64_t>(description_.pieces.size());
      if (id >= vocabulary_)
        fail(fmt::format("has more tokens than the model, which has the ids below {}", vocabulary_));
      place(static_cast<TokenId>(id), piece,
            byte_fallback && is_byte_piece(piece) ? PieceKind::Byte : PieceKind::Normal);
      description_.scores.back() = item[1].get<double>();
    }
    if (const Json& unknown = member(model, "unk_id"); !unknown.is_null()) {
      const TokenId id = token_id(unknown, "the unknown token");
      if (static_cast<std::size_t>(id) >= description_.pieces.size()) fail("'unk_id' names no token");
      unknown_ = description_.pieces[static_cast<std::size_t>(id)];
    }
  }

  void read_merges(const Json& model) {
    if (description_.merging != TokenizerDescription::Merging::Ranks) return;
    const auto find = [&](const std::string& piece, const Json& merge) {
      const auto found = ids_.find(piece);
      if (found == ids_.end()) fail(fmt::format("merge {} has a side that is not in the vocabulary", shown(merge)));
      return found->second;
    };
    for (const Json& merge : list(model, "merges")) {
      std::string left, right;
      if (merge.is_string()) {
        const auto whole = merge.get<std::string>();
        const auto space = whole.find(' ');
        if (space == std::string::npos || whole.find(' ', space + 1) != std::string::npos) {
          fail(fmt::format("merge {} is not two tokens with a space between", shown(merge)));
        }
        left = whole.substr(0, space);
        right = whole.substr(space + 1);
      } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
        left = merge[0].get<std::string>();
        right = merge[1].get<std::string>();
      } else {
        fail(fmt::format("merge {} is not two tokens", shown(merge)));
      }
      description_.merges.emplace_back(find(left, merge), find(right, merge));
    }
  }

  /// Appends what a part of the file does, one after the other: nothing for null, the steps of a Sequence, or itself.
  void add_steps(const Json& part, const char* what, const char* steps_key, std::vector<Json>& steps) const {
    if (part.is_null()) return;
    if (type(part, what) != "Sequence") {
      steps.push_back(part);
      return;
    }
    for (const Json& step : list(part, steps_key)) add_steps(step, what, steps_key, steps);
  }
  std::vector<Json> steps_of(const char* what, const char* steps_key) const {
    std::vector<Json> steps;
    add_steps(member(json_, what), what, steps_key, steps);
    return steps;
  }

  /// Normalizer, pre-tokenizer and decoder: byte-level, or "▁" for spaces.
  void read_splitting() {
    normalizers_ = steps_of("normalizer", "normalizers");
    decoders_ = steps_of("decoder", "decoders");
    const std::vector<Json> steps = steps_of("pre_tokenizer", "pretokenizers");
    const bool bytes = !steps.empty() && type(steps.back(), "pre_tokenizer") == "ByteLevel";
    if (bytes) {
      read_byte_level(steps);
    } else {
      read_spaces(steps);
    }
  }

  void read_byte_level(const std::vector<Json>& steps) {
    if (!normalizers_.empty()) {
      fail(fmt::format("the normalizer {} before ByteLevel is not supported", shown(normalizers_.front())));
    }
    if (decoders_.size() != 1 || type(decoders_.front(), "decoder") != "ByteLevel") {
      fail(fmt::format("the decoder is {}; ByteLevel is expected", shown(member(json_, "decoder"))));
    }
    description_.alphabet = TokenizerDescription::Alphabet::Bytes;
    unknown_.clear();  // never met: every byte has a piece
    for (std::size_t i = 0; i + 1 < steps.size(); ++i) description_.splits.push_back(split_pattern(steps[i]));
    const Json& last = steps.back();
    only_keys(last, "ByteLevel", {"type", "add_prefix_space", "trim_offsets", "use_regex"});
    if (flag(last, "use_regex", true)) description_.splits.emplace_back(kGpt2Split);
    if (flag(last, "add_prefix_space", true)) {
      if (steps.size() > 1) fail("add_prefix_space of ByteLevel after other splits is not supported");
      description_.prefix = TokenizerDescription::Prefix::Always;
      description_.prefix_unless_space = true;
    }
  }

  std::string split_pattern(const Json& step) const {
    const std::string kind = type(step, "pre_tokenizer");
    if (kind == "Digits") {
      only_keys(step, "Digits", {"type", "individual_digits"});
      return flag(step, "individual_digits", false) ? R"(\p{N})" : R"(\p{N}+)";
    }
    if (kind != "Split") fail(fmt::format("the pre-tokenizer {} is not supported", in_quotes(kind)));
    only_keys(step, "Split", {"type", "pattern", "behavior", "invert"});
    const std::string behavior = text(step, "behavior");
    if (behavior != "Isolated" || flag(step, "invert", false)) {
      fail(fmt::format("a Split of behavior {} is not supported; expected \"Isolated\", not inverted",
                       in_quotes(behavior)));
    }
    const Json& pattern = member(step, "pattern");
    if (member(pattern, "Regex").is_null()) return as_pattern(text(pattern, "String"));
    const std::string regex = text(pattern, "Regex");
    if (const std::string why = why_no_pattern(regex); !why.empty()) {
      fail(fmt::format("Oniguruma, the library that tokenizers has for patterns, refuses the Split {}: {}",
                       in_quotes(regex), why));
    }
    return regex;
  }

  /// A pattern that matches these characters.
  static std::string as_pattern(const std::string& literal) {
    std::string pattern;
    for (const char c : literal) {
      if (std::string_view(R"(\.+*?()|[]{}^$)").find(c) != std::string_view::npos) pattern += '\\';
      pattern += c;
    }
    return pattern;
  }

  void read_spaces(const std::vector<Json>& steps) {
    using Prefix = TokenizerDescription::Prefix;
    bool replaces = false;
    for (const Json& step : normalizers_) {
      const std::string kind = type(step, "normalizer");
      if (read_rule(step, kind)) continue;
      if (kind == "Prepend" && member(step, "prepend") == kSpace && !replaces) {
        description_.prefix = Prefix::Always;
        prepends_ = true;
      } else if (kind == "Replace" && member(step, "content") == kSpace &&
                 member(member(step, "pattern"), "String") == " ") {
        replaces = true;
        prepends_ = true;
      } else {
        fail(fmt::format("the normalizer {} is not supported", shown(step)));
      }
    }
    for (const Json& step : steps) {
      const std::string kind = type(step, "pre_tokenizer");
      if (kind == "WhitespaceSplit" && steps.size() == 2 && !description_.whitespace_words && !replaces) {
        description_.whitespace_words = true;
        continue;
      }
      if (kind != "Metaspace" || replaces || prepends_) {
        fail(fmt::format("the pre-tokenizer {} is not supported here", shown(step)));
      }
      read_metaspace(step);
      if (description_.whitespace_words && description_.prefix != Prefix::Always) {
        fail("a Metaspace that does not prepend always is not supported behind WhitespaceSplit");
      }
      replaces = true;
    }
    if (!replaces) fail("neither ByteLevel nor \"▁\" for spaces: this kind of BPE is not supported");
    description_.escape_spaces = true;
    read_decoder();
    if (!unknown_.empty()) {
      const auto found = ids_.find(unknown_);
      if (found == ids_.end()) fail(fmt::format("the unknown token {} is not in the vocabulary", in_quotes(unknown_)));
      description_.kinds[static_cast<std::size_t>(found->second)] = PieceKind::Unknown;
    }
  }

  /// A step that needs no place among the others, since it comes before them: rules of normalization, and what spaces
  /// become. Whether it was one.
  bool read_rule(const Json& step, const std::string& kind) {
    if (kind == "Precompiled") {
      only_keys(step, "Precompiled", {"type", "precompiled_charsmap"});
      const std::string rules = text(step, "precompiled_charsmap");
      auto bytes = from_base64(rules);
      if (!bytes) fail("the precompiled_charsmap is not base64");
      if (!description_.charsmap.empty() || spaces_change_ || prepends_) {
        fail("a Precompiled that is not the first normalizer is not supported");
      }
      description_.charsmap = std::move(*bytes);
      description_.charsmap_by_cluster = true;
      return true;
    }
    if (kind == "Strip" && !prepends_) {
      only_keys(step, "Strip", {"type", "strip_left", "strip_right"});
      description_.strip_left = description_.strip_left || flag(step, "strip_left", true);
      description_.strip_right = description_.strip_right || flag(step, "strip_right", true);
      spaces_change_ = true;
      return true;
    }
    const bool squeezes = kind == "Replace" && !prepends_ && member(member(step, "pattern"), "Regex") == " {2,}";
    if (!squeezes || (member(step, "content") != " " && member(step, "content") != kSpace)) return false;
    only_keys(step, "Replace", {"type", "pattern", "content"});
    description_.squeeze_spaces = true;
    spaces_change_ = true;
    return true;
  }

  void read_metaspace(const Json& step) {
    using Prefix = TokenizerDescription::Prefix;
    only_keys(step, "Metaspace", {"type", "replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep"});
    if (text(step, "replacement") != kSpace) fail(fmt::format("{} is not supported", shown(step)));
    // Older files have add_prefix_space alone.
    const bool prepends = flag(step, "add_prefix_space", true);
    const std::string scheme =
        member(step, "prepend_scheme").is_null() ? (prepends ? "always" : "never") : text(step, "prepend_scheme");
    if (scheme != "always" && scheme != "first" && scheme != "never") {
      fail(fmt::format("Metaspace's prepend_scheme is {}; expected always, first or never", in_quotes(scheme)));
    }
    description_.prefix = scheme == "always" ? Prefix::Always : scheme == "first" ? Prefix::First : Prefix::Never;
    description_.prefix_unless_space = description_.prefix != Prefix::Never;
    if (flag(step, "split", true)) description_.splits.emplace_back(kMetaspaceSplit);
  }

  void read_decoder() {
    description_.strip_prefix = description_.prefix != TokenizerDescription::Prefix::Never;
    if (decoders_.empty()) return;
    bool strips = false;
    for (const Json& step : decoders_) {
      const std::string kind = type(step, "decoder");
      if (kind == "Strip") {
        if (step != Json{{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}) {
          fail(fmt::format("the decoder {} is not supported", shown(step)));
        }
        strips = true;
      } else if (kind == "Metaspace") {
        strips = description_.strip_prefix;
      } else if (kind != "Replace" && kind != "ByteFallback" && kind != "Fuse") {
        fail(fmt::format("the decoder {} is not supported", shown(step)));
      }
    }
    description_.strip_prefix = strips;
  }

  void read_added_tokens(const Json& tokens) {
    if (tokens.is_null()) return;
    if (!tokens.is_array()) fail("'added_tokens' is not a list");
    const bool normalizes = !normalizers_.empty();
    for (const Json& token : tokens) {
      only_keys(token, "an added token", {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
      const std::string content = text(token, "content");
      const TokenId id = token_id(member(token, "id"), in_quotes(content));
      const bool special = flag(token, "special", false);
      if (!special) {
        for (const char* key : {"single_word", "lstrip", "rstrip"}) {
          if (flag(token, key, false))
            fail(fmt::format("added token {} has {}, which heed does not support", in_quotes(content), key));
        }
        if (normalizes && flag(token, "normalized", true)) {
          fail(fmt::format("added token {} is looked for in normalized text, which heed does not support",
                           in_quotes(content)));
        }
      }
      const bool unknown = static_cast<std::size_t>(id) < description_.kinds.size() &&
                           description_.kinds[static_cast<std::size_t>(id)] == PieceKind::Unknown;
      place(id, content, unknown ? PieceKind::Unknown : special ? PieceKind::Control : PieceKind::UserDefined);
    }
  }

  void read_post_processor(const Json& processor) {
    if (processor.is_null()) return;
    const std::string kind = type(processor, "post_processor");
    if (kind == "ByteLevel") return;  // only adjusts offsets
    if (kind == "Sequence") {
      for (const Json& step : list(processor, "processors")) read_post_processor(step);
      return;
    }
    if (kind == "RobertaProcessing" && !has_template_) {
      has_template_ = true;
      description_.before.push_back(pair_id(processor, "cls"));
      description_.after.push_back(pair_id(processor, "sep"));
      return;
    }
    if (kind != "TemplateProcessing" || has_template_) {
      fail(fmt::format("the post-processor {} is not supported", shown(processor)));
    }
    has_template_ = true;
    const Json& special = member(processor, "special_tokens");
    bool after_text = false;
    for (const Json& item : list(processor, "single")) {
      if (!member(item, "Sequence").is_null()) {
        if (after_text || text(member(item, "Sequence"), "id") != "A")
          fail("the template of the post-processor is not supported");
        after_text = true;
        continue;
      }
      const std::string token = text(member(item, "SpecialToken"), "id");
      for (const Json& id : list(member(special, token.c_str()), "ids")) {
        (after_text ? description_.after : description_.before).push_back(token_id(id, in_quotes(token)));
      }
    }
    if (!after_text) fail("the template of the post-processor has no place for the text");
  }

  /// The id of ["token", id].
  TokenId pair_id(const Json& processor, const char* key) const {
    const Json& pair = list(processor, key);
    if (pair.size() != 2) fail(fmt::format("'{}' of the post-processor is not a token and its id", key));
    return token_id(pair[1], shown(pair[0]));
  }

  const std::string& name_;
  const Json& json_;
  std::int64_t vocabulary_;
  TokenizerDescription description_;
  std::unordered_map<std::string, TokenId> ids_;
  std::unordered_map<TokenId, std::string> taken_;
  std::string unknown_;
  std::vector<Json> normalizers_;
  std::vector<Json> decoders_;
  bool has_template_ = false;
  bool spaces_change_ = false;  // a normalizer strips or squeezes
  bool prepends_ = false;       // one prepends "▁" or replaces spaces by it
};

}  // namespace

TokenizerDescription read_tokenizer_json(const std::string& name, const nlohmann::json& json, std::int64_t vocabulary) {
  TokenizerDescription description = TokenizerJson(name, json, vocabulary).read();
  for (const std::vector<TokenId>* ids : {&description.before, &description.after}) {
    for (const TokenId id : *ids) {
      if (static_cast<std::size_t>(id) >= description.pieces.size()) {
        throw Error(fmt::format("{}: the post-processor adds id {}, which has no token", name, id));
      }
    }
  }
  return description;
}

}  // namespace heed::convert
