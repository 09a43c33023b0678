#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "formats/attention_average.h"

namespace heed {

// What write_attention() makes of attention that was checked; each throws Error when it is too large.

/// The bytes of a PNG file.
std::vector<std::byte> attention_png(const Attention& attention, const AveragedAttention& map);
std::string attention_html(const Attention& attention, const AveragedAttention& map);

/// Throws Error when one side has more tokens than can be drawn.
void check_drawn_tokens(const AveragedAttention& map);

}  // namespace heed
