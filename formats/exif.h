#pragma once

#include <cstddef>
#include <span>

#include "heed/picture.h"

namespace heed {

/// How a stored picture is to be turned (the tag Orientation of Exif 2.3), 1 to 8: which sides of what is meant the
/// first row and the first column of what is stored are. 1, as it is, where a JPEG or PNG file does not say, or says it
/// in a damaged way: viewers show such files as they are. Never throws, whatever the bytes.
int orientation_of(std::span<const std::byte> file);

/// The picture that is meant by one stored with an orientation.
Picture turned(const Picture& stored, int orientation);

}  // namespace heed
