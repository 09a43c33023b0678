#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "graph/graph.h"
#include "graph/host_tensor.h"

namespace heed {
class Lowering;

namespace ops {

struct Op;

/// Some places of a dimension of an operand.
struct PartRange {
  std::size_t axis = 0;
  std::int64_t begin = 0;
  std::int64_t count = 0;
};

/// The node that computes some of another's results: what it sees of the inputs, and which elements of the outputs it
/// makes. Nothing: the whole of it.
struct NodePart {
  std::vector<std::optional<PartRange>> inputs;
  std::vector<std::optional<PartRange>> outputs;
  std::optional<Attributes> attributes = {};     // where they are not the node's
  std::map<std::size_t, HostTensor> known = {};  // likewise elements of inputs by which it is planned
};

/// A way in which a node falls apart: into runs of places that are computed independently of each other, such as rows,
/// channels, or lines of a picture. `unit`: how many of them a kernel likes to have at a time.
struct PartAxis {
  std::int64_t places = 0;
  std::int64_t unit = 1;
  std::function<NodePart(std::int64_t begin, std::int64_t count)> part;
};

/// Places of a dimension of inputs and outputs that all have; nothing: an operand is needed whole.
PartAxis part_axis(const Lowering& l, std::int64_t places, std::vector<std::optional<std::size_t>> inputs,
                   std::vector<std::optional<std::size_t>> outputs);
/// Of an op that treats all elements of output 0 alike but along dimensions for which `without` holds: one for each
/// other dimension. Inputs below `operands` are broadcast to the output, the others are needed whole.
std::vector<PartAxis> parts_along(const Lowering& l, std::size_t operands,
                                  const std::function<bool(std::size_t)>& without);

/// Appends the dispatches of the node that `l` is at. Where a binding or a buffer of it would be larger than the device
/// has, its work is split as Op::parts says: without copies where pieces of all operands can be bound, else pieces are
/// copied out of operands, and into them, by dispatches of their own. Throws Error as Op::lower does where nothing
/// helps.
void lower_within_limits(Lowering& l, const Op& op);

}  // namespace ops
}  // namespace heed
