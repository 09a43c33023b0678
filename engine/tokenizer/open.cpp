#include "tokenizer/open.h"

namespace heed {

std::unique_ptr<Tokenizer> open_tokenizer(const ModelFile& file, TokenizerRole role) {
  const char* const own = role == TokenizerRole::Source ? "source_tokenizer.json" : "target_tokenizer.json";
  for (const char* name : {own, "tokenizer.json"}) {
    if (file.has_file(name)) return Tokenizer::from_json(file.read_file(name));
  }
  return nullptr;
}

}  // namespace heed
