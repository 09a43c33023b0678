#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

/// Recipes turn hyperparameters and a table of tensors into graphs. They run when a checkpoint is converted; the engine
/// never sees them, only the graphs they leave in the file.
namespace heed::models {

/// The tensors that the file will hold: element types after conversion, concrete shapes, keyed by name.
using TensorTable = std::map<std::string, TensorType, std::less<>>;

/// All elements of a tensor of the table, decoded. Throws Error when it cannot be read or is not finite.
using TensorValues = std::function<std::vector<float>(const std::string& name)>;

/// What the checkpoint's own file calls a tensor of the table, for messages.
using TensorNames = std::function<std::string(const std::string& name)>;

/// Takes hyperparameters out of a JSON object, one by one. Every getter throws Error naming family and key when the key
/// is missing, of another type or out of range.
class ParameterReader {
 public:
  ParameterReader(std::string_view family, const nlohmann::json& parameters);

  /// An integer in [1, 2^31 - 1], the range of every size that reaches the device.
  std::int64_t size(const char* key) { return integer(key, 1, (std::int64_t{1} << 31) - 1); }
  std::int64_t integer(const char* key, std::int64_t least, std::int64_t most);
  /// A finite number above zero.
  double positive(const char* key);
  double number(const char* key);  // any finite one
  bool boolean(const char* key);
  std::string text(const char* key);
  /// Whatever stands there.
  const nlohmann::json& value(const char* key) { return find(key); }
  bool has(const char* key) const { return parameters_.contains(key); }
  std::string choice(const char* key, std::initializer_list<std::string_view> choices);
  /// Throws Error naming the first key that no getter asked for.
  void refuse_unread() const;
  [[noreturn]] void fail(const std::string& message) const;

 private:
  const nlohmann::json& find(const char* key);
  std::string family_;
  const nlohmann::json& parameters_;
  std::set<std::string, std::less<>> read_;
};

/// Gives a graph its weights out of the table, comparing each shape with the one that the hyperparameters imply.
class WeightSource {
 public:
  /// `values` may be empty where values() is asked for no tensor of the table; `names` where they are the file's own.
  WeightSource(GraphBuilder& builder, const TensorTable& tensors, TensorValues values = {}, TensorNames names = {})
      : builder_(builder), tensors_(tensors), values_(std::move(values)), names_(std::move(names)) {}

  /// The weight of this name. Throws Error when there is none, when its shape is not `expected`, or when it has one
  /// dimension (norms, biases) and is not f32.
  ValueId required(const std::string& name, const Shape& expected);
  /// The same, or kNoValue when the table has no such tensor.
  ValueId optional(const std::string& name, const Shape& expected);
  /// The elements of this tensor, for an attribute: the graph holds them and the file has no such tensor. Empty when
  /// the table has none. Throws Error as required() does.
  std::vector<double> values(const std::string& name, const Shape& expected);
  bool has(std::string_view name) const { return tensors_.find(name) != tensors_.end(); }
  /// Names of the tensors that the graph asked for.
  const std::set<std::string, std::less<>>& read() const { return read_; }
  /// Throws Error naming the first tensor that the graph did not ask for: a model that has it computes something else.
  void refuse_unread(std::string_view family) const;

 private:
  const TensorType* find(const std::string& name, const Shape& expected);  // nullptr when absent
  std::string shown(const std::string& name) const { return names_ ? names_(name) : name; }

  GraphBuilder& builder_;
  const TensorTable& tensors_;
  TensorValues values_;
  TensorNames names_;
  std::set<std::string, std::less<>> read_;
};

/// The same for several graphs, which together asked for the tensors `read`.
void refuse_unread(std::string_view family, const TensorTable& tensors, const std::set<std::string, std::less<>>& read,
                   const TensorNames& names = {});

}  // namespace heed::models
