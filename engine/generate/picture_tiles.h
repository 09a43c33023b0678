#pragma once

#include <functional>

#include "heed/picture.h"

namespace heed {

/// The parts in which a picture is worked on: of this size, or the picture's where that is smaller.
struct Tiling {
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::int64_t overlap = 0;
};

/// Applies a function to overlapping parts of a picture and puts the results together, blended linearly where they
/// overlap. What comes out of a part is an integer number of times as large (rounded: some networks round sizes up;
/// what is beyond is cut off). A picture of one part is given whole. Throws Error when the overlap leaves nothing of a
/// part.
Picture apply_in_tiles(const Picture& picture, const Tiling& tiling,
                       const std::function<Picture(const Picture&)>& apply, const TransformOptions& options);

/// Grey from colour (ITU-R BT.601) and colour from grey.
Picture with_channels(const Picture& picture, std::int64_t channels);

}  // namespace heed
