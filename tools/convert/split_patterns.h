#pragma once

#include <string_view>

namespace heed::convert {

/// How GPT-2 cuts text before merging (openai/gpt-2, encoder.py). Hugging Face's ByteLevel with use_regex means it.
inline constexpr std::string_view kGpt2Split =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// How Llama 3 does (meta-llama/llama3, tokenizer.py); "llama-bpe" in GGUF files.
inline constexpr std::string_view kLlama3Split =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

/// Metaspace with split: a stretch begins at each "▁".
inline constexpr std::string_view kMetaspaceSplit = "▁[^▁]*|[^▁]+";

}  // namespace heed::convert
