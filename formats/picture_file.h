#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "heed/picture.h"

namespace heed {

/// What a file of a picture holds.
struct PictureFile {
  Picture colours;               // grey or red-green-blue, turned as the file says
  std::optional<Picture> alpha;  // grey, of the same size, 0 fully transparent; nothing where the file has none
  int bits = 8;                  // of each number in the file: 8 or fewer, or 16
};

/// Reads a PNG or JPEG file: alpha channels, transparent colours of palettes and single transparent colours as alpha;
/// turned as Exif says. Throws Error naming the file when it cannot be read, is neither, is damaged, or is larger than
/// 16,384 pixels on a side.
PictureFile read_picture(const std::filesystem::path& path);
/// The same from memory, at most 2^31 - 1 bytes; throws Error, before it is unpacked, for a picture of more than
/// `most_pixels`.
PictureFile parse_picture(std::span<const unsigned char> bytes, const std::string& where,
                          std::int64_t most_pixels = std::int64_t{1} << 28);

/// Throws Error when a picture must not be written to `output`: it is one of the files that are read, or its name says
/// that it is of another format.
void check_png_path(const std::filesystem::path& output, const std::vector<std::filesystem::path>& read);

/// Throws Error when a picture of this size, alpha counted among the channels, is larger than write_png() packs.
void check_png_size(const std::filesystem::path& path, std::int64_t width, std::int64_t height, std::int64_t channels);

/// Writes a PNG file of 8 bits a channel through a temporary file; values are clipped to 0..1 and rounded. Throws Error
/// when that fails, or when a value is no finite number.
void write_png(const std::filesystem::path& path, const Picture& picture,
               const std::optional<Picture>& alpha = std::nullopt);

/// The bytes of the file that write_png() writes; `where` stands for its name in messages.
std::string png_bytes(const Picture& picture, const std::optional<Picture>& alpha, const std::string& where);

/// Pictures of one size as a grid of so many columns, a dark pixel between them.
Picture grid_of(const std::vector<Picture>& pictures, std::size_t columns);

}  // namespace heed
