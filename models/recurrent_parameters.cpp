#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "heed/error.h"
#include "models/recurrent_translation.h"

namespace heed::models {

namespace {

std::vector<std::string> output_parts(const ParameterReader& reader, const nlohmann::json& list, bool attends) {
  std::vector<std::string> parts;
  const bool is_list = list.is_array() && !list.empty();
  for (const nlohmann::json& part : is_list ? list : nlohmann::json::array({nullptr})) {
    const std::string name = part.is_string() ? part.get<std::string>() : "";
    const bool known = name == "hidden" || name == "embedding" || (name == "context" && attends);
    if (!known || std::ranges::find(parts, name) != parts.end()) {
      reader.fail(fmt::format("output_from is {}; expected some of hidden, {}embedding, each once", list.dump(),
                              attends ? "context, " : ""));
    }
    parts.push_back(name);
  }
  return parts;
}

void check_bridge(const ParameterReader& reader, const RecurrentParameters& p) {
  const std::int64_t directions = p.directions();
  const auto same = [&](std::int64_t width, const char* what) {
    if (width != p.decoder_hidden) {
      reader.fail(fmt::format("the bridge '{}' makes states of {}, {}, but decoder_hidden is {}", p.bridge, width, what,
                              p.decoder_hidden));
    }
  };
  if (p.bridge == "copy") {
    if (p.bidirectional) {
      reader.fail("the bridge 'copy' is for encoders of one direction; name another: sum, concat, linear, first");
    }
    same(p.encoder_hidden, "encoder_hidden");
  } else if (p.bridge == "sum" || p.bridge == "first") {
    same(p.encoder_hidden, "encoder_hidden");
  } else if (p.bridge == "concat") {
    same(directions * p.encoder_hidden, "encoder_hidden in all directions");
  }
  if (p.bridge == "first") {
    if (p.decoder_layers > p.encoder_layers * directions) {
      reader.fail(fmt::format("{} layers of the decoder need as many states, but the encoder has {}", p.decoder_layers,
                              p.encoder_layers * directions));
    }
  } else if (p.decoder_layers != 1 && p.decoder_layers != p.encoder_layers) {
    reader.fail(fmt::format("decoder_layers is {} and encoder_layers {}; expected 1 or as many", p.decoder_layers,
                            p.encoder_layers));
  }
}

void check_attention(const ParameterReader& reader, const RecurrentParameters& p) {
  if (!p.attention_query && p.attention_width != p.decoder_hidden) {
    reader.fail(fmt::format("queries of {}, decoder_hidden, are asked of keys of {} without a projection",
                            p.decoder_hidden, p.attention_width));
  }
  if (!p.attention_keys && p.attention_width != p.memory_width()) {
    reader.fail(fmt::format("keys are the encoder's outputs of {}, but queries have {}; one of them needs a projection",
                            p.memory_width(), p.attention_width));
  }
}

}  // namespace

RecurrentParameters RecurrentParameters::from_json(const nlohmann::json& json) {
  ParameterReader reader("recurrent", json);
  // So that no product of them overflows.
  constexpr std::int64_t kMostWidth = std::int64_t{1} << 24;
  const auto width = [&](const char* key) { return reader.integer(key, 1, kMostWidth); };
  RecurrentParameters p;
  p.cell = reader.choice("cell", {"lstm", "gru"});
  p.source_vocabulary = reader.size("source_vocabulary");
  p.vocabulary = reader.size("vocabulary");
  p.source_context = reader.size("source_context");
  p.context = reader.size("context");
  p.encoder_embedding = width("encoder_embedding");
  p.decoder_embedding = width("decoder_embedding");
  p.encoder_hidden = width("encoder_hidden");
  p.encoder_layers = reader.integer("encoder_layers", 1, 1000);
  p.bidirectional = reader.boolean("bidirectional");
  p.encoder_outputs = reader.choice("encoder_outputs", {"concat", "sum"});
  p.decoder_hidden = width("decoder_hidden");
  p.decoder_layers = reader.integer("decoder_layers", 1, 1000);
  p.bridge = reader.choice("bridge", {"copy", "sum", "concat", "first", "linear", "linear_tanh", "linear_tanh_h"});
  p.attention = reader.choice("attention", {"none", "additive", "dot"});
  p.attention_width = p.attends() ? width("attention_width") : reader.integer("attention_width", 0, 0);
  p.attention_query = reader.boolean("attention_query");
  p.attention_keys = reader.boolean("attention_keys");
  p.scale_attention = reader.boolean("scale_attention");
  p.attention_from = reader.choice("attention_from", {"previous", "current"});
  p.embedding_activation = reader.choice("embedding_activation", {"none", "relu"});
  p.output_from = output_parts(reader, reader.value("output_from"), p.attends());
  p.output_hidden = reader.integer("output_hidden", 0, kMostWidth);
  reader.refuse_unread();
  check_bridge(reader, p);
  if (p.attends()) check_attention(reader, p);
  return p;
}

nlohmann::json RecurrentParameters::to_json() const {
  return {{"cell", cell},
          {"source_vocabulary", source_vocabulary},
          {"vocabulary", vocabulary},
          {"source_context", source_context},
          {"context", context},
          {"encoder_embedding", encoder_embedding},
          {"decoder_embedding", decoder_embedding},
          {"encoder_hidden", encoder_hidden},
          {"encoder_layers", encoder_layers},
          {"bidirectional", bidirectional},
          {"encoder_outputs", encoder_outputs},
          {"decoder_hidden", decoder_hidden},
          {"decoder_layers", decoder_layers},
          {"bridge", bridge},
          {"attention", attention},
          {"attention_width", attention_width},
          {"attention_query", attention_query},
          {"attention_keys", attention_keys},
          {"scale_attention", scale_attention},
          {"attention_from", attention_from},
          {"embedding_activation", embedding_activation},
          {"output_from", output_from},
          {"output_hidden", output_hidden}};
}

}  // namespace heed::models
