// libFuzzer target for safetensors files: only heed::Error may escape.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "graph/shape.h"
#include "heed/error.h"
#include "tools/convert/convert.h"
#include "tools/convert/safetensors.h"
#include "tools/convert/source_file.h"

using heed::convert::SourceFile;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  try {
    const auto file = SourceFile::from_bytes("fuzz.safetensors", bytes);
    std::uint64_t total = 0;
    for (const heed::convert::SafetensorsEntry& entry : heed::convert::read_safetensors(*file)) {
      total += entry.size;
      try {
        const heed::convert::SourceTensor tensor = heed::convert::safetensors_tensor(file, entry);
        if (tensor.read().size() != heed::byte_size(tensor.dtype, tensor.shape)) std::abort();
      } catch (const heed::Error&) {  // a type that is not converted
      }
    }
    if (total > size) std::abort();  // entries do not overlap
  } catch (const heed::Error&) {     // what bad input ends in
  }
  return 0;
}
