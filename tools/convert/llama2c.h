#pragma once

#include <memory>

#include "tools/convert/checkpoint.h"
#include "tools/convert/source_file.h"

namespace heed::convert {

/// Whether the file begins like a .bin of llama2.c: the magic "ak42", or seven integers that are plausible sizes.
bool is_llama2c(const SourceFile& file);

/// A model of https://github.com/karpathy/llama2.c: version 0 (no magic) or version 1, both f32. `tokenizer` is the
/// tokenizer.bin that llama2.c keeps beside it. Throws Error when the file's size is not the one its header implies,
/// when `tokenizer` is null or made for another vocabulary, and for versions heed does not read.
Checkpoint read_llama2c(const std::shared_ptr<const SourceFile>& file, const SourceFile* tokenizer);

}  // namespace heed::convert
