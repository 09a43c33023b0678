#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace heed::convert {

/// Hugging Face's encoder-decoder Transformers. T5 is also mT5; UMT5 has a table of relative positions a layer.
enum class TranslationFamily : std::uint8_t { Marian, M2M100, Bart, MBart, T5, UMT5 };

/// What config.json of such a model says, in heed's terms.
struct TranslationConfig {
  TranslationFamily family = TranslationFamily::Marian;
  nlohmann::json parameters = nlohmann::json::object();  // models/transformer.h
  bool shared = true;                                    // source and target have one embedding
  bool tied = true;                                      // the target's embedding serves as output matrix
  bool scale_output = false;                             // by 1 / sqrt(d_model), as T5 does where it is tied
};

/// Whether config.json names one of MarianMTModel, M2M100ForConditionalGeneration, BartForConditionalGeneration,
/// MBartForConditionalGeneration, T5ForConditionalGeneration, MT5ForConditionalGeneration and
/// UMT5ForConditionalGeneration as its architecture.
bool is_translation_config(const nlohmann::json& config);

/// Throws Error naming the key of config.json that is missing, out of range or not known to leave the computation as it
/// is. Keys that tell how to search are those of translation_search.h.
TranslationConfig read_translation_config(const nlohmann::json& config);

}  // namespace heed::convert
