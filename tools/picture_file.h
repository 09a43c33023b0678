#pragma once

#include <filesystem>
#include <vector>

#include "heed/picture.h"

namespace heed::tools {

/// Reads a PNG or JPEG file as grey or red-green-blue; transparency is dropped. Throws Error naming the file when it
/// cannot be read, is neither, is damaged, or is larger than 16,384 pixels on a side.
Picture read_picture(const std::filesystem::path& path);

/// Throws Error when a picture must not be written to `output`: it is one of the files that are read, or its name says
/// that it is of another format.
void check_png_path(const std::filesystem::path& output, const std::vector<std::filesystem::path>& read);

/// Writes a PNG file of 8 bits a channel through a temporary file; values are clipped to 0..1 and rounded. Throws Error
/// when that fails.
void write_png(const std::filesystem::path& path, const Picture& picture);

/// Pictures of one size as a grid of so many columns, a dark pixel between them.
Picture grid_of(const std::vector<Picture>& pictures, std::size_t columns);

}  // namespace heed::tools
