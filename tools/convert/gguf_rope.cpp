#include "tools/convert/gguf_rope.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "heed/error.h"
#include "tools/convert/convert.h"
#include "tools/convert/rope_scaling.h"
#include "tools/convert/text.h"

namespace heed::convert {

namespace {

constexpr const char* kFactor = "rope.scaling.factor";

/// Takes a tensor of factors out of the checkpoint; empty where there is none.
std::vector<float> take_factors(Checkpoint& checkpoint, const std::string& name, std::int64_t dims) {
  const auto found = std::ranges::find(checkpoint.tensors, name, &SourceTensor::name);
  if (found == checkpoint.tensors.end()) return {};
  if (found->shape != Shape{dims / 2}) {
    throw Error(fmt::format("tensor '{}' has shape {}, but the hyperparameters imply {}", name, to_string(found->shape),
                            to_string(Shape{dims / 2})));
  }
  std::vector<float> values = tensor_values(*found);
  checkpoint.tensors.erase(found);
  return values;
}

/// The factor by which positions are divided; 1 without scaling. llama.cpp takes 0 for "not set".
double stretch(GgufKeys& keys) {
  const auto factor = keys.find_real(kFactor);
  const auto older = keys.find_real("rope.scale_linear");
  if (factor && older && *factor != *older) {
    throw Error(fmt::format("GGUF metadata '{}' and '{}' contradict each other", keys.full(kFactor),
                            keys.full("rope.scale_linear")));
  }
  const double scale = factor.value_or(older.value_or(1));
  if (scale == 0) return 1;
  if (scale < 1) {
    throw Error(fmt::format("GGUF metadata '{}' is {}; expected at least 1", keys.full(kFactor), scale));
  }
  return scale;
}

RopeScaling read_yarn(GgufKeys& keys, const RopeContext& context) {
  Yarn numbers;
  numbers.factor = stretch(keys);
  numbers.beta_fast = keys.positive("rope.scaling.yarn_beta_fast", numbers.beta_fast);
  numbers.beta_slow = keys.positive("rope.scaling.yarn_beta_slow", numbers.beta_slow);
  numbers.truncate = keys.find_boolean("rope.scaling.yarn_truncate").value_or(numbers.truncate);
  numbers.scale = keys.positive("rope.scaling.yarn_attn_factor", 0);
  // Below zero is "not set".
  const double share = keys.find_real("rope.scaling.yarn_ext_factor").value_or(1);
  if (share != 1 && share >= 0) keys.unsupported("rope.scaling.yarn_ext_factor", "1");
  if (keys.find_real("rope.scaling.yarn_log_multiplier").value_or(0) != 0) {
    keys.unsupported("rope.scaling.yarn_log_multiplier", "0");
  }
  return yarn(numbers, context);
}

}  // namespace

void read_gguf_rope(GgufKeys& keys, std::string_view layout, std::int64_t wanted, Checkpoint& checkpoint) {
  nlohmann::json& p = checkpoint.parameters;
  if (layout.empty()) {
    if (wanted > 0) throw_context_is_settled(fmt::format("GGUF file of architecture {}", keys.architecture()));
    return;
  }
  const auto head_dim = p["head_dim"].get<std::int64_t>();
  const std::int64_t dims = keys.find_size("rope.dimension_count").value_or(head_dim);
  const double base = keys.positive("rope.freq_base", 10000);
  p["rope_base"] = base;
  p["rope_layout"] = layout;
  p["rope_dims"] = dims;
  if (dims % 2 != 0 || dims > head_dim) return;  // the recipe refuses it
  if (dims < 2) {
    throw Error(fmt::format("GGUF metadata '{}' is {}; expected an even number up to {}",
                            keys.full("rope.dimension_count"), dims, head_dim));
  }

  const auto longest = p["context"].get<std::int64_t>();
  keys.skip("rope.scaling.finetuned");
  const std::int64_t original = keys.find_size("rope.scaling.original_context_length").value_or(0);
  const RopeContext context{base, dims, longest, original > 0 ? original : longest, wanted, "GGUF file"};
  const std::string* named = keys.find_text("rope.scaling.type");
  const std::string type = named == nullptr ? "linear" : *named;
  if (type != "none" && type != "linear" && type != "yarn" && type != "longrope") {
    throw Error(fmt::format("GGUF metadata '{}' is {}; heed supports \"none\", \"linear\", \"yarn\" and \"longrope\"",
                            keys.full("rope.scaling.type"), in_quotes(type)));
  }
  const double scale = keys.positive("rope.scaling.attn_factor", 1);
  std::vector<float> shorter = take_factors(checkpoint, "rope_factors_short.weight", dims);
  std::vector<float> longer = take_factors(checkpoint, "rope_factors_long.weight", dims);
  if (shorter.empty() != longer.empty()) {
    throw Error(fmt::format("tensor 'rope_factors_{}.weight' is missing, but there is the other of both",
                            shorter.empty() ? "short" : "long"));
  }

  RopeScaling scaling;
  bool context_matters = true;
  if (!shorter.empty()) {
    if (type == "yarn" || (type != "none" && stretch(keys) != 1)) {
      throw Error(fmt::format("GGUF metadata '{}' and tensor 'rope_factors_short.weight' together are not supported",
                              keys.full(type == "yarn" ? "rope.scaling.type" : kFactor)));
    }
    scaling = longrope({std::move(shorter), std::move(longer), 1}, context);
  } else if (type == "longrope") {
    throw Error(fmt::format("tensor 'rope_factors_short.weight' is missing, but '{}' is \"longrope\"",
                            keys.full("rope.scaling.type")));
  } else if (type == "yarn") {
    scaling = read_yarn(keys, context);
  } else {
    context_matters = false;
    const double factor = type == "none" ? 1 : stretch(keys);
    if (factor != 1) scaling = linear_rope(factor, dims);
    for (const char* key : {kFactor, "rope.scale_linear"}) keys.skip(key);
  }
  if (wanted > 0 && !context_matters)
    throw_context_is_settled(fmt::format("GGUF metadata '{}'", keys.full("rope.scaling.type")));
  if (scale * scaling.scale != 1) p["rope_scale"] = scale * scaling.scale;
  if (scaling.context > 0) p["context"] = scaling.context;
  if (!scaling.note.empty()) checkpoint.notes.push_back(scaling.note);
  if (scaling.factors.empty()) return;
  if (std::ranges::find(checkpoint.tensors, "rope_freqs.weight", &SourceTensor::name) != checkpoint.tensors.end()) {
    throw Error(fmt::format("GGUF metadata '{}' and tensor 'rope_freqs.weight' together are not supported",
                            keys.full(type == "yarn" ? "rope.scaling.type" : kFactor)));
  }
  checkpoint.tensors.push_back(make_f32_tensor("rope_freqs.weight", {dims / 2}, scaling.factors));
}

}  // namespace heed::convert
