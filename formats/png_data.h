#pragma once

#include <span>
#include <string>

namespace heed {

/// Throws Error, naming `where`, when the compressed data of a PNG file unpack to more than its pixels need, or cannot
/// be unpacked: they are unpacked here in pieces that are thrown away, where a few megabytes could otherwise fill all
/// memory. Data that are too few for that are not looked at.
void check_png_data(std::span<const unsigned char> bytes, const std::string& where);

}  // namespace heed
