#include "tools/convert/translation_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "heed/error.h"
#include "tools/convert/hf_tokenizer.h"
#include "tools/convert/json_text.h"
#include "tools/convert/source_file.h"
#include "tools/convert/split_patterns.h"
#include "tools/convert/text.h"
#include "tools/convert/tokenizer_config.h"
#include "tools/convert/translation_languages.h"

namespace heed::convert {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::uint64_t kMaxVocabularyBytes = 128 << 20;
constexpr std::int64_t kMaxSegments = 1 << 24;

// The languages of M2M-100 and of WMT 21's models in the order of their tokens, which follow the vocabulary; they stand
// in no file (transformers, tokenization_m2m_100.py).
constexpr std::string_view kM2m100Languages =
    "af am ar ast az ba be bg bn br bs ca ceb cs cy da de el en es et fa ff fi fr fy ga gd gl gu ha he hi hr ht "
    "hu hy id ig ilo is it ja jv ka kk km kn ko lb lg ln lo lt lv mg mk ml mn mr ms my ne nl no ns oc or pa pl "
    "ps pt ro ru sd si sk sl so sq sr ss su sv sw ta th tl tn tr uk ur uz vi wo xh yi yo zh zu";
constexpr std::string_view kWmt21Languages = "en ha is ja cs ru zh de";

std::string bytes_of_file(const fs::path& path) { return SourceFile::open(path)->read_all(kMaxVocabularyBytes); }

/// The text of a token that a configuration names: a string, or an object with 'content'; empty where it names none.
std::string token_text(const Json& config, const char* key) {
  if (!config.is_object() || !config.contains(key)) return {};
  const Json& token = config[key];
  if (token.is_string()) return token.get<std::string>();
  if (token.is_object() && token.contains("content") && token["content"].is_string()) {
    return token["content"].get<std::string>();
  }
  return {};
}

/// A folder's settings beside the tokenizer's own files; either is null where there is none.
struct Settings {
  explicit Settings(const fs::path& folder)
      : config(read_json_if_any(folder / "tokenizer_config.json", kMaxVocabularyBytes)),
        map(read_json_if_any(folder / "special_tokens_map.json", kMaxVocabularyBytes)) {}

  std::string token(const char* key, const char* otherwise) const {
    for (const Json* json : {&config, &map}) {
      if (std::string text = token_text(*json, key); !text.empty()) return text;
    }
    return otherwise;
  }
  std::string text(const char* key, const char* otherwise) const {
    const std::string found = token_text(config, key);
    return found.empty() ? otherwise : found;
  }
  std::set<std::string> special_tokens() const {
    std::set<std::string> tokens;
    for (const char* key :
         {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}) {
      if (std::string token_named = token(key, ""); !token_named.empty()) tokens.insert(std::move(token_named));
    }
    return tokens;
  }

  Json config, map;
};

/// Pieces by id of {"piece": id, ...}, where some ids may be nobody's: those become unused.
TokenizerDescription read_ids_of_pieces(const fs::path& path, std::int64_t vocabulary) {
  const Json json = read_json(path, kMaxVocabularyBytes);
  if (!json.is_object() || json.empty())
    throw Error(fmt::format("{}: is not an object of pieces and ids", path.string()));
  TokenizerDescription description;
  for (const auto& [piece, id] : json.items()) {
    const std::uint64_t at = natural(id).value_or(UINT64_MAX);
    if (at >= static_cast<std::uint64_t>(vocabulary)) {
      throw Error(fmt::format("{}: the id of {} is {}; the model has the ids below {}", path.string(), in_quotes(piece),
                              shown(id), vocabulary));
    }
    description.pad(at + 1);
    if (!description.pieces[at].empty()) {
      throw Error(fmt::format("{}: id {} belongs to both {} and {}", path.string(), at,
                              in_quotes(description.pieces[at]), in_quotes(piece)));
    }
    description.pieces[at] = piece;
    description.kinds[at] = PieceKind::Normal;
  }
  return description;
}

TokenId id_of_piece(const TokenizerDescription& description, const std::string& piece, const fs::path& path) {
  const auto found = std::ranges::find(description.pieces, piece);
  if (found == description.pieces.end())
    throw Error(fmt::format("{}: has no token {}", path.string(), in_quotes(piece)));
  return static_cast<TokenId>(found - description.pieces.begin());
}

void set_kind(TokenizerDescription& description, TokenId id, PieceKind kind) {
  description.kinds[static_cast<std::size_t>(id)] = kind;
}

/// A SentencePiece model as the segments of a tokenizer with a vocabulary of its own.
std::shared_ptr<const TokenizerDescription> read_segments(const fs::path& path) {
  const Json no_special = {{"add_bos_token", false}, {"add_eos_token", false}};
  return std::make_shared<TokenizerDescription>(
      read_sentencepiece(path.string(), bytes_of_file(path), no_special, kMaxSegments));
}

/// What Marian and M2M-100 have in common: pieces looked up in a vocabulary, its unknown and end tokens.
TokenizerDescription read_segmented(const fs::path& pieces, const fs::path& vocabulary, std::int64_t size,
                                    const Settings& settings) {
  TokenizerDescription description = read_ids_of_pieces(vocabulary, size);
  for (const std::string& token : settings.special_tokens()) {
    const auto found = std::ranges::find(description.pieces, token);
    if (found != description.pieces.end())
      description.kinds[static_cast<std::size_t>(found - description.pieces.begin())] = PieceKind::Control;
  }
  const TokenId end = id_of_piece(description, settings.token("eos_token", "</s>"), vocabulary);
  set_kind(description, end, PieceKind::Control);
  set_kind(description, id_of_piece(description, settings.token("unk_token", "<unk>"), vocabulary), PieceKind::Unknown);
  const std::string pad = settings.token("pad_token", "<pad>");
  if (std::ranges::find(description.pieces, pad) != description.pieces.end()) {
    set_kind(description, id_of_piece(description, pad, vocabulary), PieceKind::Control);
  }
  description.segments = read_segments(pieces);
  description.escape_spaces = true;
  description.strip_decoded = true;
  description.after = {end};
  return description;
}

std::string finished(TokenizerDescription description, const TokenizerOfModel& model, std::int64_t vocabulary) {
  for (const TokenId id : model.end_tokens) {
    if (id >= 0 && id < vocabulary) description.end.push_back(id);
  }
  description.pad(static_cast<std::size_t>(vocabulary));
  return description.to_json();
}

TranslationTokenizers read_marian(const fs::path& folder, const TokenizerOfModel& model, const Settings& settings) {
  const bool separate =
      file_exists(folder / "target_vocab.json") && tokenizer_config_flag(settings.config, "separate_vocabs", true);
  const std::int64_t target_size = separate && model.target_vocabulary > 0 ? model.target_vocabulary : model.vocabulary;
  const auto read = [&](const char* pieces, const char* vocabulary, std::int64_t size) {
    TokenizerDescription description = read_segmented(folder / pieces, folder / vocabulary, size, settings);
    for (std::size_t id = 0; id < description.pieces.size(); ++id) {
      const std::string& piece = description.pieces[id];
      if (piece.size() <= 4 || !piece.starts_with(">>") || !piece.ends_with("<<")) continue;
      description.kinds[id] = PieceKind::Control;
      description.languages[piece.substr(2, piece.size() - 4)] = static_cast<TokenId>(id);
    }
    return description;
  };
  TokenizerDescription source = read("source.spm", "vocab.json", model.vocabulary);
  source.leading_code = true;
  TokenizerDescription target = read("target.spm", separate ? "target_vocab.json" : "vocab.json", target_size);
  target.languages.clear();  // they are named in the source
  return {finished(std::move(source), model, model.vocabulary), finished(std::move(target), model, target_size)};
}

TranslationTokenizers read_m2m100(const fs::path& folder, const TokenizerOfModel& model, const Settings& settings) {
  const fs::path vocabulary = folder / "vocab.json";
  TokenizerDescription description =
      read_segmented(folder / "sentencepiece.bpe.model", vocabulary, model.vocabulary, settings);
  const std::string set = settings.text("language_codes", "m2m100");
  if (set != "m2m100" && set != "wmt21") {
    throw Error(fmt::format("{}: 'language_codes' is {}; heed knows m2m100 and wmt21",
                            (folder / "tokenizer_config.json").string(), in_quotes(set)));
  }
  std::string_view codes = set == "m2m100" ? kM2m100Languages : kWmt21Languages;
  while (!codes.empty()) {
    const std::string code(codes.substr(0, codes.find(' ')));
    codes.remove_prefix(std::min(code.size() + 1, codes.size()));
    const auto id = static_cast<std::int64_t>(description.pieces.size());
    if (id >= model.vocabulary) {
      throw Error(fmt::format("{}: the token of language {} would have the id {}; the model has the ids below {}",
                              vocabulary.string(), code, id, model.vocabulary));
    }
    description.pad(static_cast<std::size_t>(id) + 1);
    description.pieces.back() = "__" + code + "__";
    description.kinds.back() = PieceKind::Control;
    description.languages[code] = static_cast<TokenId>(id);
  }
  const std::string from = settings.text("src_lang", "en");
  const auto language = description.languages.find(from);
  if (language == description.languages.end()) {
    throw Error(fmt::format("{}: 'src_lang' is {}, which the model does not have",
                            (folder / "tokenizer_config.json").string(), in_quotes(from)));
  }
  description.before = {language->second};
  return {finished(std::move(description), model, model.vocabulary), ""};
}

/// spiece.model as transformers' T5Tokenizer takes it: not through the library, but as a Unigram of tokenizers.
TokenizerDescription read_spiece(const fs::path& path, const TokenizerOfModel& model, const Settings& settings) {
  const Json no_special = {{"add_bos_token", false}, {"add_eos_token", false}};
  TokenizerDescription description =
      read_sentencepiece(path.string(), bytes_of_file(path), no_special, model.vocabulary);
  if (description.merging != TokenizerDescription::Merging::Unigram) {
    throw Error(fmt::format("{}: is not of type unigram, as those of T5 are", path.string()));
  }
  description.double_scores = true;
  description.charsmap_by_cluster = !description.charsmap.empty();
  description.trim_spaces = false;
  description.strip_each = false;
  description.match_normalized = false;
  description.whitespace_words = true;
  description.prefix = TokenizerDescription::Prefix::Always;
  description.prefix_unless_space = true;
  description.strip_prefix = true;
  description.splits = {std::string(kMetaspaceSplit)};
  std::uint64_t extra = 100;
  if (settings.config.is_object() && settings.config.contains("extra_ids")) {
    extra = natural(settings.config["extra_ids"]).value_or(UINT64_MAX);
  }
  const std::uint64_t room = static_cast<std::uint64_t>(model.vocabulary) - description.pieces.size();
  if (extra > room) {
    throw Error(fmt::format("{}: with its extra ids the tokenizer is larger than the model, which has the ids below {}",
                            path.string(), model.vocabulary));
  }
  for (; extra > 0; --extra) {
    description.pad(description.pieces.size() + 1);
    description.pieces.back() = fmt::format("<extra_id_{}>", extra - 1);
    description.kinds.back() = PieceKind::Control;
  }
  const TokenId end = id_of_piece(description, settings.token("eos_token", "</s>"), path);
  set_kind(description, end, PieceKind::Control);
  description.after = {end};
  return description;
}

void find_languages(TokenizerDescription& description) {
  for (std::size_t id = 0; id < description.pieces.size(); ++id) {
    if (description.kinds[id] != PieceKind::Control) continue;
    if (const auto code = language_code(description.pieces[id]))
      description.languages[*code] = static_cast<TokenId>(id);
  }
}

/// Lines "left right" of merges.txt, behind a line with the version.
Json read_merges_file(const fs::path& path) {
  Json merges = Json::array();
  const std::string text = bytes_of_file(path);
  bool first = true;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty() && !(first && line.starts_with("#version"))) merges.push_back(std::move(line));
    first = false;
    at = end + 1;
  }
  return merges;
}

}  // namespace

bool has_vocab_and_merges(const fs::path& folder) {
  return file_exists(folder / "vocab.json") && file_exists(folder / "merges.txt");
}

TokenizerDescription read_vocab_and_merges(const fs::path& folder, const std::string& model_type,
                                           std::int64_t vocabulary) {
  const Settings settings(folder);
  const Json vocab = read_json(folder / "vocab.json", kMaxVocabularyBytes);
  const bool is_gpt2 = model_type == "gpt2";
  std::set<std::string> special = settings.special_tokens();
  const std::vector<std::string> usual = is_gpt2 ? std::vector<std::string>{"<|endoftext|>"}
                                                 : std::vector<std::string>{"<s>", "<pad>", "</s>", "<unk>", "<mask>"};
  special.insert(usual.begin(), usual.end());
  Json added = Json::array();
  for (const std::string& token : special) {
    if (!vocab.is_object() || !vocab.contains(token)) continue;
    added.push_back({{"id", vocab[token]}, {"content", token}, {"special", true}});
  }
  // The very same as tokenizer.json says it.
  Json json = {{"added_tokens", added},
               {"pre_tokenizer",
                {{"type", "ByteLevel"},
                 {"add_prefix_space", tokenizer_config_flag(settings.config, "add_prefix_space", false)}}},
               {"decoder", {{"type", "ByteLevel"}}},
               {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", read_merges_file(folder / "merges.txt")}}}};
  if (!is_gpt2) {
    const auto pair = [&](const char* key, const char* otherwise) {
      const std::string token = settings.token(key, otherwise);
      const bool known = vocab.is_object() && vocab.contains(token);
      if (!known) throw Error(fmt::format("{}: has no token {}", (folder / "vocab.json").string(), in_quotes(token)));
      return Json::array({token, vocab[token]});
    };
    json["post_processor"] = {
        {"type", "RobertaProcessing"}, {"sep", pair("sep_token", "</s>")}, {"cls", pair("cls_token", "<s>")}};
  }
  return read_tokenizer_json((folder / "vocab.json").string(), json, vocabulary);
}

TranslationTokenizers read_translation_tokenizers(const fs::path& folder, const TokenizerOfModel& model,
                                                  std::vector<std::string>& notes) {
  const Settings settings(folder);
  const bool has_vocab = file_exists(folder / "vocab.json");
  if (file_exists(folder / "source.spm") && file_exists(folder / "target.spm") && has_vocab) {
    return read_marian(folder, model, settings);
  }
  TokenizerDescription description;
  if (const fs::path json = folder / "tokenizer.json"; file_exists(json)) {
    description = read_tokenizer_json(json.string(), read_json(json, kMaxVocabularyBytes), model.vocabulary);
    refuse_added_tokens(settings.config, "tokenizer.json", description);
    add_tokens_of_config(settings.config, description, notes);
  } else if (file_exists(folder / "sentencepiece.bpe.model") && has_vocab) {
    return read_m2m100(folder, model, settings);
  } else if (file_exists(folder / "sentencepiece.bpe.model")) {
    throw Error(
        fmt::format("{}: holds sentencepiece.bpe.model without tokenizer.json and vocab.json; load the tokenizer in "
                    "transformers and save it: tokenizer.json then says which ids the languages have",
                    folder.string()));
  } else if (const fs::path spiece = folder / "spiece.model"; file_exists(spiece)) {
    description = read_spiece(spiece, model, settings);
  } else if (has_vocab_and_merges(folder)) {
    description = read_vocab_and_merges(folder, model.model_type, model.vocabulary);
  } else {
    notes.push_back(
        "the folder holds no tokenizer that heed reads (tokenizer.json, source.spm and target.spm, spiece.model, "
        "vocab.json and merges.txt): the model can only be fed token ids");
    return {};
  }
  find_languages(description);
  return {finished(std::move(description), model, model.vocabulary), ""};
}

}  // namespace heed::convert
