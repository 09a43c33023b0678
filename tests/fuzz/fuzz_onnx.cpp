// libFuzzer target for ONNX models: only heed::Error may escape, and what is made is a valid graph. Inputs and
// dimensions that decide on branches and loops are fixed, as the message asks for.
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
  heed::convert::FixedValues fixed;
  for (int attempt = 0; attempt < 4; ++attempt) {
    try {
      const auto file = SourceFile::from_bytes("fuzz.onnx", bytes);
      if (!heed::convert::is_onnx(*file)) return 0;
      heed::convert::Checkpoint checkpoint = heed::convert::read_onnx(file, fixed);
      heed::convert::make_header(checkpoint, {});
      heed::validate(checkpoint.graphs.front(), heed::ops::is_op);
      return 0;
    } catch (const heed::Error& error) {  // what bad input ends in
      const std::string message = error.what();
      const std::size_t option = message.rfind("fix it with --set ");
      const std::size_t end = message.rfind('=');
      if (option == std::string::npos || end == std::string::npos || end < option + 18) return 0;
      fixed[message.substr(option + 18, end - option - 18)] = "1";
    }
  }
  return 0;
}
