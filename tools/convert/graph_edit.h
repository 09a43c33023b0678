#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "models/recipe.h"
#include "tools/convert/checkpoint.h"

namespace heed::convert {

/// A graph whose nodes are being joined, with the tensors of its checkpoint: what the folds of fold.h share.
class GraphEdit {
 public:
  GraphEdit(Graph& graph, std::vector<SourceTensor>& tensors, const models::TensorTable& table);

  Graph& graph() { return graph_; }
  /// The tensor of a weight that is stored as plain floats; nullptr for others, and where there is none of the
  /// checkpoint.
  const SourceTensor* float_weight(ValueId id) const;
  /// The elements of a weight or of a constant of reals.
  std::optional<std::vector<double>> known(ValueId id) const;
  /// Those of a constant of integers.
  std::optional<std::vector<std::int64_t>> known_integers(ValueId id) const;
  /// The node that makes a value which is used once and is no output; nullptr for other values.
  Node* only_maker(ValueId id);
  /// Whether a value had two dimensions before the edit, whatever the sizes of named ones are. Asked for in graphs with
  /// linear layers and batch norms; false in others.
  bool is_rows(ValueId id) const { return rows_.contains(id); }
  /// A weight of the graph that holds a new tensor, under its name or one like it.
  ValueId add_weight(SourceTensor tensor);
  /// Makes `node` give the outputs of node `at` in place of its own, and takes `at` away.
  void take_over(Node& node, std::size_t at);
  /// Takes a node of the graph away; nobody needs what it made.
  void remove(const Node& node) { dead_.insert(static_cast<std::size_t>(&node - graph_.nodes.data())); }
  /// Takes away what was removed, and then constants, weights and results that nobody reads any more. Ends the edit;
  /// returns how many nodes were removed.
  std::size_t finish();

 private:
  const SourceTensor* source(ValueId id) const;

  Graph& graph_;
  std::vector<SourceTensor>& tensors_;
  const models::TensorTable& table_;
  std::vector<int> uses_;
  std::vector<std::size_t> made_by_;
  std::set<std::size_t> dead_;
  std::set<ValueId> rows_;
};

}  // namespace heed::convert
