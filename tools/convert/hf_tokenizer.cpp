// tokenizer.json of Hugging Face's tokenizers library; tokenizer.model is in sentencepiece.cpp.
#include "tools/convert/hf_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "heed/error.h"
#include "tools/convert/hf_json.h"
#include "tools/convert/json_text.h"
#include "tools/convert/text.h"

namespace heed::convert {

namespace {

using Json = nlohmann::json;
using Merging = TokenizerDescription::Merging;

bool is_byte_piece(const std::string& piece) {
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); };
  return piece.size() == 6 && piece.starts_with("<0x") && is_digit(piece[3]) && is_digit(piece[4]) && piece[5] == '>';
}

class TokenizerJson {
 public:
  TokenizerJson(const std::string& name, const Json& json, std::int64_t vocabulary)
      : file_(name), json_(json), vocabulary_(vocabulary) {}

  TokenizerDescription read() {
    file_.only_keys(json_, "the file",
                    {"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
                     "post_processor", "decoder", "model"});
    const Json& model = file_.member(json_, "model");
    read_vocabulary(model);
    HfText text = read_hf_text(file_, file_.member(json_, "normalizer"), file_.member(json_, "pre_tokenizer"));
    description_.charsmap = std::move(text.charsmap);
    description_.steps = Steps{std::move(text.normalize), std::move(text.cut),
                               read_hf_decoder(file_, file_.member(json_, "decoder"), text.by_byte)};
    if (text.by_byte) spell_by_byte(model);
    read_merges(model);
    name_unknown();
    read_added_tokens(file_.member(json_, "added_tokens"));
    read_post_processor(file_.member(json_, "post_processor"));
    return std::move(description_);
  }

 private:
  TokenId token_id(const Json& value, std::string_view what) const {
    if (natural(value).value_or(UINT64_MAX) >= static_cast<std::uint64_t>(vocabulary_)) {
      file_.fail(fmt::format("the id of {} is {}; the model has the ids below {}", what, shown(value), vocabulary_));
    }
    return value.get<TokenId>();
  }
  /// Puts a piece at an id that is free or already has this piece.
  void place(TokenId id, const std::string& piece, PieceKind kind) {
    const auto at = static_cast<std::size_t>(id);
    description_.pad(at + 1);
    if (!taken_.emplace(id, piece).second && description_.pieces[at] != piece) {
      file_.fail(
          fmt::format("id {} belongs to both {} and {}", id, in_quotes(description_.pieces[at]), in_quotes(piece)));
    }
    if (const auto known = ids_.emplace(piece, id); !known.second && known.first->second != id) {
      file_.fail(fmt::format("token {} has the ids {} and {}", in_quotes(piece), known.first->second, id));
    }
    description_.pieces[at] = piece;
    description_.kinds[at] = kind;
  }

  void read_vocabulary(const Json& model) {
    const bool is_old_bpe = file_.member(model, "type").is_null() && model.contains("merges");
    const std::string kind = is_old_bpe ? "BPE" : file_.type(model, "model");
    if (kind == "BPE") return read_bpe(model);
    if (kind == "Unigram") return read_unigram(model);
    if (kind == "WordPiece") return read_word_piece(model);
    if (kind == "WordLevel") {
      file_.only_keys(model, "the model", {"type", "unk_token", "vocab"});
      description_.merging = Merging::Words;
      return read_ids(model, false);
    }
    file_.fail(
        fmt::format("the model is of type {}; heed reads BPE, Unigram, WordPiece and WordLevel", in_quotes(kind)));
  }

  void read_bpe(const Json& model) {
    file_.only_keys(model, "the model",
                    {"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
                     "byte_fallback", "ignore_merges", "vocab", "merges"});
    if (const Json& value = file_.member(model, "continuing_subword_prefix"); !value.is_null() && value != "") {
      file_.fail(fmt::format("the model's continuing_subword_prefix is {}, which heed does not support", shown(value)));
    }
    if (const Json& dropout = file_.member(model, "dropout"); !dropout.is_null() && dropout != 0) {
      file_.fail(fmt::format("the model's dropout is {}, which heed does not support", shown(dropout)));
    }
    description_.merging = Merging::Ranks;
    description_.whole_pieces_first = file_.flag(model, "ignore_merges", false);
    description_.fuse_unknown = file_.flag(model, "fuse_unk", false);
    const bool byte_fallback = file_.flag(model, "byte_fallback", false);
    if (!file_.member(model, "end_of_word_suffix").is_null()) {
      description_.word_suffix = file_.text(model, "end_of_word_suffix");
      if (byte_fallback && !description_.word_suffix.empty()) {
        file_.fail("the model has both byte_fallback and an end_of_word_suffix, which heed does not support");
      }
    }
    read_ids(model, byte_fallback);
  }

  void read_word_piece(const Json& model) {
    file_.only_keys(model, "the model",
                    {"type", "unk_token", "continuing_subword_prefix", "max_input_chars_per_word", "vocab"});
    description_.merging = Merging::WordPieces;
    description_.continuing_prefix = "##";
    if (!file_.member(model, "continuing_subword_prefix").is_null()) {
      description_.continuing_prefix = file_.text(model, "continuing_subword_prefix");
    }
    description_.most_characters = 100;
    if (const Json& most = file_.member(model, "max_input_chars_per_word"); !most.is_null()) {
      const std::uint64_t count = natural(most).value_or(0);
      if (count == 0 || count > UINT32_MAX) {
        file_.fail(fmt::format("'max_input_chars_per_word' is {}; expected a count", shown(most)));
      }
      description_.most_characters = static_cast<std::uint32_t>(count);
    }
    read_ids(model, false);
  }

  /// The vocabulary as an object of pieces and ids, and the name of the unknown one.
  void read_ids(const Json& model, bool byte_fallback) {
    const Json& vocabulary = file_.member(model, "vocab");
    if (!vocabulary.is_object() || vocabulary.empty()) file_.fail("the model has no vocabulary");
    for (const auto& [piece, id] : vocabulary.items()) {
      place(token_id(id, in_quotes(piece)), piece,
            byte_fallback && is_byte_piece(piece) ? PieceKind::Byte : PieceKind::Normal);
    }
    if (!file_.member(model, "unk_token").is_null()) unknown_ = file_.text(model, "unk_token");
  }

  void read_unigram(const Json& model) {
    file_.only_keys(model, "the model", {"type", "unk_id", "vocab", "byte_fallback"});
    description_.merging = Merging::Unigram;
    description_.double_scores = true;
    description_.fuse_unknown = true;
    const bool byte_fallback = file_.flag(model, "byte_fallback", false);
    const Json& vocabulary = file_.list(model, "vocab");
    if (vocabulary.empty()) file_.fail("the model has no vocabulary");
    for (const Json& item : vocabulary) {
      if (!item.is_array() || item.size() != 2 || !item[0].is_string() || !item[1].is_number()) {
        file_.fail(fmt::format("the vocabulary holds {}; expected a token and its score", shown(item)));
      }
      const auto piece = item[0].get<std::string>();
      const auto id = static_cast<std::int64_t>(description_.pieces.size());
      if (id >= vocabulary_)
        file_.fail(fmt::format("has more tokens than the model, which has the ids below {}", vocabulary_));
      place(static_cast<TokenId>(id), piece,
            byte_fallback && is_byte_piece(piece) ? PieceKind::Byte : PieceKind::Normal);
      description_.scores.back() = item[1].get<double>();
    }
    if (const Json& unknown = file_.member(model, "unk_id"); !unknown.is_null()) {
      const TokenId id = token_id(unknown, "the unknown token");
      if (static_cast<std::size_t>(id) >= description_.pieces.size()) file_.fail("'unk_id' names no token");
      unknown_ = description_.pieces[static_cast<std::size_t>(id)];
    }
  }

  void read_merges(const Json& model) {
    if (description_.merging != Merging::Ranks) return;
    const auto find = [&](const std::string& piece, const Json& merge) {
      const auto found = ids_.find(piece);
      if (found == ids_.end()) {
        file_.fail(fmt::format("merge {} has a side that is not in the vocabulary", shown(merge)));
      }
      return found->second;
    };
    for (const Json& merge : file_.list(model, "merges")) {
      std::string left, right;
      if (merge.is_string()) {
        const auto whole = merge.get<std::string>();
        const auto space = whole.find(' ');
        if (space == std::string::npos || whole.find(' ', space + 1) != std::string::npos) {
          file_.fail(fmt::format("merge {} is not two tokens with a space between", shown(merge)));
        }
        left = whole.substr(0, space);
        right = whole.substr(space + 1);
      } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
        left = merge[0].get<std::string>();
        right = merge[1].get<std::string>();
      } else {
        file_.fail(fmt::format("merge {} is not two tokens", shown(merge)));
      }
      description_.merges.emplace_back(find(left, merge), find(right, merge));
    }
  }

  /// Text comes as GPT-2's letters for its bytes, which heed leaves as bytes. What the model says of characters without
  /// a piece is then about letters.
  void spell_by_byte(const Json& model) {
    description_.alphabet = TokenizerDescription::Alphabet::Bytes;
    if (description_.merging != Merging::Ranks) {
      file_.fail(
          fmt::format("a ByteLevel before a model of type {} is not supported", in_quotes(file_.type(model, "model"))));
    }
    bool spells_all = true;
    for (int byte = 0; byte < 256; ++byte) spells_all = spells_all && ids_.contains(byte_letter(byte));
    if (spells_all && description_.word_suffix.empty()) {
      unknown_.clear();  // never met, and often the name of a control token
      return;
    }
    if (std::ranges::find(description_.kinds, PieceKind::Byte) == description_.kinds.end()) return;
    file_.fail("byte_fallback after a ByteLevel whose letters have not all a piece is not supported");
  }

  /// GPT-2's letter for a byte, as UTF-8.
  static std::string byte_letter(int byte) {
    const auto is_itself = [](int b) {
      return (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
    };
    int code = byte;
    if (!is_itself(byte)) {
      code = 0x100;
      for (int before = 0; before < byte; ++before) code += is_itself(before) ? 0 : 1;
    }
    if (code < 0x80) return std::string(1, static_cast<char>(code));
    return {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
  }

  /// Whether GPT-2's letters make other bytes of a piece than those of its own text.
  static bool spells_other_bytes(std::string_view piece) {
    bool differs = false;
    for (std::size_t at = 0; at < piece.size();) {
      const auto byte = static_cast<unsigned char>(piece[at]);
      const std::string_view letter = piece.substr(at, byte < 0x80 ? 1 : 2);
      bool is_letter = false;
      for (int value = 0; value < 256 && !is_letter; ++value) is_letter = byte_letter(value) == letter;
      if (!is_letter) return false;  // plain text
      differs = differs || byte >= 0x80;
      at += letter.size();
    }
    return differs;
  }

  void name_unknown() {
    if (unknown_.empty()) return;
    const auto found = ids_.find(unknown_);
    if (found == ids_.end()) {
      // Where every character is spelled otherwise it is never asked for.
      file_.fail(fmt::format("the unknown token {} is not in the vocabulary", in_quotes(unknown_)));
    }
    description_.kinds[static_cast<std::size_t>(found->second)] = PieceKind::Unknown;
    description_.show_unknown = true;
  }

  void read_added_tokens(const Json& tokens) {
    if (tokens.is_null()) return;
    if (!tokens.is_array()) file_.fail("'added_tokens' is not a list");
    for (const Json& token : tokens) {
      file_.only_keys(token, "an added token",
                      {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
      const std::string content = file_.text(token, "content");
      if (content.empty()) file_.fail("an added token is empty");
      const TokenId id = token_id(file_.member(token, "id"), in_quotes(content));
      const bool special = file_.flag(token, "special", false);
      const bool unknown = !unknown_.empty() && content == unknown_;
      if (unknown && !special) {
        file_.fail(
            fmt::format("the unknown token {} is an added token that is not special, which heed does not support",
                        in_quotes(content)));
      }
      if (unknown) description_.show_unknown = false;
      if (!ids_.contains(content)) {
        description_.apart.push_back(id);
      } else if (description_.alphabet == TokenizerDescription::Alphabet::Bytes && spells_other_bytes(content)) {
        file_.fail(fmt::format("added token {} is a piece of the model, too, which stands for other bytes",
                               in_quotes(content)));
      }
      // A tokenizer that was trained with the pieces of bytes as special tokens spells with them all the same.
      const auto known = ids_.find(content);
      if (known != ids_.end() && description_.kinds[static_cast<std::size_t>(known->second)] == PieceKind::Byte) {
        place(id, content, PieceKind::Byte);
        continue;
      }
      place(id, content, unknown ? PieceKind::Unknown : special ? PieceKind::Control : PieceKind::UserDefined);
      const auto note = [&](const char* key, bool otherwise, std::vector<TokenId>& ids) {
        if (file_.flag(token, key, otherwise)) ids.push_back(id);
      };
      note("normalized", !special, description_.normalized);
      note("lstrip", false, description_.left_space);
      note("rstrip", false, description_.right_space);
      note("single_word", false, description_.whole_words);
    }
    for (std::vector<TokenId>* ids : {&description_.normalized, &description_.left_space, &description_.right_space,
                                      &description_.whole_words, &description_.apart}) {
      std::ranges::sort(*ids);
      ids->erase(std::unique(ids->begin(), ids->end()), ids->end());
    }
  }

  void read_post_processor(const Json& processor) {
    if (processor.is_null()) return;
    const std::string kind = file_.type(processor, "post_processor");
    if (kind == "ByteLevel") return;  // only adjusts offsets
    if (kind == "Sequence") {
      for (const Json& step : file_.list(processor, "processors")) read_post_processor(step);
      return;
    }
    if ((kind == "RobertaProcessing" || kind == "BertProcessing") && !has_template_) {
      has_template_ = true;
      description_.before.push_back(pair_id(processor, "cls"));
      description_.after.push_back(pair_id(processor, "sep"));
      return;
    }
    if (kind != "TemplateProcessing" || has_template_) {
      file_.fail(fmt::format("the post-processor {} is not supported", shown(processor)));
    }
    has_template_ = true;
    const Json& special = file_.member(processor, "special_tokens");
    bool after_text = false;
    for (const Json& item : file_.list(processor, "single")) {
      if (!file_.member(item, "Sequence").is_null()) {
        if (after_text || file_.text(file_.member(item, "Sequence"), "id") != "A")
          file_.fail("the template of the post-processor is not supported");
        after_text = true;
        continue;
      }
      const std::string token = file_.text(file_.member(item, "SpecialToken"), "id");
      for (const Json& id : file_.list(file_.member(special, token.c_str()), "ids")) {
        (after_text ? description_.after : description_.before).push_back(token_id(id, in_quotes(token)));
      }
    }
    if (!after_text) file_.fail("the template of the post-processor has no place for the text");
  }

  /// The id of ["token", id].
  TokenId pair_id(const Json& processor, const char* key) const {
    const Json& pair = file_.list(processor, key);
    if (pair.size() != 2) file_.fail(fmt::format("'{}' of the post-processor is not a token and its id", key));
    return token_id(pair[1], shown(pair[0]));
  }

  const HfJson file_;
  const Json& json_;
  std::int64_t vocabulary_;
  TokenizerDescription description_;
  std::unordered_map<std::string, TokenId> ids_;
  std::unordered_map<TokenId, std::string> taken_;
  std::string unknown_;
  bool has_template_ = false;
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
