#pragma once

#include <span>
#include <string>
#include <vector>

#include "file/picture_roles.h"
#include "graph/shape.h"
#include "heed/picture.h"

namespace heed {

/// The maps of each of `count` pictures in an output of role map or attention: its shape and all its elements. Heads
/// are averaged, weights turned so that rows sum to one. Throws Error, naming `where` and the output, when the shape is
/// not what the role says.
std::vector<AttentionMap> split_maps(const Role& role, const Shape& shape, std::span<const float> all,
                                     std::size_t count, const std::string& where);

}  // namespace heed
