#include "tools/convert/gguf.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <tuple>

#include "graph/quantised.h"
#include "heed/error.h"
#include "tests/unit/convert/graph_in_double.h"
#include "tests/unit/convert/sample_files.h"
#include "tokenizer/description.h"
#include "tokenizer/tokenizer.h"
#include "tools/convert/convert.h"

namespace heed::convert {
namespace {

using namespace convert_test;

Checkpoint read(const std::string& bytes) { return read_gguf(SourceFile::from_bytes("test.gguf", bytes)); }
/// What reading and building the graph say; "" when both succeed.
std::string complaint(const GgufFile& file) {
  return error_of([&] {
    Checkpoint checkpoint = read(file.bytes());
    make_header(checkpoint, {});
  });
}

TEST_CASE("a GGUF file gives hyperparameters, tensors and the tokenizer") {
  for (const std::uint32_t version : {2u, 3u}) {
    GgufFile file = tiny_gguf();
    file.version = version;
    Checkpoint checkpoint = read(file.bytes());
    CHECK(checkpoint.architecture == "llama");
    CHECK(checkpoint.source == "gguf");
    CHECK(checkpoint.name == "tiny");
    CHECK(checkpoint.parameters == nlohmann::json({{"width", 8},
                                                   {"layers", 1},
                                                   {"heads", 2},
                                                   {"kv_heads", 1},
                                                   {"head_dim", 4},
                                                   {"ffn_width", 12},
                                                   {"vocabulary", 6},
                                                   {"context", 16},
                                                   {"norm_eps", 1e-5},
                                                   {"rope_base", 10000},
                                                   {"rope_layout", "interleaved"},
                                                   {"rope_dims", 4},
                                                   {"activation", "silu"}}));
    CHECK(tensor(checkpoint, "blk.0.ffn_down.weight").shape == Shape{8, 12});
    CHECK(f32_values(tensor(checkpoint, "blk.0.ffn_down.weight").read()) == ramp(96, 8));
    const auto tokenizer = TokenizerDescription::from_json(checkpoint.tokenizer);
    CHECK(tokenizer.pieces == std::vector<std::string>{"<unk>", "<s>", "</s>", "<0x0A>", "▁a", "a"});
    CHECK(tokenizer.kinds[3] == PieceKind::Byte);
    CHECK(tokenizer.scores == std::vector<double>{0, 0, 0, 0, -1, -2});
    CHECK(tokenizer.before == std::vector<TokenId>{1});
    CHECK(tokenizer.after.empty());
    CHECK(tokenizer.end == std::vector<TokenId>{2});
    CHECK(tokenizer.prefix == TokenizerDescription::Prefix::Always);
    const ModelHeader header = make_header(checkpoint, {});
    CHECK(header.tensors.size() == 11);
    CHECK(header.tensors.front().name == "token_embd.weight");
  }
}

TEST_CASE("general.alignment moves the tensors") {
  GgufFile file = tiny_gguf();
  file.alignment = 256;
  file.u32("general.alignment", 256);
  CHECK(f32_values(tensor(read(file.bytes()), "output_norm.weight").read()) == ramp(8, 10));
  for (const std::uint32_t wrong : {0u, 3u, 48u, 1u << 21}) {
    file.u32("general.alignment", wrong);
    CHECK(contains(complaint(file), "general.alignment"));
  }
}

TEST_CASE("block types are passed on as they are") {
  GgufFile file = tiny_gguf();
  file.u32("llama.feed_forward_length", 256);
  file.tensor("blk.0.ffn_gate.weight", {256, 8}, 0, f32_bytes(ramp(2048, 1)));
  file.tensor("blk.0.ffn_up.weight", {256, 8}, 30, std::string(4096, '\0'));
  std::vector<std::tuple<std::uint32_t, DType>> types = {{1u, DType::F16}, {30u, DType::BF16}};
  for (const QuantisedType& type : quantised_types()) types.emplace_back(type.ggml_type, type.dtype);
  // ggml's numbers, which its header fixes.
  CHECK(types == std::vector<std::tuple<std::uint32_t, DType>>{{1u, DType::F16},
                                                               {30u, DType::BF16},
                                                               {8u, DType::Q8_0},
                                                               {2u, DType::Q4_0},
                                                               {3u, DType::Q4_1},
                                                               {6u, DType::Q5_0},
                                                               {7u, DType::Q5_1},
                                                               {20u, DType::IQ4_NL},
                                                               {10u, DType::Q2_K},
                                                               {11u, DType::Q3_K},
                                                               {12u, DType::Q4_K},
                                                               {13u, DType::Q5_K},
                                                               {14u, DType::Q6_K}});
  for (const auto& [type, dtype] : types) {
    const std::size_t size = byte_size(dtype, {8, 256});
    std::string bytes(size, '\0');
    bytes[size - 1] = 1;
    file.tensor("blk.0.ffn_down.weight", {8, 256}, type, bytes);
    Checkpoint checkpoint = read(file.bytes());
    const SourceTensor& down = tensor(checkpoint, "blk.0.ffn_down.weight");
    CHECK(down.dtype == dtype);
    CHECK(down.read().size() == size);
    CHECK(down.read().back() == std::byte{1});
    make_header(checkpoint, {});
    // As the last of the file, without its last byte.
    GgufFile cut = file;
    cut.remove_tensor("blk.0.ffn_down.weight").tensor("blk.0.ffn_down.weight", {8, 256}, type, bytes);
    const std::string whole = cut.bytes();
    const std::string message = error_of([&] { read(whole.substr(0, whole.find_last_of('\1'))); });
    CHECK_MESSAGE(contains(message, "'blk.0.ffn_down.weight'"), message);
    CHECK_MESSAGE(contains(message, "truncated"), message);
  }
}

TEST_CASE("rotary factors: as a tensor, or from linear scaling") {
  GgufFile file = tiny_gguf();
  file.tensor("rope_freqs.weight", {2}, 0, f32_bytes({1, 8}));
  Checkpoint with_tensor = read(file.bytes());
  const ModelHeader header = make_header(with_tensor, {});
  CHECK(header.graphs[0].find("rope_freqs.weight") == kNoValue);
  CHECK(header.tensors.size() == 11);
  file.f32("llama.rope.scaling.factor", 4);
  CHECK(contains(complaint(file), "rope_freqs.weight"));
  file.remove_tensor("rope_freqs.weight").text("llama.rope.scaling.type", "linear");
  CHECK(f32_values(tensor(read(file.bytes()), "rope_freqs.weight").read()) == std::vector<float>{4, 4});
  file.text("llama.rope.scaling.type", "none");
  CHECK(read(file.bytes()).tensors.size() == 11);
  file.text("llama.rope.scaling.type", "ntk");
  CHECK(contains(complaint(file), "'llama.rope.scaling.type' is \"ntk\""));
}

TEST_CASE("rotary factors turn as the formula says") {
  const std::vector<std::int32_t> tokens = {1, 5, 4, 3, 5};
  for (const std::vector<float>& factors : {std::vector<float>{1, 1}, {1, 8}, {0.5f, 3}}) {
    GgufFile file = tiny_gguf();
    if (factors[1] != 1) file.tensor("rope_freqs.weight", {2}, 0, f32_bytes(factors));
    Checkpoint checkpoint = read(file.bytes());
    const ModelHeader header = make_header(checkpoint, {});
    const std::vector<double> logits = GraphInDouble(header.graphs[0], checkpoint).run(tokens);
    const std::vector<double> expected = tiny_gguf_logits(tokens, {factors.begin(), factors.end()});
    REQUIRE(logits.size() == expected.size());
    for (std::size_t i = 0; i < logits.size(); ++i) CHECK(logits[i] == doctest::Approx(expected[i]).epsilon(1e-9));
  }
}

TEST_CASE("what heed does not understand is refused by name") {
  struct Case {
    const char* what;
    std::function<void(GgufFile&)> change;
    const char* message;
  };
  const Case cases[] = {
      {"architecture", [](GgufFile& f) { f.text("general.architecture", "mamba"); },
       "\"mamba\"; heed reads GGUF files of llama, "},
      {"no architecture", [](GgufFile& f) { f.remove("general.architecture"); }, "general.architecture"},
      {"adapter", [](GgufFile& f) { f.text("general.type", "adapter"); }, "general.type"},
      {"split", [](GgufFile& f) { f.u32("split.count", 2); }, "split.count"},
      {"experts", [](GgufFile& f) { f.u32("llama.expert_count", 8); }, "'llama.expert_used_count'"},
      {"attention scale", [](GgufFile& f) { f.f32("llama.attention.scale", 2); }, "'llama.attention.scale'"},
      {"logit scale", [](GgufFile& f) { f.f32("llama.logit_scale", 2); }, "'llama.logit_scale'"},
      {"causal", [](GgufFile& f) { f.boolean("llama.attention.causal", false); }, "'llama.attention.causal'"},
      {"value length", [](GgufFile& f) { f.u32("llama.attention.value_length", 8); }, "'llama.attention.value_length'"},
      {"foreign key", [](GgufFile& f) { f.u32("adapter.lora.alpha", 8); }, "'adapter.lora.alpha'"},
      {"heads by layer",
       [](GgufFile& f) {
         f.i32s("llama.attention.head_count", {2, 1});
       },
       "differs from layer to layer"},
      {"missing size", [](GgufFile& f) { f.remove("llama.block_count"); }, "'llama.block_count' is missing"},
      {"size of another type", [](GgufFile& f) { f.text("llama.block_count", "1"); },
       "'llama.block_count' is not an integer"},
      {"no layers", [](GgufFile& f) { f.u32("llama.block_count", 0); }, "'layers' is 0"},
      {"absurd layers", [](GgufFile& f) { f.u32("llama.block_count", 1u << 30); }, "'layers' is 1073741824"},
      {"zero context", [](GgufFile& f) { f.u32("llama.context_length", 0); }, "'context' is 0"},
      {"beyond 2^31", [](GgufFile& f) { f.u32("llama.feed_forward_length", 1u << 31); }, "llama.feed_forward_length"},
      {"zero heads", [](GgufFile& f) { f.u32("llama.attention.head_count", 0); }, "llama.attention.head_count"},
      {"kv heads", [](GgufFile& f) { f.u32("llama.attention.head_count_kv", 3); }, "share 3 key/value heads"},
      {"odd rotary", [](GgufFile& f) { f.u32("llama.rope.dimension_count", 3); }, "rope_dims is 3"},
      {"eps", [](GgufFile& f) { f.f32("llama.attention.layer_norm_rms_epsilon", 0); }, "layer_norm_rms_epsilon' is 0"},
      {"vocabulary", [](GgufFile& f) { f.u32("llama.vocab_size", 7); }, "llama.vocab_size is 7"},
      {"missing layer", [](GgufFile& f) { f.u32("llama.block_count", 2); }, "'blk.1.attn_norm.weight' is missing"},
      {"unknown tensor",
       [](GgufFile& f) {
         f.tensor("blk.0.attn_rot_embd", {2}, 0, f32_bytes({1, 1}));
       },
       "'blk.0.attn_rot_embd'"},
      {"tensor type",
       [](GgufFile& f) {
         f.tensor("blk.0.attn_q.weight", {8, 8}, 16, std::string(256, '\0'));
       },
       "ggml type IQ2_XXS; heed reads F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, IQ4_NL, Q2_K, Q3_K, Q4_K, Q5_K, "
       "Q6_K; "
       "quantise the model to one of them"},
      {"unknown tensor type",
       [](GgufFile& f) {
         f.tensor("blk.0.attn_q.weight", {8, 8}, 99, std::string(256, '\0'));
       },
       "ggml type 99"},
      {"shape",
       [](GgufFile& f) {
         f.tensor("blk.0.attn_q.weight", {8, 4}, 0, std::string(128, '\0'));
       },
       "'blk.0.attn_q.weight' has shape [8, 4], but the hyperparameters imply [8, 8]"},
      {"half a block",
       [](GgufFile& f) {
         f.tensor("blk.0.attn_q.weight", {8, 8}, 8, std::string(128, '\0'));
       },
       "test.gguf: tensor 'blk.0.attn_q.weight' has ggml type Q8_0 and rows of 8 elements, which is not a multiple of "
       "32"},
      {"half a large block",
       [](GgufFile& f) {
         f.tensor("blk.0.attn_q.weight", {8, 128}, 12, std::string(1024, '\0'));
       },
       "ggml type Q4_K and rows of 128 elements, which is not a multiple of 256"},
      {"version", [](GgufFile& f) { f.version = 1; }, "GGUF version 1"},
      {"big-endian", [](GgufFile& f) { f.version = 0x03000000; }, "big-endian"},
  };
  for (const Case& test : cases) {
    CAPTURE(test.what);
    GgufFile file = tiny_gguf();
    test.change(file);
    const std::string message = complaint(file);
    CHECK_MESSAGE(contains(message, test.message), message);
    CHECK(!contains(message, "\n"));
  }
  CHECK(complaint(tiny_gguf()).empty());
}

TEST_CASE("metadata that changes nothing is passed over") {
  GgufFile file = tiny_gguf();
  file.text("general.license", "mit").u32("general.file_type", 0).text("quantize.imatrix.file", "x");
  file.text("tokenizer.chat_template", "{{ x }}").u32("llama.expert_count", 0).text("llama.rope.scaling.type", "none");
  file.u32("tokenizer.ggml.padding_token_id", 0xffffffff).boolean("llama.attention.causal", true);
  file.i32s("llama.attention.head_count_kv", {1, 1});
  CHECK(complaint(file).empty());
}

TEST_CASE("names and text from the file cannot break messages") {
  GgufFile file = tiny_gguf();
  file.text("llama.evil\nkey", "x");
  CHECK(contains(complaint(file), "\"llama.evil\\nkey\""));
  file = tiny_gguf();
  file.tensor("bad name", {1}, 0, f32_bytes({1}));
  CHECK(contains(complaint(file), "\"bad name\""));
  file = tiny_gguf();
  file.text("general.name", "caf\xe9");
  Checkpoint checkpoint = read(file.bytes());
  CHECK(checkpoint.name == "caf\xef\xbf\xbd");
}

TEST_CASE("the tokenizer's ids and flags") {
  GgufFile file = tiny_gguf();
  file.u32("tokenizer.ggml.bos_token_id", 2)
      .u32("tokenizer.ggml.eos_token_id", 1)
      .u32("tokenizer.ggml.eot_token_id", 5);
  file.boolean("tokenizer.ggml.add_eos_token", true).boolean("tokenizer.ggml.add_space_prefix", false);
  auto tokenizer = TokenizerDescription::from_json(read(file.bytes()).tokenizer);
  CHECK(tokenizer.before == std::vector<TokenId>{2});
  CHECK(tokenizer.after == std::vector<TokenId>{1});
  CHECK(tokenizer.end == std::vector<TokenId>{1, 5});
  CHECK(tokenizer.prefix == TokenizerDescription::Prefix::Never);
  file.boolean("tokenizer.ggml.add_bos_token", false);
  CHECK(TokenizerDescription::from_json(read(file.bytes()).tokenizer).before.empty());
}

TEST_CASE("a vocabulary that the tokenizer does not fill is padded, one that it overfills refused") {
  GgufFile file = tiny_gguf();
  file.texts("tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>", "a"});
  file.f32s("tokenizer.ggml.scores", {0, 0, 0, -1}).i32s("tokenizer.ggml.token_type", {2, 3, 3, 1});
  const auto tokenizer = TokenizerDescription::from_json(read(file.bytes()).tokenizer);
  CHECK(tokenizer.pieces.size() == 6);
  CHECK(tokenizer.kinds[5] == PieceKind::Unused);
  file.texts("tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>", "a", "b", "c", "d"});
  CHECK(contains(complaint(file), "has 7 tokens"));
}

TEST_CASE("byte-level BPE") {
  GgufFile file = tiny_gguf();
  file.text("tokenizer.ggml.model", "gpt2").texts("tokenizer.ggml.tokens", {"a", "b", "ab", "Ġ", "Ġab", "<|end|>"});
  file.i32s("tokenizer.ggml.token_type", {1, 1, 1, 1, 1, 3}).texts("tokenizer.ggml.merges", {"a b", "Ġ ab"});
  file.remove("tokenizer.ggml.scores").u32("tokenizer.ggml.eos_token_id", 5);
  file.text("tokenizer.ggml.pre", "llama-bpe").u32("tokenizer.ggml.bos_token_id", 5);
  auto tokenizer = TokenizerDescription::from_json(read(file.bytes()).tokenizer);
  CHECK(tokenizer.alphabet == TokenizerDescription::Alphabet::Bytes);
  CHECK(tokenizer.merges == std::vector<std::pair<TokenId, TokenId>>{{0, 1}, {3, 2}});
  CHECK(tokenizer.whole_pieces_first);
  CHECK(tokenizer.before == std::vector<TokenId>{5});
  CHECK(tokenizer.end == std::vector<TokenId>{5});
  CHECK(contains(tokenizer.splits.at(0), "{1,3}"));

  file.text("tokenizer.ggml.pre", "gpt-2");
  tokenizer = TokenizerDescription::from_json(read(file.bytes()).tokenizer);
  CHECK(!tokenizer.whole_pieces_first);
  CHECK(tokenizer.before.empty());
  CHECK(read(file.bytes()).notes.empty());
  file.remove("tokenizer.ggml.pre");
  CHECK(contains(read(file.bytes()).notes.at(0), "'tokenizer.ggml.pre' is missing"));

  file.text("tokenizer.ggml.pre", "kimi-k2");
  CHECK(contains(complaint(file), "\"kimi-k2\""));
  file.text("tokenizer.ggml.pre", "gpt-2").texts("tokenizer.ggml.merges", {"a c"});
  CHECK(contains(complaint(file), "\"a c\""));
}

TEST_CASE("byte-level BPE of normalized text") {
  GgufFile file = tiny_gguf();
  // "é" is C3 A9, and C3 and A9 are "Ã" and "©" in this alphabet.
  file.text("tokenizer.ggml.model", "gpt2").texts("tokenizer.ggml.tokens", {"a", "Ã", "©", "Ã©", "Ġ", "<|end|>"});
  file.i32s("tokenizer.ggml.token_type", {1, 1, 1, 1, 1, 3}).texts("tokenizer.ggml.merges", {"Ã ©"});
  file.remove("tokenizer.ggml.scores").u32("tokenizer.ggml.eos_token_id", 5).u32("tokenizer.ggml.bos_token_id", 5);
  file.text("tokenizer.ggml.pre", "qwen2").boolean("tokenizer.ggml.add_bos_token", false);
  const std::string composed = "a \u00e9", apart = "a e\u0301";
  const auto ids = [&](const std::string& text) {
    return Tokenizer::from_json(read(file.bytes()).tokenizer)->encode(text);
  };
  CHECK(ids(composed) == std::vector<TokenId>{0, 4, 3});
  CHECK_THROWS_AS(ids(apart), heed::Error);
  file.boolean("tokenizer.ggml.normalizer.nfc", false).boolean("tokenizer.ggml.normalizer.lowercase", false);
  CHECK_THROWS_AS(ids(apart), heed::Error);
  file.boolean("tokenizer.ggml.normalizer.nfc", true);
  CHECK(ids(composed) == std::vector<TokenId>{0, 4, 3});
  CHECK(ids(apart) == std::vector<TokenId>{0, 4, 3});
  const auto tokenizer = Tokenizer::from_json(read(file.bytes()).tokenizer);
  CHECK(tokenizer->decode({0, 4, 3}) == composed);
  file.boolean("tokenizer.ggml.add_space_prefix", true);
  CHECK(ids(apart) == std::vector<TokenId>{4, 0, 4, 3});
  file.boolean("tokenizer.ggml.normalizer.strip_accents", true);
  CHECK(contains(complaint(file), "normalizer.strip_accents"));
}

TEST_CASE("unigrams and word pieces") {
  GgufFile file = tiny_gguf();
  file.text("tokenizer.ggml.model", "t5");
  file.texts("tokenizer.ggml.tokens", {"<pad>", "</s>", "<unk>", "▁a", "b", "<x>"});
  file.f32s("tokenizer.ggml.scores", {0, 0, 0, -1, -2, -1000}).i32s("tokenizer.ggml.token_type", {3, 3, 2, 1, 1, 4});
  auto tokenizer = Tokenizer::from_json(read(file.bytes()).tokenizer);
  CHECK(tokenizer->encode("ab") == std::vector<TokenId>{2, 4, 1});  // no prefix, and the end by default
  CHECK(read(file.bytes()).end_tokens == std::vector<TokenId>{1});
  file.boolean("tokenizer.ggml.add_space_prefix", true).boolean("tokenizer.ggml.add_eos_token", false);
  tokenizer = Tokenizer::from_json(read(file.bytes()).tokenizer);
  CHECK(tokenizer->encode("ab<x>a") == std::vector<TokenId>{3, 4, 5, 3});
  CHECK(tokenizer->decode({3, 4, 5, 3}) == "ab<x> a");
  CHECK(tokenizer->encode("c  a") == std::vector<TokenId>{2, 3});
  file.boolean("tokenizer.ggml.remove_extra_whitespaces", true);
  tokenizer = Tokenizer::from_json(read(file.bytes()).tokenizer);
  CHECK(tokenizer->encode("  ab   a ") == std::vector<TokenId>{3, 4, 3});
  CHECK(tokenizer->encode("  ").empty());

  file = tiny_gguf();
  file.text("tokenizer.ggml.model", "bert").remove("tokenizer.ggml.scores");
  file.texts("tokenizer.ggml.tokens", {"[UNK]", "[CLS]", "[SEP]", "▁a", "b", "▁!"});
  file.i32s("tokenizer.ggml.token_type", {3, 3, 3, 1, 1, 1}).u32("tokenizer.ggml.unknown_token_id", 0);
  file.u32("tokenizer.ggml.bos_token_id", 1).u32("tokenizer.ggml.seperator_token_id", 2);
  tokenizer = Tokenizer::from_json(read(file.bytes()).tokenizer);
  CHECK(tokenizer->encode("\u00c1B! ba") == std::vector<TokenId>{1, 3, 4, 5, 0, 2});
  CHECK(tokenizer->decode({1, 3, 4, 5, 3, 2}) == "ab! a");
  file.boolean("tokenizer.ggml.normalizer.lowercase", false).boolean("tokenizer.ggml.add_sep_token", false);
  tokenizer = Tokenizer::from_json(read(file.bytes()).tokenizer);
  CHECK(tokenizer->encode("A ab") == std::vector<TokenId>{1, 0, 3, 4});
}

TEST_CASE("a tokenizer that heed does not understand is refused, one that is missing noted") {
  struct Case {
    std::function<void(GgufFile&)> change;
    const char* message;
  };
  const Case cases[] = {
      {[](GgufFile& f) { f.text("tokenizer.ggml.model", "rwkv"); }, "'tokenizer.ggml.model' is \"rwkv\""},
      {[](GgufFile& f) { f.text("tokenizer.ggml.model", "t5").remove("tokenizer.ggml.scores"); },
       "'tokenizer.ggml.scores' has 0 entries"},
      {[](GgufFile& f) {
         f.text("tokenizer.ggml.model", "t5").i32s("tokenizer.ggml.precompiled_charsmap", {1, 2, 3});
       },
       "'tokenizer.ggml.precompiled_charsmap' is damaged"},
      {[](GgufFile& f) { f.text("tokenizer.ggml.model", "t5").i32s("tokenizer.ggml.precompiled_charsmap", {256}); },
       "holds 256, no byte"},
      {[](GgufFile& f) { f.text("tokenizer.ggml.model", "t5").boolean("tokenizer.ggml.normalizer.lowercase", true); },
       "'tokenizer.ggml.normalizer.lowercase' is true"},
      {[](GgufFile& f) {
         f.text("tokenizer.ggml.model", "bert").i32s("tokenizer.ggml.token_type", {2, 3, 3, 6, 1, 1});
       },
       "token 3 is a byte"},
      {[](GgufFile& f) { f.u32("tokenizer.ggml.new_option", 1); }, "'tokenizer.ggml.new_option'"},
      {[](GgufFile& f) { f.boolean("tokenizer.ggml.remove_extra_whitespaces", true); }, "remove_extra_whitespaces"},
      {[](GgufFile& f) { f.boolean("tokenizer.ggml.add_sep_token", true); }, "add_sep_token"},
      {[](GgufFile& f) { f.i32s("tokenizer.ggml.precompiled_charsmap", {1}); }, "precompiled_charsmap"},
      {[](GgufFile& f) { f.remove("tokenizer.ggml.tokens"); }, "'tokenizer.ggml.tokens' is missing"},
      {[](GgufFile& f) { f.remove("tokenizer.ggml.scores"); }, "'tokenizer.ggml.scores' has 0 entries"},
      {[](GgufFile& f) { f.f32s("tokenizer.ggml.scores", {1}); }, "'tokenizer.ggml.scores' has 1 entries"},
      {[](GgufFile& f) { f.i32s("tokenizer.ggml.token_type", {1}); }, "'tokenizer.ggml.token_type' has 1 entries"},
      {[](GgufFile& f) {
         f.i32s("tokenizer.ggml.token_type", {2, 3, 3, 6, 1, 7});
       },
       "holds 7"},
      {[](GgufFile& f) { f.u32("tokenizer.ggml.bos_token_id", 6); }, "'tokenizer.ggml.bos_token_id' is 6"},
  };
  for (const Case& test : cases) {
    GgufFile file = tiny_gguf();
    test.change(file);
    const std::string message = complaint(file);
    CHECK_MESSAGE(contains(message, test.message), message);
  }
  GgufFile file = tiny_gguf();
  file.remove("tokenizer.ggml.model");
  Checkpoint checkpoint = read(file.bytes());
  CHECK(checkpoint.tokenizer.empty());
  CHECK(contains(checkpoint.notes.at(0), "only be fed token ids"));
  CHECK(!make_header(checkpoint, {}).metadata.contains("end_tokens"));
  file.u32("tokenizer.ggml.eos_token_id", 4).u32("tokenizer.ggml.eot_token_id", 2);
  checkpoint = read(file.bytes());
  CHECK(make_header(checkpoint, {}).metadata["end_tokens"] == nlohmann::json({4, 2}));
  file.u32("tokenizer.ggml.eos_token_id", 6);
  CHECK(contains(complaint(file), "'tokenizer.ggml.eos_token_id' is 6"));
}

TEST_CASE("hostile counts and offsets are refused before memory is taken") {
  const std::string good = tiny_gguf().bytes();
  const auto with = [&](std::size_t at, std::uint64_t value) {
    std::string bytes = good;
    bytes.replace(at, 8, bytes_of(value));
    return error_of([&] { read(bytes); });
  };
  constexpr std::uint64_t kHuge = std::uint64_t{1} << 60;
  CHECK(contains(with(8, kHuge), "the list of tensors claims"));
  CHECK(contains(with(16, kHuge), "the metadata claims"));
  CHECK(contains(with(24, kHuge), "bytes"));  // the first key's length
  const auto array = [](std::uint32_t type, std::uint64_t count) {
    GgufFile file = tiny_gguf();
    file.add("general.x", 9, bytes_of(type) + bytes_of(count));
    return complaint(file);
  };
  CHECK(contains(array(8, kHuge), "general.x claims"));
  CHECK(contains(array(0, kHuge), "general.x claims"));
  CHECK(contains(array(6, kHuge), "general.x claims"));
  CHECK(contains(array(9, 1), "array of arrays"));
  CHECK(contains(array(77, 1), "type 77"));
  GgufFile file = tiny_gguf();
  file.add("general.x", 7, "\2");
  CHECK(contains(complaint(file), "boolean of value 2"));
  file = tiny_gguf();
  file.tensor("x", {1, 1, 1, 1, 1}, 0, f32_bytes({1}));
  CHECK(contains(complaint(file), "5 dimensions"));
  file = tiny_gguf();
  file.tensor("x", {std::int64_t{1} << 39, std::int64_t{1} << 39}, 0, f32_bytes({1}));
  CHECK(contains(complaint(file), "elements"));
  file = tiny_gguf();
  file.tensor("x", {0}, 0, "");
  CHECK(contains(complaint(file), "dimension of 0"));
}

TEST_CASE("tensors that end behind the file are refused") {
  const std::string name = "output_norm.weight";
  const std::string good = tiny_gguf().bytes();
  const std::size_t at = good.find(name) + name.size() + 4 + 8 + 4;  // behind its dimensions and type
  for (const std::uint64_t offset : {std::uint64_t{good.size()} / 32 * 32, std::uint64_t{1} << 40,
                                     (std::uint64_t{1} << 63) + 32, ~std::uint64_t{31}, std::uint64_t{1}}) {
    CAPTURE(offset);
    const std::string message = error_of([&] { read(std::string(good).replace(at, 8, bytes_of(offset))); });
    CHECK_MESSAGE(contains(message, "'output_norm.weight'"), message);
  }
}

TEST_CASE("tokens that are not UTF-8 make no broken tokenizer") {
  GgufFile file = tiny_gguf();
  file.texts("tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>", "<0x0A>", "\xff\xfe", "a\xc3"});
  const std::string message = complaint(file);
  CHECK_MESSAGE(contains(message, "UTF-8"), message);
  CHECK(!contains(message, "\n"));
}

TEST_CASE("a truncated or damaged GGUF file gives an error or a checkpoint, never a crash") {
  const std::string good = tiny_gguf().bytes();
  for (std::size_t size = 0; size < good.size(); ++size) {
    const std::string message = error_of([&] { read(good.substr(0, size)); });
    CHECK_MESSAGE(!message.empty(), size);
  }
  for (std::size_t bit = 0; bit < good.size() * 8; bit += 3 * HEED_SLOWNESS) {
    std::string bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    error_of([&] {
      Checkpoint checkpoint = read(bytes);
      make_header(checkpoint, {});
      for (const SourceTensor& tensor : checkpoint.tensors) convert_tensor(tensor, DType::F32, [](auto) {});
    });
  }
}

}  // namespace
}  // namespace heed::convert
