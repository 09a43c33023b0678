// Files of pictures as cameras and painters make them, and models whose pictures are known: transparency, Exif's
// orientations, 16 bits, pictures of a few pixels, weights that are no numbers, options that a model cannot use.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <stb/stb_image_write.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>

#include "file/model_file.h"
#include "formats/exif.h"
#include "formats/picture_alpha.h"
#include "formats/picture_file.h"
#include "tests/end_to_end/process.h"
#include "tests/unit/convert/sample_files.h"

namespace heed::end_to_end {
namespace {

namespace fs = std::filesystem;
using convert_test::TempFolder;

std::string big_endian(std::uint32_t value, int bytes = 4) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i) text += static_cast<char>(value >> (8 * i));
  return text;
}

std::string png_chunk(const std::string& type, const std::string& content) {
  const std::string all = type + content;
  std::uint32_t crc = 0xffffffffu;
  for (const char c : all) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0u);
  }
  return big_endian(static_cast<std::uint32_t>(content.size())) + all + big_endian(~crc);
}

/// A PNG file of any kind: `rows` are the bytes of each row; `more` are chunks before the pixels.
std::string png_bytes(std::uint32_t width, int bits, int colour_type, const std::vector<std::string>& rows,
                      const std::string& more = "") {
  std::string raw;
  for (const std::string& row : rows) raw += '\0' + row;
  std::uint32_t a = 1;
  std::uint32_t b = 0;
  for (const char c : raw) {
    a = (a + static_cast<unsigned char>(c)) % 65521;
    b = (b + a) % 65521;
  }
  const auto size = static_cast<std::uint32_t>(raw.size());
  REQUIRE(size < 65536);
  std::string packed = std::string("\x78\x01\x01", 3);  // one block, not compressed
  for (const std::uint32_t n : {size, ~size}) packed += std::string{static_cast<char>(n), static_cast<char>(n >> 8)};
  packed += raw + big_endian(b << 16 | a);
  return "\x89PNG\r\n\x1a\n" +
         png_chunk("IHDR", big_endian(width) + big_endian(static_cast<std::uint32_t>(rows.size())) +
                               static_cast<char>(bits) + static_cast<char>(colour_type) + std::string(3, '\0')) +
         more + png_chunk("IDAT", packed) + png_chunk("IEND", "");
}

/// Exif data with nothing but an orientation.
std::string exif_of(int orientation, bool little_endian) {
  const auto number = [&](std::uint32_t value, int bytes) {
    std::string text = big_endian(value, bytes);
    if (little_endian) std::ranges::reverse(text);
    return text;
  };
  return (little_endian ? "II" : "MM") + number(42, 2) + number(8, 4) + number(2, 2) +
         // Something before it: the width.
         number(0x0100, 2) + number(4, 2) + number(1, 4) + number(77, 4) +  //
         number(0x0112, 2) + number(3, 2) + number(1, 4) + number(static_cast<std::uint32_t>(orientation), 2) +
         number(0, 2) + number(0, 4);
}

/// A JPEG file without loss that matters, `segments` right behind its beginning.
std::string jpeg_bytes(const Picture& picture, const std::string& segments) {
  std::vector<unsigned char> pixels;
  const std::size_t count = picture.values.size() / 3;
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t c = 0; c < 3; ++c)
      pixels.push_back(static_cast<unsigned char>(std::lround(picture.values[c * count + i] * 255.0f)));
  }
  std::string bytes;
  const auto append = [](void* to, void* data, int size) {
    static_cast<std::string*>(to)->append(static_cast<const char*>(data), static_cast<std::size_t>(size));
  };
  REQUIRE(stbi_write_jpg_to_func(append, &bytes, static_cast<int>(picture.width), static_cast<int>(picture.height), 3,
                                 pixels.data(), 100) != 0);
  return bytes.substr(0, 2) + segments + bytes.substr(2);
}

std::string jpeg_segment(int marker, const std::string& content) {
  return "\xff" + std::string(1, static_cast<char>(marker)) +
         big_endian(static_cast<std::uint32_t>(content.size() + 2), 2) + content;
}
std::string exif_segment(const std::string& exif) { return jpeg_segment(0xe1, std::string("Exif\0\0", 6) + exif); }

/// Blocks of 16 pixels, each of another colour, so that no two ways of turning give the same.
Picture blocks() {
  Picture picture{48, 32, 3, {}};
  for (std::int64_t c = 0; c < 3; ++c) {
    for (std::int64_t y = 0; y < 32; ++y) {
      for (std::int64_t x = 0; x < 48; ++x) {
        const std::int64_t block = y / 16 * 3 + x / 16;
        picture.values.push_back(static_cast<float>((block * (c + 2) + c) % 6) / 5.0f);
      }
    }
  }
  return picture;
}

/// How `meant` is stored with an orientation, by the words of the standard: where in it row 0 and column 0 are.
Picture stored_as(const Picture& meant, int orientation) {
  struct Sides {
    const char* row;
    const char* column;
  };
  constexpr std::array<Sides, 8> kSides = {{{"top", "left"},
                                            {"top", "right"},
                                            {"bottom", "right"},
                                            {"bottom", "left"},
                                            {"left", "top"},
                                            {"right", "top"},
                                            {"right", "bottom"},
                                            {"left", "bottom"}}};
  const Sides sides = kSides[static_cast<std::size_t>(orientation - 1)];
  const bool rows_are_columns = std::string(sides.row) == "left" || std::string(sides.row) == "right";
  Picture stored{rows_are_columns ? meant.height : meant.width, rows_are_columns ? meant.width : meant.height,
                 meant.channels, std::vector<float>(meant.values.size())};
  const auto place = [&](const std::string& side, std::int64_t n, std::int64_t& x, std::int64_t& y) {
    if (side == "top") y = n;
    if (side == "bottom") y = meant.height - 1 - n;
    if (side == "left") x = n;
    if (side == "right") x = meant.width - 1 - n;
  };
  for (std::int64_t c = 0; c < stored.channels; ++c) {
    for (std::int64_t row = 0; row < stored.height; ++row) {
      for (std::int64_t column = 0; column < stored.width; ++column) {
        std::int64_t x = 0;
        std::int64_t y = 0;
        place(sides.row, row, x, y);
        place(sides.column, column, x, y);
        stored.at(c, row, column) = meant.at(c, y, x);
      }
    }
  }
  return stored;
}

double greatest_difference(const Picture& a, const Picture& b) {
  REQUIRE(a.width == b.width);
  REQUIRE(a.height == b.height);
  REQUIRE(a.values.size() == b.values.size());
  double most = 0.0;
  for (std::size_t i = 0; i < a.values.size(); ++i)
    most = std::max(most, std::abs(static_cast<double>(a.values[i] - b.values[i])));
  return most;
}

/// A model from pictures to pictures that gives what it is given, times a weight. It needs 5 pixels a side.
std::string plain_model(const TempFolder& folder, const std::string& name, float factor) {
  GraphBuilder g("same");
  const ValueId image = g.input("in", DType::F32, {1, 3, Dim("height"), Dim("width")});
  const ValueId means = g.add("average_pool", "means", {image}, {{"kernel", std::vector<std::int64_t>{5, 5}}});
  const ValueId mean = g.add("reduce", "mean", {means}, {{"kind", std::string("mean")}});
  const ValueId zero = g.add("sub", "zero", {mean, mean});
  const ValueId sum = g.add("add", "sum", {image, zero});
  g.output(g.add("mul", "product", {sum, g.weight("factor", DType::F32, {1})}), "out");
  ModelHeader header;
  header.graphs.push_back(std::move(g).finish());
  header.tensors.push_back({"factor", DType::F32, {1}, 0, 0, 0});
  header.metadata = nlohmann::json::parse(R"({"task": "image-to-image", "graph": "same", "roles": {
    "in": {"role": "image", "range": [0, 1]}, "out": {"role": "image", "range": [0, 1]}}})");
  const fs::path path = folder.path() / name;
  write_model_file(path, header, {},
                   [&](const TensorInfo&, const auto& sink) { sink(std::as_bytes(std::span(&factor, 1))); });
  return path.string();
}

/// A model that repeats each pixel 64 times a side, times a weight.
std::string enlarging_model(const TempFolder& folder, const std::string& name, float factor) {
  GraphBuilder g("larger");
  const ValueId image = g.input("in", DType::F32, {1, 3, Dim("height"), Dim("width")});
  const ValueId product = g.add("mul", "product", {image, g.weight("factor", DType::F32, {1})});
  const ValueId scales = g.add("constant", "scales", {},
                               {{"dtype", std::string("f32")},
                                {"shape", std::vector<std::int64_t>{4}},
                                {"values", std::vector<double>{1, 1, 64, 64}}});
  g.output(g.add("resize", "resize", {product, kNoValue, scales}), "out");
  ModelHeader header;
  header.graphs.push_back(std::move(g).finish());
  header.tensors.push_back({"factor", DType::F32, {1}, 0, 0, 0});
  header.metadata = nlohmann::json::parse(R"({"task": "image-to-image", "graph": "larger", "roles": {
    "in": {"role": "image", "range": [0, 1]}, "out": {"role": "image", "range": [0, 1]}}})");
  const fs::path path = folder.path() / name;
  write_model_file(path, header, {},
                   [&](const TensorInfo&, const auto& sink) { sink(std::as_bytes(std::span(&factor, 1))); });
  return path.string();
}

/// A model that draws its noise times a weight.
std::string drawing_model(const TempFolder& folder, const std::string& name, float factor) {
  GraphBuilder g("draw");
  const ValueId latent = g.input("latent", DType::F32, {Dim("batch"), 4});
  const ValueId product = g.add("mul", "product", {latent, g.weight("factor", DType::F32, {1})});
  g.output(g.add("reshape", "picture", {product, g.integers("sizes", {-1, 1, 2, 2})}), "image");
  ModelHeader header;
  header.graphs.push_back(std::move(g).finish());
  header.tensors.push_back({"factor", DType::F32, {1}, 0, 0, 0});
  header.metadata = nlohmann::json::parse(R"({"task": "draw", "graph": "draw", "roles": {
    "latent": {"role": "latent"}, "image": {"role": "image", "range": [-3, 3]}}})");
  const fs::path path = folder.path() / name;
  write_model_file(path, header, {},
                   [&](const TensorInfo&, const auto& sink) { sink(std::as_bytes(std::span(&factor, 1))); });
  return path.string();
}

/// What `heed upscale` makes of a file, and what it says.
struct Upscaled {
  PictureFile file;
  std::string said;
};

Upscaled upscale(const TempFolder& folder, const std::string& model, const std::string& input,
                 std::vector<std::string> more = {}) {
  const std::string output = (folder.path() / "upscaled.png").string();
  more.insert(more.begin(), {"upscale", input, "--model", model, "-o", output});
  const Finished finished = run_heed(more);
  REQUIRE_MESSAGE(finished.exit_code == 0, finished.both());
  return {read_picture(output), finished.error};
}

}  // namespace

TEST_CASE("picture files: transparency of every kind is kept, and turned and enlarged with the picture") {
  const TempFolder folder;
  const std::string model = plain_model(folder, "plain.heed", 1.0f);
  const auto check = [&](const std::string& name, const std::string& bytes, std::int64_t channels,
                         const std::vector<float>& alpha) {
    CAPTURE(name);
    const std::string path = folder.write(name + ".png", bytes).string();
    const PictureFile file = read_picture(path);
    CHECK(file.colours.channels == channels);
    REQUIRE(file.alpha.has_value());
    CHECK(file.alpha->width == 3);
    CHECK(file.alpha->values == alpha);
    const Upscaled made = upscale(folder, model, path);
    REQUIRE(made.file.alpha.has_value());
    CHECK(made.file.colours.channels == 3);
    CHECK(greatest_difference(*made.file.alpha, *file.alpha) < 0.003);
    CHECK((made.said.find("has 16 bits a channel") != std::string::npos) == (file.bits == 16));
  };
  const std::vector<float> alpha = {1, 0, 0.2f, 0, 0.4f, 1};
  const std::vector<float> key = {1, 0, 1, 1, 0, 1};
  const auto row = [](std::initializer_list<int> numbers, int bytes = 1) {
    std::string text;
    for (const int number : numbers) text += big_endian(static_cast<std::uint32_t>(number), bytes);
    return text;
  };
  check("rgba",
        png_bytes(3, 8, 6,
                  {row({255, 0, 0, 255, 9, 9, 9, 0, 0, 255, 0, 51}), row({0, 0, 255, 0, 1, 2, 3, 102, 7, 7, 7, 255})}),
        3, alpha);
  check("grey_alpha", png_bytes(3, 8, 4, {row({255, 255, 9, 0, 40, 51}), row({30, 0, 20, 102, 7, 255})}), 1, alpha);
  check("rgba16",
        png_bytes(3, 16, 6,
                  {row({65535, 0, 0, 65535, 9, 9, 9, 0, 0, 65535, 0, 13107}, 2),
                   row({0, 0, 65535, 0, 1, 2, 3, 26214, 7, 7, 7, 65535}, 2)}),
        3, alpha);
  check("grey_alpha16",
        png_bytes(3, 16, 4, {row({65535, 65535, 9, 0, 40, 13107}, 2), row({30, 0, 20, 26214, 7, 65535}, 2)}), 1, alpha);
  const std::string palette = png_chunk("PLTE", row({255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7}));
  check("palette",
        png_bytes(3, 8, 3, {row({0, 1, 2}), row({1, 3, 0})}, palette + png_chunk("tRNS", row({255, 0, 51, 102}))), 3,
        alpha);
  check("palette2", png_bytes(3, 2, 3, {row({0x18}), row({0x70})}, palette + png_chunk("tRNS", row({255, 0, 51, 102}))),
        3, alpha);
  check("grey_key", png_bytes(3, 8, 0, {row({1, 77, 2}), row({3, 77, 4})}, png_chunk("tRNS", row({77}, 2))), 1, key);
  check("rgb_key",
        png_bytes(3, 8, 2, {row({1, 2, 3, 7, 8, 9, 1, 1, 1}), row({7, 8, 8, 7, 8, 9, 9, 8, 7})},
                  png_chunk("tRNS", row({7, 8, 9}, 2))),
        3, key);
  check("grey_key16",
        png_bytes(3, 16, 0, {row({1, 777, 2}, 2), row({778, 777, 4}, 2)}, png_chunk("tRNS", row({777}, 2))), 1, key);
  check("turned",
        png_bytes(2, 8, 4, {row({30, 0, 255, 255}), row({20, 102, 9, 0}), row({7, 255, 40, 51})},
                  png_chunk("eXIf", exif_of(6, true))),
        1, {1, 0.4f, 0, 0.2f, 0, 1});
}

TEST_CASE("picture files: colours of transparent pixels are those beside them, and alpha has no fringe") {
  // A white disc on black that is transparent.
  Picture colours{40, 30, 3, {}};
  Picture alpha{40, 30, 1, {}};
  for (std::int64_t c = 0; c < 4; ++c) {
    for (std::int64_t y = 0; y < 30; ++y) {
      for (std::int64_t x = 0; x < 40; ++x) {
        const bool inside = std::hypot(static_cast<double>(x - 20), static_cast<double>(y - 15)) < 9.0;
        (c == 3 ? alpha : colours).values.push_back(inside ? 1.0f : 0.0f);
      }
    }
  }
  Picture bled = colours;
  bleed_colours(bled, alpha);
  CHECK(std::ranges::all_of(bled.values, [](float value) { return value == 1.0f; }));
  Picture nothing = colours;
  bleed_colours(nothing, Picture{40, 30, 1, std::vector<float>(1200, 0.0f)});
  CHECK(nothing.values == colours.values);

  CHECK(resampled(alpha, 40, 30).values == alpha.values);
  const Picture large = resampled(alpha, 160, 120);
  REQUIRE(large.values.size() == std::size_t{160 * 120});
  for (std::int64_t y = 0; y < 120; ++y) {
    for (std::int64_t x = 0; x < 160; ++x) {
      const double distance =
          std::hypot((static_cast<double>(x) + 0.5) / 4 - 20.5, (static_cast<double>(y) + 0.5) / 4 - 15.5);
      if (distance < 6.0) CHECK(large.at(0, y, x) == 1.0f);
      if (distance > 12.0) CHECK(large.at(0, y, x) == 0.0f);
    }
  }

  const TempFolder folder;
  const std::string path = (folder.path() / "disc.png").string();
  write_png(path, colours, alpha);
  const Upscaled made = upscale(folder, plain_model(folder, "plain.heed", 1.0f), path);
  CHECK(std::ranges::all_of(made.file.colours.values, [](float value) { return value == 1.0f; }));
  REQUIRE(made.file.alpha.has_value());
  CHECK(made.file.alpha->values == alpha.values);
}

TEST_CASE("picture files: each of the eight orientations is turned as it is meant") {
  const TempFolder folder;
  const std::string model = plain_model(folder, "plain.heed", 1.0f);
  const Picture meant = blocks();
  for (int orientation = 1; orientation <= 8; ++orientation) {
    CAPTURE(orientation);
    const Picture stored = stored_as(meant, orientation);
    for (const bool little : {false, true}) {
      const std::string exif = exif_of(orientation, little);
      const std::string jpeg = jpeg_bytes(stored, jpeg_segment(0xe0, "other") + exif_segment(exif));
      const std::string path = folder.write("a.jpg", jpeg).string();
      CHECK(greatest_difference(read_picture(path).colours, meant) < 0.02);
      if (little) CHECK(greatest_difference(upscale(folder, model, path).file.colours, meant) < 0.02);
    }
  }
  // What says nothing that can be read is left as it is.
  for (const std::string& segment : {std::string(), exif_segment(exif_of(0, true)), exif_segment(exif_of(9, true)),
                                     jpeg_segment(0xe1, "http://ns.adobe.com/xap/1.0/")}) {
    const std::string path = folder.write("b.jpg", jpeg_bytes(meant, segment)).string();
    CHECK(greatest_difference(read_picture(path).colours, meant) < 0.02);
  }
}

TEST_CASE("picture files: damaged Exif data are read as if they were not there") {
  const auto orientation = [](const std::string& bytes) {
    // In a buffer of its own size, so that a sanitizer sees what is read beyond.
    const std::vector<char> copy(bytes.begin(), bytes.end());
    return orientation_of(std::as_bytes(std::span(copy)));
  };
  const std::string exif = exif_of(6, false);
  const std::string whole = "\xff\xd8" + exif_segment(exif) + "\xff\xda";
  REQUIRE(orientation(whole) == 6);
  for (std::size_t size = 0; size < whole.size() - 8; ++size) CHECK(orientation(whole.substr(0, size)) == 1);
  for (std::size_t size = 0; size < 32; ++size) {
    CHECK(orientation("\xff\xd8" + exif_segment(exif.substr(0, size)) + "\xff\xda") == 1);
  }
  const auto changed = [&](std::size_t at, const std::string& by) {
    std::string other = exif;
    other.replace(at, by.size(), by);
    return orientation("\xff\xd8" + exif_segment(other) + "\xff\xda");
  };
  CHECK(changed(0, "XX") == 1);
  CHECK(changed(2, big_endian(43, 2)) == 1);
  CHECK(changed(4, big_endian(0xffffffff)) == 1);  // the directory far away, and where there is no room for it
  CHECK(changed(4, big_endian(static_cast<std::uint32_t>(exif.size() - 1))) == 1);
  CHECK(changed(8, big_endian(0xffff, 2)) == 6);  // more entries than there are
  CHECK(changed(8, big_endian(0, 2)) == 1);
  CHECK(changed(24, big_endian(7, 2)) == 1);  // of another type, of more numbers
  CHECK(changed(26, big_endian(0x40000000)) == 1);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int by : {0x00, 0x01, 0x7f, 0x80, 0xff}) {
      std::string other = whole;
      other[at] = static_cast<char>(by);
      const int found = orientation(other);
      CHECK(found >= 1);
      CHECK(found <= 8);
    }
  }
  const std::string png = png_bytes(1, 8, 0, {"x"}, png_chunk("eXIf", exif));
  REQUIRE(orientation(png) == 6);
  for (std::size_t size = 0; size < 33 + 12 + exif.size() - 1; ++size) CHECK(orientation(png.substr(0, size)) == 1);
}

TEST_CASE("picture files: a picture that is no numbers is an error, and nothing is written") {
  const TempFolder folder;
  const std::string output = (folder.path() / "out.png").string();
  const std::string input = (folder.path() / "in.png").string();
  write_png(input, blocks());
  for (const float factor : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const std::string changes = plain_model(folder, "changes.heed", factor);
    const Finished upscaled = run_heed({"upscale", input, "--model", changes, "-o", output});
    check_error(upscaled, changes + ": the part of 48x32 pixels at 0,0 has ");
    check_error(upscaled, "values that are no finite numbers, the first in channel 0 at 0,0");
    check_error(upscaled, "heed conform");
    check_error(run_heed({"upscale", input, "--model", changes, "-o", output, "--tile", "16", "--overlap", "0"}),
                "the part of 16x16 pixels at 0,0 has ");
    const std::string draws = drawing_model(folder, "draws.heed", factor);
    check_error(run_heed({"draw", draws, "-o", output, "--count", "3"}),
                draws + ": picture 1 of 3 has 4 of 4 values that are no finite numbers");
    CHECK(!fs::exists(output));
    CHECK(!fs::exists(folder.path() / "out-1.png"));
  }
}

TEST_CASE("picture files: a result too large for a PNG is refused before the work") {
  const TempFolder folder;
  const std::string output = (folder.path() / "out.png").string();
  const std::string input = (folder.path() / "in.png").string();
  write_png(input, {450, 450, 3, std::vector<float>(std::size_t{450} * 450 * 3, 0.5f)});
  // Work on it would end with pixels that are no numbers.
  const std::string model = enlarging_model(folder, "larger.heed", std::numeric_limits<float>::quiet_NaN());
  check_error(run_heed({"upscale", input, "--model", model, "-o", output}),
              output + ": not written: 28800x28800 pixels of 3 channels are 2488320000 bytes");
  CHECK(!fs::exists(output));
}

TEST_CASE("picture files: pictures of a few pixels") {
  const TempFolder folder;
  const auto tiny = [&](std::int64_t width, std::int64_t height) {
    Picture picture{width, height, 3, {}};
    for (std::int64_t i = 0; i < 3 * width * height; ++i)
      picture.values.push_back(static_cast<float>(80 + i * 20 % 100) / 255.0f);
    return picture;
  };
  const auto check = [&](const std::string& model, std::int64_t scale, double most) {
    for (const auto& [width, height] : {std::pair{1, 1}, {1, 3}, {3, 1}, {2, 2}, {5, 6}, {4, 40}}) {
      CAPTURE(width);
      CAPTURE(height);
      const Picture picture = tiny(width, height);
      const std::string path = (folder.path() / "tiny.png").string();
      write_png(path, picture);
      const Picture made = upscale(folder, model, path).file.colours;
      REQUIRE(made.width == width * scale);
      REQUIRE(made.height == height * scale);
      double sum = 0.0;
      for (std::size_t i = 0; i < made.values.size(); ++i) sum += static_cast<double>(made.values[i]);
      double expected = 0.0;
      for (const float value : picture.values) expected += static_cast<double>(value);
      CHECK(std::abs(sum / static_cast<double>(made.values.size()) -
                     expected / static_cast<double>(picture.values.size())) < most);
    }
  };
  check(plain_model(folder, "plain.heed", 1.0f), 1, 0.003);
  for (const auto& [name, scale, most] : {std::tuple{"rfdn", 4, 0.1}, {"style-muse", 1, 1.0}}) {
    const std::optional<fs::path> onnx = convert_test::shared_file(fmt::format("models/{}/model.onnx", name));
    if (!onnx) continue;
    const std::string model = (folder.path() / "real.heed").string();
    const fs::path description = fs::path(HEED_SOURCE_DIR) / "models" / "descriptions" / fmt::format("{}.json", name);
    const Finished finished = run_heed({"convert", onnx->string(), "-o", model, "--describe", description.string()});
    REQUIRE_MESSAGE(finished.exit_code == 0, finished.both());
    check(model, scale, most);
  }
}

TEST_CASE("picture files: options that a model cannot use are refused by name") {
  const TempFolder folder;
  const std::string model = drawing_model(folder, "draws.heed", 1.0f);
  const std::string output = (folder.path() / "out.png").string();
  const fs::path maps = folder.path() / "maps";
  const auto refused = [&](std::vector<std::string> more, const std::string& part) {
    CAPTURE(part);
    more.insert(more.begin(), {"draw", model, "-o", output});
    check_error(run_heed(more), part);
    CHECK(!fs::exists(output));
    CHECK(!fs::exists(maps));
  };
  refused({"--steps", "10"}, model + ": --steps 10: the model draws at once, it has no steps");
  refused({"--guidance", "1"}, model + ": --guidance 1: the model draws at once");
  refused({"--class", "3"}, model + ": the model has no classes");
  refused({"--maps", maps.string()}, model + ": the model shows no attention");
  refused({"--steps", "10", "--maps", maps.string()}, model + ": --steps 10");
  for (const char* option : {"--seed", "--count"}) {
    const Finished finished = run_heed({"draw", model, "-o", output, "--interpolate", "1", "2", "3", option, "7"});
    CHECK(finished.exit_code != 0);
    CHECK(finished.error.find(std::string(option) + " excludes --interpolate") != std::string::npos);
    CHECK(!fs::exists(output));
  }
  const Finished walk = run_heed({"draw", model, "-o", output, "--interpolate", "1", "2", "3"});
  REQUIRE_MESSAGE(walk.exit_code == 0, walk.both());
  CHECK(walk.error.find("seeds 1 to 2") != std::string::npos);
}

TEST_CASE("picture files: bench says which sizes would fit the device") {
  const TempFolder folder;
  const std::string model = plain_model(folder, "plain.heed", 1.0f);
  // What a device binds is at least 128 MiB and at most 4 GiB: 3 planes of 20,000 x 40,000 floats are 9.6 GB.
  const Finished finished = run_heed({"bench", model, "--bind", "height=20000", "--bind", "width=40000"});
  check_error(finished, "; 'heed upscale' works on pictures in parts (--tile)");
  check_error(finished, "; height=");
  std::int64_t height = 0;
  std::int64_t width = 0;
  const std::size_t at = finished.error.find("; height=");
  REQUIRE(at != std::string::npos);
  REQUIRE(std::sscanf(finished.error.c_str() + at, "; height=%ld width=%ld fits;", &height, &width) == 2);
  CHECK(std::abs(static_cast<double>(width) / static_cast<double>(height) - 2.0) < 0.02);
  CHECK(height >= 2300);  // 3 x 4 x 2 x 2300^2 = 127 million bytes
  CHECK(height < 20000);
  // Sizes that no device changes are refused as before.
  const Finished none = run_heed({"bench", model, "--bind", "height=3", "--bind", "width=3"});
  check_error(none, "windows of 5 do not fit 3");
  CHECK(none.error.find(" fits") == none.error.npos);
}

}  // namespace heed::end_to_end
