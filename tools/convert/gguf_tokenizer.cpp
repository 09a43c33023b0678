// Tokenizers of GGUF files to heed's own description; engine/file/tokenizer_format.md has the mapping.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <unordered_map>

#include "heed/error.h"
#include "tokenizer/description.h"
#include "tools/convert/gguf.h"
#include "tools/convert/gguf_pre_tokenizers.h"
#include "tools/convert/gguf_steps.h"
#include "tools/convert/text.h"
#include "tools/convert/tokenizer_config.h"

namespace heed::convert {

namespace {

constexpr auto kTokenizerKeys = std::to_array<std::string_view>(
    {"model", "pre", "tokens", "scores", "token_type", "merges", "bos_token_id", "eos_token_id", "eot_token_id",
     "eom_token_id", "unknown_token_id", "add_bos_token", "add_eos_token", "add_space_prefix",
     "remove_extra_whitespaces",
     // Ids of control pieces that encoding and generating plain text do not use.
     "padding_token_id", "seperator_token_id", "separator_token_id", "cls_token_id", "mask_token_id",
     "fim_pre_token_id", "fim_suf_token_id", "fim_mid_token_id", "fim_pad_token_id", "fim_rep_token_id",
     "fim_sep_token_id", "prefix_token_id", "suffix_token_id", "middle_token_id", "token_type_count", "add_sep_token",
     "normalizer.nfc", "normalizer.lowercase", "normalizer.strip_accents", "precompiled_charsmap"});

constexpr std::string_view kPrefix = "tokenizer.ggml.";
std::string full(std::string_view key) { return std::string(kPrefix) + std::string(key); }

std::optional<TokenId> token_id(const Gguf& gguf, std::string_view key, std::size_t pieces) {
  // Some writers put 2^32 - 1 (-1) for "none".
  const auto found = gguf.metadata.find(full(key));
  if (found == gguf.metadata.end()) return {};
  if (const auto* u = std::get_if<std::uint64_t>(&found->second); u != nullptr && *u == UINT32_MAX) return {};
  if (const auto* i = std::get_if<std::int64_t>(&found->second); i != nullptr && *i == -1) return {};
  const std::int64_t id = *gguf.find_size(full(key));
  if (static_cast<std::uint64_t>(id) >= pieces) {
    throw Error(fmt::format("GGUF metadata '{}' is {}, but there are {} tokens", full(key), id, pieces));
  }
  return static_cast<TokenId>(id);
}

std::vector<PieceKind> piece_kinds(const Gguf& gguf, std::size_t pieces) {
  const auto types = gguf.find_integers(full("token_type"));
  if (!types || types->size() != pieces) {
    throw Error(fmt::format("GGUF metadata '{}' has {} entries for {} tokens", full("token_type"),
                            types ? types->size() : 0, pieces));
  }
  constexpr auto kKinds = std::to_array({PieceKind::Normal, PieceKind::Unknown, PieceKind::Control,
                                         PieceKind::UserDefined, PieceKind::Unused, PieceKind::Byte});
  std::vector<PieceKind> kinds;
  kinds.reserve(pieces);
  for (const std::int64_t type : *types) {
    if (type < 1 || type > 6)
      throw Error(fmt::format("GGUF metadata '{}' holds {}; expected 1 to 6", full("token_type"), type));
    kinds.push_back(kKinds[static_cast<std::size_t>(type - 1)]);
  }
  return kinds;
}

void describe_scores(const Gguf& gguf, TokenizerDescription& description) {
  description.merging = TokenizerDescription::Merging::Scores;
  description.escape_spaces = true;
  if (gguf.find_boolean(full("add_space_prefix")).value_or(true)) {
    description.prefix = TokenizerDescription::Prefix::Always;
    description.strip_prefix = true;
  }
  const auto scores = gguf.find_reals(full("scores"));
  if (!scores || scores->size() != description.pieces.size()) {
    throw Error(fmt::format("GGUF metadata '{}' has {} entries for {} tokens", full("scores"),
                            scores ? scores->size() : 0, description.pieces.size()));
  }
  for (const double score : *scores) description.scores.push_back(static_cast<float>(score));
}

/// What byte-level merging does before it merges, as steps, which alone can normalize.
Steps steps_with_nfc(const TokenizerDescription& description) {
  Steps steps;
  steps.normalize.emplace_back().kind = TextStep::Kind::Nfc;
  if (description.prefix != TokenizerDescription::Prefix::Never) {
    TextStep& space = steps.cut.emplace_back();
    space.kind = TextStep::Kind::Prepend;
    space.text = " ";
    space.unless_there = description.prefix_unless_space;
  }
  for (const std::string& pattern : description.splits) {
    TextStep& split = steps.cut.emplace_back();
    split.kind = TextStep::Kind::Split;
    split.find = pattern;
    split.is_regex = true;
  }
  return steps;
}

/// Whether a text begins with BOS where the file does not say.
bool describe_merges(const Gguf& gguf, TokenizerDescription& description, Checkpoint& checkpoint) {
  description.merging = TokenizerDescription::Merging::Ranks;
  description.alphabet = TokenizerDescription::Alphabet::Bytes;
  const std::string* named = gguf.find_text(full("pre"));
  const std::string pre = named == nullptr ? "default" : *named;
  if (pre == "default") {
    checkpoint.notes.push_back(
        fmt::format("'{}' is {}: llama.cpp's default patterns are assumed to split the text before merging",
                    full("pre"), named == nullptr ? "missing" : "\"default\""));
  }
  const GgufPreTokenizer* cuts = find_gguf_pre_tokenizer(pre);
  if (cuts == nullptr) {
    throw Error(fmt::format("GGUF metadata '{}' is {}, a way of cutting text that heed does not know", full("pre"),
                            in_quotes(pre)));
  }
  description.splits.assign(cuts->splits.begin(), cuts->splits.end());
  description.whole_pieces_first = cuts->whole_pieces_first;
  if (gguf.find_boolean(full("add_space_prefix")).value_or(false)) {
    description.prefix = TokenizerDescription::Prefix::Always;
    description.prefix_unless_space = true;
  }
  if (gguf.find_boolean(full("normalizer.nfc")).value_or(false)) {
    description.steps = steps_with_nfc(description);
    description.splits.clear();
    description.prefix = TokenizerDescription::Prefix::Never;
    description.prefix_unless_space = false;
  }
  const auto* merges = gguf.find_texts(full("merges"));
  if (merges == nullptr) throw Error(fmt::format("GGUF metadata '{}' is missing", full("merges")));
  std::unordered_map<std::string_view, TokenId> ids;
  for (std::size_t i = 0; i < description.pieces.size(); ++i) {
    ids.emplace(description.pieces[i], static_cast<TokenId>(i));
  }
  for (const std::string& merge : *merges) {
    // A piece may hold no space in this alphabet, so the space that separates the two is the only one.
    const auto space = merge.find(' ', 1);
    const auto left = ids.find(std::string_view(merge).substr(0, space));
    const auto right = space == std::string::npos ? ids.end() : ids.find(std::string_view(merge).substr(space + 1));
    if (left == ids.end() || right == ids.end()) {
      throw Error(
          fmt::format("GGUF metadata '{}' holds {}, which is not two tokens", full("merges"), in_quotes(merge)));
    }
    description.merges.emplace_back(left->second, right->second);
  }
  return cuts->begins;
}

/// What llama.cpp takes for granted of a kind of tokenizer where the file does not say.
struct KindOfTokenizer {
  std::string_view name;  // tokenizer.ggml.model
  std::optional<TokenId> bos, eos, unknown, separator;
  bool begins = false;                        // a text, with BOS
  bool ends = false;                          // with EOS
  std::span<const std::string_view> options;  // of kOptionsOfKinds, those that it has
};
constexpr auto kOptionsOfKinds =
    std::to_array<std::string_view>({"remove_extra_whitespaces", "add_sep_token", "normalizer.lowercase",
                                     "normalizer.strip_accents", "normalizer.nfc"});
constexpr auto kOptionsOfMerges = std::to_array<std::string_view>({"normalizer.nfc"});
constexpr auto kOptionsOfUnigrams = std::to_array<std::string_view>({"remove_extra_whitespaces"});
constexpr auto kOptionsOfWordPieces =
    std::to_array<std::string_view>({"add_sep_token", "normalizer.lowercase", "normalizer.strip_accents"});
constexpr std::optional<TokenId> kNoToken;
constexpr auto kKindsOfTokenizers =
    std::to_array<KindOfTokenizer>({{"llama", 1, 2, kNoToken, kNoToken, true, false, {}},
                                    {"gpt2", kNoToken, kNoToken, kNoToken, kNoToken, false, false, kOptionsOfMerges},
                                    {"t5", kNoToken, 1, 2, kNoToken, false, true, kOptionsOfUnigrams},
                                    {"bert", 101, kNoToken, 100, 102, true, false, kOptionsOfWordPieces}});

/// Ids at which generation ends: these that the file names, each once.
std::vector<TokenId> end_tokens(const Gguf& gguf, std::optional<TokenId> eos, std::size_t pieces) {
  std::vector<TokenId> ends;
  for (const auto& end : {eos, token_id(gguf, "eot_token_id", pieces), token_id(gguf, "eom_token_id", pieces)}) {
    if (end && std::ranges::find(ends, *end) == ends.end()) ends.push_back(*end);
  }
  return ends;
}

/// tokenizer.chat_template, and tokenizer.chat_template.NAME of others, as metadata 'chat' has them.
void read_chat_templates(const Gguf& gguf, const TokenizerDescription& description, std::optional<TokenId> bos,
                         std::optional<TokenId> eos, Checkpoint& checkpoint) {
  constexpr std::string_view kKey = "tokenizer.chat_template";
  std::map<std::string, std::string> templates, tokens;
  for (const auto& [key, value] : gguf.metadata) {
    const bool named = key.starts_with(kKey) && key.size() > kKey.size() && key[kKey.size()] == '.';
    if (key != kKey && !named) continue;
    const std::string* text = gguf.find_text(key);
    if (text == nullptr) throw Error(fmt::format("GGUF metadata '{}' is no text", key));
    templates[named ? valid_utf8(key.substr(kKey.size() + 1)) : "default"] = *text;
  }
  const auto add = [&](const char* name, std::optional<TokenId> id) {
    if (id) tokens[name] = description.pieces[static_cast<std::size_t>(*id)];
  };
  add("bos_token", bos);
  add("eos_token", eos);
  add("unk_token", description.unknown());
  add("pad_token", token_id(gguf, "padding_token_id", description.pieces.size()));
  nlohmann::json chat = make_chat_format(std::move(templates), std::move(tokens), checkpoint.notes);
  if (!chat.is_null()) checkpoint.metadata["chat"] = std::move(chat);
}

}  // namespace

void read_gguf_tokenizer(const Gguf& gguf, std::int64_t vocabulary, Checkpoint& checkpoint) {
  for (const auto& [key, value] : gguf.metadata) {
    if (!key.starts_with(kPrefix)) continue;
    if (std::ranges::find(kTokenizerKeys, std::string_view(key).substr(kPrefix.size())) == kTokenizerKeys.end()) {
      throw Error(fmt::format("GGUF metadata '{}' is not known to heed and may change how text becomes tokens", key));
    }
  }
  const std::string* model = gguf.find_text(full("model"));
  if (model == nullptr || *model == "none" || *model == "no_vocab") {
    checkpoint.notes.push_back("the file holds no tokenizer: the model can only be fed token ids");
    const auto ids = static_cast<std::size_t>(vocabulary);
    checkpoint.end_tokens = end_tokens(gguf, token_id(gguf, "eos_token_id", ids), ids);
    return;
  }
  const KindOfTokenizer* kind = std::ranges::find(kKindsOfTokenizers, *model, &KindOfTokenizer::name);
  if (kind == kKindsOfTokenizers.end()) {
    throw Error(
        fmt::format("GGUF metadata '{}' is {}; heed reads \"llama\" (SentencePiece BPE), \"gpt2\" (byte-level BPE), "
                    "\"t5\" (unigram) and \"bert\" (WordPiece)",
                    full("model"), in_quotes(*model)));
  }
  const auto* tokens = gguf.find_texts(full("tokens"));
  if (tokens == nullptr) throw Error(fmt::format("GGUF metadata '{}' is missing", full("tokens")));
  if (tokens->size() > static_cast<std::uint64_t>(vocabulary)) {
    throw Error(fmt::format("GGUF metadata '{}' has {} tokens, but tensor 'token_embd.weight' only {} rows",
                            full("tokens"), tokens->size(), vocabulary));
  }
  for (const std::string_view key : kOptionsOfKinds) {
    if (std::ranges::find(kind->options, key) != kind->options.end()) continue;
    if (gguf.find_boolean(full(key)).value_or(false)) {
      throw Error(fmt::format("GGUF metadata '{}' is true, which heed does not support", full(key)));
    }
  }
  const bool has_charsmap = gguf.has(full("precompiled_charsmap"));
  if (has_charsmap && kind->name != "t5") {
    throw Error(fmt::format("GGUF metadata '{}' is there, which heed does not support where '{}' is {}",
                            full("precompiled_charsmap"), full("model"), in_quotes(*model)));
  }

  TokenizerDescription description;
  description.pieces = *tokens;
  description.kinds = piece_kinds(gguf, tokens->size());
  const auto special = [&](std::string_view key, std::optional<TokenId> fallback) -> std::optional<TokenId> {
    if (gguf.has(full(key))) return token_id(gguf, key, tokens->size());
    return fallback && static_cast<std::size_t>(*fallback) < tokens->size() ? fallback : std::nullopt;
  };
  if (const auto unknown = special("unknown_token_id", kind->unknown); unknown && kind->name != "gpt2") {
    // Word pieces have it among the control tokens.
    PieceKind& of_unknown = description.kinds[static_cast<std::size_t>(*unknown)];
    const bool can_be = of_unknown == PieceKind::Normal || (kind->name == "bert" && of_unknown == PieceKind::Control);
    if (can_be && !description.unknown()) of_unknown = PieceKind::Unknown;
  }
  bool begins = kind->begins;
  if (kind->name == "llama") {
    describe_scores(gguf, description);
  } else if (kind->name == "gpt2") {
    begins = describe_merges(gguf, description, checkpoint);
  } else if (kind->name == "t5") {
    describe_gguf_unigram(gguf, description);
  } else {
    describe_gguf_word_pieces(gguf, description);
  }

  const auto bos = special("bos_token_id", kind->bos);
  const auto eos = special("eos_token_id", kind->eos);
  const auto separator =
      special(gguf.has(full("separator_token_id")) ? "separator_token_id" : "seperator_token_id", kind->separator);
  if (gguf.find_boolean(full("add_bos_token")).value_or(begins) && bos) description.before = {*bos};
  if (gguf.find_boolean(full("add_eos_token")).value_or(kind->ends) && eos) description.after = {*eos};
  if (kind->name == "bert" && gguf.find_boolean(full("add_sep_token")).value_or(true) && separator) {
    description.after = {*separator};
  }
  description.end = end_tokens(gguf, eos, tokens->size());
  read_chat_templates(gguf, description, bos, eos, checkpoint);
  description.pad(static_cast<std::size_t>(vocabulary));
  checkpoint.end_tokens = description.end;
  checkpoint.tokenizer = description.to_json();
}

}  // namespace heed::convert
