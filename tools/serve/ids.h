#pragma once

#include <string>
#include <string_view>

namespace heed::tools {

/// "cmpl-3f0c...", 128 bits of chance, which nobody guesses.
std::string random_id(std::string_view prefix);

/// Seconds since 1970.
long long unix_time();

}  // namespace heed::tools
