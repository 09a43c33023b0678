// Folders of translation models that people train with PyTorch themselves: an nn.Transformer, and recurrent ones.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tests/unit/convert/changed_folder.h"
#include "tools/convert/convert.h"

namespace heed::convert {
namespace {

using namespace convert_test;
using Json = nlohmann::json;

std::string bytes_in(const Checkpoint& checkpoint, const std::string& name) {
  const std::vector<std::byte> bytes = tensor(checkpoint, name).read();
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

TEST_CASE("an nn.Transformer: packed projections are split, the table of positions is taken from the file") {
  ChangedFolder folder("torch_post_norm");
  const Checkpoint checkpoint = folder.read();
  CHECK(checkpoint.family == "transformer");
  const Json& parameters = folder.header.metadata["parameters"];
  CHECK(parameters["norm_first"] == false);
  CHECK(parameters["biases"] == true);
  CHECK(parameters["encoder"]["final_norm"] == true);
  CHECK(parameters["source_vocabulary"] == 61);
  CHECK(parameters["vocabulary"] == 73);
  CHECK(folder.header.metadata["decoder_start"] == Json({2}));
  CHECK(folder.header.metadata["end_tokens"] == Json({3}));
  const std::string& packed = folder.item("transformer.decoder.layers.2.multihead_attn.in_proj_weight").bytes;
  const std::size_t third = packed.size() / 3;
  CHECK(bytes_in(checkpoint, "decoder.blk.2.cross_q.weight") == packed.substr(0, third));
  CHECK(bytes_in(checkpoint, "decoder.blk.2.cross_k.weight") == packed.substr(third, third));
  CHECK(bytes_in(checkpoint, "decoder.blk.2.cross_v.weight") == packed.substr(2 * third));
  CHECK(bytes_in(checkpoint, "position_embd.weight") ==
        folder.item("positional_encoding.pos_embedding").bytes.substr(0, 32 * 24 * 4));
  CHECK(has_tensor(checkpoint, "output.weight"));
  CHECK(has_tensor(checkpoint, "output.bias"));
  const std::vector<float> table = values_in(checkpoint, "position_embd.weight");

  folder.config["max_positions"] = 33;
  CHECK(contains(folder.complaint(), "expected a table of at least max_positions, 33, rows of 24"));
  folder.config["max_positions"] = 20;
  CHECK(tensor(folder.read(), "position_embd.weight").shape == Shape{20, 24});
  folder.config["max_positions"] = 32;
  folder.remove("positional_encoding.pos_embedding");
  const Checkpoint computed = folder.read();
  const std::vector<float> made = values_in(computed, "position_embd.weight");
  REQUIRE(made.size() == table.size());
  for (std::size_t i = 0; i < made.size(); ++i) CHECK(std::abs(made[i] - table[i]) < 1e-3f);
}

TEST_CASE("an nn.Transformer: what is missing, unknown, or does not fit is named as the file names it") {
  ChangedFolder folder("torch_pre_norm");
  CHECK_FALSE(has_tensor(folder.read(), "output.weight"));  // tied, since the file has none
  const auto complaint = [](auto change) {
    ChangedFolder changed("torch_pre_norm");
    change(changed);
    return changed.complaint();
  };
  using Folder = ChangedFolder&;
  CHECK(contains(complaint([](Folder f) { f.remove("transformer.encoder.layers.1.self_attn.in_proj_bias"); }),
                 "tensor 'transformer.encoder.layers.1.self_attn.in_proj_bias' is missing"));
  CHECK(contains(complaint([](Folder f) { f.remove("transformer.decoder.layers.1.norm3.weight"); }),
                 "tensor 'transformer.decoder.layers.1.norm3.weight' is missing"));
  CHECK(contains(complaint([](Folder f) { f.rename("generator.bias", "generator.biases"); }),
                 "tensor 'generator.biases' [59] has no place"));
  CHECK(contains(complaint([](Folder f) { f.config["num_encoder_layers"] = 2; }),
                 "'transformer.encoder.layers.2.linear1.bias'"));
  CHECK(contains(complaint([](Folder f) { f.config["dim_feedforward"] = 37; }),
                 "tensor 'transformer.decoder.layers.0.linear1.weight' has shape [36, 20]"));
  CHECK(contains(complaint([](Folder f) { f.config["target_vocab_size"] = 60; }),
                 "'target_vocab_size' is 60, but tensor 'tgt_tok_emb.embedding.weight' has 59 rows"));
  CHECK(contains(complaint([](Folder f) { f.rename("src_tok_emb.embedding.weight", "english.weight"); }),
                 "\"names\": {\"source_embedding\": ...}"));
  CHECK(contains(complaint([](Folder f) { f.config.erase("scale_embedding"); }), "'scale_embedding' is missing"));
  CHECK(contains(complaint([](Folder f) { f.config["positions"] = "learned"; }), "'positions' is \"learned\""));
  CHECK(contains(complaint([](Folder f) { f.config["positions"] = "rotary"; }), "sinusoidal, learned or none"));
  CHECK(contains(complaint([](Folder f) { f.config["nheads"] = 2; }), "\"nheads\" is not known"));
  CHECK(contains(complaint([](Folder f) { f.config["eos_token_id"] = 59; }), "'eos_token_id' holds 59"));
  CHECK(contains(complaint([](Folder f) {
                   SafetensorsItem second = f.item("src_tok_emb.embedding.weight");
                   second.name = "encoder_embedding.weight";
                   f.items.push_back(second);
                 }),
                 "could both be the source_embedding"));
}

TEST_CASE("an nn.Transformer: names of one's own") {
  ChangedFolder folder("torch_pre_norm");
  folder.rename("src_tok_emb.embedding.weight", "english.weight");
  for (SafetensorsItem& item : folder.items) {
    if (item.name.starts_with("transformer.")) item.name = item.name.substr(12);
  }
  folder.config["names"] = {{"source_embedding", "english"}};
  CHECK(tensor(folder.read(), "source_embd.weight").in_file == "english.weight");
  folder.config["names"]["spiral"] = "x";
  CHECK(contains(folder.complaint(), "'names' has \"spiral\"; it can name: output, positions"));
  folder.config["names"] = {{"source_embedding", 3}};
  CHECK(contains(folder.complaint(), "'names' says 3"));
}

TEST_CASE("names that PyTorch's wrappers made are taken back") {
  ChangedFolder folder("torch_pre_norm");
  const std::string plain = bytes_in(folder.read(), "source_embd.weight");
  for (SafetensorsItem& item : folder.items) item.name = "module._orig_mod." + item.name;
  const Checkpoint checkpoint = folder.read();
  CHECK(bytes_in(checkpoint, "source_embd.weight") == plain);
  const std::string notes = fmt::format("{}", fmt::join(checkpoint.notes, "\n"));
  CHECK(contains(notes, "'module.', as DataParallel writes them"));
  CHECK(contains(notes, "'_orig_mod.', as torch.compile writes them"));
  folder.items.front().name = "transformer.extra";
  CHECK(contains(folder.complaint(), "is missing"));
}

TEST_CASE("padding of a source is any of its ids, the rest are ids of translations") {
  ChangedFolder folder("torch_pre_norm");  // 67 and 59 tokens
  folder.config["pad_token_id"] = 63;
  folder.read();
  CHECK(folder.header.metadata["pad"] == 63);
  folder.config["pad_token_id"] = 67;
  CHECK(contains(folder.complaint(), "'pad_token_id' is 67"));
  ChangedFolder other("torch_post_norm");  // 61 and 73
  other.config["pad_token_id"] = 70;
  other.read();
  CHECK(other.header.metadata["pad"] == 0);
  other.config["no_repeat_ngram_size"] = 65;
  const std::string complaint = other.complaint();
  CHECK_MESSAGE(contains(complaint, "'no_repeat_ngram_size' is 65"), complaint);
}

TEST_CASE("recurrent: gates are put in ONNX's order, directions one below the other") {
  ChangedFolder folder("rnn_previous");
  const Checkpoint checkpoint = folder.read();
  CHECK(checkpoint.family == "recurrent");
  CHECK(folder.header.metadata["parameters"]["attention_width"] == 18);
  CHECK(folder.header.metadata["parameters"]["output_from"] == Json({"hidden"}));
  const std::string& forward = folder.item("encoder.lstm.weight_ih_l1").bytes;
  const std::string& reverse = folder.item("encoder.lstm.weight_ih_l1_reverse").bytes;
  const std::size_t gate = forward.size() / 4;
  std::string expected;
  for (const std::string& direction : {forward, reverse}) {
    for (const std::size_t from : {0, 3, 1, 2}) expected += direction.substr(from * gate, gate);
  }
  CHECK(tensor(checkpoint, "encoder.rnn.1.w").shape == Shape{2, 56, 28});
  CHECK(bytes_in(checkpoint, "encoder.rnn.1.w") == expected);
  CHECK(tensor(checkpoint, "encoder.rnn.1.bias").shape == Shape{2, 112});
  CHECK_FALSE(has_tensor(checkpoint, "attention.score.bias"));
  for (const TensorInfo& info : folder.header.tensors) {
    if (info.name == "encoder.rnn.1.bias") CHECK(info.dtype == DType::F32);
  }

  ChangedFolder gru("rnn_tutorial");
  const Checkpoint tutorial = gru.read();
  const std::string& r = gru.item("decoder.gru.weight_hh_l0").bytes;
  const std::size_t part = r.size() / 3;
  CHECK(bytes_in(tutorial, "decoder.rnn.0.r") == r.substr(part, part) + r.substr(0, part) + r.substr(2 * part));
  CHECK(gru.header.metadata["parameters"]["bridge"] == "copy");
  CHECK(gru.header.metadata["parameters"]["attention_from"] == "previous");
}

TEST_CASE("recurrent: a file for each side") {
  const std::filesystem::path from = golden_folder().parent_path() / "translation" / "rnn_plain";
  ChangedFolder folder("rnn_plain");
  CHECK(contains(folder.complaint(), "neither model.safetensors"));
  folder.folder.write("encoder.safetensors", read_whole(from / "encoder.safetensors"));
  CHECK(contains(folder.complaint(), "has the weights of one side alone"));
  folder.folder.write("decoder.safetensors", read_whole(from / "decoder.safetensors"));
  CHECK(has_tensor(folder.read(), "decoder.rnn.1.w"));
  CHECK(folder.header.graphs[0].find("memory.values") == kNoValue);
  folder.config.erase("embedding_activation");
  CHECK(contains(folder.complaint(), "'embedding_activation' is missing"));
}

TEST_CASE("recurrent: what is missing, unknown, or does not fit is named as the file names it") {
  using Folder = ChangedFolder&;
  const auto complaint = [](const char* name, auto change) {
    ChangedFolder changed(name);
    change(changed);
    return changed.complaint();
  };
  const auto with = [&](const char* name, const char* key, const Json& value) {
    return complaint(name, [&](Folder f) { f.config[key] = value; });
  };
  CHECK(contains(complaint("rnn_tutorial", [](Folder f) { f.remove("decoder.gru.bias_hh_l0"); }),
                 "tensor 'decoder.gru.bias_hh_l0' is missing"));
  CHECK(contains(complaint("rnn_tutorial", [](Folder f) { f.remove("decoder.attention.Wa.weight"); }),
                 "'decoder.attention.Wa.bias'"));
  CHECK(contains(complaint("rnn_tutorial", [](Folder f) { f.rename("decoder.out.bias", "decoder.out.offset"); }),
                 "tensor 'decoder.out.offset' [57] has no place"));
  CHECK(contains(complaint("rnn_tutorial",
                           [](Folder f) {
                             f.item("decoder.out.weight").shape = {56, 28};
                             f.item("decoder.out.weight").bytes.resize(56 * 28 * 2);
                           }),
                 "has 56 rows, but the target's embedding 57: the vocabularies differ"));
  CHECK(contains(complaint("rnn_previous", [](Folder f) { f.config.erase("bridge"); }), "'bridge' is missing"));
  CHECK(contains(with("rnn_previous", "bridge", "sum"), "encoder.bridge_c"));
  CHECK(contains(with("rnn_previous", "bridge", "copy"), "has no place"));
  CHECK(contains(with("rnn_previous", "cell", "gru"), "'cell' is another"));
  CHECK(contains(with("rnn_previous", "encoder_hidden", 15), "'encoder_hidden' is 15, but the tensors say 14"));
  CHECK(contains(with("rnn_previous", "bidirectional", false), "of two directions"));
  CHECK(contains(with("rnn_previous", "attention", "cosine"), "'attention' is \"cosine\""));
  CHECK(contains(with("rnn_previous", "attention_from", "current"), "reads 38 numbers; expected 10"));
  CHECK(contains(with("rnn_previous", "output_from", Json({"hidden", "sky"})), "output_from"));
  CHECK(contains(with("rnn_previous", "source_vocab_size", 40), "'source_vocab_size' is 40"));
  CHECK(contains(with("rnn_luong", "output_from", Json({"hidden"})), "tensor 'decoder.concat.weight' has shape"));
  CHECK(contains(with("rnn_tutorial", "bos_token_id", 57), "'bos_token_id' is 57"));
  CHECK(contains(with("rnn_tutorial", "colour", "red"), "\"colour\" is not known"));
}

}  // namespace
}  // namespace heed::convert
