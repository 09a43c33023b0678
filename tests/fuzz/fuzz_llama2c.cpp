// libFuzzer target for llama2.c models and their tokenizers: only heed::Error may escape.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "graph/shape.h"
#include "heed/error.h"
#include "tools/convert/convert.h"
#include "tools/convert/llama2c.h"
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
    // The first two bytes say how many of the last ones are the tokenizer.
    if (size < 2) return 0;
    const std::size_t wanted = data[0] + std::size_t{data[1]} * 256;
    const std::size_t tokenizer_bytes = std::min(wanted, size - 2);
    const auto model = SourceFile::from_bytes("fuzz.bin", bytes.substr(2, size - 2 - tokenizer_bytes));
    const auto tokenizer = SourceFile::from_bytes("tokenizer.bin", bytes.substr(size - tokenizer_bytes));
    heed::convert::is_llama2c(*model);
    heed::convert::Checkpoint checkpoint = heed::convert::read_llama2c(model, tokenizer.get());
    convert_all(checkpoint);
  } catch (const heed::Error&) {  // what bad input ends in
  }
  return 0;
}
