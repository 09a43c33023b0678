#include "tools/convert/translation_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "heed/error.h"
#include "ops/search.h"
#include "tools/convert/config_reader.h"
#include "tools/convert/json_text.h"

namespace heed::convert {

namespace {

/// Keys that search by beams does not have here, with the values that mean nothing.
struct Absent {
  const char* key;
  std::vector<nlohmann::json> nothing;
};

const std::vector<Absent>& absent_keys() {
  static const std::vector<Absent> keys = {{"encoder_no_repeat_ngram_size", {0}},
                                           {"encoder_repetition_penalty", {1}},
                                           {"diversity_penalty", {0}},
                                           {"num_beam_groups", {1}},
                                           {"penalty_alpha", {0}},
                                           {"force_words_ids", {}},
                                           {"constraints", {}},
                                           {"sequence_bias", {}},
                                           {"exponential_decay_length_penalty", {}},
                                           {"guidance_scale", {1}},
                                           {"watermarking_config", {}},
                                           {"begin_suppress_tokens", {nlohmann::json::array()}},
                                           {"stop_strings", {nlohmann::json::array()}},
                                           {"token_healing", {false}},
                                           {"dola_layers", {}},
                                           {"max_time", {}}};
  return keys;
}

std::optional<std::int64_t> find_natural(ConfigReader& config, const char* key) {
  const nlohmann::json* value = config.find(key);
  if (value == nullptr) return {};
  const auto number = natural(*value);
  if (!number || *number > INT32_MAX) config.fail(key, fmt::format("an integer from 0 to {}", INT32_MAX));
  return static_cast<std::int64_t>(*number);
}

/// Sequences of ids that must not be made: heed knows those of one.
std::vector<std::int32_t> suppressed(ConfigReader& config, std::int64_t vocabulary) {
  std::vector<std::int32_t> ids = config.tokens("suppress_tokens", vocabulary);
  if (const nlohmann::json* words = config.find("bad_words_ids"); words != nullptr) {
    if (!words->is_array()) config.fail("bad_words_ids", "a list of lists of one id");
    for (const nlohmann::json& word : *words) {
      const bool one = word.is_array() && word.size() == 1;
      if (!one || natural(word[0]).value_or(UINT64_MAX) >= static_cast<std::uint64_t>(vocabulary)) {
        config.fail("bad_words_ids", fmt::format("a list of lists of one id below {}", vocabulary));
      }
      ids.push_back(word[0].get<std::int32_t>());
    }
  }
  std::ranges::sort(ids);
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

nlohmann::json read_lengths_and_penalties(ConfigReader& config) {
  nlohmann::json search = nlohmann::json::object();
  if (const auto beams = config.find_size("num_beams")) search["beam"] = *beams;
  if (const nlohmann::json* penalty = config.find("length_penalty"); penalty != nullptr) {
    if (!penalty->is_number() || !std::isfinite(penalty->get<double>())) config.fail("length_penalty", "a number");
    search["length_penalty"] = penalty->get<double>();
  }
  if (const nlohmann::json* early = config.find("early_stopping"); early != nullptr) {
    if (!early->is_boolean() && *early != "never") config.fail("early_stopping", "true, false or \"never\"");
    search["early_stopping"] = *early;
  }
  if (const auto size = find_natural(config, "no_repeat_ngram_size").value_or(0); size > 0) {
    if (size > ops::SearchOptions::kMostNoRepeat)
      config.fail("no_repeat_ngram_size", fmt::format("0 to {}", ops::SearchOptions::kMostNoRepeat));
    search["no_repeat_ngram"] = size;
  }
  const auto length = config.find_size("max_length");
  if (const auto made = config.find_size("max_new_tokens")) {
    search["max_length"] = *made;
  } else if (length && *length > 1) {
    search["max_length"] = *length - 1;
  }
  const auto least = find_natural(config, "min_length");
  const auto least_made = find_natural(config, "min_new_tokens");
  const std::int64_t minimum = least_made.value_or(std::max<std::int64_t>(least.value_or(0) - 1, 0));
  if (minimum > 0) search["min_length"] = minimum;
  if (const auto penalty = config.find_positive("repetition_penalty"); penalty.value_or(1) != 1) {
    search["repetition_penalty"] = *penalty;
  }
  if (config.boolean("renormalize_logits", false)) search["renormalize"] = true;
  return search;
}

}  // namespace

nlohmann::json read_translation_search(const nlohmann::json& config, const nlohmann::json& generation_config,
                                       std::int64_t vocabulary, std::int64_t source_vocabulary,
                                       std::vector<std::string>& notes) {
  const bool has_own = generation_config.is_object();
  ConfigReader reader(has_own ? generation_config : config, has_own ? "generation_config.json" : "config.json");
  ConfigReader model(config, "config.json");
  const auto own_or_model_token = [&](const char* key, std::int64_t limit) {
    const auto own = reader.find_token(key, limit);
    return own ? own : model.find_token(key, limit);
  };
  const auto token = [&](const char* key) { return own_or_model_token(key, vocabulary); };
  nlohmann::json metadata;
  const auto begin = token("bos_token_id");
  const auto start = token("decoder_start_token_id");
  if (!start && !begin) model.fail("decoder_start_token_id", "it or bos_token_id, with which a translation begins");
  metadata["decoder_start"] = {start ? *start : *begin};
  std::vector<std::int32_t> ends = reader.tokens("eos_token_id", vocabulary);
  if (ends.empty()) ends = model.tokens("eos_token_id", vocabulary);
  if (ends.empty()) model.fail("eos_token_id", "the id that ends a translation");
  metadata["end_tokens"] = ends;
  // Rows behind a source's end are never looked at, so that any id will do.
  const auto pad = own_or_model_token("pad_token_id", std::max(vocabulary, source_vocabulary));
  metadata["pad"] = pad && *pad < source_vocabulary ? *pad : 0;
  std::vector<std::int32_t> never = suppressed(reader, vocabulary);
  std::erase_if(never, [&](std::int32_t id) { return std::ranges::find(ends, id) != ends.end(); });
  if (!never.empty()) metadata["suppressed_tokens"] = never;
  if (const auto first = reader.find_token("forced_bos_token_id", vocabulary)) metadata["forced_first"] = *first;
  const std::vector<std::int32_t> last = reader.tokens("forced_eos_token_id", vocabulary);
  if (last.size() > 1) reader.fail("forced_eos_token_id", "one id");
  if (!last.empty()) metadata["forced_last"] = last.front();
  metadata["search"] = read_lengths_and_penalties(reader);
  for (const Absent& absent : absent_keys()) {
    const nlohmann::json* value = reader.find(absent.key);
    if (value != nullptr && std::ranges::find(absent.nothing, *value) == absent.nothing.end()) {
      reader.fail(absent.key, "a search by beams without it");
    }
  }
  if (reader.boolean("do_sample", false)) {
    notes.push_back(
        fmt::format("{} asks for sampling ('do_sample'): translate searches by beams all the same", reader.where()));
  }
  if (has_own) {
    // Of sampling, which is not asked for, of speed, and of what is returned.
    for (const char* key :
         {"top_h", "cache_config", "assistant_confidence_threshold", "assistant_early_exit", "assistant_lookbehind",
          "target_lookbehind", "is_assistant", "num_assistant_tokens", "num_assistant_tokens_schedule",
          "prompt_lookup_num_tokens", "max_matching_ngram_size", "compile_config", "disable_compile",
          "continuous_batching_config", "prefill_chunk_size", "generation_kwargs", "trust_remote_code"}) {
      reader.skip(key);
    }
    reader.refuse_unread();
  }
  return metadata;
}

}  // namespace heed::convert
