#include "ops/conv_phases.h"

#include <algorithm>
#include <numeric>

#include "graph/integer.h"

namespace heed::ops {
namespace {

constexpr std::int64_t kMostPhases = 64;  // of a transposed convolution

Triple strides_of(const Triple& sizes) { return {sizes[1] * sizes[2], sizes[2], 1}; }

Phase forward_phase(const Window& w, std::int64_t block) {
  Phase phase;
  phase.out = w.out;
  for (std::size_t d = 0; d < 3; ++d) phase.first[d] = -w.begin[d];
  phase.stride = w.stride;
  phase.kernel = w.kernel;
  phase.dilation = w.dilation;
  // Rows of a picture of blocks: of a block, and of all blocks beside it.
  phase.y_step = {w.out[1] * w.out[2] * block * block, w.out[2] * block * block, block};
  phase.w_step = strides_of(w.kernel);
  return phase;
}

/// Outputs `place`, `place` + stride, ...: output o of them gets x[i] w[k] where
///   o * stride + place + begin = i * stride + k * dilation.
/// The taps that solve this lie evenly; from the last to the first they read x forwards.
Phase transposed_phase(const Window& w, const Triple& place) {
  Phase phase;
  const Triple y = strides_of(w.out);
  const Triple k = strides_of(w.kernel);
  for (std::size_t d = 0; d < 3; ++d) {
    const std::int64_t from = place[d] + w.begin[d];
    const std::int64_t step = w.stride[d] / std::gcd(w.stride[d], w.dilation[d]);
    std::int64_t tap = 0;
    while (tap < step && tap < w.kernel[d] && (from - tap * w.dilation[d]) % w.stride[d] != 0) ++tap;
    const std::int64_t taps = tap == step || tap >= w.kernel[d] ? 0 : (w.kernel[d] - 1 - tap) / step + 1;
    phase.out[d] = ceil_div(w.out[d] - place[d], w.stride[d]);
    phase.kernel[d] = taps;
    phase.dilation[d] = step * w.dilation[d] / w.stride[d];
    phase.first[d] = taps == 0 ? 0 : (from - tap * w.dilation[d]) / w.stride[d] - (taps - 1) * phase.dilation[d];
    phase.y_first += place[d] * y[d];
    phase.y_step[d] = w.stride[d] * y[d];
    phase.w_first += (tap + (taps - 1) * step) * k[d];
    phase.w_step[d] = -step * k[d];
  }
  return phase;
}

}  // namespace

std::vector<Phase> phases_of(const Convolution& c, std::int64_t block) {
  const Window& w = c.window;
  if (!c.transposed) return {forward_phase(w, block)};
  Triple places;
  for (std::size_t d = 0; d < 3; ++d) places[d] = std::min(w.stride[d], w.out[d]);
  if (places[0] > kMostPhases || places[1] > kMostPhases || places[2] > kMostPhases) return {};
  if (places[0] * places[1] * places[2] > kMostPhases) return {};
  std::vector<Phase> phases;
  for (Triple p = {0, 0, 0}; p[0] < places[0]; ++p[0]) {
    for (p[1] = 0; p[1] < places[1]; ++p[1]) {
      for (p[2] = 0; p[2] < places[2]; ++p[2]) phases.push_back(transposed_phase(w, p));
    }
  }
  return phases;
}

}  // namespace heed::ops
