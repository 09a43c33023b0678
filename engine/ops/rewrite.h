#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "graph/graph.h"

namespace heed::ops {

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

/// A node whose first input another node made for it alone goes into its maker where `takes` says so, having changed
/// the maker: the maker then makes what the reader made.
void fuse_into_maker(Graph& graph, const std::function<bool(Node& maker, const Node& reader)>& takes);

}  // namespace heed::ops
