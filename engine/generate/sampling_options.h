#pragma once

#include <cstdint>

#include "heed/text.h"

namespace heed {

/// The name of an option that changes something and that text generation alone knows; nullptr where there is none.
const char* text_only_option(const SamplingOptions& sampling);

/// Throws Error where options name tokens that a vocabulary of so many does not have.
void check_sampled_tokens(const SamplingOptions& sampling, std::int64_t vocabulary);

}  // namespace heed
