#include "tools/convert/torch_transformer.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "heed/error.h"
#include "tools/convert/config_reader.h"
#include "tools/convert/named_tensors.h"
#include "tools/convert/own_model.h"
#include "tools/convert/text.h"
#include "tools/convert/translation_tensors.h"
#include "tools/convert/weight_files.h"

namespace heed::convert {

namespace {

const std::vector<std::string> kSourceEmbeddings = {
    "src_tok_emb.embedding", "src_tok_emb",  "src_embedding",     "src_embedding.embedding", "src_embed", "src_emb",
    "source_embedding",      "source_embed", "encoder_embedding", "input_embedding"};
const std::vector<std::string> kTargetEmbeddings = {"tgt_tok_emb.embedding",   "tgt_tok_emb",     "tgt_embedding",
                                                    "tgt_embedding.embedding", "tgt_embed",       "tgt_emb",
                                                    "target_embedding",        "target_embed",    "decoder_embedding",
                                                    "trg_embedding",           "output_embedding"};
const std::vector<std::string> kOutputs = {"generator",    "fc_out", "out",    "output",
                                           "output_layer", "fc",     "linear", "lm_head"};
const std::vector<std::string> kTables = {"positional_encoding.pos_embedding",
                                          "positional_encoding.pe",
                                          "pos_encoder.pe",
                                          "pos_encoding.pe",
                                          "pe",
                                          "pos_embedding.weight",
                                          "positional_embedding.weight",
                                          "position_embedding.weight"};
const std::vector<std::string> kSourceTables = {"src_pos_embedding.weight", "src_pos_emb.weight",
                                                "source_position_embedding.weight", "encoder_pos_embedding.weight"};
const std::vector<std::string> kTargetTables = {"tgt_pos_embedding.weight", "tgt_pos_emb.weight",
                                                "target_position_embedding.weight", "decoder_pos_embedding.weight"};

void give_layers(NamedTensors& tensors, const std::string& prefix, const std::string& side, std::int64_t layers,
                 std::int64_t width, Checkpoint& checkpoint) {
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    give_torch_layer(tensors, fmt::format("{}{}.layers.{}.", prefix, side, layer),
                     fmt::format("{}.blk.{}.", side, layer), side == "decoder", width, checkpoint);
  }
  for (const char* part : kParts) {
    tensors.give(prefix + side + ".norm." + part, side + ".output_norm." + part, checkpoint);
  }
}

/// The table of positions as [N, D], cut to what config.json says. Nothing where the file has none.
bool give_table(NamedTensors& tensors, const std::string& word, const std::vector<std::string>& usual,
                const std::string& name, std::int64_t positions, std::int64_t width, Checkpoint& checkpoint) {
  const std::string in_file = tensors.prefix(word, usual, "");
  tensors.know(in_file, name);
  if (tensors.find(in_file) == nullptr) return false;
  SourceTensor table = tensors.take(in_file);
  Shape shape = table.shape;
  if (shape.size() == 3 && (shape[0] == 1 || shape[1] == 1)) shape.erase(shape.begin() + (shape[0] == 1 ? 0 : 1));
  if (shape.size() != 2 || shape[1] != width || shape[0] < positions) {
    throw Error(fmt::format("tensor '{}' has shape {}; expected a table of at least max_positions, {}, rows of {}",
                            in_file, to_string(table.shape), positions, width));
  }
  table.shape = shape;
  checkpoint.tensors.push_back(rows_of(table, name, 0, positions));
  return true;
}

void give_positions(NamedTensors& tensors, const std::string& kind, std::int64_t positions, std::int64_t width,
                    Checkpoint& checkpoint) {
  if (kind == "none") return;
  const auto give = [&](const std::string& word, const std::vector<std::string>& usual, const std::string& name) {
    return give_table(tensors, word, usual, name, positions, width, checkpoint);
  };
  if (give("positions", kTables, "position_embd.weight")) return;
  const bool source = give("source_positions", kSourceTables, "source_position.weight");
  const bool target = give("target_positions", kTargetTables, "target_position.weight");
  if (source || target) return;  // the recipe misses the other
  if (kind == "learned") {
    throw Error(
        fmt::format("tensor '{}' is missing: 'positions' is \"learned\"; say in config.json what it is called: "
                    "\"names\": {{\"positions\": ...}}",
                    kTables.front()));
  }
  checkpoint.tensors.push_back(
      sinusoidal_positions("position_embd.weight", SinusoidLayout::Interleaved, positions, width, 0));
}

/// Rows of an embedding; compared with what config.json may say of it.
std::int64_t vocabulary_of(const NamedTensors& tensors, const std::string& in_file, const char* word, const char* key,
                           std::int64_t width, ConfigReader& config) {
  const SourceTensor* embedding = tensors.find(in_file);
  if (embedding == nullptr) {
    throw Error(
        fmt::format("tensor '{}' is missing; if it has another name, say so in config.json: \"names\": "
                    "{{\"{}\": ...}}",
                    in_file, word));
  }
  if (embedding->shape.size() != 2 || embedding->shape[1] != width) {
    throw Error(fmt::format("tensor '{}' has shape {}; expected rows of d_model, {}", in_file,
                            to_string(embedding->shape), width));
  }
  const std::int64_t rows = embedding->shape[0];
  if (const auto told = config.find_size(key); told.value_or(rows) != rows) {
    config.contradict(fmt::format("'{}' is {}", key, *told), fmt::format("tensor '{}' has {} rows", in_file, rows));
  }
  return rows;
}

}  // namespace

void give_torch_attention(NamedTensors& tensors, const std::string& in_file, const std::string& name,
                          std::int64_t width, Checkpoint& checkpoint) {
  for (const char* part : kParts) {
    const std::string packed = in_file + ".in_proj_" + part;
    for (const char* role : {"q", "k", "v"}) tensors.know(packed, fmt::format("{}_{}.{}", name, role, part));
    const SourceTensor* found = tensors.find(packed);
    if (found == nullptr) continue;  // the recipe misses it, where it must be
    Shape expected = {3 * width};
    if (part == kParts[0]) expected.push_back(width);
    if (found->shape != expected) {
      throw Error(fmt::format("tensor '{}' has shape {}, but config.json implies {}", packed, to_string(found->shape),
                              to_string(expected)));
    }
    const SourceTensor whole = tensors.take(packed);
    std::int64_t first = 0;
    for (const char* role : {"q", "k", "v"}) {
      checkpoint.tensors.push_back(rows_of(whole, fmt::format("{}_{}.{}", name, role, part), first, width));
      first += width;
    }
  }
  for (const char* part : kParts) {
    tensors.give(fmt::format("{}.out_proj.{}", in_file, part), fmt::format("{}_output.{}", name, part), checkpoint);
  }
}

void give_torch_layer(NamedTensors& tensors, const std::string& from, const std::string& to, bool crosses,
                      std::int64_t width, Checkpoint& checkpoint) {
  give_torch_attention(tensors, from + "self_attn", to + "attn", width, checkpoint);
  if (crosses) give_torch_attention(tensors, from + "multihead_attn", to + "cross", width, checkpoint);
  for (const char* part : kParts) {
    const auto give = [&](const std::string& in_file, const std::string& name) {
      tensors.give(from + in_file + "." + part, to + name + "." + part, checkpoint);
    };
    give("linear1", "ffn_up");
    give("linear2", "ffn_down");
    give("norm1", "attn_norm");
    give("norm2", crosses ? "cross_norm" : "ffn_norm");
    if (crosses) give("norm3", "ffn_norm");
  }
}

Checkpoint read_torch_transformer(const std::filesystem::path& folder, const nlohmann::json& json) {
  ConfigReader config(json, "config.json");
  Checkpoint checkpoint;
  checkpoint.family = "transformer";
  checkpoint.source = format_of_weights(folder);
  const std::int64_t width = config.size("d_model");
  const std::int64_t heads = config.size("nhead");
  const std::int64_t positions = config.size("max_positions");
  const std::int64_t ffn_width = config.size("dim_feedforward");
  if (width % heads != 0) config.fail("nhead", fmt::format("a divisor of d_model, {}", width));
  if (width > 1 << 20) config.fail("d_model", "at most 2^20");
  const std::string kind = config.find_text("positions").value_or("");
  if (kind != "sinusoidal" && kind != "learned" && kind != "none") {
    config.fail("positions", "sinusoidal, learned or none");
  }
  const bool scaled = config.boolean("scale_embedding", false);
  if (!config.has("scale_embedding")) config.fail("scale_embedding", "true or false");

  NamedTensors tensors(read_weight_files(
                           folder, [](std::string_view) { return false; }, checkpoint.notes),
                       config.find("names"),
                       {"transformer", "source_embedding", "target_embedding", "output", "positions",
                        "source_positions", "target_positions"});
  std::string prefix = tensors.prefix("transformer", {"transformer.", ""}, "encoder.layers.0.self_attn.in_proj_weight");
  if (!prefix.empty() && !prefix.ends_with('.')) prefix += '.';
  const auto stack = [&](const std::string& side) {
    const std::string key = "num_" + side + "_layers";
    const std::int64_t layers = config.size(key.c_str());
    if (layers > 1000) config.fail(key.c_str(), "at most 1000");
    const bool norm = tensors.find(prefix + side + ".norm.weight") != nullptr;
    give_layers(tensors, prefix, side, layers, width, checkpoint);
    return nlohmann::json{{"layers", layers},
                          {"heads", heads},
                          {"head_dim", width / heads},
                          {"ffn_width", ffn_width},
                          {"final_norm", norm}};
  };
  const bool biases = tensors.find(prefix + "encoder.layers.0.linear1.bias") != nullptr;
  const nlohmann::json encoder = stack("encoder");
  const nlohmann::json decoder = stack("decoder");
  const std::string source = tensors.prefix("source_embedding", kSourceEmbeddings, ".weight") + ".weight";
  const std::string target = tensors.prefix("target_embedding", kTargetEmbeddings, ".weight") + ".weight";
  const std::int64_t source_vocabulary =
      vocabulary_of(tensors, source, "source_embedding", "source_vocab_size", width, config);
  const std::int64_t vocabulary =
      vocabulary_of(tensors, target, "target_embedding", "target_vocab_size", width, config);
  const bool shared = source == target;
  tensors.give(source, shared ? "token_embd.weight" : "source_embd.weight", checkpoint);
  if (!shared) tensors.give(target, "target_embd.weight", checkpoint);
  const std::string output = tensors.prefix("output", kOutputs, ".weight");
  const bool untied = tensors.find(output + ".weight") != nullptr;
  for (const char* part : kParts) tensors.give(output + "." + part, std::string("output.") + part, checkpoint);
  give_positions(tensors, kind, positions, width, checkpoint);
  tensors.finish(checkpoint);
  resolve_embeddings({shared, !untied}, checkpoint);

  checkpoint.parameters = {{"width", width},
                           {"encoder", encoder},
                           {"decoder", decoder},
                           {"source_vocabulary", source_vocabulary},
                           {"vocabulary", vocabulary},
                           {"source_context", positions},
                           {"context", positions},
                           {"norm", "layer"},
                           {"norm_eps", config.find_positive("layer_norm_eps").value_or(1e-5)},
                           {"norm_first", config.boolean("norm_first", false)},
                           {"embedding_norm", false},
                           {"biases", biases},
                           {"positions", kind == "none" ? "none" : "table"},
                           {"relative_buckets", 0},
                           {"relative_distance", 0},
                           {"embedding_scale", scaled ? std::sqrt(static_cast<double>(width)) : 1.0},
                           {"scale_attention", true},
                           {"activation", config.activation("activation", "relu")},
                           {"gated", false}};
  for (const char* key : {"dropout", "batch_first"}) config.skip(key);
  finish_own_model(folder, json, config, vocabulary, checkpoint);
  return checkpoint;
}

}  // namespace heed::convert
