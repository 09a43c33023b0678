#include "tools/convert/checkpoint.h"

namespace heed::convert {

SourceTensor make_f32_tensor(std::string name, Shape shape, std::span<const float> values) {
  const auto bytes = std::as_bytes(values);
  return {std::move(name), DType::F32, std::move(shape),
          [content = std::vector<std::byte>(bytes.begin(), bytes.end())] { return content; }};
}

}  // namespace heed::convert
