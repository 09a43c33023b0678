#pragma once

#include "heed/picture.h"

namespace heed {

/// Gives pixels that are fully transparent the colours of what is next to them, ring by ring: whatever is stored there
/// is never seen, but a model would mix it into the pixels at the edge. `alpha` is grey and of the same size, 0 fully
/// transparent. Where all is transparent nothing changes.
void bleed_colours(Picture& colours, const Picture& alpha);

/// `alpha` in another size: cubic interpolation (Catmull and Rom 1974) between pixels, which lie in the middle of their
/// squares, clipped to 0..1. What is opaque or transparent over some pixels stays exactly so.
Picture resampled(const Picture& alpha, std::int64_t width, std::int64_t height);

}  // namespace heed
