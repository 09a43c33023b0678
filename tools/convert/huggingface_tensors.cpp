#include "tools/convert/huggingface_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "file/model_file.h"
#include "graph/dtype.h"
#include "heed/error.h"
#include "tools/convert/convert.h"

namespace heed::convert {

namespace {

/// "12.rest" -> {12, "rest"}.
struct LayerName {
  int layer;
  std::string_view rest;
};
std::optional<LayerName> layer_name(std::string_view name) {
  LayerName result = {};
  const auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), result.layer);
  if (problem != std::errc() || result.layer < 0 || end == name.data() + name.size() || *end != '.') return {};
  if (name.front() == '0' && end != name.data() + 1) return {};  // "01" would be a second name of layer 1
  result.rest = name.substr(static_cast<std::size_t>(end - name.data()) + 1);
  return result;
}

std::string_view without_prefix(std::string_view name, std::string_view prefix) {
  return name.starts_with(prefix) ? name.substr(prefix.size()) : name;
}

/// A tensor's place in a model: its name in the table, the layer, and whether it is a weight or a bias.
struct Place {
  const TensorName* name;
  int layer;  // -1: none
  std::string_view kind;
  int expert = -1;  // of Packing::Expert

  std::string under(std::string_view stem) const {
    return layer < 0 ? fmt::format("{}{}", stem, kind) : fmt::format("blk.{}.{}{}", layer, stem, kind);
  }
};

/// The number at the "*" of a pattern: -1 where it has none, nothing where it does not fit.
std::optional<int> number_in(std::string_view pattern, std::string_view name) {
  const auto star = pattern.find('*');
  if (star == std::string_view::npos) return name == pattern ? std::optional(-1) : std::nullopt;
  const std::string_view after = pattern.substr(star + 1);
  if (!name.starts_with(pattern.substr(0, star)) || !name.ends_with(after)) return {};
  const auto rest = layer_name(name.substr(star));
  if (!rest || rest->rest != after.substr(1)) return {};
  return rest->layer;
}

bool holds_all_experts(Packing packing) { return packing == Packing::Experts || packing == Packing::ExpertsGateUp; }

/// Nothing when the name is not known.
std::optional<Place> place_of(const HuggingFaceFamily& family, std::string_view name) {
  name = without_prefix(name, family.prefix);
  Place place{nullptr, -1, {}};
  std::span<const TensorName> table = family.outer;
  if (name.starts_with(family.layers)) {
    const auto layer = layer_name(name.substr(family.layers.size()));
    if (!layer) return {};
    place.layer = layer->layer;
    name = layer->rest;
    table = family.layer;
  }
  const auto dot = name.rfind('.');
  if (dot == std::string_view::npos) return {};
  place.kind = name.substr(dot);
  const bool named_so = place.kind == ".weight" || place.kind == ".bias";
  for (const TensorName& known : table) {
    const bool bare = !named_so && holds_all_experts(known.packing);
    const auto expert = number_in(known.from, bare ? name : name.substr(0, dot));
    if (!expert || (!named_so && !bare)) continue;
    place.name = &known;
    place.expert = *expert;
    if (bare) place.kind = ".weight";
    return place;
  }
  return {};
}

/// What a packed tensor holds, in the recipe's names.
std::span<const std::string_view> parts_of(Packing packing) {
  static constexpr std::string_view kThree[] = {"attn_q", "attn_k", "attn_v"};
  static constexpr std::string_view kGateUp[] = {"ffn_gate", "ffn_up"};
  static constexpr std::string_view kExpertsGateUp[] = {"ffn_gate_exps", "ffn_up_exps"};
  static constexpr std::string_view kSharedGateUp[] = {"ffn_gate_shexp", "ffn_up_shexp"};
  switch (packing) {
    case Packing::GateUp:
      return kGateUp;
    case Packing::SharedGateUp:
      return kSharedGateUp;
    case Packing::ExpertsGateUp:
      return kExpertsGateUp;
    case Packing::TransposedThree:
    case Packing::Three:
    case Packing::ThreeByGroup:
      return kThree;
    case Packing::One:
    case Packing::Transposed:
    case Packing::Expert:
    case Packing::Experts:
      return {};
  }
  return {};
}

/// The inverse of place_of(), for messages: what the file calls a tensor of the recipe.
std::string original_name(const HuggingFaceFamily& family, bool has_prefix, const std::string& name) {
  std::string_view inner = name;
  std::string before;
  std::span<const TensorName> table = family.outer;
  if (inner.starts_with("blk.")) {
    const auto layer = layer_name(inner.substr(4));
    if (!layer) return name;
    before = fmt::format("{}{}.", family.layers, layer->layer);
    inner = layer->rest;
    table = family.layer;
  }
  const auto dot = inner.rfind('.');
  if (dot == std::string_view::npos) return name;
  const std::string_view stem = inner.substr(0, dot);
  const auto known = std::ranges::find_if(table, [&](const TensorName& each) {
    return each.to == stem || std::ranges::find(parts_of(each.packing), stem) != parts_of(each.packing).end();
  });
  if (known == table.end()) return name;
  const bool is_output = known->to == "output";
  return fmt::format("{}{}{}{}", has_prefix && !is_output ? family.prefix : "", before, known->from, inner.substr(dot));
}

[[noreturn]] void unknown_tensor(const std::string& name) {
  throw Error(fmt::format("tensor '{}' is not known to heed and may change what the model computes", name));
}

void expect_shape(const SourceTensor& tensor, const Shape& expected) {
  if (tensor.shape != expected) {
    throw Error(fmt::format("tensor '{}' has shape {}, but config.json implies {}", tensor.name,
                            to_string(tensor.shape), to_string(expected)));
  }
}

struct RowRange {
  std::int64_t first;
  std::int64_t count;
};

/// Ranges of rows of a tensor, one below the other; they are cut when they are read.
SourceTensor gathered_rows(const SourceTensor& from, std::string name, std::vector<RowRange> ranges) {
  Shape shape = from.shape;
  shape.at(0) = 0;
  for (const RowRange& range : ranges) shape[0] += range.count;
  const auto row =
      static_cast<std::ptrdiff_t>(byte_size(from.dtype, from.shape)) / std::max<std::int64_t>(1, from.shape[0]);
  return {std::move(name), from.dtype, std::move(shape), [read = from.read, ranges = std::move(ranges), row] {
            const std::vector<std::byte> all = read();
            std::vector<std::byte> rows;
            for (const RowRange& range : ranges) {
              rows.insert(rows.end(), all.begin() + range.first * row, all.begin() + (range.first + range.count) * row);
            }
            return rows;
          }};
}

/// Tensors of equal type and shape one after the other; they are read one by one when the whole is.
SourceTensor stacked(std::vector<SourceTensor> parts, std::string name) {
  Shape shape = parts.front().shape;
  shape.insert(shape.begin(), static_cast<std::int64_t>(parts.size()));
  const DType type = parts.front().dtype;
  return {std::move(name), type, std::move(shape), [parts = std::move(parts)] {
            std::vector<std::byte> all;
            all.reserve(byte_size(parts.front().dtype, parts.front().shape) * parts.size());
            for (const SourceTensor& part : parts) {
              const std::vector<std::byte> bytes = part.read();
              all.insert(all.end(), bytes.begin(), bytes.end());
            }
            return all;
          }};
}

/// Gives the tensors of a Hugging Face model the recipe's names and layout.
class TensorMapper {
 public:
  TensorMapper(const HuggingFaceConfig& config, Checkpoint& checkpoint) : config_(config), checkpoint_(checkpoint) {}

  void map(std::vector<SourceTensor> tensors) {
    const HuggingFaceFamily& family = *config_.family;
    const bool has_prefix = std::ranges::any_of(
        tensors, [&](const SourceTensor& tensor) { return tensor.name.starts_with(family.prefix); });
    checkpoint_.name_in_file = [&family, has_prefix](const std::string& name) {
      return original_name(family, has_prefix, name);
    };
    for (SourceTensor& tensor : tensors) {
      const auto place = place_of(family, tensor.name);
      if (!place) unknown_tensor(tensor.name);
      add(tensor, *place);
    }
    stack_experts();
    if (!config_.norms_have_weights) add_norms();
    expect_biases();
    if (!config_.alibi.empty()) {
      SourceTensor table = make_f32_tensor("alibi.weight", {size("context"), size("heads")}, config_.alibi);
      table.stays_f32 = true;
      checkpoint_.tensors.push_back(std::move(table));
    }
    if (!config_.rope_factors.empty()) {
      checkpoint_.tensors.push_back(make_f32_tensor(
          "rope_freqs.weight", {static_cast<std::int64_t>(config_.rope_factors.size())}, config_.rope_factors));
    }
  }

 private:
  std::int64_t size(const char* key) const { return config_.parameters[key].get<std::int64_t>(); }

  void push(SourceTensor tensor, const std::string& in_file) {
    names_.insert(tensor.name);
    tensor.in_file = in_file;
    checkpoint_.tensors.push_back(std::move(tensor));
  }

  void check_bias(const SourceTensor& tensor, std::string_view stem) const {
    const bool matrix = (stem.starts_with("attn_") || stem.starts_with("ffn_")) && !stem.ends_with("_norm");
    if (matrix && !config_.biased.contains(stem)) {
      throw Error(fmt::format("tensor '{}' exists, but config.json says there are no such biases", tensor.name));
    }
  }

  /// Has an expert's matrix wait for those of the others.
  void add_expert(SourceTensor tensor, const Place& place) {
    const auto experts = static_cast<std::size_t>(config_.parameters.value("experts", std::int64_t{0}));
    if (place.kind != ".weight" || static_cast<std::size_t>(place.expert) >= experts) {
      throw Error(fmt::format("tensor '{}' is not expected: config.json says there are {} experts, without biases",
                              tensor.name, experts));
    }
    experts_[{place.under(place.name->to), place.name->from}].emplace(place.expert, std::move(tensor));
  }

  /// Norms without weights are those of ones.
  void add_norms() {
    const std::vector<float> ones(static_cast<std::size_t>(size("width")), 1.0F);
    const auto add = [&](const std::string& name) { push(make_f32_tensor(name, {size("width")}, ones), {}); };
    for (std::int64_t layer = 0; layer < size("layers"); ++layer) {
      add(fmt::format("blk.{}.attn_norm.weight", layer));
      add(fmt::format("blk.{}.ffn_norm.weight", layer));
    }
    add("output_norm.weight");
  }

  void stack_experts() {
    for (const auto& [key, all] : experts_) {
      const auto& [name, pattern] = key;
      const SourceTensor& first = all.begin()->second;
      std::vector<SourceTensor> parts;
      for (const auto& [expert, tensor] : all) {
        if (expert != static_cast<int>(parts.size())) break;
        if (tensor.shape != first.shape || tensor.dtype != first.dtype) {
          throw Error(fmt::format("tensor '{}' is {} {}, but '{}' of another expert is {} {}", tensor.name,
                                  dtype_name(tensor.dtype), to_string(tensor.shape), first.name,
                                  dtype_name(first.dtype), to_string(first.shape)));
        }
        parts.push_back(tensor);
      }
      if (static_cast<std::int64_t>(parts.size()) != size("experts")) {
        throw Error(fmt::format("tensor '{}' of expert {} is missing; config.json says there are {}",
                                checkpoint_.name_in_file(name), parts.size(), size("experts")));
      }
      const std::string in_file = checkpoint_.name_in_file(name);
      push(stacked(std::move(parts), name), in_file);
    }
  }

  void add(SourceTensor& tensor, const Place& place) {
    if (place.name->packing == Packing::Expert) return add_expert(std::move(tensor), place);
    const std::string in_file = tensor.name;
    const bool bias = place.kind == ".bias";
    const std::span<const std::string_view> parts = parts_of(place.name->packing);
    if (!parts.empty()) return add_parts(tensor, place, parts);
    if (bias && place.layer >= 0) check_bias(tensor, place.name->to);
    if (bias && !config_.norms_have_biases && place.name->to.ends_with("_norm")) {
      throw Error(fmt::format("tensor '{}' exists, but norms of this family have no biases", tensor.name));
    }
    std::string name = place.under(place.name->to);
    if (place.name->packing == Packing::Transposed && !bias) {
      const std::int64_t in = place.name->to == "ffn_down" ? size("ffn_width") : size("width");
      const std::int64_t out = place.name->to == "ffn_up" ? size("ffn_width") : size("width");
      expect_shape(tensor, {in, out});
      return push(transposed_columns(tensor, std::move(name), 0, out), in_file);
    }
    if (config_.norm_offset != 0 && !bias && place.name->to.ends_with("_norm")) {
      const Shape shape = tensor.shape;
      return push(make_computed_tensor(std::move(name), shape, tensor,
                                       [offset = static_cast<float>(config_.norm_offset)](std::vector<float> values) {
                                         for (float& value : values) value += offset;
                                         return values;
                                       }),
                  in_file);
    }
    if (config_.skipped_positions > 0 && place.name->to == "position_embd") {
      expect_shape(tensor, {config_.skipped_positions + size("context"), size("width")});
      return push(rows_of(tensor, std::move(name), config_.skipped_positions, size("context")), in_file);
    }
    tensor.name = std::move(name);
    push(std::move(tensor), in_file);
  }

  void add_parts(const SourceTensor& tensor, const Place& place, std::span<const std::string_view> parts) {
    const bool bias = place.kind == ".bias";
    const Packing packing = place.name->packing;
    const std::int64_t d = size("head_dim");
    if (packing == Packing::ExpertsGateUp) return add_gates_and_ups(tensor, place, parts);
    const bool halves = packing == Packing::GateUp || packing == Packing::SharedGateUp;
    std::vector<std::int64_t> rows(parts.size(),
                                   size(packing == Packing::SharedGateUp ? "shared_expert_width" : "ffn_width"));
    if (!halves) rows = {size("heads") * d, size("kv_heads") * d, size("kv_heads") * d};
    std::int64_t all = 0;
    for (const std::int64_t count : rows) all += count;
    const bool transposed = packing == Packing::TransposedThree && !bias;
    expect_shape(tensor, bias ? Shape{all} : transposed ? Shape{size("width"), all} : Shape{all, size("width")});
    std::int64_t first = 0;
    for (std::size_t i = 0; i < parts.size(); first += rows[i++]) {
      if (bias) check_bias(tensor, parts[i]);
      std::string name = place.under(parts[i]);
      if (packing == Packing::ThreeByGroup) {
        // Of each key/value head: its queries, its key, its value.
        const std::int64_t queries = size("heads") / size("kv_heads") * d;
        std::vector<RowRange> ranges;
        for (std::int64_t group = 0; group < size("kv_heads"); ++group) {
          const std::int64_t begin = group * (queries + 2 * d);
          ranges.push_back(i == 0 ? RowRange{begin, queries} : RowRange{begin + queries + (i == 1 ? 0 : d), d});
        }
        push(gathered_rows(tensor, std::move(name), std::move(ranges)), tensor.name);
      } else {
        push(transposed ? transposed_columns(tensor, std::move(name), first, rows[i])
                        : rows_of(tensor, std::move(name), first, rows[i]),
             tensor.name);
      }
    }
  }

  void add_gates_and_ups(SourceTensor tensor, const Place& place, std::span<const std::string_view> parts) {
    const std::int64_t experts = size("experts");
    const std::int64_t width = size("expert_width");
    expect_shape(tensor, {experts, 2 * width, size("width")});
    tensor.shape = {experts * 2 * width, size("width")};
    for (std::size_t i = 0; i < parts.size(); ++i) {
      std::vector<RowRange> ranges;
      for (std::int64_t expert = 0; expert < experts; ++expert) {
        ranges.push_back({(2 * expert + static_cast<std::int64_t>(i)) * width, width});
      }
      SourceTensor part = gathered_rows(tensor, place.under(parts[i]), std::move(ranges));
      part.shape = {experts, width, size("width")};
      push(std::move(part), tensor.name);
    }
  }

  /// The recipe takes biases as they come; here config.json says which there must be, and layer norms have them all.
  void expect_biases() const {
    const auto expect = [&](const std::string& stem) {
      const std::string name = stem + ".bias";
      if (names_.contains(name) || !names_.contains(stem + ".weight")) return;  // the recipe misses weights
      throw Error(
          fmt::format("tensor '{}' is missing, but config.json says there is one", checkpoint_.name_in_file(name)));
    };
    const auto layers = std::min<std::int64_t>(size("layers"), 10000);
    for (std::int64_t layer = 0; layer < layers; ++layer) {
      for (const std::string& matrix : config_.biased) expect(fmt::format("blk.{}.{}", layer, matrix));
    }
    if (config_.output_biased) {
      if (*config_.output_biased) expect("output");
      if (!*config_.output_biased && names_.contains("output.bias")) {
        throw Error(fmt::format("tensor '{}' exists, but config.json says the output has none",
                                checkpoint_.name_in_file("output.bias")));
      }
    }
    if (config_.parameters.value("norm", "rms_norm") != "layer_norm" || !config_.norms_have_biases) return;
    for (const std::string& name : names_) {
      if (name.ends_with("_norm.weight")) expect(name.substr(0, name.size() - 7));
    }
  }

  const HuggingFaceConfig& config_;
  Checkpoint& checkpoint_;
  std::set<std::string> names_;
  /// Matrices of single experts by their number: the recipe's name of all, and what the file calls them.
  std::map<std::pair<std::string, std::string_view>, std::map<int, SourceTensor>> experts_;
};

/// A tied output matrix that the file holds all the same repeats the embedding, as a rule. Where it does not,
/// transformers ties nothing and computes with what the file says.
void resolve_tied_output(Checkpoint& checkpoint) {
  const auto output = std::ranges::find(checkpoint.tensors, "output.weight", &SourceTensor::name);
  const auto embedding = std::ranges::find(checkpoint.tensors, "token_embd.weight", &SourceTensor::name);
  if (output == checkpoint.tensors.end() || embedding == checkpoint.tensors.end()) return;
  if (same_values(*output, *embedding)) {
    checkpoint.tensors.erase(output);
    checkpoint.notes.push_back("'lm_head.weight' is left out: it repeats the embedding, to which config.json ties it");
  } else {
    checkpoint.notes.push_back(
        "config.json ties 'lm_head.weight' to the embedding, but 'lm_head.weight' holds other values than the "
        "embedding: they are used, as transformers does");
  }
}

}  // namespace

bool is_huggingface_buffer(const HuggingFaceFamily& family, std::string_view name) {
  name = without_prefix(name, family.prefix);
  if (!name.starts_with(family.layers)) return false;
  const auto layer = layer_name(name.substr(family.layers.size()));
  return layer && std::ranges::find(family.buffers, layer->rest) != family.buffers.end();
}

SourceTensor transposed_columns(const SourceTensor& matrix, std::string name, std::int64_t first, std::int64_t count) {
  const auto rows = static_cast<std::size_t>(matrix.shape.at(0));
  const auto columns = static_cast<std::size_t>(matrix.shape.at(1));
  const std::size_t bytes = dtype_info(matrix.dtype).block_bytes;
  const auto begin = static_cast<std::size_t>(first);
  const auto wanted = static_cast<std::size_t>(count);
  return {std::move(name), matrix.dtype, {count, matrix.shape[0]}, [=, read = matrix.read] {
            const std::vector<std::byte> from = read();
            std::vector<std::byte> to(rows * wanted * bytes);
            // Tiles, so that both sides stay in the cache.
            constexpr std::size_t kTile = 32;
            for (std::size_t r0 = 0; r0 < rows; r0 += kTile) {
              for (std::size_t c0 = 0; c0 < wanted; c0 += kTile) {
                for (std::size_t r = r0; r < std::min(r0 + kTile, rows); ++r) {
                  for (std::size_t c = c0; c < std::min(c0 + kTile, wanted); ++c) {
                    std::memcpy(&to[(c * rows + r) * bytes], &from[(r * columns + begin + c) * bytes], bytes);
                  }
                }
              }
            }
            return to;
          }};
}

void map_huggingface_tensors(const HuggingFaceConfig& config, std::vector<SourceTensor> tensors,
                             Checkpoint& checkpoint) {
  TensorMapper(config, checkpoint).map(std::move(tensors));
  if (config.tied) resolve_tied_output(checkpoint);
}

}  // namespace heed::convert
