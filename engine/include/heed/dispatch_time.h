#pragma once

#include <cstdint>
#include <string>

namespace heed {

/// What one dispatch took, by the device's clock.
struct DispatchTime {
  std::string label;   // the node of the graph that it belongs to
  std::string kernel;  // the variant of the shader
  double seconds = 0;
  std::uint64_t bytes = 0;  // of weights that it reads
  std::uint64_t flops = 0;
};

}  // namespace heed
