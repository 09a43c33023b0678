#include "formats/exif.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

namespace heed {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::uint32_t kOrientation = 0x0112;
constexpr std::uint32_t kShort = 3;  // TIFF's types of values
constexpr std::uint32_t kLong = 4;

/// Whole numbers out of bytes; nothing where they end before.
class ByteReader {
 public:
  ByteReader(Bytes bytes, bool little_endian) : bytes_(bytes), little_endian_(little_endian) {}
  std::optional<std::uint32_t> number(std::uint64_t at, std::uint64_t size) const {
    if (at > bytes_.size() || bytes_.size() - at < size) return std::nullopt;
    std::uint32_t value = 0;
    for (std::uint64_t i = 0; i < size; ++i) {
      value = value << 8 | std::to_integer<std::uint32_t>(bytes_[at + (little_endian_ ? size - 1 - i : i)]);
    }
    return value;
  }

 private:
  Bytes bytes_;
  bool little_endian_;
};

bool begins_with(Bytes bytes, std::string_view text) {
  return bytes.size() >= text.size() && std::memcmp(bytes.data(), text.data(), text.size()) == 0;
}

/// Of a TIFF structure, as Exif's are: the tag in its first directory.
int orientation_of_tiff(Bytes tiff) {
  const bool little = begins_with(tiff, "II");
  if (!little && !begins_with(tiff, "MM")) return 1;
  const ByteReader reader(tiff, little);
  const std::optional<std::uint32_t> directory = reader.number(4, 4);
  if (reader.number(2, 2) != 42u || !directory) return 1;
  const std::uint32_t entries = reader.number(*directory, 2).value_or(0);
  for (std::uint64_t i = 0; i < entries; ++i) {
    const std::uint64_t entry = std::uint64_t{*directory} + 2 + 12 * i;
    if (reader.number(entry, 2) != kOrientation) continue;
    const std::optional<std::uint32_t> type = reader.number(entry + 2, 2);
    if ((type != kShort && type != kLong) || reader.number(entry + 4, 4) != 1u) return 1;
    const std::uint32_t value = reader.number(entry + 8, type == kShort ? 2 : 4).value_or(1);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

int orientation_of_jpeg(Bytes file) {
  constexpr std::string_view kExif("Exif\0\0", 6);
  const ByteReader reader(file, false);
  for (std::uint64_t at = 2; reader.number(at, 1) == 0xffu;) {
    const std::uint32_t marker = reader.number(at + 1, 1).value_or(0xda);
    if (marker == 0xff) {  // fill
      ++at;
      continue;
    }
    if (marker == 0xda || marker == 0xd9) break;                                   // the scan begins, or all ends
    if (marker == 0x00 || marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {  // without length
      at += 2;
      continue;
    }
    const std::uint32_t length = reader.number(at + 2, 2).value_or(0);
    if (length < 2 || file.size() - at - 2 < length) break;
    const Bytes content = file.subspan(at + 4, length - 2);
    if (marker == 0xe1 && begins_with(content, kExif)) return orientation_of_tiff(content.subspan(kExif.size()));
    at += 2 + length;
  }
  return 1;
}

int orientation_of_png(Bytes file) {
  const ByteReader reader(file, false);
  std::uint64_t at = 8;
  while (const std::optional<std::uint32_t> length = reader.number(at, 4)) {
    if (at + 12 > file.size() || file.size() - at - 12 < *length) break;
    const Bytes type = file.subspan(at + 4, 4);
    if (begins_with(type, "eXIf")) return orientation_of_tiff(file.subspan(at + 8, *length));
    at += std::uint64_t{12} + *length;
  }
  return 1;
}

}  // namespace

int orientation_of(std::span<const std::byte> file) {
  if (begins_with(file, "\x89PNG\r\n\x1a\n")) return orientation_of_png(file);
  return begins_with(file, "\xff\xd8") ? orientation_of_jpeg(file) : 1;
}

Picture turned(const Picture& stored, int orientation) {
  if (orientation <= 1 || orientation > 8) return stored;
  const bool transposed = orientation >= 5;
  // Which end of the stored rows and columns is the top or left of what is meant.
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Picture meant{
      transposed ? stored.height : stored.width, transposed ? stored.width : stored.height, stored.channels, {}};
  meant.values.reserve(stored.values.size());
  for (std::int64_t c = 0; c < stored.channels; ++c) {
    for (std::int64_t y = 0; y < meant.height; ++y) {
      for (std::int64_t x = 0; x < meant.width; ++x) {
        const std::int64_t column = transposed ? y : x;
        const std::int64_t row = transposed ? x : y;
        meant.values.push_back(
            stored.at(c, from_bottom ? stored.height - 1 - row : row, from_right ? stored.width - 1 - column : column));
      }
    }
  }
  return meant;
}

}  // namespace heed
