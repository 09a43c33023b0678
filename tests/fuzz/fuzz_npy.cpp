// libFuzzer target for .npy files: only heed::Error may escape.
#include <cstdint>
#include <cstdlib>

#include "formats/npy.h"
#include "graph/shape.h"
#include "heed/error.h"

namespace {

template <typename Action>
void only_errors(const Action& action) {
  try {
    action();
  } catch (const heed::Error&) {  // what bad input ends in
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  only_errors([&] {
    const heed::NpyArray array = heed::parse_npy(std::as_bytes(std::span(data, size)), "fuzz");
    const auto count = static_cast<std::size_t>(heed::element_count(array.shape));
    if (array.data.size() != heed::byte_size(array.type, array.shape)) std::abort();
    only_errors([&] {
      if (array.floats("fuzz").size() != count) std::abort();
    });
    only_errors([&] {
      if (array.integers("fuzz").size() != count) std::abort();
    });
    only_errors([&] {
      if (array.wide_integers("fuzz").size() != count) std::abort();
    });
  });
  return 0;
}
