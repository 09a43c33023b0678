#pragma once

#include <fmt/format.h>

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "models/recipe.h"

namespace heed::models {

/// The layers that an object of a generator's parameters lists (generator.h). Throws Error unless each is an object.
const nlohmann::json& generator_layers(const nlohmann::json& owner);
/// What the names of a layer's tensors begin with.
std::string generator_tensors(const nlohmann::json& owner, std::size_t index);
/// The names of the classes; none where the parameters have no list. Throws Error when they are not all names.
std::vector<std::string> class_names(const nlohmann::json& parameters);

/// Kernel, stride and padding, equal in both dimensions, of a convolution.
struct ConvSizes {
  std::int64_t out = 0;
  std::int64_t kernel = 1;
  std::int64_t stride = 1;
  std::int64_t padding = 0;
  std::int64_t groups = 1;
  bool transposed = false;
  std::int64_t output_padding = 0;
};

/// The entries that codes of pictures stand for: the tensor [count, width], and how many codes a picture has.
struct Codebook {
  std::string tensor;
  std::int64_t count = 0;
  std::int64_t width = 0;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
};

/// Builds a graph layer by layer; knows what shape the layers have made, the batch aside.
class GeneratorBuilder {
 public:
  /// `root` is what the names of all tensors begin with in the table; `names` what the checkpoint calls them.
  GeneratorBuilder(const std::string& name, const nlohmann::json& parameters, const TensorTable& tensors,
                   std::string root = "", TensorNames names = {})
      : parameters_(parameters),
        graph_(name),
        weights_(graph_, tensors, {}, std::move(names)),
        root_(std::move(root)) {}

  /// Numbers to pictures.
  Graph draw();
  /// Pictures to numbers, as parameter encoder has it.
  Graph encode();
  /// Codes [batch, rows * columns] i32, row by row, to pictures, by the layers that `owner` lists.
  Graph decode_codes(const Codebook& codebook, const nlohmann::json& owner);
  /// Pictures to the codes of the nearest entries, i64, the first of equals, by the layers that `owner` lists; its
  /// `image` is their shape.
  Graph encode_codes(const Codebook& codebook, const nlohmann::json& owner);
  /// What inputs and outputs of the graph mean.
  const nlohmann::json& roles() const { return roles_; }
  /// Of the pictures that draw() makes.
  std::int64_t channels() const { return shape_.empty() ? 0 : shape_[0]; }
  /// What the layers have made, the batch aside.
  const Shape& shape() const { return shape_; }
  const std::set<std::string, std::less<>>& read() const { return weights_.read(); }

 private:
  using Layer = void (GeneratorBuilder::*)(ParameterReader&);
  static const std::map<std::string, Layer, std::less<>>& layers();

  /// The layers that `owner` lists. Names of nodes begin with `path`, those of tensors with `inside` where the owner is
  /// a layer itself.
  void add_layers(const nlohmann::json& owner, const std::string& path = "", const std::string& inside = "");
  Graph finished(const ParameterReader& reader, const char* output);
  void linear(ParameterReader& reader);
  void reshape(ParameterReader& reader);
  void flatten(ParameterReader& reader);
  void convolve(ParameterReader& reader) { convolution(reader, false); }
  void convolve_transposed(ParameterReader& reader) { convolution(reader, true); }
  void convolution(ParameterReader& reader, bool transposed);
  void batch_norm(ParameterReader& reader);
  void instance_norm(ParameterReader& reader) { group_norm(reader, 0); }
  void grouped_norm(ParameterReader& reader) { group_norm(reader, reader.size("groups")); }
  void group_norm(ParameterReader& reader, std::int64_t groups);
  void function(ParameterReader&) { x_ = graph_.add(type_, label(), {x_}); }
  void leaky_relu(ParameterReader& reader);
  void dropout(ParameterReader& reader);
  void upsample(ParameterReader& reader);
  void pool(ParameterReader& reader);
  void pixel_shuffle(ParameterReader& reader);
  void join_class(ParameterReader& reader);
  void self_attention(ParameterReader& reader);
  void attention_map(ParameterReader& reader);
  void mean_and_log_variance(ParameterReader& reader);
  void residual(ParameterReader& reader);
  void attention_block(ParameterReader& reader);

  ValueId conv(const std::string& part, ValueId x, Shape& shape, const ConvSizes& sizes, const char* activation);
  /// Bilinearly, as PyTorch does without align_corners.
  ValueId resized(const std::string& node, ValueId x, const Shape& to);
  /// Throws Error when there is no list of them.
  std::int64_t class_count(const ParameterReader& reader) const;
  ValueId embedded_class(const std::string& node, const std::string& table, std::int64_t width);
  Shape shape_in(const ParameterReader& reader, const nlohmann::json& list, const char* what) const;

  ValueId integers(std::vector<std::int64_t> values) {
    return graph_.integers(fmt::format("sizes.{}", constants_++), std::move(values));
  }
  /// The sizes of x but for the batch, which stays.
  ValueId batch_of(const Shape& shape) {
    std::vector<std::int64_t> sizes = {0};
    sizes.insert(sizes.end(), shape.begin(), shape.end());
    return integers(std::move(sizes));
  }
  std::string label(const std::string& part = "") const {
    return fmt::format("{}layers.{}{}{}", path_, index_, part.empty() ? "" : ".", part);
  }
  std::string tensor(const std::string& part) const { return part.empty() ? tensors_ : tensors_ + "." + part; }
  ValueId weight(const std::string& part, const Shape& shape) { return weights_.required(tensor(part), shape); }
  ValueId optional(const std::string& part, const Shape& shape) { return weights_.optional(tensor(part), shape); }
  /// Throws Error unless what has been made is pictures.
  const Shape& pictures(const ParameterReader& reader) const {
    if (shape_.size() != 3) reader.fail(fmt::format("needs pictures, but gets {}", to_string(shape_)));
    return shape_;
  }
  /// Throws Error unless it is rows of numbers.
  std::int64_t row(const ParameterReader& reader) const {
    if (shape_.size() != 1) reader.fail(fmt::format("needs rows of numbers, but gets {}", to_string(shape_)));
    return shape_[0];
  }

  const nlohmann::json& parameters_;
  GraphBuilder graph_;
  WeightSource weights_;
  std::string root_;
  ValueId x_ = kNoValue;
  Shape shape_;
  ValueId class_label_ = kNoValue;
  std::size_t index_ = 0;
  std::string path_;     // of the layers around the one that is added
  std::string type_;     // of the layer that is added
  std::string tensors_;  // what its tensors' names begin with
  int constants_ = 0;
  std::vector<std::pair<ValueId, std::string>> outputs_;  // besides x
  nlohmann::json roles_ = nlohmann::json::object();
};

}  // namespace heed::models
