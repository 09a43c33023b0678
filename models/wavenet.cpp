#include "models/wavenet.h"

#include <fmt/format.h>

#include <set>

namespace heed::models {
namespace {

constexpr std::int64_t kMostSize = (std::int64_t{1} << 31) - 1;

}  // namespace

WavenetParameters WavenetParameters::from_json(const nlohmann::json& json) {
  ParameterReader reader("wavenet", json);
  WavenetParameters p;
  p.residual = reader.size("residual");
  p.gate = reader.size("gate");
  p.skip = reader.size("skip");
  p.hidden = reader.size("hidden");
  p.levels = reader.integer("levels", 0, 65536);
  p.mixtures = reader.integer("mixtures", 0, 65536 / 3);
  p.kernel = reader.integer("kernel", 2, 16);
  p.input_kernel = reader.integer("input_kernel", 1, 16);
  const nlohmann::json& dilations = reader.value("dilations");
  if (!dilations.is_array()) reader.fail(fmt::format("'dilations' is {}; expected a list", dilations.dump()));
  for (const nlohmann::json& dilation : dilations) {
    if (!dilation.is_number_integer() || dilation.get<std::int64_t>() < 1) {
      reader.fail(fmt::format("a dilation is {}; expected a whole number from 1 on", dilation.dump()));
    }
    p.dilations.push_back(dilation.get<std::int64_t>());
  }
  p.least_log_scale = reader.number("least_log_scale");
  p.global_width = reader.integer("global_width", 0, kMostSize);
  p.global_ids = reader.integer("global_ids", 0, kMostSize);
  p.local_width = reader.integer("local_width", 0, kMostSize);
  p.local_ids = reader.integer("local_ids", 0, kMostSize);
  p.local_kernel = reader.integer("local_kernel", 0, 4096);
  p.local_channels = reader.integer("local_channels", 0, kMostSize);
  p.hop = reader.integer("hop", 1, 65536);
  reader.refuse_unread();
  if ((p.levels > 0) == (p.mixtures > 0)) {
    reader.fail(fmt::format("{} levels and {} mixtures; expected one of them", p.levels, p.mixtures));
  }
  if (p.local_kernel > 0 && p.local_kernel % 2 == 0) {
    reader.fail(fmt::format("'local_kernel' is {}; expected an odd number", p.local_kernel));
  }
  return p;
}

nlohmann::json WavenetParameters::to_json() const {
  return {{"residual", residual},
          {"gate", gate},
          {"skip", skip},
          {"hidden", hidden},
          {"levels", levels},
          {"mixtures", mixtures},
          {"kernel", kernel},
          {"input_kernel", input_kernel},
          {"dilations", dilations},
          {"least_log_scale", least_log_scale},
          {"global_width", global_width},
          {"global_ids", global_ids},
          {"local_width", local_width},
          {"local_ids", local_ids},
          {"local_kernel", local_kernel},
          {"local_channels", local_channels},
          {"hop", hop}};
}

namespace {

/// Builds one of the graphs.
class WavenetBuilder {
 public:
  WavenetBuilder(std::string name, const WavenetParameters& p, const TensorTable& tensors,
                 std::set<std::string, std::less<>>& read)
      : p_(p), tensors_(tensors), read_(read), g_(std::move(name)), weights_(g_, tensors) {}

  Graph build(bool given) {
    const ValueId condition = sum(local(), global());
    const ValueId samples = given ? g_.input("given", DType::F32, {"steps"}) : kNoValue;
    const std::int64_t padded = (p_.residual + 3) / 4 * 4;
    std::int64_t rings = 0;
    for (const std::int64_t dilation : p_.dilations) rings += (p_.kernel - 1) * dilation;
    const bool levels = p_.levels > 0;
    Attributes attributes = {{"residual", p_.residual},
                             {"gate", p_.gate},
                             {"skip", p_.skip},
                             {"hidden", p_.hidden},
                             {"outputs", levels ? p_.levels : 3 * p_.mixtures},
                             {"levels", p_.levels},
                             {"kernel", p_.kernel},
                             {"input_kernel", p_.input_kernel},
                             {"dilations", p_.dilations},
                             {"output", std::string(levels ? "levels" : "logistics")},
                             {"least_log_scale", p_.least_log_scale},
                             {"rows", std::string("steps")}};
    if (p_.has_local()) attributes.set("hop", p_.hop);
    const ValueId made =
        g_.add("wavenet", "wavenet",
               {as_it_is("stack.weight"), condition, samples, g_.state("past", DType::F32, {rings, padded}),
                g_.state("recent", DType::F32, {p_.input_kernel}), g_.state("sampler", DType::I32, {16})},
               attributes);
    g_.output(made, given ? "logits" : "samples");
    read_.insert(weights_.read().begin(), weights_.read().end());
    return std::move(g_).finish();
  }

 private:
  /// A tensor whose shape whoever reads it compares.
  ValueId as_it_is(const std::string& name) {
    const auto found = tensors_.find(name);
    return weights_.required(name, found == tensors_.end() ? Shape{0, 4} : found->second.shape);
  }
  /// Two inputs of a layer's sum, of which either may be none.
  ValueId sum(ValueId a, ValueId b) {
    if (a == kNoValue || b == kNoValue) return a == kNoValue ? b : a;
    return g_.add("add", "condition", {a, b});
  }
  std::int64_t condition_width() const {
    return static_cast<std::int64_t>(p_.dilations.size()) * 2 * ((p_.gate + 3) / 4 * 4);
  }

  ValueId global() {
    if (p_.global_width == 0) return kNoValue;
    const ValueId id = g_.input("global_id", DType::I32, {1});
    const ValueId table = weights_.required("global_embedding.weight", {p_.global_ids, p_.global_width});
    const ValueId x = g_.add("embedding", "global_embedding", {id, table});  // (1, global_width)
    return g_.add("linear", "global_condition",
                  {x, weights_.required("global.weight", {condition_width(), p_.global_width})});
  }

  ValueId local() {
    if (!p_.has_local()) return kNoValue;
    ValueId x = kNoValue;  // (window, local_width)
    if (p_.local_ids > 0) {
      const ValueId ids = g_.input("local_ids", DType::I32, {"window"});
      const ValueId mask = g_.input("local_mask", DType::F32, {"window", 1});
      const ValueId table = weights_.required("local_embedding.weight", {p_.local_ids, p_.local_width});
      x = g_.add("mul", "local_mask_of", {g_.add("embedding", "local_embedding", {ids, table}), mask});
    } else {
      x = g_.input("local", DType::F32, {"window", p_.local_width});
    }
    std::int64_t channels = p_.local_width;
    if (p_.local_kernel > 0) {
      channels = p_.local_channels;
      const ValueId columns = g_.add("transpose", "local_columns", {x}, {{"perm", std::vector<std::int64_t>{1, 0}}});
      const ValueId batch =
          g_.add("reshape", "local_batch", {columns, g_.integers("local_batch.sizes", {1, p_.local_width, -1})});
      const ValueId y =
          g_.add("conv", "local_conv",
                 {batch, weights_.required("local_conv.weight", {channels, p_.local_width, p_.local_kernel}),
                  weights_.optional("local_conv.bias", {channels})},
                 {{"activation", std::string("relu")}});  // (1, channels, frames)
      const ValueId flat = g_.add("reshape", "local_flat", {y, g_.integers("local_flat.sizes", {channels, -1})});
      x = g_.add("transpose", "local_rows", {flat}, {{"perm", std::vector<std::int64_t>{1, 0}}});
    }
    return g_.add("linear", "local_condition", {x, weights_.required("local.weight", {condition_width(), channels})});
  }

  const WavenetParameters& p_;
  const TensorTable& tensors_;
  std::set<std::string, std::less<>>& read_;
  GraphBuilder g_;
  WeightSource weights_;
};

}  // namespace

std::vector<Graph> wavenet_graphs(const WavenetParameters& parameters, const TensorTable& tensors) {
  std::set<std::string, std::less<>> read;
  std::vector<Graph> graphs;
  graphs.push_back(WavenetBuilder("sound", parameters, tensors, read).build(false));
  graphs.push_back(WavenetBuilder("logits", parameters, tensors, read).build(true));
  refuse_unread("wavenet", tensors, read);
  return graphs;
}

}  // namespace heed::models
