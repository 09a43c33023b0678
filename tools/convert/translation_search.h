#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace heed::convert {

/// How a Hugging Face model is searched: what generation_config.json, or config.json where there is none, says, as
/// metadata of the .heed file (engine/file/format.md): decoder_start, end_tokens, pad, suppressed_tokens, forced_first,
/// forced_last and search. Ids that generation_config.json leaves out are those of config.json.
///
/// Lengths of `search` count the tokens that are made: max_length the end token too, min_length those before it; in
/// transformers they count the decoder's start as well. What concerns sampling alone is left out with a note. Throws
/// Error naming a key that changes a search by beams in a way that heed has not.
nlohmann::json read_translation_search(const nlohmann::json& config, const nlohmann::json& generation_config,
                                       std::int64_t vocabulary, std::int64_t source_vocabulary,
                                       std::vector<std::string>& notes);

}  // namespace heed::convert
