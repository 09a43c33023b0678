#include "tools/convert/onnx.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>

#include <limits>

#include "heed/error.h"
#include "tools/convert/onnx_import.h"

namespace heed::convert {
namespace {
// Field 1 of ModelProto, ir_version, as its maintainers' tools write it: first.
constexpr char kVersionTag = 0x08;
constexpr int kMaxNesting = 100;  // messages in messages
}  // namespace

bool is_onnx(const SourceFile& file) {
  if (file.size() < 4) return false;
  const std::string start = file.read_text(0, 4);
  return start[0] == kVersionTag && start[1] > 0 && start[1] < 64;
}

Checkpoint read_onnx(const std::shared_ptr<const SourceFile>& file) {
  // Protobuf messages have at most 2^31 - 1 bytes; larger models keep their tensors in other files.
  const std::string bytes = file->read_all(std::numeric_limits<std::int32_t>::max());
  onnx::ModelProto model;
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                                static_cast<int>(bytes.size()));
  stream.SetRecursionLimit(kMaxNesting);
  if (!model.ParseFromCodedStream(&stream) || !stream.ConsumedEntireMessage()) {
    throw Error(fmt::format("{}: is no ONNX model, or is damaged: its protobuf message does not parse", file->name()));
  }
  if (!model.has_graph()) throw Error(fmt::format("{}: the ONNX model has no graph", file->name()));
  try {
    return OnnxImporter(model, std::filesystem::path(file->name()).parent_path()).import();
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", file->name(), error.what()));
  }
}

}  // namespace heed::convert
