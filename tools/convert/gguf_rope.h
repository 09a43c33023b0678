#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "tools/convert/checkpoint.h"
#include "tools/convert/gguf_keys.h"

namespace heed::convert {

/// Rotary positions of a GGUF file: adds to `checkpoint.parameters` what models/decoder.h has of them, and takes the
/// place of the file's own factors (rope_factors_long.weight and rope_factors_short.weight, of which one set is chosen)
/// in `checkpoint.tensors`. `layout`: that of models/decoder.h; `context`: the longest text that the user asks for, 0:
/// none is asked for. Throws Error naming the key or tensor that heed does not support or that contradicts another.
void read_gguf_rope(GgufKeys& keys, std::string_view layout, std::int64_t context, Checkpoint& checkpoint);

}  // namespace heed::convert
