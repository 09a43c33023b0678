#include "tools/convert/wavenet_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "heed/error.h"
#include "tools/convert/config_reader.h"
#include "tools/convert/fold.h"
#include "tools/convert/json_text.h"
#include "tools/convert/named_tensors.h"
#include "tools/convert/source_file.h"
#include "tools/convert/text.h"
#include "tools/convert/wavenet_weights.h"
#include "tools/convert/weight_files.h"

namespace heed::convert {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMostRate = 1'000'000;
constexpr std::size_t kMostClasses = 65536;
constexpr std::size_t kMostFrames = std::size_t{1} << 20;  // of a class

std::vector<SourceTensor> read_tensors(const fs::path& folder, std::vector<std::string>& notes) {
  std::vector<SourceTensor> tensors = read_weight_files(
      folder, [](std::string_view) { return false; }, notes);
  const std::size_t folded = fold_weight_norms(tensors);
  if (folded > 0) notes.push_back(fmt::format("folded the weight norm of {} weights", folded));
  return tensors;
}

/// Reads one model.
class WavenetReader {
 public:
  explicit WavenetReader(const fs::path& folder)
      : folder_(folder),
        json_(read_json(folder / "config.json", kMaxConfigBytes)),
        config_(json_, "config.json"),
        tensors_(read_tensors(folder, checkpoint_.notes), config_.find("names"),
                 {"input", "layers", "dilated", "residual", "skip", "global", "local", "hidden", "output",
                  "global_embedding", "local_embedding", "local_conv"}) {}

  Checkpoint read();

 private:
  std::string named(const char* word) const { return tensors_.prefix(word, {word}, ".weight"); }
  std::string layer_part(std::int64_t layer, const char* word) const {
    return fmt::format("{}.{}.{}", named("layers"), layer, named(word));
  }
  bool has(const std::string& in_file) const { return tensors_.find(in_file + ".weight") != nullptr; }
  /// The tensor of this name. Throws Error unless it is [outputs, inputs, taps]; 0 is any number, and takes what is
  /// there.
  SourceTensor take(const std::string& in_file, std::int64_t& outputs, std::int64_t& inputs, std::int64_t& taps);
  SourceTensor take_exact(const std::string& in_file, std::int64_t outputs, std::int64_t inputs) {
    std::int64_t taps = 1;
    return take(in_file + ".weight", outputs, inputs, taps);
  }
  void take_bias(const std::string& in_file, std::int64_t outputs, WavenetTensors::Product& product);
  WavenetTensors::Product take_product(const std::string& in_file, std::int64_t& outputs, std::int64_t& inputs,
                                       std::int64_t& taps) {
    WavenetTensors::Product product{take(in_file + ".weight", outputs, inputs, taps), {}};
    take_bias(in_file, outputs, product);
    return product;
  }
  void compare(const char* key, std::int64_t actual) {
    if (const auto told = config_.find_size(key); told.value_or(actual) != actual) {
      config_.contradict(fmt::format("'{}' is {}", key, *told), fmt::format("the tensors say {}", actual));
    }
  }
  double number(const char* key, double otherwise) {
    const nlohmann::json* value = config_.find(key);
    if (value == nullptr) return otherwise;
    if (!value->is_number() || !std::isfinite(value->get<double>())) config_.fail(key, "a number");
    return value->get<double>();
  }
  void read_dilations();
  void read_input();
  void read_layers();
  void read_output();
  void read_conditions();
  void read_classes();
  std::vector<std::string> names_of(const char* key, const nlohmann::json& list, std::int64_t count);

  const fs::path& folder_;
  const nlohmann::json json_;
  ConfigReader config_;
  Checkpoint checkpoint_;
  NamedTensors tensors_;
  ops::Wavenet net_;
  WavenetTensors parts_;
  std::vector<SourceTensor> global_, local_;         // of the layers
  nlohmann::json p_ = nlohmann::json::object();      // models/wavenet.h
  nlohmann::json sound_ = nlohmann::json::object();  // engine/file/format.md
};

SourceTensor WavenetReader::take(const std::string& in_file, std::int64_t& outputs, std::int64_t& inputs,
                                 std::int64_t& taps) {
  const SourceTensor* found = tensors_.find(in_file);
  if (found == nullptr) {
    throw Error(fmt::format("tensor '{}' is missing; if it has another name, say so in config.json: \"names\": {{..}}",
                            in_file));
  }
  const Shape& shape = found->shape;
  const std::int64_t own_taps = shape.size() == 3 ? shape[2] : 1;
  const auto fits = [](std::int64_t expected, std::int64_t actual) { return expected == 0 || expected == actual; };
  const bool is_product = (shape.size() == 2 || shape.size() == 3) && element_count(shape) > 0;
  if (!is_product || !fits(outputs, shape[0]) || !fits(inputs, shape[1]) || !fits(taps, own_taps)) {
    const auto word = [](std::int64_t expected) {
      return expected == 0 ? std::string("any") : std::to_string(expected);
    };
    throw Error(fmt::format("tensor '{}' has shape {}; expected [{}, {}, {}]", in_file, to_string(shape), word(outputs),
                            word(inputs), word(taps)));
  }
  outputs = shape[0];
  inputs = shape[1];
  taps = own_taps;
  return tensors_.take(in_file);
}

void WavenetReader::take_bias(const std::string& in_file, std::int64_t outputs, WavenetTensors::Product& product) {
  const SourceTensor* found = tensors_.find(in_file + ".bias");
  if (found == nullptr) return;
  if (found->shape != Shape{outputs}) {
    throw Error(fmt::format("tensor '{}.bias' has shape {}; expected [{}]", in_file, to_string(found->shape), outputs));
  }
  product.biases.push_back(tensors_.take(in_file + ".bias"));
}

void WavenetReader::read_dilations() {
  const nlohmann::json* dilations = config_.find("dilations");
  const bool is_list =
      dilations != nullptr && dilations->is_array() && !dilations->empty() && dilations->size() <= 1024;
  if (!is_list) config_.fail("dilations", "a list of whole numbers, one for each layer");
  for (const nlohmann::json& dilation : *dilations) {
    if (!dilation.is_number_integer() || dilation.get<std::int64_t>() < 1 || dilation.get<std::int64_t>() > 1 << 20) {
      config_.fail("dilations", "whole numbers from 1 to 1048576");
    }
    net_.dilations.push_back(dilation.get<std::int64_t>());
  }
}

void WavenetReader::read_input() {
  const bool mu_law = net_.output == ops::Wavenet::Output::Levels;
  std::int64_t inputs = mu_law ? 0 : 1;
  parts_.input = take_product(named("input"), net_.residual, inputs, net_.input_kernel);
  net_.levels = mu_law ? inputs : 0;
  if (mu_law && net_.levels < 2) throw Error(fmt::format("tensor '{}.weight' reads {} levels", named("input"), inputs));
}

void WavenetReader::read_layers() {
  for (std::int64_t i = 0; i < net_.layers(); ++i) {
    const std::string dilated = layer_part(i, "dilated");
    std::int64_t both = 2 * net_.gate;
    WavenetTensors::Layer layer;
    layer.dilated = take_product(dilated, both, net_.residual, net_.kernel);
    if (both % 2 != 0)
      throw Error(fmt::format("tensor '{}.weight' has {} outputs; expected two halves", dilated, both));
    net_.gate = both / 2;
    std::int64_t taps = 1;
    const std::string residual = layer_part(i, "residual");
    const bool last = i + 1 == net_.layers();
    if (!last || has(residual)) layer.residual = take_product(residual, net_.residual, net_.gate, taps);
    layer.skip = take_product(layer_part(i, "skip"), net_.skip, net_.gate, taps);
    for (const char* word : {"global", "local"}) {
      const std::string name = layer_part(i, word);
      std::vector<SourceTensor>& list = *word == 'g' ? global_ : local_;
      if (!has(name) && list.empty()) continue;
      std::int64_t width = list.empty() ? 0 : list.front().shape[1];
      list.push_back(take_exact(name, both, width));
      take_bias(name, both, layer.dilated);
    }
    parts_.layers.push_back(std::move(layer));
  }
  const auto layers = static_cast<std::size_t>(net_.layers());
  for (const auto& [word, list] : {std::pair("global", &global_), std::pair("local", &local_)}) {
    if (!list->empty() && list->size() != layers) {
      throw Error(fmt::format("tensor '{}.weight' is missing: {} layers have one and the first has none",
                              layer_part(0, word), list->size()));
    }
  }
}

void WavenetReader::read_output() {
  std::int64_t taps = 1;
  parts_.hidden = take_product(named("hidden"), net_.hidden, net_.skip, taps);
  net_.outputs = net_.levels;
  parts_.output = take_product(named("output"), net_.outputs, net_.hidden, taps);
  if (net_.levels == 0 && net_.outputs % 3 != 0) {
    throw Error(fmt::format("tensor '{}.weight' has {} outputs; a mixture of logistics has three for each",
                            named("output"), net_.outputs));
  }
  for (const auto& [key, scale] :
       {std::pair("residual_scale", &parts_.residual_scale), std::pair("skip_scale", &parts_.skip_scale)}) {
    *scale = number(key, 1.0);
    if (!(*scale > 0.0)) config_.fail(key, "a number above 0");
  }
  net_.least_log_scale = number("least_log_scale", net_.least_log_scale);
}

void WavenetReader::read_conditions() {
  for (const char* key : {"global_width", "global_ids", "local_width", "local_ids", "local_kernel", "local_channels"}) {
    p_[key] = 0;
  }
  p_["hop"] = 1;
  const auto embedding = [&](const char* word, const char* width_key, const char* ids_key) {
    std::int64_t ids = 0;
    std::int64_t width = p_[width_key].get<std::int64_t>();
    std::int64_t taps = 1;
    SourceTensor table = take(named(word) + ".weight", ids, width, taps);
    table.name = fmt::format("{}.weight", word);
    checkpoint_.tensors.push_back(std::move(table));
    p_[width_key] = width;
    p_[ids_key] = ids;
  };
  if (!global_.empty()) {
    p_["global_width"] = global_.front().shape[1];
    compare("global_channels", global_.front().shape[1]);
    embedding("global_embedding", "global_width", "global_ids");
    checkpoint_.tensors.push_back(stack_conditions("global.weight", net_, std::move(global_)));
  }
  if (local_.empty()) return;
  const std::int64_t channels = local_.front().shape[1];
  compare("local_channels", channels);
  checkpoint_.tensors.push_back(stack_conditions("local.weight", net_, std::move(local_)));
  p_["local_channels"] = channels;
  p_["local_width"] = channels;
  const std::string conv = named("local_conv");
  if (has(conv)) {
    std::int64_t width = 0;
    std::int64_t taps = 0;
    std::int64_t outputs = channels;
    WavenetTensors::Product product = take_product(conv, outputs, width, taps);
    if (product.weight.shape.size() != 3 || taps % 2 == 0) {
      throw Error(fmt::format("tensor '{}.weight' has shape {}; expected [{}, any, an odd number]", conv,
                              to_string(product.weight.shape), channels));
    }
    compare("local_kernel", taps);
    p_["local_kernel"] = taps;
    p_["local_width"] = width;
    product.weight.name = "local_conv.weight";
    checkpoint_.tensors.push_back(std::move(product.weight));
    for (SourceTensor& bias : product.biases) {
      bias.name = "local_conv.bias";
      checkpoint_.tensors.push_back(std::move(bias));
    }
  }
  const bool ids = has(named("local_embedding"));
  if (ids) {
    embedding("local_embedding", "local_width", "local_ids");
    compare("local_ids", p_["local_ids"].get<std::int64_t>());
  }
  p_["hop"] = config_.size("local_hop");
  sound_["local"] = ids ? "ids" : "features";
}

std::vector<std::string> WavenetReader::names_of(const char* key, const nlohmann::json& list, std::int64_t count) {
  std::vector<std::string> names;
  std::set<std::string> seen;
  for (const nlohmann::json& name : list) {
    if (!name.is_string() || name.get<std::string>().empty() || !seen.insert(name.get<std::string>()).second) {
      config_.fail(key, "a list of names, each once");
    }
    names.push_back(name.get<std::string>());
  }
  if (std::ssize(names) != count) {
    config_.contradict(fmt::format("'{}' has {} names", key, names.size()),
                       fmt::format("global_embedding has {} rows", count));
  }
  return names;
}

void WavenetReader::read_classes() {
  const std::int64_t ids = p_["global_ids"].get<std::int64_t>();
  const nlohmann::json* voices = config_.find("voices");
  const nlohmann::json* classes = config_.find("classes");
  const bool plain = classes != nullptr && classes->is_array() && !classes->empty() && classes->front().is_string();
  if (voices != nullptr) {
    if (ids == 0 || plain)
      config_.fail("voices", ids == 0 ? "no such key without global_embedding" : "'classes' alone");
    if (!voices->is_array()) config_.fail("voices", "a list of names, each once");
    sound_["voices"] = names_of("voices", *voices, ids);
  }
  if (classes == nullptr) return;
  if (!classes->is_array() || classes->empty() || classes->size() > kMostClasses) {
    config_.fail("classes", "a list of names or of objects");
  }
  if (plain) {
    sound_["classes"] = nlohmann::json::array();
    for (const std::string& name : names_of("classes", *classes, ids)) sound_["classes"].push_back({{"name", name}});
    return;
  }
  const std::int64_t frames = p_["local_ids"].get<std::int64_t>();
  const auto refuse = [&](std::size_t i, const std::string& what) {
    throw Error(fmt::format("config.json: class {} of 'classes': {}", i, what));
  };
  std::set<std::string> seen;
  for (std::size_t i = 0; i < classes->size(); ++i) {
    const nlohmann::json& one = (*classes)[i];
    if (!one.is_object()) refuse(i, "is no object");
    for (const auto& [key, value] : one.items()) {
      if (key != "name" && key != "also" && key != "frames")
        refuse(i, fmt::format("has '{}', which is not known", key));
    }
    nlohmann::json names = one.value("also", nlohmann::json::array());
    if (!names.is_array() || !one.contains("name")) refuse(i, "expected a 'name', and a list 'also'");
    names.insert(names.begin(), one["name"]);
    for (const nlohmann::json& name : names) {
      if (!name.is_string() || name.get<std::string>().empty() || !seen.insert(name.get<std::string>()).second) {
        refuse(i, fmt::format("{} is no name, or there twice", shown(name)));
      }
    }
    const nlohmann::json list = one.value("frames", nlohmann::json());
    if (!list.is_array() || list.empty() || list.size() > kMostFrames) refuse(i, "expected a list 'frames' of ids");
    for (const nlohmann::json& id : list) {
      if (!id.is_number_integer() || id.get<std::int64_t>() < 0 || id.get<std::int64_t>() >= frames) {
        refuse(i, fmt::format("frame {}: expected ids from 0 to {}, rows of local_embedding", shown(id), frames - 1));
      }
    }
  }
  sound_["classes"] = *classes;
}

Checkpoint WavenetReader::read() {
  checkpoint_.family = "wavenet";
  checkpoint_.source = format_of_weights(folder_);
  checkpoint_.name = valid_utf8(fs::absolute(folder_).lexically_normal().filename().string());
  config_.expect("model_type", "wavenet");
  const std::string output = config_.find_text("output").value_or("");
  if (output != "mu_law" && output != "mixture_of_logistics") {
    config_.fail("output", "\"mu_law\" or \"mixture_of_logistics\"");
  }
  net_.output = output == "mu_law" ? ops::Wavenet::Output::Levels : ops::Wavenet::Output::Logistics;
  read_dilations();
  read_input();
  read_layers();
  read_output();
  compare("residual_channels", net_.residual);
  compare("gate_channels", net_.gate);
  compare("skip_channels", net_.skip);
  compare("hidden_channels", net_.hidden);
  compare("kernel", net_.kernel);
  compare("input_kernel", net_.input_kernel);
  if (net_.levels > 0) compare("levels", net_.levels);
  if (net_.levels == 0) compare("mixtures", net_.mixtures());
  if (net_.kernel < 2)
    throw Error(fmt::format("tensor '{}.weight' has one tap; a WaveNet looks back", layer_part(0, "dilated")));
  try {
    ops::Wavenet::of(net_.attributes());
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", folder_.string(), error.what()));
  }
  read_conditions();
  read_classes();
  tensors_.finish(checkpoint_);
  checkpoint_.tensors.push_back(pack_wavenet("stack.weight", net_, std::move(parts_)));

  p_.update({{"residual", net_.residual},
             {"gate", net_.gate},
             {"skip", net_.skip},
             {"hidden", net_.hidden},
             {"levels", net_.levels},
             {"mixtures", net_.levels > 0 ? 0 : net_.mixtures()},
             {"kernel", net_.kernel},
             {"input_kernel", net_.input_kernel},
             {"dilations", net_.dilations},
             {"least_log_scale", net_.least_log_scale}});
  checkpoint_.parameters = p_;
  sound_["sample_rate"] = config_.size("sample_rate");
  if (sound_["sample_rate"].get<std::int64_t>() > kMostRate) config_.fail("sample_rate", "at most 1000000");
  sound_["output"] = output;
  sound_["start"] = number("start", net_.levels > 0 ? static_cast<double>(net_.levels / 2) : 0.0);
  const double start = sound_["start"].get<double>();
  const bool is_level = start == std::floor(start) && start >= 0.0 && start < static_cast<double>(net_.levels);
  if (net_.levels > 0 ? !is_level : std::abs(start) > 1.0) config_.fail("start", "a sample that the model can read");
  sound_["temperature"] = number("temperature", 1.0);
  if (sound_["temperature"].get<double>() < 0.0) config_.fail("temperature", "0 or more");
  checkpoint_.metadata["sound"] = sound_;
  for (const char* key : {"name", "description", "licence"}) {
    if (const auto text = config_.find_text(key)) checkpoint_.metadata[key] = *text;
  }
  config_.refuse_unread(false);
  return std::move(checkpoint_);
}

}  // namespace

bool is_wavenet(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::exists(folder / "config.json", ignored)) return false;
  const nlohmann::json config = read_json(folder / "config.json", kMaxConfigBytes);
  return config.is_object() && config.value("model_type", nlohmann::json()) == "wavenet";
}

Checkpoint read_wavenet(const fs::path& folder) { return WavenetReader(folder).read(); }

}  // namespace heed::convert
