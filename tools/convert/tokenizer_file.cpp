// A tokenizer in a file of its own, of whatever kind.
#include <fmt/format.h>

#include <algorithm>

#include "heed/error.h"
#include "tokenizer/words.h"
#include "tools/convert/hf_tokenizer.h"
#include "tools/convert/json_text.h"
#include "tools/convert/source_file.h"
#include "tools/convert/text.h"
#include "tools/convert/translation_tokenizer.h"

namespace heed::convert {

namespace fs = std::filesystem;

namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kMaxFileBytes = 128 << 20;

/// {"word2index": {...}, "index2word": {...}, "n_words": N}, what the tutorial's class Lang holds: 0 and 1 are SOS and
/// EOS.
WordVocabulary read_lang(const std::string& name, const Json& json) {
  WordVocabulary vocabulary;
  const Json& words = json["word2index"];
  if (!words.is_object()) throw Error(fmt::format("{}: 'word2index' is not an object of words and their ids", name));
  const std::size_t count = words.size() + 2;
  if (json.contains("n_words") && natural(json["n_words"]).value_or(0) != count) {
    throw Error(fmt::format("{}: 'n_words' is {}, but word2index has {} words, which with SOS and EOS are {}", name,
                            shown(json["n_words"]), words.size(), count));
  }
  vocabulary.tokens.assign(count, "");
  vocabulary.tokens[0] = "SOS";
  vocabulary.tokens[1] = "EOS";
  for (const auto& [word, id] : words.items()) {
    const std::uint64_t at = natural(id).value_or(UINT64_MAX);
    if (at < 2 || at >= count) {
      throw Error(fmt::format("{}: the id of {} is {}; expected 2 to {}, since 0 and 1 are SOS and EOS", name,
                              in_quotes(word), shown(id), count - 1));
    }
    if (!vocabulary.tokens[at].empty()) {
      throw Error(fmt::format("{}: words {} and {} have the same id {}", name, in_quotes(vocabulary.tokens[at]),
                              in_quotes(word), at));
    }
    vocabulary.tokens[at] = word;
  }
  vocabulary.begin = 0;
  vocabulary.end = 1;
  vocabulary.add_begin = false;  // the tutorial's encoder reads words and EOS; its decoder starts with SOS
  vocabulary.pytorch_tutorial = true;
  return vocabulary;
}

/// Words in the order of their ids, or {"word": id, ...}: what people save of a vocabulary of their own. Which of them
/// are special, config.json says; which stands for words that are not there, its usual names.
WordVocabulary read_word_list(const std::string& name, const Json& json) {
  WordVocabulary vocabulary;
  const auto fail = [&](const std::string& what) { throw Error(fmt::format("{}: {}", name, what)); };
  if (json.is_array()) {
    for (const Json& word : json) {
      if (!word.is_string()) fail(fmt::format("a list of words holds {}", shown(word)));
      vocabulary.tokens.push_back(word.get<std::string>());
    }
  } else {
    vocabulary.tokens.assign(json.size(), "");
    for (const auto& [word, id] : json.items()) {
      const std::uint64_t at = natural(id).value_or(UINT64_MAX);
      if (at >= vocabulary.tokens.size()) {
        fail(fmt::format("the id of {} is {}; expected each of 0 to {} once", in_quotes(word), shown(id),
                         vocabulary.tokens.size() - 1));
      }
      if (!vocabulary.tokens[at].empty()) {
        fail(fmt::format("words {} and {} have the same id {}", in_quotes(vocabulary.tokens[at]), in_quotes(word), at));
      }
      vocabulary.tokens[at] = word;
    }
  }
  for (const std::string& word : vocabulary.tokens) {
    constexpr std::string_view kBefore[] = {"\u0120", "\u2581", "##"};
    constexpr std::string_view kBehind[] = {"</w>", "@@"};
    if (std::ranges::none_of(kBefore, [&](std::string_view mark) { return word.starts_with(mark); }) &&
        std::ranges::none_of(
            kBehind, [&](std::string_view mark) { return word.size() > mark.size() && word.ends_with(mark); })) {
      continue;
    }
    fail(
        fmt::format("is a list of parts of words, such as {}; give the whole tokenizer, tokenizer.json or a "
                    "SentencePiece model",
                    in_quotes(word)));
  }
  for (const char* unknown : {"<unk>", "<UNK>", "[UNK]", "UNK"}) {
    const auto found = std::ranges::find(vocabulary.tokens, unknown);
    if (found == vocabulary.tokens.end()) continue;
    vocabulary.unknown = static_cast<TokenId>(found - vocabulary.tokens.begin());
    break;
  }
  return vocabulary;
}

bool is_word_list(const Json& json) {
  if (json.is_array()) return !json.empty();
  return json.is_object() && !json.empty() &&
         std::ranges::all_of(json, [](const Json& id) { return id.is_number_integer(); });
}

}  // namespace

std::string read_tokenizer_file(const fs::path& path, std::int64_t vocabulary) {
  const std::string name = path.string();
  const std::string bytes = SourceFile::open(path)->read_all(kMaxFileBytes);
  const auto check_size = [&](std::size_t size) {
    if (size <= static_cast<std::size_t>(vocabulary)) return;
    throw Error(fmt::format("{}: has {} tokens; the model has the ids below {}", name, size, vocabulary));
  };
  const std::size_t first = bytes.find_first_not_of(" \t\r\n");
  if (first == std::string::npos || (bytes[first] != '{' && bytes[first] != '[')) {
    TokenizerDescription description = read_sentencepiece(name, bytes, {}, vocabulary);
    description.pad(static_cast<std::size_t>(vocabulary));
    return description.to_json();
  }
  const Json json = parse_json(name, bytes);
  if (const bool lang = json.contains("word2index"); lang || is_word_list(json)) {
    const WordVocabulary words = lang ? read_lang(name, json) : read_word_list(name, json);
    check_size(words.tokens.size());
    words.validate(name);
    return words.to_json();
  }
  if (is_word_vocabulary(bytes)) {
    const WordVocabulary words = WordVocabulary::from_json(name, bytes);
    check_size(words.tokens.size());
    return words.to_json();
  }
  if (json.contains("pieces")) {  // heed's own form already
    const TokenizerDescription description = TokenizerDescription::from_json(bytes);
    check_size(description.pieces.size());
    return description.to_json();
  }
  if (!json.contains("model")) {
    throw Error(
        fmt::format("{}: is no tokenizer that heed knows: no vocabulary with \"type\": \"words\" or "
                    "\"characters\", no 'word2index', no list of words, no tokenizer.json of Hugging Face",
                    name));
  }
  TokenizerDescription description = read_tokenizer_json(name, json, vocabulary);
  description.pad(static_cast<std::size_t>(vocabulary));
  return description.to_json();
}

}  // namespace heed::convert
