#include "tools/convert/recurrent_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "heed/error.h"
#include "tools/convert/config_reader.h"
#include "tools/convert/json_text.h"
#include "tools/convert/named_tensors.h"
#include "tools/convert/own_model.h"
#include "tools/convert/recurrent_weights.h"
#include "tools/convert/weight_files.h"

namespace heed::convert {

namespace {

namespace fs = std::filesystem;

/// One file, or one for each side, whose tensors then have no prefix.
std::vector<SourceTensor> read_sides(const fs::path& folder, std::vector<std::string>& notes) {
  const IsBuffer none = [](std::string_view) { return false; };
  std::vector<SourceTensor> all;
  std::size_t sides = 0;
  for (const std::string side : {"encoder", "decoder"}) {
    std::vector<SourceTensor> tensors = read_weight_file_if_any(folder, side, none, notes);
    sides += tensors.empty() ? 0 : 1;
    for (SourceTensor& tensor : tensors) {
      if (!tensor.name.starts_with(side + ".")) tensor.name = side + "." + tensor.name;
      all.push_back(std::move(tensor));
    }
  }
  if (sides == 1) {
    throw Error(fmt::format("{}: has the weights of one side alone, encoder or decoder", folder.string()));
  }
  return sides == 2 ? all : read_weight_files(folder, none, notes);
}

/// A matrix [rows, columns] that must be there.
Shape matrix_shape(const NamedTensors& tensors, const std::string& in_file, const char* word) {
  const SourceTensor* tensor = tensors.find(in_file);
  if (tensor == nullptr) {
    throw Error(
        fmt::format("tensor '{}' is missing; if it has another name, say so in config.json: \"names\": "
                    "{{\"{}\": ...}}",
                    in_file, word));
  }
  if (tensor->shape.size() != 2) {
    throw Error(fmt::format("tensor '{}' has shape {}; expected a matrix", in_file, to_string(tensor->shape)));
  }
  return tensor->shape;
}

/// What config.json may say of what the tensors tell.
void compare(ConfigReader& config, const char* key, std::int64_t actual) {
  if (const auto told = config.find_size(key); told.value_or(actual) != actual) {
    config.contradict(fmt::format("'{}' is {}", key, *told), fmt::format("the tensors say {}", actual));
  }
}

std::string choose(ConfigReader& config, const char* key, const std::string& otherwise,
                   std::initializer_list<std::string_view> choices) {
  const auto told = config.find_text(key);
  if (told && std::ranges::find(choices, *told) == choices.end()) {
    std::string expected;
    for (const std::string_view choice : choices) expected += (expected.empty() ? "" : ", ") + std::string(choice);
    config.fail(key, "one of " + expected);
  }
  return told.value_or(otherwise);
}

/// Reads one model.
class RecurrentReader {
 public:
  RecurrentReader(const fs::path& folder, const nlohmann::json& json)
      : folder_(folder),
        json_(json),
        config_(json, "config.json"),
        tensors_(read_sides(folder, checkpoint_.notes), config_.find("names"),
                 {"encoder_embedding", "encoder_rnn", "bridge_h", "bridge_c", "decoder_embedding", "query", "keys",
                  "score", "decoder_rnn", "concat", "output"}) {}

  Checkpoint read();

 private:
  std::string part(const char* word, const std::vector<std::string>& usual,
                   const std::string& probe = ".weight") const {
    return tensors_.prefix(word, usual, probe);
  }
  void give_linear(const std::string& in_file, const std::string& name) {
    for (const char* piece : kParts) {
      tensors_.give(fmt::format("{}.{}", in_file, piece), fmt::format("{}.{}", name, piece), checkpoint_);
    }
  }
  std::int64_t give_embedding(const char* word, const std::string& side, const char* vocabulary_key,
                              const std::string& vocabulary_name);
  void read_encoder();
  void read_attention();
  void read_decoder();
  void read_output();

  const fs::path& folder_;
  const nlohmann::json& json_;
  ConfigReader config_;
  Checkpoint checkpoint_;
  NamedTensors tensors_;
  nlohmann::json p_ = nlohmann::json::object();  // models/recurrent_translation.h
  TorchRecurrent encoder_, decoder_;
  std::int64_t memory_width_ = 0, embedding_width_ = 0;
};

std::int64_t RecurrentReader::give_embedding(const char* word, const std::string& side, const char* vocabulary_key,
                                             const std::string& vocabulary_name) {
  const std::string in_file = part(word, {side + ".embedding"}) + ".weight";
  const Shape shape = matrix_shape(tensors_, in_file, word);
  compare(config_, vocabulary_key, shape[0]);
  compare(config_, "embedding", shape[1]);
  p_[vocabulary_name] = shape[0];
  p_[side + "_embedding"] = shape[1];
  tensors_.give(in_file, side + ".embd.weight", checkpoint_);
  return shape[1];
}

void RecurrentReader::read_encoder() {
  give_embedding("encoder_embedding", "encoder", "source_vocab_size", "source_vocabulary");
  const std::string rnn = part("encoder_rnn", {"encoder.lstm", "encoder.gru", "encoder.rnn"}, ".weight_hh_l0");
  encoder_ = give_recurrent(tensors_, rnn, "encoder.rnn", checkpoint_);
  compare(config_, "hidden", encoder_.hidden);
  compare(config_, "encoder_hidden", encoder_.hidden);
  compare(config_, "encoder_layers", encoder_.layers);
  if (config_.boolean("bidirectional", encoder_.bidirectional) != encoder_.bidirectional) {
    config_.contradict(
        fmt::format("'bidirectional' is {}", !encoder_.bidirectional),
        fmt::format("the tensors of '{}' are of {}", rnn, encoder_.bidirectional ? "two directions" : "one direction"));
  }
  if (choose(config_, "cell", encoder_.cell, {"lstm", "gru"}) != encoder_.cell) {
    config_.contradict("'cell' is another", fmt::format("the tensors of '{}' are of an {}", rnn, encoder_.cell));
  }
  p_["cell"] = encoder_.cell;
  p_["encoder_hidden"] = encoder_.hidden;
  p_["encoder_layers"] = encoder_.layers;
  p_["bidirectional"] = encoder_.bidirectional;
  p_["encoder_outputs"] = choose(config_, "encoder_outputs", "concat", {"concat", "sum"});
  memory_width_ = encoder_.hidden * (encoder_.bidirectional && p_["encoder_outputs"] == "concat" ? 2 : 1);
  const std::string bridge = choose(config_, "bridge", encoder_.bidirectional ? "" : "copy",
                                    {"copy", "sum", "concat", "first", "linear", "linear_tanh", "linear_tanh_h"});
  if (bridge.empty()) {
    config_.fail("bridge",
                 "how states of two directions become one: sum, concat, first, linear, linear_tanh or "
                 "linear_tanh_h");
  }
  p_["bridge"] = bridge;
  for (const char* state : {"h", "c"}) {
    if (!bridge.starts_with("linear") || (*state == 'c' && encoder_.cell != "lstm")) continue;
    const std::string word = fmt::format("bridge_{}", state);
    give_linear(part(word.c_str(), {"encoder." + word, "decoder." + word, word}), word);
  }
}

void RecurrentReader::read_attention() {
  const auto there = [&](const std::string& in_file) { return tensors_.find(in_file + ".weight") != nullptr; };
  const std::string query = part("query", {"decoder.attention.Wa"});
  const std::string keys = part("keys", {"decoder.attention.Ua"});
  const std::string score = part("score", {"decoder.attention.Va"});
  const bool projects = there(query) || there(keys);
  const std::string kind = choose(config_, "attention",
                                  there(score) ? "additive"
                                  : projects   ? "dot"
                                               : "none",
                                  {"none", "additive", "dot"});
  p_["attention"] = kind;
  p_["attention_width"] = 0;
  p_["attention_query"] = kind != "none" && there(query);
  p_["attention_keys"] = kind != "none" && there(keys);
  p_["scale_attention"] = config_.boolean("scale_attention", false);
  if (kind == "none") {
    if (config_.find("attention_width") != nullptr) config_.fail("attention_width", "no such key without attention");
    return;
  }
  std::int64_t width = decoder_.hidden;
  if (there(query)) {
    width = matrix_shape(tensors_, query + ".weight", "query")[0];
  } else if (there(keys)) {
    width = matrix_shape(tensors_, keys + ".weight", "keys")[0];
  }
  compare(config_, "attention_width", width);
  p_["attention_width"] = width;
  if (there(query)) give_linear(query, "attention.q");
  if (there(keys)) give_linear(keys, "attention.k");
  if (kind != "additive") return;
  const Shape shape = matrix_shape(tensors_, score + ".weight", "score");
  if (shape != Shape{1, width}) {
    throw Error(fmt::format("tensor '{}.weight' has shape {}; expected {}", score, to_string(shape),
                            to_string(Shape{1, width})));
  }
  tensors_.give(score + ".weight", "attention.score.weight", checkpoint_);
  checkpoint_.tensors.back().shape = {width};
  // It is added to all scores alike, which softmax does not see.
  if (tensors_.find(score + ".bias") != nullptr) tensors_.take(score + ".bias");
}

void RecurrentReader::read_decoder() {
  embedding_width_ = give_embedding("decoder_embedding", "decoder", "target_vocab_size", "vocabulary");
  const std::string rnn = part("decoder_rnn", {"decoder.lstm", "decoder.gru", "decoder.rnn"}, ".weight_hh_l0");
  decoder_ = give_recurrent(tensors_, rnn, "decoder.rnn", checkpoint_);
  if (decoder_.cell != encoder_.cell) {
    throw Error(fmt::format("the encoder is an {} and the decoder, '{}', an {}; heed has both of one kind",
                            encoder_.cell, rnn, decoder_.cell));
  }
  if (decoder_.bidirectional) throw Error(fmt::format("the decoder, '{}', has two directions", rnn));
  compare(config_, "hidden", decoder_.hidden);
  compare(config_, "decoder_hidden", decoder_.hidden);
  compare(config_, "decoder_layers", decoder_.layers);
  p_["decoder_hidden"] = decoder_.hidden;
  p_["decoder_layers"] = decoder_.layers;
  read_attention();
  const bool attends = p_["attention"] != "none";
  const std::int64_t joined = embedding_width_ + memory_width_;
  const std::string from =
      choose(config_, "attention_from", attends && decoder_.inputs == joined ? "previous" : "current",
             {"previous", "current"});
  const std::int64_t expected = attends && from == "previous" ? joined : embedding_width_;
  if (decoder_.inputs != expected) {
    throw Error(fmt::format("tensor '{}.weight_ih_l0' reads {} numbers; expected {}: an embedding of {}{}", rnn,
                            decoder_.inputs, expected, embedding_width_,
                            expected == joined ? fmt::format(" and a context of {}", memory_width_) : ""));
  }
  p_["attention_from"] = attends ? from : "current";
  if (!attends && !config_.has("embedding_activation")) {
    config_.fail("embedding_activation",
                 "\"relu\", as in PyTorch's tutorial, or \"none\" (only models with attention may "
                 "leave it out)");
  }
  p_["embedding_activation"] = choose(config_, "embedding_activation", "none", {"none", "relu"});
}

void RecurrentReader::read_output() {
  const std::string concat = part("concat", {"decoder.concat"});
  const std::string output = part("output", {"decoder.out", "decoder.fc_out", "decoder.fc", "decoder.output"});
  const Shape last = matrix_shape(tensors_, output + ".weight", "output");
  if (last[0] != p_["vocabulary"].get<std::int64_t>()) {
    throw Error(fmt::format("tensor '{}.weight' has {} rows, but the target's embedding {}: the vocabularies differ",
                            output, last[0], p_["vocabulary"].get<std::int64_t>()));
  }
  std::int64_t width = last[1];
  p_["output_hidden"] = 0;
  if (tensors_.find(concat + ".weight") != nullptr) {
    const Shape shape = matrix_shape(tensors_, concat + ".weight", "concat");
    p_["output_hidden"] = shape[0];
    width = shape[1];
    give_linear(concat, "concat");
  }
  give_linear(output, "output");
  if (const nlohmann::json* told = config_.find("output_from"); told != nullptr) {
    p_["output_from"] = *told;
    return;
  }
  const bool attends = p_["attention"] != "none";
  nlohmann::json parts = {"hidden"};
  std::int64_t sum = decoder_.hidden;
  if (sum != width && attends) {
    parts.push_back("context");
    sum += memory_width_;
  }
  if (sum != width) {
    parts.push_back("embedding");
    sum += embedding_width_;
  }
  if (sum != width) {
    config_.fail("output_from",
                 fmt::format("what the output reads, {} wide; hidden has {}, {}embedding {}", width, decoder_.hidden,
                             attends ? fmt::format("context {}, ", memory_width_) : "", embedding_width_));
  }
  p_["output_from"] = parts;
}

Checkpoint RecurrentReader::read() {
  checkpoint_.family = "recurrent";
  checkpoint_.source = format_of_weights(folder_);
  read_encoder();
  read_decoder();
  read_output();
  tensors_.finish(checkpoint_);
  p_["source_context"] = config_.find_size("max_source_length").value_or(256);
  p_["context"] = config_.find_size("max_target_length").value_or(256);
  checkpoint_.parameters = p_;
  for (const char* key : {"dropout"}) config_.skip(key);
  finish_own_model(folder_, json_, config_, p_["vocabulary"].get<std::int64_t>(), checkpoint_);
  return std::move(checkpoint_);
}

}  // namespace

Checkpoint read_recurrent_model(const fs::path& folder, const nlohmann::json& config) {
  return RecurrentReader(folder, config).read();
}

}  // namespace heed::convert
