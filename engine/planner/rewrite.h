#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "graph/graph.h"
#include "plan/device_caps.h"

namespace heed {

// What fusion passes share.

/// Input i of a node; kNoValue where it has none.
ValueId input_of(const Node& node, std::size_t i);

/// Uses of each value: node inputs and graph outputs.
std::vector<int> count_uses(const Graph& graph);

/// Who makes each value, and for how many, when a pass begins.
class Wiring {
 public:
  explicit Wiring(const Graph& graph);

  /// The node that makes a value which is used once; nothing for other values.
  std::optional<std::size_t> only_maker(ValueId id) const;

 private:
  std::map<ValueId, std::size_t> made_by_;
  std::vector<int> uses_;
};

/// Whether node `from` computes the same when it runs as a part of the later node `to`: nothing that it reads or
/// changes is changed on the way or by that node, and nothing that it changes is read there. Only states change. Every
/// pass that moves a node asks this.
bool can_move(const Graph& graph, std::size_t from, std::size_t to);

/// Removes nodes and, with them, the promise that somebody makes their outputs: those values stay in the list, unused.
void erase_nodes(Graph& graph, const std::set<std::size_t>& dead);

/// A linear with nothing but perhaps a bias and a residual.
bool product_alone(const Node& node);
/// A linear with nothing but perhaps a bias.
bool plain_linear(const Node& node);

/// One linear in place of several with the same input: the nodes' weights and biases stacked. Nothing when they differ:
/// other types or row lengths, vectors in blocks, or more bytes than one binding holds.
std::optional<Node> merge_linears(Graph& graph, const std::vector<const Node*>& nodes, const DeviceCaps& caps,
                                  const Tuning& tuning);

}  // namespace heed
