// libFuzzer target for PNG and JPEG files with transparency and Exif data: only heed::Error may escape. Run it with
// -rss_limit_mb=3000 -malloc_limit_mb=5000: stb_image allocates what a chunk says before it reads it, and does without.
#include <stb/stb_image.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "formats/exif.h"
#include "formats/picture_alpha.h"
#include "formats/picture_file.h"
#include "heed/error.h"

namespace {

constexpr int kMostFuzzedPixels = 1 << 16;  // larger pictures take time and memory, and no other code

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const int orientation = heed::orientation_of(std::as_bytes(std::span(data, size)));
  check(orientation >= 1 && orientation <= 8);
  int width = 0;
  int height = 0;
  int channels = 0;
  const bool known = stbi_info_from_memory(data, static_cast<int>(size), &width, &height, &channels) != 0;
  if (known && static_cast<std::int64_t>(width) * height > kMostFuzzedPixels) return 0;
  try {
    heed::PictureFile file = heed::parse_picture({data, size}, "fuzz");
    const heed::Picture& colours = file.colours;
    check(colours.channels == 1 || colours.channels == 3);
    const auto pixels = static_cast<std::size_t>(colours.width * colours.height);
    check(colours.values.size() == pixels * static_cast<std::size_t>(colours.channels));
    check((orientation >= 5 ? colours.height : colours.width) == width);
    if (file.alpha) {
      check(file.alpha->values.size() == pixels);
      heed::bleed_colours(file.colours, *file.alpha);
      const heed::Picture large = heed::resampled(*file.alpha, colours.width * 2, colours.height * 3);
      check(large.values.size() == pixels * 6);
    }
    for (const float value : colours.values) check(value >= 0.0f && value <= 1.0f);
  } catch (const heed::Error&) {  // what bad input ends in
  }
  return 0;
}
