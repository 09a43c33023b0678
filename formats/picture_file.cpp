#include "formats/picture_file.h"

#include <fmt/format.h>
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <memory>
#include <span>
#include <string_view>

#include "file/output_file.h"
#include "formats/exif.h"
#include "formats/png_data.h"
#include "heed/error.h"

namespace heed {
namespace {

constexpr int kMostPixels = 16384;  // on a side
constexpr std::streamoff kMostBytes = std::streamoff{1} << 30;

/// Planes out of pixels whose channels lie together; `full` is the greatest number.
template <typename T>
Picture planes_of(const T* pixels, std::int64_t width, std::int64_t height, std::int64_t channels, float full) {
  Picture picture{width, height, channels, {}};
  picture.values.reserve(static_cast<std::size_t>(width * height * channels));
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::int64_t i = 0; i < width * height; ++i) {
      picture.values.push_back(static_cast<float>(pixels[i * channels + c]) / full);
    }
  }
  return picture;
}

/// The library's reasons are a word or two, as programmers know them.
[[noreturn]] void fail_damaged(const std::string& where) {
  const std::string_view reason = stbi_failure_reason();
  throw Error(fmt::format("{}: the picture is damaged: {}", where,
                          reason == "outofdata" ? "it ends before its last pixel" : reason));
}

}  // namespace

PictureFile read_picture(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  const int problem = errno;
  const bool folder =
      file && !std::filesystem::is_regular_file(path);  // it opens, and is as large as the largest number
  if (!file || folder) {
    throw Error(
        fmt::format("{}: cannot open: {}", path.string(), folder ? "not a regular file" : std::strerror(problem)));
  }
  const auto size = static_cast<std::streamoff>(file.tellg());
  if (size > kMostBytes) throw Error(fmt::format("{}: {} bytes are too many for a picture", path.string(), size));
  std::vector<unsigned char> bytes(static_cast<std::size_t>(size));
  file.seekg(0);
  if (!file.read(reinterpret_cast<char*>(bytes.data()), size))
    throw Error(fmt::format("{}: cannot read", path.string()));
  return parse_picture(bytes, path.string());
}

PictureFile parse_picture(std::span<const unsigned char> bytes, const std::string& where, std::int64_t most_pixels) {
  const bool png = bytes.size() > 16 && bytes[0] == 0x89 && bytes[1] == 'P' && bytes[2] == 'N' && bytes[3] == 'G';
  const bool jpeg = bytes.size() > 3 && bytes[0] == 0xff && bytes[1] == 0xd8;
  if (!png && !jpeg) throw Error(fmt::format("{}: is neither PNG nor JPEG", where));
  int width = 0;
  int height = 0;
  int channels = 0;
  const auto length = static_cast<int>(bytes.size());
  // An iPhone's own variant keeps blue first and colours times alpha, which the reader does not turn back.
  if (png && std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()).substr(12, 4) == "CgBI") {
    throw Error(fmt::format("{}: is PNG as iPhones' programs keep it (CgBI); make a plain PNG of it", where));
  }
  if (stbi_info_from_memory(bytes.data(), length, &width, &height, &channels) == 0) {
    fail_damaged(where);
  }
  if (width < 1 || height < 1 || width > kMostPixels || height > kMostPixels) {
    throw Error(fmt::format("{}: {}x{} pixels, expected 1 to {} on each side", where, width, height, kMostPixels));
  }
  if (std::int64_t{width} * height > most_pixels) {
    throw Error(fmt::format("{}: {}x{} pixels are more than the {} that are taken; make the picture smaller", where,
                            width, height, most_pixels));
  }
  if (png) check_png_data(bytes, where);
  PictureFile result;
  result.bits = stbi_is_16_bit_from_memory(bytes.data(), length) != 0 ? 16 : 8;
  // No number of channels is asked for: only then are those of a palette's or a key colour's transparency given.
  if (result.bits == 16) {
    const std::unique_ptr<stbi_us, void (*)(void*)> pixels(
        stbi_load_16_from_memory(bytes.data(), length, &width, &height, &channels, 0), stbi_image_free);
    if (pixels != nullptr) result.colours = planes_of(pixels.get(), width, height, channels, 65535.0f);
  } else {
    const std::unique_ptr<stbi_uc, void (*)(void*)> pixels(
        stbi_load_from_memory(bytes.data(), length, &width, &height, &channels, 0), stbi_image_free);
    if (pixels != nullptr) result.colours = planes_of(pixels.get(), width, height, channels, 255.0f);
  }
  if (result.colours.values.empty()) {
    fail_damaged(where);
  }
  const int orientation = orientation_of(std::as_bytes(bytes));
  if (channels == 2 || channels == 4) {
    const auto count = static_cast<std::ptrdiff_t>(width) * height;
    std::vector<float>& all = result.colours.values;
    result.alpha = turned({width, height, 1, {all.end() - count, all.end()}}, orientation);
    all.resize(all.size() - static_cast<std::size_t>(count));
    --result.colours.channels;
  }
  result.colours = turned(result.colours, orientation);
  return result;
}

void check_png_path(const std::filesystem::path& output, const std::vector<std::filesystem::path>& read) {
  std::string extension = output.extension().string();
  std::ranges::transform(extension, extension.begin(), [](unsigned char c) { return std::tolower(c); });
  constexpr std::string_view kOthers[] = {".jpg",  ".jpeg", ".bmp", ".gif",  ".webp", ".tif",
                                          ".tiff", ".tga",  ".ppm", ".avif", ".heic"};
  if (std::ranges::find(kOthers, extension) != std::end(kOthers)) {
    throw Error(fmt::format("{}: heed writes PNG files; choose a name that ends in .png", output.string()));
  }
  check_output_path(output, read);
}

void check_png_size(const std::filesystem::path& path, std::int64_t width, std::int64_t height, std::int64_t channels) {
  // The library that packs it counts bytes in an int, a byte for each row among them.
  constexpr std::int64_t kMostPacked = std::numeric_limits<int>::max();
  if (height * (width * channels + 1) <= kMostPacked) return;
  throw Error(
      fmt::format("{}: not written: {}x{} pixels of {} channels are {} bytes, and a PNG here holds at most {}; "
                  "enlarge the picture in parts",
                  path.string(), width, height, channels, width * height * channels, kMostPacked));
}

std::string png_bytes(const Picture& picture, const std::optional<Picture>& alpha, const std::string& where) {
  const auto count = static_cast<std::size_t>(picture.width * picture.height);
  const auto colours = static_cast<std::size_t>(picture.channels);
  const std::size_t channels = colours + (alpha ? 1 : 0);
  check_png_size(where, picture.width, picture.height, static_cast<std::int64_t>(channels));
  std::vector<unsigned char> pixels(count * channels);
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t c = 0; c < channels; ++c) {
      const float value = c < colours ? picture.values[c * count + i] : alpha->values[i];
      if (!std::isfinite(value)) {
        throw Error(fmt::format("{}: not written: the picture has pixels that are no finite numbers", where));
      }
      pixels[i * channels + c] = static_cast<unsigned char>(std::lround(std::clamp(value, 0.0f, 1.0f) * 255.0f));
    }
  }
  const int width = static_cast<int>(picture.width);
  const int height = static_cast<int>(picture.height);
  const int planes = static_cast<int>(channels);
  std::string bytes;
  const auto append = [](void* context, void* data, int size) {
    static_cast<std::string*>(context)->append(static_cast<const char*>(data), static_cast<std::size_t>(size));
  };
  if (stbi_write_png_to_func(append, &bytes, width, height, planes, pixels.data(), width * planes) == 0) {
    throw Error(fmt::format("{}: cannot be packed as PNG", where));
  }
  return bytes;
}

void write_png(const std::filesystem::path& path, const Picture& picture, const std::optional<Picture>& alpha) {
  const std::string bytes = png_bytes(picture, alpha, path.string());
  OutputFile file(path);
  file.append(std::as_bytes(std::span(bytes)));
  file.commit();
}

Picture grid_of(const std::vector<Picture>& pictures, std::size_t columns) {
  const Picture& first = pictures.front();
  const std::size_t rows = (pictures.size() + columns - 1) / columns;
  Picture grid{static_cast<std::int64_t>(columns) * (first.width + 1) - 1,
               static_cast<std::int64_t>(rows) * (first.height + 1) - 1,
               first.channels,
               {}};
  grid.values.assign(static_cast<std::size_t>(grid.width * grid.height * grid.channels), 0.0f);
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    const auto left = static_cast<std::int64_t>(i % columns) * (first.width + 1);
    const auto top = static_cast<std::int64_t>(i / columns) * (first.height + 1);
    for (std::int64_t c = 0; c < first.channels; ++c) {
      for (std::int64_t y = 0; y < first.height; ++y) {
        for (std::int64_t x = 0; x < first.width; ++x) grid.at(c, top + y, left + x) = pictures[i].at(c, y, x);
      }
    }
  }
  return grid;
}

}  // namespace heed
