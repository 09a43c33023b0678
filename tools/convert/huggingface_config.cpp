#include "tools/convert/huggingface_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "heed/error.h"
#include "tools/convert/config_reader.h"
#include "tools/convert/json_text.h"
#include "tools/convert/rope_scaling.h"
#include "tools/convert/text.h"

namespace heed::convert {

namespace {

/// The numbers that divide the angles of Llama 3.1's rotary positions: long wavelengths are stretched by `factor`,
/// short ones kept, those between blended (transformers, modeling_rope_utils.py, _compute_llama3_parameters).
std::vector<float> llama3_factors(ConfigReader& rope, double base, std::int64_t dims, std::int64_t outer_original) {
  const double factor = rope.positive("factor");
  const double low = rope.positive("low_freq_factor");
  const double high = rope.positive("high_freq_factor");
  const double inner_original = rope.positive("original_max_position_embeddings");
  const double context = outer_original > 0 ? static_cast<double>(outer_original) : inner_original;
  if (high <= low) rope.fail("high_freq_factor", "more than low_freq_factor");
  std::vector<float> factors;
  for (std::int64_t i = 0; i < dims / 2; ++i) {
    const double wavelength =
        2 * std::numbers::pi * std::pow(base, 2.0 * static_cast<double>(i) / static_cast<double>(dims));
    double divisor = factor;
    if (wavelength < context / high) {
      divisor = 1;
    } else if (wavelength <= context / low) {
      const double smooth = (context / wavelength - low) / (high - low);
      divisor = 1 / ((1 - smooth) / factor + smooth);
    }
    factors.push_back(static_cast<float>(divisor));
  }
  return factors;
}

/// The share of a head that turns, where both places that may name it agree.
double partial_of(ConfigReader& config, ConfigReader* rope, std::optional<double> otherwise) {
  const char* key = "partial_rotary_factor";
  if (!otherwise) {
    config.expect(key, 1.0);
    if (rope != nullptr) rope->expect(key, 1.0);
    return 1;
  }
  const double outer = config.find_positive(key).value_or(0);
  const double inner = rope == nullptr ? 0 : rope->find_positive(key).value_or(0);
  if (outer > 0 && inner > 0 && outer != inner) {
    config.contradict(fmt::format("'{}' is {}", key, outer),
                      fmt::format("'{}' in {} is {}", key, rope->where(), inner));
  }
  const double partial = inner > 0 ? inner : outer > 0 ? outer : *otherwise;
  if (partial > 1) config.fail(key, "a share of a head, up to 1");
  return partial;
}

/// Where `keys` of a rope are numbers above zero, as Python's "or" takes them; null, 0 and absent are `otherwise`.
double positive_or(ConfigReader& rope, const char* key, double otherwise) {
  const nlohmann::json* value = rope.find(key);
  return value == nullptr || (value->is_number() && *value == 0) ? otherwise : rope.positive(key);
}

RopeScaling yarn_of(ConfigReader& rope, const RopeContext& context) {
  Yarn numbers;
  numbers.factor = rope.find_positive("factor").value_or(static_cast<double>(context.longest) /
                                                         static_cast<double>(context.original));
  if (numbers.factor < 1) rope.fail("factor", "a number from 1 on");
  numbers.beta_fast = positive_or(rope, "beta_fast", 32);
  numbers.beta_slow = positive_or(rope, "beta_slow", 1);
  numbers.truncate = rope.boolean("truncate", true);
  const double mscale = positive_or(rope, "mscale", 0);
  const double all = positive_or(rope, "mscale_all_dim", 0);
  if (const auto scale = rope.find_positive("attention_factor")) {
    numbers.scale = *scale;
  } else if (mscale > 0 && all > 0) {
    numbers.scale = yarn_scale(numbers.factor, mscale) / yarn_scale(numbers.factor, all);
  }
  return yarn(numbers, context);
}

std::vector<float> factors_of(ConfigReader& rope, const char* key, std::int64_t dims) {
  const nlohmann::json* list = rope.find(key);
  const auto good = [](const nlohmann::json& each) { return each.is_number() && each.get<double>() > 0; };
  if (list == nullptr || !list->is_array() || list->size() != static_cast<std::size_t>(dims / 2) ||
      !std::ranges::all_of(*list, good)) {
    rope.fail(key, fmt::format("a list of {} numbers above zero, one for each pair that turns", dims / 2));
  }
  return list->get<std::vector<float>>();
}

RopeScaling longrope_of(ConfigReader& rope, const RopeContext& context, bool has_scales) {
  LongRope numbers;
  numbers.short_factors = factors_of(rope, "short_factor", context.dims);
  numbers.long_factors = factors_of(rope, "long_factor", context.dims);
  const auto original = static_cast<double>(context.original);
  const double factor = rope.find_positive("factor").value_or(static_cast<double>(context.longest) / original);
  const auto scale = rope.find_positive("attention_factor");
  if (!scale && factor > 1 && original <= 1) rope.fail("original_max_position_embeddings", "a number above one");
  numbers.scale = scale.value_or(factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(original)));
  if (has_scales) {  // in place of what the lengths imply
    numbers.scale = rope.positive("short_mscale");
    numbers.long_scale = rope.positive("long_mscale");
  }
  return longrope(std::move(numbers), context);
}

/// What a kind of rope changes of the default one.
RopeScaling rope_scaling(ConfigReader& rope, RopeContext context, const RopeDefaults& defaults,
                         std::int64_t outer_original, bool& context_matters) {
  const auto type = rope.find_text("rope_type");
  const auto older = rope.find_text("type");
  if (type && older && *type != *older) {
    rope.contradict(fmt::format("'rope_type' is {}", in_quotes(*type)), fmt::format("'type' is {}", in_quotes(*older)));
  }
  const std::string name = type.value_or(older.value_or("default"));
  if (name == "linear") {
    return linear_rope(rope.positive("factor"), context.dims);
  }
  if (name == "llama3") {
    RopeScaling result;
    result.factors = llama3_factors(rope, context.base, context.dims, outer_original);
    return result;
  }
  const bool by_length = name == "longrope" || name == "su" || (name == "yarn" && rope.has("short_factor"));
  if (!by_length && name != "yarn" && name != "dynamic") {
    if (name != "default") {
      rope.fail(type ? "rope_type" : "type", "default, linear, llama3, yarn, dynamic or longrope");
    }
    return {};
  }
  context_matters = true;
  const auto inner_original = rope.find_size("original_max_position_embeddings");
  context.original = outer_original > 0 ? outer_original : inner_original.value_or(context.longest);
  if (by_length) return longrope_of(rope, context, defaults.has_scales);
  return name == "yarn" ? yarn_of(rope, context) : dynamic_rope(rope.positive("factor"), context);
}

std::vector<std::int32_t> end_tokens_of(const nlohmann::json& file, const char* name, std::int64_t vocabulary) {
  return file.is_object() ? ConfigReader(file, name).tokens("eos_token_id", vocabulary) : std::vector<std::int32_t>();
}

}  // namespace

void read_sizes(ConfigReader& config, const SizeKeys& keys, HuggingFaceConfig& result) {
  const std::int64_t width = config.size(keys.width);
  const std::int64_t heads = config.size(keys.heads);
  const auto head_dim = config.find_size("head_dim");
  if (!head_dim && width % heads != 0) config.fail(keys.heads, fmt::format("a divisor of {}, {}", keys.width, width));
  const auto find_size = [&](const char* key) { return key == nullptr ? std::nullopt : config.find_size(key); };
  nlohmann::json& p = result.parameters;
  p = {{"width", width},
       {"layers", config.size(keys.layers)},
       {"heads", heads},
       {"kv_heads", find_size(keys.kv_heads).value_or(heads)},
       {"head_dim", head_dim.value_or(width / heads)},
       {"ffn_width", keys.ffn_is_named ? config.size(keys.ffn_width) : find_size(keys.ffn_width).value_or(4 * width)},
       {"vocabulary", config.size("vocab_size")},
       {"rope_dims", 0}};
  if (keys.context != nullptr) p["context"] = config.size(keys.context);
  if (keys.norm_eps != nullptr) p["norm_eps"] = config.positive(keys.norm_eps);
  if (keys.activation != nullptr) p["activation"] = config.activation(keys.activation, keys.activation_if_missing);
}

void read_experts(ConfigReader& config, const ExpertKeys& keys, HuggingFaceConfig& result) {
  nlohmann::json& p = result.parameters;
  const std::int64_t experts = config.size(keys.experts);
  const std::int64_t used = config.size(keys.used);
  if (used > experts) config.fail(keys.used, fmt::format("at most {}, '{}'", experts, keys.experts));
  p["experts"] = experts;
  p["experts_used"] = used;
  p["expert_width"] = config.size(keys.width);
  if (keys.shared_width != nullptr) {
    const nlohmann::json* width = config.find(keys.shared_width);
    const bool is_none = width == nullptr || *width == 0;
    p["shared_expert_width"] = is_none ? 0 : config.size(keys.shared_width);
  }
  const bool normalises = !keys.may_normalise || config.boolean("norm_topk_prob", false);
  p["expert_softmax"] = normalises ? "chosen" : "all";
  if (keys.jitter_is_threshold) {
    if (used != 2) config.fail(keys.used, "2, as many as a SparseMixer chooses");
    p["expert_softmax"] = "near";
    p["expert_threshold"] = 2 * (config.has("router_jitter_noise") ? config.positive("router_jitter_noise") : 0.01);
  }
  // Of training alone.
  for (const char* key : {"output_router_logits", "router_aux_loss_coef", "router_jitter_noise"}) config.skip(key);
  if (!keys.some_layers) return;
  const std::int64_t step = config.find_size("decoder_sparse_step").value_or(1);
  const auto layers = std::min<std::int64_t>(p["layers"].get<std::int64_t>(), 10000);
  const nlohmann::json* listed = config.find("mlp_only_layers");
  if (listed != nullptr && (!listed->is_array() ||
                            std::ranges::any_of(*listed, [](const auto& each) { return !each.is_number_integer(); }))) {
    config.fail("mlp_only_layers", "a list of layers");
  }
  std::vector<std::int64_t> dense;
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    const bool is_listed = listed != nullptr && std::find(listed->begin(), listed->end(), layer) != listed->end();
    if (is_listed || (layer + 1) % step != 0) dense.push_back(layer);
  }
  p["dense_layers"] = dense;
}

void read_rope(ConfigReader& config, HuggingFaceConfig& result, const RopeDefaults& defaults) {
  auto outer_base = config.find_positive("rope_theta");
  if (defaults.older_base_key != nullptr) {
    const auto older = config.find_positive(defaults.older_base_key);
    if (!outer_base) outer_base = older;
  }
  const nlohmann::json* parameters = config.find("rope_parameters");
  const nlohmann::json* scaling = config.find("rope_scaling");
  if (parameters != nullptr && scaling != nullptr && *parameters != *scaling) {
    config.contradict(fmt::format("'rope_scaling' is {}", shown(*scaling)),
                      fmt::format("'rope_parameters' is {}", shown(*parameters)));
  }
  const char* name = parameters != nullptr ? "rope_parameters" : "rope_scaling";
  const nlohmann::json* own = parameters != nullptr ? parameters : scaling;
  std::optional<ConfigReader> rope;
  if (own != nullptr) rope.emplace(*own, fmt::format("config.json, {}", name));

  const std::int64_t head_dim = result.parameters["head_dim"].get<std::int64_t>();
  const auto dims = static_cast<std::int64_t>(partial_of(config, rope ? &*rope : nullptr, defaults.partial) *
                                              static_cast<double>(head_dim));
  if (dims == 0 || dims % 2 != 0 || dims > (1 << 20)) {
    throw Error(fmt::format("{}: {} of the {} elements of a head turn; expected an even number, at most 2^20",
                            config.where(), dims, head_dim));
  }
  double base = outer_base.value_or(defaults.base);
  if (rope) {
    const auto inner_base = rope->find_positive("rope_theta");
    if (inner_base && outer_base && *inner_base != *outer_base) {
      config.contradict(fmt::format("'rope_theta' is {}", *outer_base),
                        fmt::format("'rope_theta' inside '{}' is {}", name, *inner_base));
    }
    base = inner_base.value_or(base);
    const RopeContext context{
        base, dims, result.parameters["context"].get<std::int64_t>(), 0, result.wanted_context, rope->where()};
    // One in the config itself counts before that of the rope.
    const std::int64_t original =
        config.find_size("original_max_position_embeddings").value_or(defaults.original_context);
    RopeScaling stretched = rope_scaling(*rope, context, defaults, original, result.context_matters);
    result.rope_factors = std::move(stretched.factors);
    if (stretched.base > 0) base = stretched.base;
    if (stretched.scale != 1) result.parameters["rope_scale"] = stretched.scale;
    if (stretched.context > 0) result.parameters["context"] = stretched.context;
    if (!stretched.note.empty()) result.notes.push_back(std::move(stretched.note));
    rope->refuse_unread(false);
  }
  result.parameters["rope_base"] = base;
  result.parameters["rope_layout"] = "half";
  result.parameters["rope_dims"] = dims;
}

void read_windows(ConfigReader& config, HuggingFaceConfig& result, std::int64_t window,
                  const std::function<bool(std::int64_t)>& slides) {
  const auto layers = result.parameters["layers"].get<std::int64_t>();
  const nlohmann::json* types = config.find("layer_types");
  const auto wrong = [&] {
    config.fail("layer_types", fmt::format("a list of {} names, full_attention or sliding_attention", layers));
  };
  if (layers > 10000 ||
      (types != nullptr && (!types->is_array() || types->size() != static_cast<std::size_t>(layers)))) {
    wrong();
  }
  std::vector<std::int64_t> windows;
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    bool sliding = slides(layer);
    if (types != nullptr) {
      const nlohmann::json& type = (*types)[static_cast<std::size_t>(layer)];
      sliding = type == "sliding_attention";
      if (!sliding && type != "full_attention") wrong();
    }
    if (sliding && window == 0) config.fail("sliding_window", "a number, since layers slide");
    windows.push_back(sliding ? window : 0);
  }
  if (std::ranges::any_of(windows, [](std::int64_t each) { return each > 0; })) result.parameters["windows"] = windows;
}

void read_one_window(ConfigReader& config, HuggingFaceConfig& result) {
  const std::int64_t window = config.find_size("sliding_window").value_or(0);
  const nlohmann::json* types = config.find("layer_types");
  const char* all = window > 0 ? "sliding_attention" : "full_attention";
  if (types != nullptr &&
      (!types->is_array() || std::ranges::any_of(*types, [&](const nlohmann::json& type) { return type != all; }))) {
    config.fail("layer_types", fmt::format("{} for every layer, as 'sliding_window' says", all));
  }
  const auto layers = std::min<std::int64_t>(result.parameters["layers"].get<std::int64_t>(), 10000);
  if (window > 0) result.parameters["windows"] = std::vector<std::int64_t>(static_cast<std::size_t>(layers), window);
}

HuggingFaceConfig read_huggingface_config(const nlohmann::json& config, const nlohmann::json& generation_config,
                                          std::int64_t context) {
  ConfigReader reader(config, "config.json");
  const nlohmann::json* architectures = reader.find("architectures");
  if (architectures == nullptr || !architectures->is_array() || architectures->size() != 1 ||
      !architectures->front().is_string()) {
    reader.fail("architectures", "a list of one name");
  }
  HuggingFaceConfig result;
  result.wanted_context = context;
  const std::string architecture = architectures->front().get<std::string>();
  std::string known;
  for (const HuggingFaceFamily& family : huggingface_families()) {
    if (architecture == family.architecture) result.family = &family;
    known += fmt::format("{}, ", family.architecture);
  }
  if (result.family == nullptr) {
    reader.fail("architectures", known +
                                     "or a translation model (MarianMTModel, M2M100-, Bart-, MBart-, T5-, MT5- or "
                                     "UMT5ForConditionalGeneration)");
  }
  result.family->read(reader, result);
  if (context > 0 && !result.context_matters) throw_context_is_settled("config.json");
  result.tied = reader.boolean("tie_word_embeddings", result.family->tied);
  reader.boolean("is_decoder", false);  // of a class that is one
  reader.expect("is_encoder_decoder", false);
  reader.expect("add_cross_attention", false);
  reader.expect("tie_encoder_decoder", false);
  reader.expect("chunk_size_feed_forward", 0);
  reader.expect("pruned_heads", nlohmann::json::object());
  reader.refuse_unread();

  const auto vocabulary = result.parameters["vocabulary"].get<std::int64_t>();
  result.end_tokens = end_tokens_of(generation_config, "generation_config.json", vocabulary);
  if (result.end_tokens.empty()) result.end_tokens = end_tokens_of(config, "config.json", vocabulary);
  return result;
}

}  // namespace heed::convert
