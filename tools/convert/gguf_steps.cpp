// Tokenizers of GGUF files that become steps: of unigrams and of word pieces.
#include "tools/convert/gguf_steps.h"

#include <fmt/format.h>

#include <limits>

#include "heed/error.h"
#include "tokenizer/charsmap.h"
#include "tokenizer/vocabulary.h"
#include "tools/convert/hf_json.h"

namespace heed::convert {

namespace {

using Json = nlohmann::json;

constexpr std::string_view kCharsmap = "tokenizer.ggml.precompiled_charsmap";
constexpr std::string_view kContinuing = "##";

std::string read_charsmap(const Gguf& gguf) {
  std::string rules;
  const auto bytes = gguf.find_integers(kCharsmap);
  if (!bytes || bytes->empty()) return rules;
  for (const std::int64_t byte : *bytes) {
    if (byte < -128 || byte > 255) throw Error(fmt::format("GGUF metadata '{}' holds {}, no byte", kCharsmap, byte));
    rules += static_cast<char>(byte);
  }
  try {
    const Charsmap check(rules);
  } catch (const Error&) {
    throw Error(fmt::format("GGUF metadata '{}' is damaged: its sizes do not fit together", kCharsmap));
  }
  return rules;
}

TextStep replace(std::string_view find, bool is_regex, std::string_view by) {
  TextStep step;
  step.kind = TextStep::Kind::Replace;
  step.find = find;
  step.is_regex = is_regex;
  step.text = by;
  return step;
}

DecodeStep decode_step(DecodeStep::Kind kind) {
  DecodeStep step;
  step.kind = kind;
  return step;
}

}  // namespace

void describe_gguf_unigram(const Gguf& gguf, TokenizerDescription& description) {
  description.merging = TokenizerDescription::Merging::Unigram;
  description.double_scores = true;
  description.fuse_unknown = true;
  const auto scores = gguf.find_reals("tokenizer.ggml.scores");
  if (!scores || scores->size() != description.pieces.size()) {
    throw Error(fmt::format("GGUF metadata 'tokenizer.ggml.scores' has {} entries for {} tokens",
                            scores ? scores->size() : 0, description.pieces.size()));
  }
  bool has_bytes = false;
  for (std::size_t i = 0; i < scores->size(); ++i) {
    // To llama.cpp what a user defined is likelier than all that was learned.
    const bool is_user_defined = description.kinds[i] == PieceKind::UserDefined;
    description.scores.push_back(is_user_defined ? 0 : static_cast<float>((*scores)[i]));
    if (description.kinds[i] == PieceKind::Byte) has_bytes = true;
  }
  description.charsmap = read_charsmap(gguf);

  Steps& steps = description.steps.emplace();
  if (!description.charsmap.empty()) {
    TextStep& rules = steps.normalize.emplace_back();
    rules.kind = TextStep::Kind::Charsmap;
    rules.longest = true;
  }
  const bool squeezes = gguf.find_boolean("tokenizer.ggml.remove_extra_whitespaces").value_or(false);
  const bool prefixes = squeezes || gguf.find_boolean("tokenizer.ggml.add_space_prefix").value_or(false);
  if (squeezes) {
    steps.normalize.push_back(replace(" {2,}", true, " "));
    steps.normalize.push_back(replace(R"(\A | \z)", true, ""));
    TextStep& space = steps.normalize.emplace_back();
    space.kind = TextStep::Kind::Prepend;
    space.text = " ";
  } else if (prefixes) {
    steps.normalize.push_back(replace(R"(\A(?= *[^ ]))", true, " "));  // nothing comes before spaces alone
  }
  steps.normalize.push_back(replace(" ", false, kEscapedSpace));

  DecodeStep& spaces = steps.decode.emplace_back(decode_step(DecodeStep::Kind::Replace));
  spaces.find = kEscapedSpace;
  spaces.text = " ";
  if (has_bytes) steps.decode.push_back(decode_step(DecodeStep::Kind::Bytes));
  steps.decode.push_back(decode_step(DecodeStep::Kind::Join));
  if (!prefixes) return;
  DecodeStep& prefix = steps.decode.emplace_back(decode_step(DecodeStep::Kind::Strip));
  prefix.text = " ";
  prefix.left = 1;
}

void describe_gguf_word_pieces(const Gguf& gguf, TokenizerDescription& description) {
  description.merging = TokenizerDescription::Merging::WordPieces;
  description.continuing_prefix = kContinuing;
  description.most_characters = std::numeric_limits<std::uint32_t>::max();  // llama.cpp has no limit
  for (std::size_t i = 0; i < description.pieces.size(); ++i) {
    std::string& piece = description.pieces[i];
    const PieceKind kind = description.kinds[i];
    if (kind == PieceKind::Control || kind == PieceKind::Unknown || piece.empty()) continue;
    if (kind == PieceKind::Byte) {
      throw Error(
          fmt::format("GGUF metadata 'tokenizer.ggml.token_type' says that token {} is a byte, of which word "
                      "pieces have none",
                      i));
    }
    if (piece.size() > kEscapedSpace.size() && piece.starts_with(kEscapedSpace)) {
      piece.erase(0, kEscapedSpace.size());
    } else if (kind != PieceKind::UserDefined) {
      piece.insert(0, kContinuing);
    }
  }
  // The same as in a tokenizer.json, which such files were made of.
  const bool lower = gguf.find_boolean("tokenizer.ggml.normalizer.lowercase").value_or(true);
  const bool strips = gguf.find_boolean("tokenizer.ggml.normalizer.strip_accents").value_or(lower);
  const Json normalizer = {{"type", "BertNormalizer"},
                           {"clean_text", true},
                           {"handle_chinese_chars", true},
                           {"strip_accents", strips},
                           {"lowercase", lower}};
  const std::string name = "GGUF metadata 'tokenizer.ggml.model'";
  const HfJson file(name);
  HfText text = read_hf_text(file, normalizer, {{"type", "BertPreTokenizer"}});
  const Json decoder = {{"type", "WordPiece"}, {"prefix", kContinuing}, {"cleanup", true}};
  description.steps = Steps{std::move(text.normalize), std::move(text.cut), read_hf_decoder(file, decoder, false)};
}

}  // namespace heed::convert
