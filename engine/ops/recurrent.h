#pragma once

#include <cstdint>
#include <vector>

#include "graph/graph.h"
#include "ops/functions.h"

namespace heed {
class Lowering;

namespace ops {

enum RecurrentInput : std::size_t { kX, kW, kR, kBias, kLengths, kInitialH, kInitialC, kPeepholes };

/// What the attributes of a recurrent layer say (recurrent.cpp).
struct RecurrentLayer {
  bool lstm, gru;
  std::int64_t gates;
  std::int64_t directions;
  bool first_reverse;
  bool batch_first;
  bool input_forget;
  bool reset_after;
  double clip;                             // 0 for none
  std::vector<const Function*> functions;  // so many for each direction
  std::size_t functions_each;

  const Function& function(std::int64_t direction, std::size_t i) const {
    return *functions[static_cast<std::size_t>(direction) * functions_each + i];
  }
  bool reverse(std::int64_t direction) const { return first_reverse || direction == 1; }
  /// Throws Error for what no layer is.
  static RecurrentLayer of(const Node& node);
};

/// The sizes of its inputs, and where things lie in them.
struct RecurrentSizes {
  std::int64_t steps, batch, inputs, width;
  std::int64_t directions;
  bool batch_first;

  RecurrentSizes(const RecurrentLayer& layer, const Shape& x, const Shape& r);
  /// Element 0 of the state of a sequence b.
  std::int64_t state_at(std::int64_t direction, std::int64_t b) const;
  /// Element 0 of what a step t gives for it.
  std::int64_t step_at(std::int64_t t, std::int64_t direction, std::int64_t b) const;
};

/// Appends the dispatches of a layer (recurrent_steps.cpp).
void lower_recurrent(Lowering& l);

}  // namespace ops
}  // namespace heed
