#include "formats/attention_file.h"

#include <doctest/doctest.h>
#include <zip.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>

#include "formats/npy.h"
#include "formats/npz.h"
#include "formats/picture_file.h"
#include "formats/token_text.h"
#include "heed/error.h"
#include "tests/temporary_folder.h"
#include "tests/unit/formats/sample_attention.h"

namespace heed {
namespace {

using testing::even_attention;
using testing::sample_attention;
using testing::TemporaryFolder;

std::string refusal(const std::filesystem::path& out, const Attention& attention) {
  try {
    write_attention(out, attention, {});
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Sizes of the colours that a picture has where it is no grey: the cells, and the bar of the scale.
float lightness(const Picture& picture, std::int64_t y, std::int64_t x) {
  return (picture.at(0, y, x) + picture.at(1, y, x) + picture.at(2, y, x)) / 3;
}

/// The arrays of a .npz file as libzip reads it.
std::map<std::string, std::vector<std::byte>> entries_of(const std::filesystem::path& path) {
  std::map<std::string, std::vector<std::byte>> entries;
  int error = 0;
  zip_t* const archive = zip_open(path.c_str(), ZIP_RDONLY | ZIP_CHECKCONS, &error);
  REQUIRE(archive != nullptr);
  for (zip_int64_t i = 0; i < zip_get_num_entries(archive, 0); ++i) {
    zip_stat_t stat;
    REQUIRE(zip_stat_index(archive, static_cast<zip_uint64_t>(i), 0, &stat) == 0);
    std::vector<std::byte>& bytes = entries[stat.name];
    bytes.resize(stat.size);
    zip_file_t* const file = zip_fopen_index(archive, static_cast<zip_uint64_t>(i), 0);
    REQUIRE(file != nullptr);
    CHECK(zip_fread(file, bytes.data(), stat.size) == static_cast<zip_int64_t>(stat.size));
    zip_fclose(file);
  }
  zip_discard(archive);
  return entries;
}

}  // namespace

TEST_CASE("attention file: only what can be shown is written, and nothing by half") {
  const TemporaryFolder folder;
  const Attention good = sample_attention();
  for (const char* name : {"out.svg", "out", "out.npy"}) {
    CHECK(refusal(folder.path(name), good) ==
          folder.path(name).string() +
              ": attention is written as .png (a picture), .html (a page) or .npz (arrays); "
              "choose a name that ends in one of them");
  }
  CHECK(folder.names().empty());
  for (const char* name : {"out.png", "out.html", "out.npz"}) {
    CAPTURE(std::string(name));
    const std::filesystem::path out = folder.path(name);
    std::ofstream(out) << "what was there";
    Attention bad = good;
    bad.target.clear();
    CHECK(refusal(out, bad).find(std::string(name) + ": not written: attention: there are no target tokens") !=
          std::string::npos);
    bad = good;
    bad.nodes[1].weights[3] = std::numeric_limits<float>::quiet_NaN();
    CHECK(refusal(out, bad).find("no finite number") != std::string::npos);
    CHECK(content_of(out) == "what was there");
    CHECK(refusal(out, good).empty());
    CHECK(content_of(out) != "what was there");
    CHECK(refusal(folder.path("no_such_folder") / name, good).find("no_such_folder") != std::string::npos);
  }
  CHECK(folder.names() == std::vector<std::string>{"out.html", "out.npz", "out.png"});
  CHECK(refusal(folder.path("capital.PNG"), good).empty());
}

TEST_CASE("attention picture: rows and columns stand where they should, dark where much was looked at") {
  const TemporaryFolder folder;
  const std::filesystem::path out = folder.path("out.png");
  Attention attention = even_attention(2, 3);
  attention.nodes[0].weights = {0, 1, 0, 0.25f, 0, 0.75f};
  write_attention(out, attention, {});
  const Picture picture = read_picture(out).colours;
  REQUIRE(picture.channels == 3);
  // The grid ends where its last cell does: 36 pixels a cell, the right margin 12 or what the legend needs.
  CHECK(picture.at(0, 0, 0) == 1.0f);
  // Cells are found by their colour: the darkest of all is (0, 1).
  std::int64_t left = -1, top = -1;
  for (std::int64_t y = 0; y < picture.height && top < 0; ++y) {
    for (std::int64_t x = 0; x < picture.width; ++x) {
      // blue, no grey
      if (lightness(picture, y, x) < 0.35f && picture.at(2, y, x) > picture.at(0, y, x) + 0.2f) {
        left = x;
        top = y;
        break;
      }
    }
  }
  REQUIRE(top >= 0);
  constexpr std::int64_t kCell = 36;
  const auto at = [&](std::int64_t row, std::int64_t column) {
    return lightness(picture, top + row * kCell + kCell / 2, left + (column - 1) * kCell + kCell / 2);
  };
  CHECK(at(0, 0) == 1.0f);
  CHECK(at(0, 1) < 0.25f);
  CHECK(at(0, 2) == 1.0f);
  CHECK(at(1, 1) == 1.0f);
  CHECK(at(1, 2) < at(1, 0));
  CHECK(at(1, 2) > at(0, 1));
  // Labels: something dark left of each row, and above each column.
  for (std::int64_t row = 0; row < 2; ++row) {
    float darkest = 1;
    for (std::int64_t y = top + row * kCell; y < top + (row + 1) * kCell - 1; ++y) {
      for (std::int64_t x = 0; x < left - kCell - 2; ++x) darkest = std::min(darkest, lightness(picture, y, x));
    }
    CHECK(darkest < 0.4f);
  }
  for (std::int64_t column = 0; column < 3; ++column) {
    float darkest = 1;
    for (std::int64_t y = 0; y < top - 2; ++y) {
      for (std::int64_t x = 0; x < kCell - 1; ++x) {
        darkest = std::min(darkest, lightness(picture, y, left + (column - 1) * kCell + x));
      }
    }
    CHECK(darkest < 0.4f);
  }
  // White all around.
  for (std::int64_t x = 0; x < picture.width; ++x) CHECK(lightness(picture, picture.height - 3, x) == 1.0f);
}

TEST_CASE("attention picture: cells have room for labels, and pictures an end") {
  const TemporaryFolder folder;
  const std::filesystem::path out = folder.path("out.png");
  write_attention(out, even_attention(60, 80), {});
  const Picture picture = read_picture(out).colours;
  CHECK(picture.width > 80 * 18);
  CHECK(picture.width < 80 * 18 + 120);
  CHECK(picture.height > 60 * 18);
  CHECK(picture.height < 60 * 18 + 160);
  CHECK(refusal(out, even_attention(1, 400)).empty());
  for (const char* name : {"out.png", "out.html"}) {
    CHECK(refusal(folder.path(name), even_attention(401, 2)).find("attention of 401 tokens to 2: at most 400 a side") !=
          std::string::npos);
    CHECK(refusal(folder.path(name), even_attention(2, 401)).find("at most 400") != std::string::npos);
  }
  CHECK(refusal(folder.path("out.npz"), even_attention(401, 2)).empty());
  Attention large = even_attention(400, 400);
  large.nodes[0].heads = 26;
  large.nodes[0].weights.resize(26 * 160'000);
  CHECK(refusal(folder.path("out.html"), large).find("a page of 4160000 weights, expected at most 4000000") !=
        std::string::npos);
}

TEST_CASE("attention picture: labels of any kind") {
  const TemporaryFolder folder;
  Attention attention = even_attention(6, 6);
  attention.source = {"", std::string(1, '\0'), "\xFF\xFE", std::string(5000, 'x'), "<b>&amp;</b>", "\u202Eevil"};
  attention.target = {" 私", "e\u0301\u0323", "\u0301", "\U0001F469\u200D\U0001F680", "\n\r\t", "\u0627\u0644"};
  write_attention(folder.path("out.png"), attention, {});
  const Picture picture = read_picture(folder.path("out.png")).colours;
  CHECK(picture.height < 700);  // long labels are cut
  // Weights of nothing, as of rows that are masked as a whole.
  attention.nodes[0].weights.assign(36, 0.0f);
  CHECK(refusal(folder.path("out.png"), attention).empty());
  CHECK(refusal(folder.path("out.html"), attention).empty());
}

TEST_CASE("attention arrays: what NumPy reads") {
  const TemporaryFolder folder;
  const std::filesystem::path out = folder.path("out.npz");
  Attention attention = sample_attention();
  attention.nodes[1].node = attention.nodes[0].node;
  attention.target[1] = " \u79C1\U0001F600\xE3";
  write_attention(out, attention, {});
  const auto entries = entries_of(out);
  REQUIRE(entries.size() == 4);
  const NpyArray first = parse_npy(entries.at("layer0.cross_attention.npy"), "first");
  CHECK(first.shape == Shape{2, 6, 6});
  CHECK(first.floats("first") == attention.nodes[0].weights);
  CHECK(entries.contains("layer0.cross_attention.2.npy"));
  const std::vector<std::byte>& texts = entries.at("target.npy");
  const std::string header(reinterpret_cast<const char*>(texts.data()), texts.size());
  CHECK(header.find("{'descr': '<U6', 'fortran_order': False, 'shape': (6,), }") != std::string::npos);
  REQUIRE(texts.size() % 64 == 6 * 6 * 4 % 64);
  char32_t second[6];
  std::memcpy(second, texts.data() + texts.size() - sizeof second * 5, sizeof second);
  CHECK(std::u32string(second, 6) == std::u32string{U' ', U'\u79C1', U'\U0001F600', 0xDCE3, 0, 0});

  const std::string before = content_of(out);
  write_attention(out, attention, {});
  CHECK(content_of(out) == before);
}

TEST_CASE("npz: no name leads out of the folder that it is unpacked into") {
  const TemporaryFolder folder;
  const std::vector<std::byte> array = npy_texts({"a"});
  for (const std::string name : {"../x", "/x", "a/../b", "a\\b", "C:x", "", "a\nb", ".."}) {
    CAPTURE(name);
    CHECK_THROWS_WITH_AS(write_npz(folder.path("out.npz"), {{name, array}}), doctest::Contains("is no name"), Error);
  }
  CHECK_THROWS_AS(write_npz(folder.path("out.npz"), {{"\xFF", array}}), Error);  // no UTF-8
  CHECK_THROWS_AS(write_npz(folder.path("out.npz"), {{"a", array}, {"a", array}}), Error);
  CHECK(folder.names().empty());
  write_npz(folder.path("out.npz"), {{"layer0/attention.weights", array}});
  CHECK(entries_of(folder.path("out.npz")).contains("layer0/attention.weights.npy"));
  CHECK_THROWS_WITH_AS(write_npz(folder.path("none.npz"), {}), doctest::Contains("no arrays"), Error);
}

TEST_CASE("token text: spaces and what cannot be seen are shown") {
  CHECK(visible_token(" a b") == "\u2581a\u2581b");
  CHECK(visible_token("") == "(empty)");
  CHECK(visible_token("\n\t\x1B\x7F") == "\\n\\t\\x1B\\x7F");
  CHECK(visible_token(std::string_view("\0a", 2)) == "\\x00a");
  CHECK(visible_token("\xE3\x81") == "\\xE3\\x81");
  CHECK(visible_token("\xE3\x81\x82\xFF") == "\u3042\\xFF");
  CHECK(visible_token("\u202E\u2028\u00AD") == "\\u202E\\u2028\\xAD");
  CHECK(visible_token("\u0085") == "\\x85");
  CHECK(visible_token("e\u0301 \U0001F469\u200D\U0001F680") == "e\u0301\u2581\U0001F469\u200D\U0001F680");
  CHECK(visible_token("\xED\xA0\x80") == "\\xED\\xA0\\x80");  // a surrogate
  CHECK(visible_token("\xC0\x80") == "\\xC0\\x80");           // an overlong form
  CHECK(code_points("\xED\xA0\x80") == std::u32string{0xDCED, 0xDCA0, 0xDC80});
}

}  // namespace heed
