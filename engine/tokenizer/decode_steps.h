#pragma once

#include <string>
#include <vector>

#include "tokenizer/text_steps.h"

namespace heed {

/// Does the steps to the texts of tokens, one after the other, and joins what is left. With `whole`, they are all the
/// tokens of a text; else some of its middle, which have others before and behind them. Bytes may be no valid UTF-8.
std::string decode_in_steps(const std::vector<DecodeStep>& steps, std::vector<std::string> texts, bool whole);

}  // namespace heed
