#pragma once

#include <functional>

#include "heed/picture.h"

namespace heed {

/// The parts in which a picture is worked on: of this size, or the picture's where that is smaller; and how many times
/// as wide and high what is made of them is.
struct Tiling {
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::int64_t overlap = 0;
  std::int64_t scale = 1;
};

/// Applies a function to overlapping parts of a picture and puts the results, each `scale` times as large as its part,
/// together, blended linearly where they overlap. A picture of one part is given whole. `apply` is told where in the
/// picture a part begins, x and y. Throws Error when the overlap leaves nothing of a part.
Picture apply_in_tiles(const Picture& picture, const Tiling& tiling,
                       const std::function<Picture(const Picture&, std::int64_t, std::int64_t)>& apply,
                       const TransformOptions& options);

/// A rectangle of a picture, which must hold it.
Picture cut(const Picture& picture, std::int64_t x, std::int64_t y, std::int64_t width, std::int64_t height);
/// A picture of at least its size, filled up to the right and below with its mirror images.
Picture mirrored(const Picture& picture, std::int64_t width, std::int64_t height);
/// Grey from colour (ITU-R BT.601) and colour from grey.
Picture with_channels(const Picture& picture, std::int64_t channels);

}  // namespace heed
