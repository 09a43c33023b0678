#include "formats/png_data.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "heed/error.h"

namespace heed {
namespace {

constexpr std::size_t kSignature = 8, kHeader = 13, kZlibHeader = 2;
constexpr std::uint64_t kBestRatio = 1032;  // of deflate: 258 bytes for a quarter of one
constexpr std::uint64_t kSlack = 1 << 16;

using PngBytes = std::span<const unsigned char>;

std::uint32_t number_at(PngBytes bytes, std::size_t at) {
  return std::uint32_t{bytes[at]} << 24 | std::uint32_t{bytes[at + 1]} << 16 | std::uint32_t{bytes[at + 2]} << 8 |
         bytes[at + 3];
}

/// The most bytes that rows of this header take, each with a byte before it; those of interlaced files are more rows.
std::uint64_t most_bytes(PngBytes header) {
  constexpr std::array<std::uint64_t, 7> kChannels = {1, 0, 3, 1, 2, 0, 4};
  const std::uint64_t width = number_at(header, 0), height = number_at(header, 4);
  const std::uint64_t bits = header[8] * (header[9] < kChannels.size() ? kChannels[header[9]] : 4);
  return 2 * height * (width * bits / 8 + 2) + kSlack;
}

/// The parts of the compressed data, and the header; the latter empty where it is none.
struct Chunks {
  PngBytes header;
  std::vector<PngBytes> data;
  std::uint64_t size = 0;
};

Chunks chunks_of(PngBytes bytes) {
  Chunks chunks;
  for (std::size_t at = kSignature; at + 8 <= bytes.size();) {
    const std::size_t length = number_at(bytes, at);
    const std::string_view type(reinterpret_cast<const char*>(bytes.data()) + at + 4, 4);
    at += 8;
    if (length > bytes.size() - at) break;
    if (type == "IHDR" && length == kHeader && chunks.header.empty()) chunks.header = bytes.subspan(at, length);
    if (type == "IDAT") {
      chunks.data.push_back(bytes.subspan(at, length));
      chunks.size += length;
    }
    if (type == "IEND") break;
    at += std::min(length + 4, bytes.size() - at);
  }
  return chunks;
}

}  // namespace

void check_png_data(std::span<const unsigned char> bytes, const std::string& where) {
  const Chunks chunks = chunks_of(bytes);
  if (chunks.header.empty()) return;
  const std::uint64_t most = most_bytes(chunks.header);
  if (chunks.size <= most / kBestRatio) return;

  z_stream stream;
  std::memset(&stream, 0, sizeof(stream));
  // Without the two bytes before it, which may name a smaller window than readers look at.
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) throw Error(fmt::format("{}: no memory to unpack the picture", where));
  const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&stream, inflateEnd);
  std::vector<unsigned char> piece(1 << 16);
  std::uint64_t unpacked = 0;
  std::size_t skipped = 0;
  for (PngBytes part : chunks.data) {
    const std::size_t skip = std::min(kZlibHeader - skipped, part.size());
    skipped += skip;
    part = part.subspan(skip);
    stream.next_in = const_cast<unsigned char*>(part.data());
    stream.avail_in = static_cast<unsigned>(part.size());
    do {
      stream.next_out = piece.data();
      stream.avail_out = static_cast<unsigned>(piece.size());
      const int result = inflate(&stream, Z_NO_FLUSH);
      unpacked += piece.size() - stream.avail_out;
      if (unpacked > most) {
        throw Error(fmt::format("{}: the picture is damaged: its data unpack to more than {}x{} pixels", where,
                                number_at(chunks.header, 0), number_at(chunks.header, 4)));
      }
      if (result == Z_STREAM_END) return;
      // Not passed over: a reader that takes what is wrong here could unpack any amount of it.
      if (result != Z_OK && result != Z_BUF_ERROR) {
        throw Error(fmt::format("{}: the picture is damaged: its data cannot be unpacked", where));
      }
    } while (stream.avail_in > 0 || stream.avail_out == 0);
  }
}

}  // namespace heed
