// Pictures in memory: packed and read again, and files that would become larger than they say.
#include "formats/picture_file.h"

#include <doctest/doctest.h>
#include <zlib.h>

#include <cstdint>
#include <string>
#include <vector>

#include "heed/error.h"

namespace heed {
namespace {

Picture pattern(std::int64_t width, std::int64_t height, std::int64_t channels) {
  Picture picture{width, height, channels, {}};
  for (std::int64_t i = 0; i < width * height * channels; ++i) {
    picture.values.push_back(static_cast<float>(i * 37 % 256) / 255.0f);
  }
  return picture;
}

PictureFile parsed(const std::string& bytes, std::int64_t most_pixels = std::int64_t{1} << 28) {
  return parse_picture({reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()}, "it", most_pixels);
}

std::string refusal_of(const std::string& bytes, std::int64_t most_pixels = std::int64_t{1} << 28) {
  try {
    parsed(bytes, most_pixels);
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

std::string big_endian(std::uint32_t number) {
  std::string text;
  for (const int shift : {24, 16, 8, 0}) text += static_cast<char>(number >> shift & 255);
  return text;
}

std::string chunk(const std::string& type, const std::string& data) {
  const std::string checked = type + data;
  const uLong sum = crc32(0, reinterpret_cast<const Bytef*>(checked.data()), static_cast<uInt>(checked.size()));
  return big_endian(static_cast<std::uint32_t>(data.size())) + checked + big_endian(static_cast<std::uint32_t>(sum));
}

/// A grey PNG file of 8 bits whose data are so many zeros, in chunks of a few bytes.
std::string grey_png(std::uint32_t width, std::uint32_t height, std::size_t zeros) {
  const std::vector<Bytef> raw(zeros);
  uLongf size = compressBound(static_cast<uLong>(zeros));
  std::string packed(size, '\0');
  REQUIRE(compress2(reinterpret_cast<Bytef*>(packed.data()), &size, raw.data(), static_cast<uLong>(zeros), 9) == Z_OK);
  packed.resize(size);
  std::string png =
      "\x89PNG\r\n\x1a\n" + chunk("IHDR", big_endian(width) + big_endian(height) + std::string("\x08\0\0\0\0", 5));
  for (std::size_t at = 0; at < packed.size(); at += 1000) png += chunk("IDAT", packed.substr(at, 1000));
  return png + chunk("IEND", "");
}

}  // namespace

TEST_CASE("picture file: what is packed in memory is read as it was") {
  for (const std::int64_t channels : {1, 3}) {
    const Picture picture = pattern(9, 4, channels);
    const Picture alpha = pattern(9, 4, 1);
    const PictureFile plain = parsed(png_bytes(picture, {}, "it"));
    CHECK(plain.colours.values == picture.values);
    CHECK_FALSE(plain.alpha.has_value());
    const PictureFile with_alpha = parsed(png_bytes(picture, alpha, "it"));
    CHECK(with_alpha.colours.values == picture.values);
    REQUIRE(with_alpha.alpha.has_value());
    CHECK(with_alpha.alpha->values == alpha.values);
  }
}

TEST_CASE("picture file: more pixels than are wanted are refused by the header alone") {
  const std::string bytes = png_bytes(pattern(10, 10, 1), {}, "it");
  CHECK(refusal_of(bytes, 100) == "none");
  CHECK(refusal_of(bytes, 99) == "it: 10x10 pixels are more than the 99 that are taken; make the picture smaller");
  // Its data are missing, and nobody looks for them.
  CHECK(refusal_of(bytes.substr(0, 40), 99).find("10x10 pixels are more than the 99") != std::string::npos);
}

TEST_CASE("picture file: data that unpack to more than the pixels are refused, and not unpacked") {
  // 64 MiB in 64 KiB; a file may have some bytes too many.
  CHECK(refusal_of(grey_png(10, 10, 64 << 20)) ==
        "it: the picture is damaged: its data unpack to more than 10x10 pixels");
  CHECK(refusal_of(grey_png(10, 10, 110)) == "none");
  CHECK(refusal_of(grey_png(10, 10, 150)) == "none");
  // Large pictures of one colour are packed as well as a bomb.
  const PictureFile black = parsed(grey_png(5000, 3000, 3000 * 5001));
  CHECK(black.colours.width == 5000);
  CHECK(black.colours.at(0, 2999, 4999) == 0.0f);
}

}  // namespace heed
