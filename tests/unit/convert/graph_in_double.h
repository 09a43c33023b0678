#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "tools/convert/checkpoint.h"

namespace heed::convert_test {

/// Runs the graphs that recipes make, in double and straight from the op contracts, so that recipes and readers are
/// compared with other programs' results without any of the engine.
class GraphInDouble {
 public:
  /// Reads all tensors of the checkpoint.
  GraphInDouble(const Graph& graph, const convert::Checkpoint& checkpoint);
  /// Feeds tokens after those already fed; returns the logits of all of them, [tokens, vocabulary].
  std::vector<double> run(const std::vector<std::int32_t>& tokens);

 private:
  struct Matrix {
    std::int64_t rows = 0, columns = 0;
    std::vector<double> values;
    double& at(std::int64_t row, std::int64_t column) {
      return values[static_cast<std::size_t>(row * columns + column)];
    }
    double at(std::int64_t row, std::int64_t column) const {
      return values[static_cast<std::size_t>(row * columns + column)];
    }
  };
  Matrix evaluate(const Node& node);
  Matrix attention(const Node& node);
  const Matrix* input(const Node& node, std::size_t index) const;

  const Graph& graph_;
  std::map<ValueId, Matrix> values_;  // weights, states and what the nodes have made
  std::int64_t position_ = 0;
};

}  // namespace heed::convert_test
