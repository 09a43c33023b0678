// libFuzzer target for ONNX models: only heed::Error may escape, and what is made is a valid graph.
#include <cstdint>
#include <string>

#include "graph/graph.h"
#include "heed/error.h"
#include "ops/op.h"
#include "tools/convert/convert.h"
#include "tools/convert/onnx.h"
#include "tools/convert/source_file.h"

using heed::convert::SourceFile;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  try {
    const auto file = SourceFile::from_bytes("fuzz.onnx", bytes);
    if (!heed::convert::is_onnx(*file)) return 0;
    heed::convert::Checkpoint checkpoint = heed::convert::read_onnx(file);
    heed::convert::make_header(checkpoint, {});
    heed::validate(checkpoint.graphs.front(), heed::ops::is_op);
  } catch (const heed::Error&) {  // what bad input ends in
  }
  return 0;
}
