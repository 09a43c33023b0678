#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "heed/picture.h"

namespace heed {

/// A picture as lines for a terminal of 24-bit colour, without their ends: a character shows two pixels, one above the
/// other. Pictures wider than `most_columns` show every second, third, ... pixel.
std::vector<std::string> terminal_lines(const Picture& picture, std::int64_t most_columns);

}  // namespace heed
