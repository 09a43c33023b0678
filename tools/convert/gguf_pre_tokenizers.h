#pragma once

#include <span>
#include <string_view>

namespace heed::convert {

/// How text is cut before byte-level BPE merges it, by GGUF's name of it, tokenizer.ggml.pre.
struct GgufPreTokenizer {
  std::span<const std::string_view> names;
  std::span<const std::string_view> splits;  // TokenizerDescription::splits
  bool whole_pieces_first = false;
  bool begins = false;  // with BOS, where the file does not say
};

/// nullptr for a name that heed does not know.
const GgufPreTokenizer* find_gguf_pre_tokenizer(std::string_view name);

}  // namespace heed::convert
