#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "file/model_file.h"
#include "graph/integer.h"

namespace heed {

/// The fixed part before the JSON header: magic, version, length of the JSON header, XXH3 of the 16 bytes before it and
/// the JSON header.
inline constexpr std::uint64_t kPreambleBytes = 24;
inline constexpr std::uint64_t kChecksummedPreambleBytes = 16;
inline constexpr std::uint64_t kMaxHeaderBytes = std::uint64_t{1} << 25;

/// The smallest multiple of kTensorAlignment that is not below `offset`, which is at most 2^63.
constexpr std::uint64_t align_up(std::uint64_t offset) { return round_up(offset, kTensorAlignment); }

/// Where the first entry of a file lies whose JSON header has `header_bytes`.
constexpr std::uint64_t data_begin(std::uint64_t header_bytes) { return align_up(kPreambleBytes + header_bytes); }

/// What a JSON header says.
struct ParsedHeader {
  ModelHeader model;
  std::vector<FileInfo> files;
};

/// Gives tensors and embedded files the sizes of their types, shapes and contents and lays them out one after the
/// other; offsets count from the data's begin. Returns the end of the last one. Throws Error for shapes that no tensor
/// can have.
std::uint64_t lay_out(std::vector<TensorInfo>& tensors, std::vector<FileInfo>& files);

/// The JSON header. Its length does not depend on checksums, so that it can be written before they are known. Throws
/// Error for text that is not UTF-8.
std::string header_text(const ModelHeader& model, const std::vector<FileInfo>& files);

/// The inverse, with everything checked: `data_bytes` is what the file holds behind the header and its padding. Offsets
/// count from the data's begin. Throws Error, beginning with `where`, for anything that format.md does not allow.
ParsedHeader parse_header(std::string_view text, std::uint64_t data_bytes, const std::string& where);

/// The first kPreambleBytes of the file with this JSON header.
std::string preamble(std::string_view header);

}  // namespace heed
