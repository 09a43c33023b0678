#pragma once

#include <array>

#include "heed/picture.h"

namespace heed {

/// From violet through red to yellow for 0 to 1, of growing lightness, so that it reads in grey as well.
std::array<float, 3> heat_colour(float heat);

/// A picture under a map as heat: grey where the map is least, from violet to yellow where it is most. Small pictures
/// are enlarged by a whole number. A map of each place is shown for nine places, each marked by a frame, in a grid.
Picture heat_map(const Picture& picture, const AttentionMap& map);

}  // namespace heed
