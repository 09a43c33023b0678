// Folders of Hugging Face's translation models: what is read, and what is refused by name. That models compute what
// they should is tested in tests/golden/translation.cpp.
#include <doctest/doctest.h>

#include <cmath>

#include "tests/unit/convert/changed_folder.h"
#include "tools/convert/translation_config.h"
#include "tools/convert/translation_languages.h"
#include "tools/convert/translation_tensors.h"

namespace heed::convert {
namespace {

using namespace convert_test;
using Json = nlohmann::json;

TEST_CASE("Marian: hyperparameters, how it is searched, names of tensors") {
  ChangedFolder folder("marian");
  const Checkpoint checkpoint = folder.read();
  CHECK(checkpoint.family == "transformer");
  const Json& metadata = folder.header.metadata;
  CHECK(metadata["task"] == "translation");
  CHECK(metadata["graph"] == "decode");
  CHECK(metadata["encoder"] == "encode");
  CHECK(metadata["vocabulary"] == 97);
  CHECK(metadata["source_vocabulary"] == 97);
  CHECK(metadata["context"] == 32);
  CHECK(metadata["source_context"] == 32);
  CHECK(metadata["decoder_start"] == Json::array({96}));
  CHECK(metadata["end_tokens"] == Json::array({0}));
  CHECK(metadata["pad"] == 96);
  CHECK(metadata["suppressed_tokens"] == Json::array({96}));
  CHECK(metadata["forced_last"] == 0);
  CHECK_FALSE(metadata.contains("forced_first"));
  CHECK(metadata["search"] == Json({{"beam", 4}, {"max_length", 12}, {"renormalize", true}}));
  CHECK(metadata["parameters"]["activation"] == "silu");
  CHECK(metadata["parameters"]["decoder"]["heads"] == 3);
  CHECK(checkpoint.name_in_file("decoder.blk.1.cross_q.weight") == "model.decoder.layers.1.encoder_attn.q_proj.weight");
  CHECK(tensor(checkpoint, "output.bias").shape == Shape{97});
  REQUIRE(folder.header.graphs.size() == 2);
  CHECK(folder.header.graphs[0].name == "decode");
  CHECK(folder.header.graphs[1].name == "encode");

  folder.remove("model.decoder.layers.1.encoder_attn.q_proj.weight");
  CHECK(contains(folder.complaint(), "tensor 'model.decoder.layers.1.encoder_attn.q_proj.weight' is missing"));
}

TEST_CASE("keys that change the result and are not known are refused by name") {
  const auto complaint = [](const std::string& name, const char* key, const Json& value) {
    ChangedFolder folder(name);
    folder.config[key] = value;
    return folder.complaint();
  };
  CHECK(contains(complaint("marian", "spiral", 1), "\"spiral\" is not known"));
  CHECK(contains(complaint("marian", "normalize_before", true), "'normalize_before' is true"));
  CHECK(contains(complaint("bart", "normalize_embedding", false), "'normalize_embedding' is false"));
  CHECK(contains(complaint("bart", "is_encoder_decoder", false), "'is_encoder_decoder' is false"));
  CHECK(contains(complaint("marian", "encoder_attention_heads", 5), "a divisor of d_model, 24"));
  CHECK(contains(complaint("marian", "decoder_vocab_size", 98), "contradict"));
  CHECK(contains(complaint("marian", "max_position_embeddings", 1 << 30), "has more than"));
  CHECK(contains(complaint("t5", "feed_forward_proj", "gated-gelu"), "contradict"));
  CHECK(contains(complaint("t5", "relative_attention_max_distance", 3), "relative_distance is 3"));
  CHECK(contains(complaint("t5", "vocab_size", 84), "tensor 'shared.weight' has shape [83, 24]"));
  CHECK(contains(complaint("marian", "architectures", Json({"FSMTForConditionalGeneration"})), "'architectures'"));
}

TEST_CASE("what generation_config.json asks for and heed has not is refused by name") {
  const auto complaint = [](const char* key, const Json& value) {
    ChangedFolder folder("marian");
    folder.generation[key] = value;
    return folder.complaint();
  };
  CHECK(contains(complaint("diversity_penalty", 0.5), "'diversity_penalty' is 0.5"));
  CHECK(complaint("diversity_penalty", 0.0).empty());
  CHECK(contains(complaint("bad_words_ids", Json::array({Json({1, 2})})), "'bad_words_ids'"));
  CHECK(contains(complaint("bad_words_ids", Json::array({Json::array({97})})), "one id below 97"));
  CHECK(contains(complaint("forced_eos_token_id", Json({0, 1})), "'forced_eos_token_id'"));
  CHECK(contains(complaint("length_penalty", "long"), "'length_penalty'"));
  CHECK(contains(complaint("early_stopping", 2), "'early_stopping'"));
  CHECK(contains(complaint("novelty", 2), "generation_config.json: \"novelty\" is not known"));
  CHECK(contains(complaint("decoder_start_token_id", 97), "'decoder_start_token_id' is 97"));
}

TEST_CASE("search: generation_config.json, or config.json without one; lengths count what is made") {
  ChangedFolder folder("bart");
  folder.generation["max_length"] = 20;
  folder.generation["do_sample"] = true;
  folder.generation["suppress_tokens"] = {5, 3, 2};
  const Checkpoint checkpoint = folder.read();
  Json metadata = folder.header.metadata;
  CHECK(metadata["forced_first"] == 0);
  CHECK(metadata["suppressed_tokens"] == Json({3, 5}));  // 2 ends a sentence
  CHECK(metadata["search"] ==
        Json({{"beam", 4}, {"length_penalty", 2.0}, {"max_length", 19}, {"min_length", 4}, {"no_repeat_ngram", 2}}));
  CHECK(contains(checkpoint.notes.at(0), "'do_sample'"));

  ChangedFolder older("bart");
  older.generation = {};
  older.config.update({{"num_beams", 6}, {"early_stopping", true}, {"max_new_tokens", 7}, {"forced_bos_token_id", 4}});
  older.read();
  metadata = older.header.metadata;
  CHECK(metadata["search"] == Json({{"beam", 6}, {"early_stopping", true}, {"max_length", 7}}));
  CHECK(metadata["forced_first"] == 4);
  CHECK(metadata["decoder_start"] == Json::array({2}));
  older.config["decoder_start_token_id"] = nullptr;
  older.config["bos_token_id"] = nullptr;
  CHECK(contains(older.complaint(), "'decoder_start_token_id' is null"));
}

TEST_CASE("embeddings that the file holds several times are stored once, and must agree") {
  ChangedFolder folder("m2m100");
  CHECK_FALSE(has_tensor(folder.read(), "output.weight"));
  SafetensorsItem copy = folder.item("model.shared.weight");
  for (const char* name :
       {"model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight"}) {
    copy.name = name;
    folder.items.push_back(copy);
  }
  const Checkpoint checkpoint = folder.read();
  CHECK(has_tensor(checkpoint, "token_embd.weight"));
  CHECK_FALSE(has_tensor(checkpoint, "source_embd.weight"));
  CHECK_FALSE(has_tensor(checkpoint, "output.weight"));
  folder.remove("model.shared.weight");
  CHECK(has_tensor(folder.read(), "token_embd.weight"));
  folder.item("lm_head.weight").bytes[4] ^= 1;
  CHECK(contains(folder.read().notes.at(1), "'lm_head.weight' to the embedding, but it holds other values"));
  folder.item("model.decoder.embed_tokens.weight").bytes[4] ^= 1;
  CHECK(contains(folder.complaint(), "'model.decoder.embed_tokens.weight' [91, 24] hold different values"));

  ChangedFolder two("marian_two");
  const Checkpoint untied = two.read();
  for (const char* name : {"source_embd.weight", "target_embd.weight", "output.weight"}) {
    CHECK(has_tensor(untied, name));
  }
  two.remove("lm_head.weight");
  CHECK(contains(two.complaint(), "'lm_head.weight' is missing, but config.json says it is not tied"));
  two.config["tie_word_embeddings"] = true;
  CHECK(two.complaint().empty());
  two.remove("model.decoder.embed_tokens.weight");
  CHECK(contains(two.complaint(), "'model.decoder.embed_tokens.weight' is missing"));
}

TEST_CASE("T5: the scale of a tied output is part of the last norm") {
  ChangedFolder folder("t5");
  const std::vector<float> scaled = values_in(folder.read(), "decoder.output_norm.weight");
  folder.config["scale_decoder_outputs"] = false;
  const std::vector<float> plain = values_in(folder.read(), "decoder.output_norm.weight");
  REQUIRE(plain.size() == 24);
  for (std::size_t i = 0; i < plain.size(); ++i) CHECK(scaled[i] == doctest::Approx(plain[i] / std::sqrt(24.0)));
  // As transformers 4 wrote T5 v1.1.
  folder.config.erase("scale_decoder_outputs");
  folder.config["tie_word_embeddings"] = false;
  CHECK(contains(folder.complaint(), "'lm_head.weight' is missing"));
  SafetensorsItem output = folder.item("shared.weight");
  output.name = "lm_head.weight";
  output.bytes[4] ^= 1;
  folder.items.push_back(output);
  const Checkpoint untied = folder.read();
  CHECK(has_tensor(untied, "output.weight"));
  CHECK(values_in(untied, "decoder.output_norm.weight") == plain);
  SafetensorsItem ignored = folder.item("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight");
  ignored.name = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight";
  folder.items.push_back(ignored);
  CHECK(folder.complaint().empty());
  ignored.name = "decoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight";
  folder.items.push_back(ignored);
  CHECK(contains(folder.complaint(),
                 "'decoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight' is not known"));
}

TEST_CASE("positions: BART's lose their first two rows; sinusoids are made where the file has none") {
  ChangedFolder bart("bart");
  const Checkpoint checkpoint = bart.read();
  CHECK(tensor(checkpoint, "source_position.weight").shape == Shape{32, 24});
  const std::string& bytes = bart.item("model.encoder.embed_positions.weight").bytes;
  const std::vector<std::byte> rows = tensor(checkpoint, "source_position.weight").read();
  CHECK(std::string(reinterpret_cast<const char*>(rows.data()), rows.size()) == bytes.substr(2 * 24 * 2));
  bart.config["max_position_embeddings"] = 31;
  CHECK(contains(bart.complaint(), "coder.embed_positions.weight' has shape [34, 24]"));

  const auto at = [](SinusoidLayout layout, std::int64_t offset, std::size_t row, std::size_t column) {
    const std::vector<float> values = tensor_values(sinusoidal_positions("p", layout, 9, 6, offset));
    return static_cast<double>(values.at(row * 6 + column));
  };
  // Of six columns the wavelengths are 1, 10000^(1/3) and 10000^(2/3), or 1, 100 and 10000.
  const double angle = 7 / std::pow(10000.0, 1.0 / 3.0);
  CHECK(at(SinusoidLayout::Interleaved, 0, 7, 2) == doctest::Approx(std::sin(angle)));
  CHECK(at(SinusoidLayout::Interleaved, 0, 7, 3) == doctest::Approx(std::cos(angle)));
  CHECK(at(SinusoidLayout::Halves, 0, 7, 1) == doctest::Approx(std::sin(angle)));
  CHECK(at(SinusoidLayout::Halves, 0, 7, 4) == doctest::Approx(std::cos(angle)));
  CHECK(at(SinusoidLayout::HalvesM2M, 2, 5, 1) == doctest::Approx(std::sin(0.07)));
  CHECK(at(SinusoidLayout::HalvesM2M, 2, 5, 5) == doctest::Approx(std::cos(7e-4)));
}

TEST_CASE("languages: from tokenizer.json, or counted on behind vocab.json") {
  const TempFolder folder;
  std::vector<std::string> notes;
  const auto languages = [&](TranslationFamily family) {
    TranslationConfig config;
    config.family = family;
    config.parameters = {{"source_vocabulary", 91}};
    return read_translation_languages(folder.path(), config, {{"decoder_start", {2}}, {"end_tokens", {2}}}, notes);
  };
  CHECK(languages(TranslationFamily::Marian).empty());
  CHECK(notes.empty());
  CHECK(languages(TranslationFamily::M2M100).empty());
  CHECK(contains(notes.at(0), "names the tokens of languages"));
  folder.write("vocab.json", Json({{"a", 0}, {"b", 1}, {"c", 2}}).dump());
  folder.write("special_tokens_map.json", Json({{"additional_special_tokens", {"__en__", "__fr__"}}}).dump());
  CHECK(languages(TranslationFamily::M2M100)["languages"] ==
        Json({{"en", {{"source_before", {3}}, {"source_after", {2}}, {"target_begin", {2, 3}}}},
              {"fr", {{"source_before", {4}}, {"source_after", {2}}, {"target_begin", {2, 4}}}}}));
  Json added = Json::array({{{"id", 80}, {"content", "eng_Latn"}}, {{"id", 81}, {"content", "<mask>"}}});
  folder.write("tokenizer.json", Json({{"added_tokens", added}}).dump());
  folder.write("tokenizer_config.json", Json({{"src_lang", "eng_Latn"}, {"tgt_lang", "fra_Latn"}}).dump());
  Json metadata = languages(TranslationFamily::M2M100);
  CHECK(metadata["languages"].size() == 1);
  CHECK(metadata["languages"]["eng_Latn"]["target_begin"] == Json({2, 80}));
  CHECK(metadata["default_from"] == "eng_Latn");
  CHECK_FALSE(metadata.contains("default_to"));
  folder.write("tokenizer_config.json", Json({{"legacy_behaviour", true}}).dump());
  CHECK(languages(TranslationFamily::M2M100)["languages"]["eng_Latn"]["source_after"] == Json({2, 80}));
  added[0]["id"] = 91;
  folder.write("tokenizer.json", Json({{"added_tokens", added}}).dump());
  CHECK(contains(error_of([&] { languages(TranslationFamily::M2M100); }), "beyond the vocabulary of 91"));

  folder.write("tokenizer.json", "{}");
  const auto mbart = [&](const char* tokenizer_class) {
    const Json decoder = {{"70", {{"content", "ro_RO"}}}, {"71", {{"content", "<pad>"}}}};
    folder.write("tokenizer_config.json",
                 Json({{"tokenizer_class", tokenizer_class}, {"added_tokens_decoder", decoder}}).dump());
    return languages(TranslationFamily::MBart)["languages"]["ro_RO"];
  };
  CHECK(mbart("MBartTokenizer") ==
        Json({{"source_before", Json::array()}, {"source_after", {2, 70}}, {"target_begin", {70}}}));
  CHECK(mbart("MBart50Tokenizer") == Json({{"source_before", {70}}, {"source_after", {2}}, {"target_begin", {2, 70}}}));
}

TEST_CASE("nothing but an error of one line comes of a key with a value of any kind") {
  const std::vector<Json> values = {
      nullptr,         true, -1, 0, 1, 7, INT64_MAX, 1e300, "x", Json::array(), Json({1, "x"}), Json::object(),
      Json({{"x", 1}})};
  for (const char* name : {"marian", "t5_v1_1", "torch_pre_norm", "rnn_previous"}) {
    CAPTURE(std::string(name));
    ChangedFolder folder(name);
    CHECK(folder.complaint().empty());
    std::size_t refused = 0;
    for (Json* json : {&folder.config, &folder.generation}) {
      const Json whole = *json;
      if (whole.is_null()) continue;
      for (const auto& [key, kept] : whole.items()) {
        for (std::size_t i = 0; i < values.size(); i += HEED_SLOWNESS) {
          (*json)[key] = values[i];
          const std::string shown_key = key;
          CAPTURE(shown_key);
          CAPTURE(values[i].dump());
          const std::string complaint = folder.complaint();
          CHECK(complaint.find('\n') == std::string::npos);
          refused += complaint.empty() ? 0 : 1;
        }
        (*json)[key] = kept;
      }
    }
    CHECK(refused > 50 / HEED_SLOWNESS);
  }
}

}  // namespace
}  // namespace heed::convert
