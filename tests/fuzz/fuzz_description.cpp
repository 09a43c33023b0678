// libFuzzer target for the files of `heed convert --describe`: only heed::Error may escape. They describe a small model
// with a latent, a label and a picture.
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include "heed/error.h"
#include "tools/convert/onnx.h"
#include "tools/convert/onnx_proto.h"

namespace {

namespace fs = std::filesystem;

void add_value(onnx::ValueInfoProto& value, const char* name, int type, std::int64_t columns) {
  value.set_name(name);
  auto& tensor = *value.mutable_type()->mutable_tensor_type();
  tensor.set_elem_type(type);
  tensor.mutable_shape()->add_dim()->set_dim_param("batch");
  if (columns > 0) tensor.mutable_shape()->add_dim()->set_dim_value(columns);
}

std::string model_bytes() {
  onnx::ModelProto model;
  model.set_ir_version(8);
  model.add_opset_import()->set_version(17);
  onnx::GraphProto& graph = *model.mutable_graph();
  graph.set_name("draw");
  add_value(*graph.add_input(), "latent", onnx::TensorProto::FLOAT, 4);
  add_value(*graph.add_input(), "label", onnx::TensorProto::INT64, 0);
  onnx::TensorProto& table = *graph.add_initializer();
  table.set_name("table");
  table.set_data_type(onnx::TensorProto::FLOAT);
  table.add_dims(2);
  table.add_dims(4);
  for (int i = 0; i < 8; ++i) table.add_float_data(1);
  const auto add_node = [&](const char* op, const char* first, const char* second, const char* output) {
    onnx::NodeProto& node = *graph.add_node();
    node.set_op_type(op);
    node.set_name(op);
    node.add_input(first);
    node.add_input(second);
    node.add_output(output);
  };
  add_node("Gather", "table", "label", "row");
  add_node("Add", "latent", "row", "image");
  graph.add_output()->set_name("image");
  return model.SerializeAsString();
}

void write(const fs::path& path, const std::string& content) { std::ofstream(path, std::ios::binary) << content; }

// A folder of this process, gone when it ends.
struct Folder {
  fs::path path = fs::temp_directory_path() / ("fuzz_description." + std::to_string(getpid()));
  Folder() {
    fs::create_directories(path);
    write(path / "model.onnx", model_bytes());
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Folder kFolder;
  write(kFolder.path / "how.json", std::string(reinterpret_cast<const char*>(data), size));
  try {
    heed::convert::read_described_onnx(kFolder.path / "model.onnx", kFolder.path / "how.json");
  } catch (const heed::Error&) {  // what bad input ends in
  }
  return 0;
}
