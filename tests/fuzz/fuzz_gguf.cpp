// libFuzzer target for GGUF files: only heed::Error may escape.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "graph/shape.h"
#include "heed/error.h"
#include "tools/convert/convert.h"
#include "tools/convert/gguf.h"
#include "tools/convert/source_file.h"

using heed::convert::SourceFile;

namespace {

void convert_all(heed::convert::Checkpoint& checkpoint) {
  const heed::ModelHeader header = heed::convert::make_header(checkpoint, {});
  heed::validate(header.graphs.front(), nullptr);
  for (const heed::convert::SourceTensor& tensor : checkpoint.tensors) {
    std::uint64_t bytes = 0;
    heed::convert::convert_tensor(tensor, heed::DType::F16,
                                  [&](std::span<const std::byte> piece) { bytes += piece.size(); });
    if (bytes != heed::byte_size(heed::DType::F16, tensor.shape)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  try {
    const auto file = SourceFile::from_bytes("fuzz.gguf", bytes);
    heed::convert::Checkpoint checkpoint = heed::convert::read_gguf(file);
    convert_all(checkpoint);
  } catch (const heed::Error&) {  // what bad input ends in
  }
  return 0;
}
