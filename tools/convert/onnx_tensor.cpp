#include "tools/convert/onnx_tensor.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>

#include "graph/convert_dtype.h"
#include "graph/integer.h"
#include "heed/error.h"
#include "tools/convert/onnx_proto.h"
#include "tools/convert/source_file.h"
#include "tools/convert/text.h"

namespace heed::convert {
namespace {

namespace fs = std::filesystem;

template <typename T>
double number(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return static_cast<double>(value);
}

double half(const std::byte* at, float (*widen)(std::uint16_t)) {
  std::uint16_t bits;
  std::memcpy(&bits, at, sizeof bits);
  return static_cast<double>(widen(bits));
}

double element(DType type, const std::byte* at) {
  switch (type) {
    case DType::F32:
      return number<float>(at);
    case DType::F64:
      return number<double>(at);
    case DType::F16:
      return half(at, f16_to_f32);
    case DType::BF16:
      return half(at, bf16_to_f32);
    case DType::I64:
      return number<std::int64_t>(at);
    case DType::U64:
      return number<std::uint64_t>(at);
    case DType::I32:
      return number<std::int32_t>(at);
    case DType::U32:
      return number<std::uint32_t>(at);
    case DType::I16:
      return number<std::int16_t>(at);
    case DType::U16:
      return number<std::uint16_t>(at);
    case DType::I8:
      return number<std::int8_t>(at);
    case DType::Bool:
      return number<std::uint8_t>(at) != 0.0 ? 1.0 : 0.0;
    default:
      return number<std::uint8_t>(at);
  }
}

std::string external_data(const onnx::TensorProto& tensor, const std::string& what, const fs::path& folder,
                          std::uint64_t bytes) {
  std::string location;
  std::uint64_t offset = 0;
  std::uint64_t length = bytes;
  for (const onnx::StringStringEntryProto& entry : tensor.external_data()) {
    const auto to_number = [&] {
      std::uint64_t value = 0;
      for (const char c : entry.value()) {
        if (c < '0' || c > '9' || value > (std::uint64_t{1} << 58)) {
          throw Error(fmt::format("{}: external data has {} {}", what, entry.key(), in_quotes(entry.value())));
        }
        value = value * 10 + static_cast<std::uint64_t>(c - '0');
      }
      return value;
    };
    if (entry.key() == "location") location = entry.value();
    if (entry.key() == "offset") offset = to_number();
    if (entry.key() == "length") length = to_number();
  }
  if (length != bytes) throw Error(fmt::format("{}: {} bytes of external data, expected {}", what, length, bytes));
  const fs::path path(location);
  bool inside = !location.empty() && path.is_relative();
  for (const fs::path& part : path) inside = inside && part != "..";
  if (!inside) {
    throw Error(fmt::format("{}: external data in {}, which is not beside the model", what, in_quotes(location)));
  }
  return SourceFile::open(folder / path)->read_text(offset, bytes);
}

template <typename Field>
void copy_elements(const Field& field, HostTensor& tensor) {
  tensor.data.reserve(static_cast<std::size_t>(field.size()));
  for (const auto value : field) {
    double element_value = static_cast<double>(value);
    // 16-bit floats are written as their bits.
    if (tensor.type.dtype == DType::F16) element_value = f16_to_f32(static_cast<std::uint16_t>(value));
    if (tensor.type.dtype == DType::BF16) element_value = bf16_to_f32(static_cast<std::uint16_t>(value));
    tensor.data.push_back(element_value);
  }
}

/// Integers of 4 or 2 bits, the first one in the lowest bits of a byte. Without raw data each number holds a byte.
HostTensor narrow_elements(const onnx::TensorProto& tensor, HostTensor result, std::uint64_t bits,
                           const std::string& what, const fs::path& folder) {
  const auto count = static_cast<std::uint64_t>(element_count(result.type.shape));
  const std::uint64_t in_byte = 8 / bits;
  const std::uint64_t size = ceil_div(count, in_byte);
  std::string bytes;
  if (tensor.data_location() == onnx::TensorProto::EXTERNAL) {
    bytes = external_data(tensor, what, folder, size);
  } else if (tensor.has_raw_data()) {
    bytes = tensor.raw_data();
  } else {
    for (const std::int32_t value : tensor.int32_data()) bytes += static_cast<char>(value);
  }
  if (bytes.size() != size) {
    throw Error(fmt::format("{}: {} bytes of data, expected {} for {} integers of {} bits", what, bytes.size(), size,
                            count, bits));
  }
  const int values = 1 << bits;
  result.data.resize(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto byte = static_cast<unsigned char>(bytes[i / in_byte]);
    const int value = (byte >> (i % in_byte * bits)) & (values - 1);
    result.data[i] = result.type.dtype == DType::I8 && value >= values / 2 ? value - values : value;
  }
  return result;
}

}  // namespace

DType onnx_type(int data_type, const std::string& what) {
  switch (data_type) {
    case onnx::TensorProto::FLOAT:
      return DType::F32;
    case onnx::TensorProto::DOUBLE:
      return DType::F64;
    case onnx::TensorProto::FLOAT16:
      return DType::F16;
    case onnx::TensorProto::BFLOAT16:
      return DType::BF16;
    case onnx::TensorProto::INT64:
      return DType::I64;
    case onnx::TensorProto::INT32:
      return DType::I32;
    case onnx::TensorProto::INT16:
      return DType::I16;
    case onnx::TensorProto::INT8:
      return DType::I8;
    case onnx::TensorProto::UINT64:
      return DType::U64;
    case onnx::TensorProto::UINT32:
      return DType::U32;
    case onnx::TensorProto::UINT16:
      return DType::U16;
    case onnx::TensorProto::UINT8:
      return DType::U8;
    case onnx::TensorProto::BOOL:
      return DType::Bool;
    default:
      break;
  }
  static constexpr const char* kNames[] = {"undefined",
                                           "",
                                           "",
                                           "",
                                           "",
                                           "",
                                           "",
                                           "",
                                           "string",
                                           "",
                                           "",
                                           "",
                                           "",
                                           "",
                                           "complex64",
                                           "complex128",
                                           "",
                                           "float8e4m3fn",
                                           "float8e4m3fnuz",
                                           "float8e5m2",
                                           "float8e5m2fnuz",
                                           "uint4",
                                           "int4",
                                           "float4e2m1",
                                           "float8e8m0",
                                           "uint2",
                                           "int2"};
  const bool named = data_type >= 0 && data_type < static_cast<int>(std::size(kNames)) && kNames[data_type][0] != '\0';
  throw Error(fmt::format("{}: heed has no values of ONNX's type {}", what,
                          named ? kNames[data_type] : std::to_string(data_type).c_str()));
}

int onnx_narrow_bits(int data_type) {
  // TensorProto.DataType of newer schemas than distributions have: UINT4, INT4, UINT2, INT2.
  return data_type == 21 || data_type == 22 ? 4 : data_type == 25 || data_type == 26 ? 2 : 0;
}

DType onnx_held_type(int data_type, const std::string& what) {
  if (onnx_narrow_bits(data_type) == 0) return onnx_type(data_type, what);
  return data_type == 21 || data_type == 25 ? DType::U8 : DType::I8;
}

TensorType onnx_tensor_type(const onnx::TensorProto& tensor, const std::string& what) {
  TensorType type{onnx_held_type(tensor.data_type(), what), {tensor.dims().begin(), tensor.dims().end()}};
  try {
    element_count(type.shape);
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", what, error.what()));
  }
  return type;
}

HostTensor onnx_elements(const onnx::TensorProto& tensor, const std::string& what, const fs::path& folder) {
  HostTensor result{onnx_tensor_type(tensor, what), {}};
  if (tensor.has_segment()) throw Error(fmt::format("{}: is a segment of a tensor, which heed does not join", what));
  const auto count = static_cast<std::uint64_t>(element_count(result.type.shape));
  const std::uint64_t size = dtype_info(result.type.dtype).block_bytes;
  const auto bits = static_cast<std::uint64_t>(onnx_narrow_bits(tensor.data_type()));
  if (bits != 0) return narrow_elements(tensor, std::move(result), bits, what, folder);
  std::string external;
  const std::string* raw = nullptr;
  if (tensor.data_location() == onnx::TensorProto::EXTERNAL) {
    external = external_data(tensor, what, folder, count * size);
    raw = &external;
  } else if (tensor.has_raw_data()) {
    raw = &tensor.raw_data();
  }
  if (raw != nullptr) {
    if (raw->size() != count * size) {
      throw Error(fmt::format("{}: {} bytes of data, expected {} for {} {}", what, raw->size(), count * size,
                              dtype_name(result.type.dtype), to_string(result.type.shape)));
    }
    result.data.resize(count);
    const auto* bytes = reinterpret_cast<const std::byte*>(raw->data());
    for (std::size_t i = 0; i < count; ++i) result.data[i] = element(result.type.dtype, bytes + i * size);
    return result;
  }
  if (tensor.float_data_size() > 0) {
    copy_elements(tensor.float_data(), result);
  } else if (tensor.double_data_size() > 0) {
    copy_elements(tensor.double_data(), result);
  } else if (tensor.int64_data_size() > 0) {
    copy_elements(tensor.int64_data(), result);
  } else if (tensor.uint64_data_size() > 0) {
    copy_elements(tensor.uint64_data(), result);
  } else {
    copy_elements(tensor.int32_data(), result);
  }
  if (result.data.size() != count) {
    throw Error(fmt::format("{}: {} elements of data, expected {} for {}", what, result.data.size(), count,
                            to_string(result.type.shape)));
  }
  return result;
}

SourceTensor source_of(std::string name, std::shared_ptr<const HostTensor> tensor) {
  const DType type = tensor->type.dtype;
  const DType stored = !is_floating(type) ? DType::I32 : type == DType::F64 ? DType::F32 : type;
  if (stored == DType::I32) {
    for (const double value : tensor->data) {
      const bool fits =
          value >= std::numeric_limits<std::int32_t>::min() && value <= std::numeric_limits<std::int32_t>::max();
      if (!fits && !is_end_of_integers(value)) {
        throw Error(fmt::format("tensor {}: {} needs more than 32 bits", in_quotes(name), value));
      }
    }
  }
  Shape shape = tensor->type.shape;
  return {
      std::move(name), stored, std::move(shape),
      [tensor = std::move(tensor), stored] {
        std::vector<std::byte> bytes(tensor->data.size() * dtype_info(stored).block_bytes);
        if (stored == DType::I32) {
          for (std::size_t i = 0; i < tensor->data.size(); ++i) {
            const auto value = static_cast<std::int32_t>(std::clamp<double>(
                tensor->data[i], std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()));
            std::memcpy(bytes.data() + i * sizeof value, &value, sizeof value);
          }
        } else {
          encode_from_f32(stored, std::vector<float>(tensor->data.begin(), tensor->data.end()), bytes);
        }
        return bytes;
      },
      true};
}

}  // namespace heed::convert
