#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "file/model_file.h"
#include "graph/convert_dtype.h"
#include "graph/shape.h"
#include "heed/error.h"
#include "tools/convert/convert.h"

namespace heed::convert {

namespace {

constexpr std::size_t kPieceElements = 64 << 10;  // a multiple of every block; fits the second-level cache as f32

[[noreturn]] void not_finite(const SourceTensor& tensor, std::size_t element, float value, const std::string& why) {
  throw Error(fmt::format("tensor '{}' {}: element {} is {}{}", tensor.shown_name(), to_string(tensor.shape), element,
                          value, why));
}

std::size_t first_not_finite(std::span<const float> values) {
  // Finite numbers times zero are zero, anything else is not a number: a sum of them tells without a branch each.
  float sum = 0;
  for (const float value : values) sum += value * 0.0f;
  if (sum == 0.0f) return values.size();
  return static_cast<std::size_t>(std::ranges::find_if_not(values, [](float v) { return std::isfinite(v); }) -
                                  values.begin());
}

}  // namespace

void convert_tensor(const SourceTensor& tensor, DType type,
                    const std::function<void(std::span<const std::byte>)>& sink) {
  const std::vector<std::byte> bytes = tensor.read();
  if (bytes.size() != byte_size(tensor.dtype, tensor.shape)) {
    throw Error(fmt::format("tensor '{}' has {} bytes; expected {} for {} {}", tensor.shown_name(), bytes.size(),
                            byte_size(tensor.dtype, tensor.shape), dtype_name(tensor.dtype), to_string(tensor.shape)));
  }
  if (!is_floating(tensor.dtype)) return sink(bytes);
  const DTypeInfo& from = dtype_info(tensor.dtype);
  const DTypeInfo& to = dtype_info(type);
  const auto elements = static_cast<std::size_t>(element_count(tensor.shape));
  std::vector<float> values(std::min(elements, kPieceElements));
  std::vector<std::byte> encoded;
  for (std::size_t begin = 0; begin < elements; begin += kPieceElements) {
    const std::size_t count = std::min(kPieceElements, elements - begin);
    const auto piece = std::span(bytes).subspan(begin / from.block_elements * from.block_bytes,
                                                count / from.block_elements * from.block_bytes);
    const std::span<float> decoded = std::span(values).first(count);
    decode_to_f32(tensor.dtype, piece, count, decoded.data());
    if (const std::size_t bad = tensor.any_number ? count : first_not_finite(decoded); bad < count) {
      not_finite(tensor, begin + bad, decoded[bad], "; the checkpoint is damaged or was not trained to an end");
    }
    if (type == tensor.dtype) {
      sink(piece);
      continue;
    }
    encoded.resize(count / to.block_elements * to.block_bytes);
    try {
      encode_from_f32(type, decoded, encoded);
    } catch (const Error& error) {
      throw Error(fmt::format("tensor '{}': {}", tensor.shown_name(), error.what()));
    }
    if ((type == DType::F16 || type == DType::BF16) && !tensor.any_number) {
      std::vector<float> check(count);
      decode_to_f32(type, encoded, count, check.data());
      if (const std::size_t bad = first_not_finite(check); bad < count) {
        not_finite(tensor, begin + bad, decoded[bad], fmt::format(", too large for {}; use another type", to.name));
      }
    }
    sink(encoded);
  }
}

std::vector<float> tensor_values(const SourceTensor& tensor) {
  std::vector<std::byte> bytes;
  convert_tensor(tensor, DType::F32,
                 [&](std::span<const std::byte> piece) { bytes.insert(bytes.end(), piece.begin(), piece.end()); });
  std::vector<float> values(bytes.size() / sizeof(float));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

bool same_values(const SourceTensor& a, const SourceTensor& b) {
  if (a.shape != b.shape) return false;
  // One tensor at a time is in memory.
  const auto digest = [](const SourceTensor& tensor) {
    Checksum checksum;
    convert_tensor(tensor, DType::F32, [&](std::span<const std::byte> values) { checksum.update(values); });
    return checksum.digest();
  };
  return digest(a) == digest(b);
}

}  // namespace heed::convert
