// libFuzzer target for files of torch.save: only heed::Error may escape, and tensors have the sizes they claim. The
// first byte chooses what the others are: a file, or the pickle of one.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "graph/shape.h"
#include "heed/error.h"
#include "tools/convert/pickle.h"
#include "tools/convert/state_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    const auto file = heed::convert::SourceFile::from_bytes("fuzz.pth", bytes);
    if (data[0] % 2 == 0) {
      heed::convert::SourceCursor cursor(*file);
      heed::convert::Pickle::read(cursor);
      return 0;
    }
    for (const heed::convert::StateEntry& entry : heed::convert::read_pytorch(file).entries) {
      try {
        const heed::convert::SourceTensor tensor = entry.tensor();
        if (tensor.read().size() != heed::byte_size(tensor.dtype, tensor.shape)) std::abort();
      } catch (const heed::Error&) {  // a type that is not converted, or damaged bytes
      }
    }
  } catch (const heed::Error&) {  // what bad input ends in
  }
  return 0;
}
