#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "runtime/weights.h"
#include "tests/golden/golden_data.h"

namespace heed::golden {

/// Names of the arrays in tests/golden/attention.npz.
const std::set<std::string>& attention_arrays();

/// What an attention node has besides q, k and v.
struct Attend {
  std::int64_t heads = 1;
  std::int64_t kv_heads = 0;  // 0: as many
  ValueId mask = kNoValue;
  ValueId lengths = kNoValue;
  ValueId score_weight = kNoValue;
  Attributes how = {};
  std::string weights = "weights";  // the array that its weights are to equal
  Shape weights_shape = {};         // of that array, where the op gives another
};

/// A graph over the arrays of a system, SYSTEM.NAME, and those that all systems of its row share, ROW.NAME.
class System {
 public:
  /// With weights as outputs, or without: a plan of its own.
  System(std::string arrays, bool with_weights);

  GraphBuilder b;

  /// An input of the array's name, type and shape.
  ValueId input(const std::string& name);
  ValueId weight(const std::string& name);
  /// A linear of LAYER.weight and, where there is one, LAYER.bias.
  ValueId linear(const std::string& layer, ValueId x, ValueId residual = kNoValue, const char* activation = "none");
  ValueId norm(const std::string& layer, ValueId x);
  /// Its y; the weights, where they are asked for, become an output.
  ValueId attend(ValueId q, ValueId k, ValueId v, const Attend& attend);
  ValueId number(const std::string& name, double value);
  ValueId sum(const std::string& name, ValueId x, std::int64_t axis);
  ValueId concat(const std::string& name, ValueId left, ValueId right);
  ValueId reshape(const std::string& name, ValueId x, std::vector<std::int64_t> sizes);

  /// A boolean mask as one that is added.
  ValueId additive(ValueId keep);
  /// The same of keys [B, S], for queries of which each sees the same ones: [B, 1, T, S], the shape.
  ValueId additive_rows(ValueId keep, const Shape& shape);

  /// The array has no part in this graph, for a reason.
  void leave(const std::string& name) { read(name); }

  /// Runs the graph and compares all its outputs with the arrays of their names, which must all be there.
  void check();

 private:
  bool has(const std::string& name) const;
  HostTensor read(const std::string& name);
  /// The largest error over the range of an output.
  double compare(const std::map<std::string, HostTensor>& outputs);

  std::string arrays_, row_;
  bool with_weights_;
  std::map<std::string, HostTensor> inputs_;
  MemoryWeights weights_;
  std::map<std::string, std::vector<double>> decoded_;
  std::set<std::string> used_;
};

}  // namespace heed::golden
