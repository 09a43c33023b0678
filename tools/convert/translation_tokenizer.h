#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tokenizer/description.h"

namespace heed::convert {

/// What a model says of its tokenizer that stands in config.json and not in the tokenizer's own files.
struct TokenizerOfModel {
  std::string model_type;              // "marian", "m2m_100", "t5", "bart", ...
  std::int64_t vocabulary = 0;         // rows of the embedding
  std::int64_t target_vocabulary = 0;  // of the decoder's, where it is another; else 0
  std::vector<TokenId> end_tokens;
};

/// The tokenizers of a translation model, in heed's own form (engine/file/tokenizer_format.md).
struct TranslationTokenizers {
  std::string source;  // empty: the folder holds none, and a note says so
  std::string target;  // empty: the same
};

/// Reads those of a Hugging Face folder, by the files that it holds, and gives the ids that transformers gives:
///
///   source.spm, target.spm, vocab.json (target_vocab.json)   Marian, OPUS-MT
///   tokenizer.json                                           T5, NLLB, mBART, BART, ...
///   sentencepiece.bpe.model and vocab.json                   M2M-100
///   sentencepiece.bpe.model                                  NLLB, without tokenizer.json refused with advice
///   spiece.model                                             T5
///   vocab.json and merges.txt                                BART, byte-level BPE
///
/// Special tokens and languages come from tokenizer_config.json and special_tokens_map.json where these name them.
/// Throws Error naming the file and what in it is missing or not understood.
TranslationTokenizers read_translation_tokenizers(const std::filesystem::path& folder, const TokenizerOfModel& model,
                                                  std::vector<std::string>& notes);

/// The byte-level BPE of GPT-2 and BART in its older form: vocab.json and merges.txt. The end tokens are left empty.
TokenizerDescription read_vocab_and_merges(const std::filesystem::path& folder, const std::string& model_type,
                                           std::int64_t vocabulary);
/// Whether the folder holds these two.
bool has_vocab_and_merges(const std::filesystem::path& folder);

/// A tokenizer in a file of its own, of any kind that is recognised by its content: a vocabulary of words or characters
/// (engine/tokenizer/words.h), PyTorch's tutorial's Lang written as JSON, tokenizer.json of Hugging Face, a
/// SentencePiece model. Returns heed's own form. `vocabulary` is the rows of the embedding, which ids must lie below.
/// Throws Error.
std::string read_tokenizer_file(const std::filesystem::path& path, std::int64_t vocabulary);

}  // namespace heed::convert
