#include "tools/convert/checkpoint.h"

#include "graph/shape.h"
#include "tools/convert/convert.h"

namespace heed::convert {

SourceTensor make_f32_tensor(std::string name, Shape shape, std::span<const float> values) {
  const auto bytes = std::as_bytes(values);
  return {std::move(name), DType::F32, std::move(shape),
          [content = std::vector<std::byte>(bytes.begin(), bytes.end())] { return content; }};
}

SourceTensor make_computed_tensor(std::string name, Shape shape, SourceTensor from,
                                  std::function<std::vector<float>(std::vector<float> values)> compute) {
  SourceTensor tensor{std::move(name), DType::F32, std::move(shape), {}, from.any_number};
  tensor.stays_f32 = from.stays_f32 || from.dtype != DType::F32;
  tensor.read = [from = std::move(from), compute = std::move(compute)] {
    const std::vector<float> values = compute(tensor_values(from));
    const auto bytes = std::as_bytes(std::span(values));
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  };
  return tensor;
}

SourceTensor make_scaled_tensor(std::string name, SourceTensor from, std::vector<double> factors) {
  const Shape shape = from.shape;
  return make_computed_tensor(std::move(name), shape, std::move(from),
                              [factors = std::move(factors)](std::vector<float> values) {
                                const std::size_t inner = factors.empty() ? 1 : values.size() / factors.size();
                                for (std::size_t i = 0; i < values.size(); ++i) {
                                  values[i] = static_cast<float>(static_cast<double>(values[i]) * factors[i / inner]);
                                }
                                return values;
                              });
}

SourceTensor rows_of(const SourceTensor& from, std::string name, std::int64_t first, std::int64_t count) {
  Shape shape = from.shape;
  shape.at(0) = count;
  const std::uint64_t bytes = byte_size(from.dtype, shape);
  const std::uint64_t begin =
      count == 0 ? 0 : bytes / static_cast<std::uint64_t>(count) * static_cast<std::uint64_t>(first);
  SourceTensor rows{std::move(name), from.dtype, std::move(shape), {}, from.any_number, from.shown_name()};
  rows.read = [read = from.read, begin, bytes] {
    const std::vector<std::byte> all = read();
    const auto start = all.begin() + static_cast<std::ptrdiff_t>(begin);
    return std::vector<std::byte>(start, start + static_cast<std::ptrdiff_t>(bytes));
  };
  return rows;
}

}  // namespace heed::convert
