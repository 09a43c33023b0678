// What GGUF files of several architectures, of several parts and with several kinds of rotary positions are read as;
// the models themselves are compared with transformers in tests/golden/gguf_families.cpp.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <fstream>

#include "tests/unit/convert/sample_files.h"
#include "tokenizer/tokenizer.h"
#include "tools/convert/convert.h"
#include "tools/convert/gguf.h"

namespace heed::convert {
namespace {

using namespace convert_test;

Checkpoint read_bytes(const GgufFile& file, std::int64_t context = 0) {
  return read_gguf(SourceFile::from_bytes("test.gguf", file.bytes()), context);
}
std::string complaint_of(const GgufFile& file, std::int64_t context = 0) {
  return error_of([&] {
    Checkpoint checkpoint = read_bytes(file, context);
    make_header(checkpoint, {});
  });
}

/// The same keys under another architecture's name.
GgufFile tiny_of(const std::string& architecture) {
  GgufFile file = tiny_gguf();
  file.text("general.architecture", architecture);
  for (const auto& [key, value] : {std::pair("context_length", 16u),
                                   {"embedding_length", 8u},
                                   {"block_count", 1u},
                                   {"feed_forward_length", 12u},
                                   {"attention.head_count", 2u},
                                   {"attention.head_count_kv", 1u}}) {
    file.remove(std::string("llama.") + key).u32(architecture + "." + key, value);
  }
  for (const char* key : {"attention.layer_norm_rms_epsilon", "rope.dimension_count"}) {
    file.remove(std::string("llama.") + key);
  }
  return file.f32(architecture + ".attention.layer_norm_rms_epsilon", 1e-5f);
}

/// The tensors of a file with its parts' metadata, cut behind the first `first` ones.
void write_parts(const TempFolder& folder, const std::string& stem) {
  const GgufFile whole = tiny_gguf();
  const Gguf names = Gguf::read(*SourceFile::from_bytes("whole", whole.bytes()));
  for (std::uint32_t part = 0; part < 3; ++part) {
    GgufFile file = part == 0 ? tiny_gguf() : GgufFile();
    if (part == 0) {
      for (std::size_t i = 4; i < names.tensors.size(); ++i) file.remove_tensor(names.tensors[i].name);
    } else {
      for (std::size_t i = part == 1 ? 4 : 7; i < (part == 1 ? 7 : names.tensors.size()); ++i) {
        const Checkpoint from = read_bytes(whole);
        const auto bytes = tensor(from, names.tensors[i].name).read();
        file.tensor(names.tensors[i].name, names.tensors[i].shape, 0,
                    std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
      }
    }
    file.u32("split.no", part).u32("split.count", 3);
    file.u32("split.tensors.count", static_cast<std::uint32_t>(names.tensors.size()));
    folder.write(fmt::format("{}-{:05}-of-00003.gguf", stem, part + 1), file.bytes());
  }
}

TEST_CASE("gguf: a model in several files is read from any of them") {
  const TempFolder folder;
  write_parts(folder, "model");
  const Checkpoint whole = read_bytes(tiny_gguf());
  for (const int part : {1, 2, 3}) {
    const auto path = folder.path() / fmt::format("model-{:05}-of-00003.gguf", part);
    Checkpoint checkpoint = read_checkpoint(path, {});
    CHECK(checkpoint.parameters == whole.parameters);
    CHECK(checkpoint.tokenizer == whole.tokenizer);
    REQUIRE(checkpoint.tensors.size() == whole.tensors.size());
    for (const SourceTensor& each : whole.tensors) CHECK(tensor(checkpoint, each.name).read() == each.read());
    make_header(checkpoint, {});
  }
}

TEST_CASE("gguf: a part that is missing, doubled or foreign is refused by its name") {
  const TempFolder folder;
  write_parts(folder, "model");
  const auto path = [&](int part) { return folder.path() / fmt::format("model-{:05}-of-00003.gguf", part); };
  const auto message = [&] { return error_of([&] { read_checkpoint(path(1), {}); }); };
  const std::string second = read_whole(path(2));
  const std::string third = read_whole(path(3));

  std::filesystem::remove(path(2));
  CHECK(contains(message(), "model-00002-of-00003.gguf: is missing"));
  folder.write(path(2).filename().string(), third);  // doubled
  CHECK(contains(message(), "model-00002-of-00003.gguf: says that it is part 3 of 3"));
  folder.write(path(2).filename().string(), tiny_gguf().bytes());
  CHECK(contains(message(), "model-00002-of-00003.gguf: says that it is part none of 1"));
  folder.write(path(2).filename().string(), "no GGUF");
  CHECK(contains(message(), "model-00002-of-00003.gguf: is not a GGUF file"));

  GgufFile foreign;
  foreign.u32("split.no", 1).u32("split.count", 3).u32("split.tensors.count", 12);
  folder.write(path(2).filename().string(), foreign.bytes());
  CHECK(contains(message(), "is part of a model of 12 tensors"));
  foreign.u32("split.tensors.count", 11).tensor("output_norm.weight", {8}, 0, f32_bytes(ramp(8, 1)));
  folder.write(path(2).filename().string(), foreign.bytes());
  CHECK(contains(message(), "tensor 'output_norm.weight' is in"));
  foreign.remove_tensor("output_norm.weight");
  folder.write(path(2).filename().string(), foreign.bytes());
  CHECK(contains(message(), "the model has 11 tensors"));

  folder.write(path(2).filename().string(), second);
  CHECK(message().empty());
  std::filesystem::rename(path(1), folder.path() / "renamed.gguf");
  CHECK(contains(error_of([&] { read_checkpoint(folder.path() / "renamed.gguf", {}); }),
                 "its name does not end in '-00001-of-00003.gguf'"));
}

TEST_CASE("gguf: an architecture's own keys are known under its name alone") {
  GgufFile file = tiny_of("granite");
  file.f32("granite.attention.scale", 0.5f).f32("granite.residual_scale", 0.22f).f32("granite.logit_scale", 8);
  const nlohmann::json p = read_bytes(file).parameters;
  CHECK(p["attention_scale"] == 0.5);
  CHECK(p["residual_scale"] == 0.22);
  CHECK(p["logits_scale"] == 0.125);
  file = tiny_of("qwen2");
  CHECK(complaint_of(file).empty());
  CHECK(contains(complaint_of(file.f32("qwen2.attention.scale", 0.5f)), "'qwen2.attention.scale' is not known"));
  file = tiny_of("qwen2");
  CHECK(contains(complaint_of(file.u32("llama.block_count", 1)), "'llama.block_count' is not known"));
}

TEST_CASE("gguf: windows as a period, as a list, and as the architecture has them") {
  const auto windows = [](GgufFile file) { return read_bytes(file).parameters.value("windows", nlohmann::json()); };
  GgufFile file = tiny_of("gemma3");
  file.u32("gemma3.block_count", 7).u32("gemma3.attention.sliding_window", 9);
  CHECK(windows(file) == nlohmann::json({9, 9, 9, 9, 9, 0, 9}));
  file.u32("gemma3.attention.sliding_window_pattern", 3);
  CHECK(windows(file) == nlohmann::json({9, 9, 0, 9, 9, 0, 9}));
  file.i32s("gemma3.attention.sliding_window_pattern", {0, 0, 1, 0, 0, 0, 0});
  CHECK(windows(file) == nlohmann::json({0, 0, 9, 0, 0, 0, 0}));
  file.i32s("gemma3.attention.sliding_window_pattern", {0, 1});
  CHECK(contains(complaint_of(file), "7 values, one a layer"));
  file = tiny_of("gemma2");
  CHECK(windows(file.u32("gemma2.block_count", 2)) == nlohmann::json({4096, 0}));
}

TEST_CASE("gguf: matrices that are packed come apart, and fit") {
  GgufFile file = tiny_of("phi3");
  file.remove_tensor("blk.0.attn_q.weight").remove_tensor("blk.0.attn_k.weight").remove_tensor("blk.0.attn_v.weight");
  file.remove_tensor("blk.0.ffn_gate.weight");
  file.tensor("blk.0.attn_qkv.weight", {16, 8}, 0, f32_bytes(ramp(128, 1)));
  file.tensor("blk.0.ffn_up.weight", {24, 8}, 0, f32_bytes(ramp(192, 2)));
  const Checkpoint checkpoint = read_bytes(file);
  const std::vector<float> qkv = ramp(128, 1);
  CHECK(f32_values(tensor(checkpoint, "blk.0.attn_k.weight").read()) ==
        std::vector<float>(qkv.begin() + 64, qkv.begin() + 96));
  const std::vector<float> both = ramp(192, 2);
  CHECK(f32_values(tensor(checkpoint, "blk.0.ffn_gate.weight").read()) ==
        std::vector<float>(both.begin(), both.begin() + 96));
  CHECK(complaint_of(file).empty());
  file.tensor("blk.0.attn_qkv.weight", {15, 8}, 0, f32_bytes(ramp(120, 1)));
  CHECK(contains(complaint_of(file), "'blk.0.attn_qkv.weight' has 15 rows, but the hyperparameters imply 16"));
  file.remove_tensor("blk.0.attn_qkv.weight");
  CHECK(contains(complaint_of(file), "'blk.0.attn_q.weight' is missing"));
}

TEST_CASE("gguf: yarn and longrope") {
  GgufFile file = tiny_gguf();
  file.text("llama.rope.scaling.type", "yarn").f32("llama.rope.scaling.factor", 4);
  file.u32("llama.rope.scaling.original_context_length", 8);
  Checkpoint checkpoint = read_bytes(file);
  CHECK(checkpoint.parameters["rope_scale"].get<double>() == doctest::Approx(1.13862943611).epsilon(1e-9));
  CHECK(checkpoint.parameters["context"] == 16);
  CHECK(tensor(checkpoint, "rope_freqs.weight").shape == Shape{2});
  CHECK(read_bytes(file, 32).parameters["context"] == 32);
  CHECK(contains(complaint_of(file, 33), "reach up to 32"));
  file.f32("llama.rope.scaling.yarn_attn_factor", 1.5f).f32("llama.rope.scaling.attn_factor", 2);
  CHECK(read_bytes(file).parameters["rope_scale"] == 3.0);
  CHECK(contains(complaint_of(file.f32("llama.rope.scaling.yarn_ext_factor", 0.5f)), "yarn_ext_factor"));
  file.f32("llama.rope.scaling.yarn_ext_factor", -1).f32("llama.rope.scaling.yarn_log_multiplier", 0.1f);
  CHECK(contains(complaint_of(file), "yarn_log_multiplier"));

  file = tiny_gguf();
  file.tensor("rope_factors_short.weight", {2}, 0, f32_bytes({1, 2}));
  CHECK(contains(complaint_of(file), "'rope_factors_long.weight' is missing"));
  file.tensor("rope_factors_long.weight", {2}, 0, f32_bytes({3, 4}));
  file.u32("llama.rope.scaling.original_context_length", 8).f32("llama.rope.scaling.attn_factor", 1.25f);
  checkpoint = read_bytes(file);
  CHECK(checkpoint.parameters["context"] == 8);
  CHECK(checkpoint.parameters["rope_scale"] == 1.25);
  CHECK(f32_values(tensor(checkpoint, "rope_freqs.weight").read()) == std::vector<float>{1, 2});
  CHECK(contains(checkpoint.notes.at(0), "--context 16 takes the others"));
  checkpoint = read_bytes(file, 12);
  CHECK(checkpoint.parameters["context"] == 12);
  CHECK(f32_values(tensor(checkpoint, "rope_freqs.weight").read()) == std::vector<float>{3, 4});
  CHECK(contains(complaint_of(file, 17), "reach up to 16"));
  file.remove_tensor("rope_factors_short.weight").remove_tensor("rope_factors_long.weight");
  CHECK(contains(complaint_of(file, 12), "--context is for models"));
  CHECK(contains(complaint_of(file.text("llama.rope.scaling.type", "longrope")), "is missing"));
}

TEST_CASE("gguf: each value of tokenizer.ggml.pre cuts text as llama.cpp does") {
  const auto path = golden_folder().parent_path() / "gguf" / "pre_tokenizers.json";
  const nlohmann::json golden = nlohmann::json::parse(read_whole(path));
  const auto tokens = golden.at("tokens").get<std::vector<std::string>>();
  const auto texts = golden.at("texts").get<std::vector<std::string>>();
  GgufFile file = tiny_gguf();
  file.text("tokenizer.ggml.model", "gpt2").texts("tokenizer.ggml.tokens", tokens).remove("tokenizer.ggml.scores");
  file.texts("tokenizer.ggml.merges", golden.at("merges").get<std::vector<std::string>>());
  file.i32s("tokenizer.ggml.token_type", std::vector<std::int32_t>(tokens.size(), 1));
  const auto rows = static_cast<std::int64_t>(tokens.size());
  file.tensor("token_embd.weight", {rows, 8}, 0, f32_bytes(std::vector<float>(tokens.size() * 8)));
  std::size_t values = 0;
  for (const nlohmann::json& cut : golden.at("cuts")) {
    for (const std::string pre : cut.at("pre")) {
      CAPTURE(pre);
      ++values;
      file.text("tokenizer.ggml.pre", pre);
      const auto tokenizer = Tokenizer::from_json(read_bytes(file).tokenizer);
      for (std::size_t i = 0; i < texts.size(); ++i) {
        if (cut.at("ids")[i].is_null()) continue;
        CAPTURE(texts[i]);
        CHECK(tokenizer->encode(texts[i]) == cut.at("ids")[i].get<std::vector<TokenId>>());
      }
    }
  }
  CHECK(values == 70);
}

}  // namespace
}  // namespace heed::convert
