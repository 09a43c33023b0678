#pragma once

#include "tokenizer/description.h"
#include "tools/convert/gguf.h"

namespace heed::convert {

/// tokenizer.ggml.model "t5": SentencePiece's unigram as llama.cpp runs it. Completes a description that has pieces and
/// kinds. Throws Error naming the metadata key that does not fit.
void describe_gguf_unigram(const Gguf& gguf, TokenizerDescription& description);

/// "bert": WordPiece behind BERT's normalization. In the file a word begins with "▁" and what goes on with one has no
/// mark; here and in Hugging Face's files the latter has "##".
void describe_gguf_word_pieces(const Gguf& gguf, TokenizerDescription& description);

}  // namespace heed::convert
