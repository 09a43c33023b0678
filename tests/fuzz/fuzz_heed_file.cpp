// Fuzzes the reader of .heed files (libFuzzer; needs -DHEED_FUZZ=ON and clang). Only heed::Error may come out of it.
//
// The first byte of the input chooses what the rest is:
//   even: a whole file, as it is;
//   odd:  a JSON header up to the first zero byte, then the data. Magic, length, checksum and padding are added, for no
//         fuzzer guesses a checksum.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "file/header.h"
#include "file/model_file.h"
#include "graph/convert_dtype.h"
#include "graph/json.h"
#include "heed/error.h"

namespace {

std::vector<std::byte> sealed(std::string_view header, std::string_view data) {
  const std::uint64_t begin = heed::data_begin(header.size());
  std::vector<std::byte> bytes(begin + data.size());
  const std::string start = heed::preamble(header) + std::string(header);
  std::memcpy(bytes.data(), start.data(), start.size());
  if (!data.empty()) std::memcpy(bytes.data() + begin, data.data(), data.size());
  return bytes;
}

void require(bool condition) {
  if (!condition) std::abort();
}

void read_everything(const heed::ModelFile& file) {
  for (const heed::TensorInfo& tensor : file.header().tensors) {
    require(file.find_tensor(tensor.name) == &tensor);
    std::vector<std::byte> bytes(tensor.size);
    file.read(tensor, 0, bytes);
    if (heed::dtype_info(tensor.dtype).floating) {
      std::vector<float> values(static_cast<std::size_t>(heed::element_count(tensor.shape)));
      heed::decode_to_f32(tensor.dtype, bytes, values.size(), values.data());
    }
    try {
      require(file.read_all(tensor) == bytes);
    } catch (const heed::Error&) {  // a checksum that the fuzzer did not guess
    }
  }
  for (const std::string& name : file.file_names()) {
    try {
      file.read_file(name);
    } catch (const heed::Error&) {
    }
  }
  // What was accepted can be written and read back. Compared as text: a NaN attribute differs from itself.
  for (const heed::Graph& graph : file.header().graphs) {
    const nlohmann::json json = heed::graph_to_json(graph);
    require(heed::graph_to_json(heed::graph_from_json(json)).dump() == json.dump());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    std::vector<std::byte> bytes;
    if (data[0] % 2 == 0) {
      bytes.resize(rest.size());
      if (!rest.empty()) std::memcpy(bytes.data(), rest.data(), rest.size());
    } else {
      const std::size_t end = std::min(rest.find('\0'), rest.size());
      bytes = sealed(rest.substr(0, end), rest.substr(std::min(end + 1, rest.size())));
    }
    read_everything(heed::ModelFile::open_bytes(std::move(bytes), "fuzz"));
  } catch (const heed::Error& error) {
    require(std::strchr(error.what(), '\n') == nullptr);
  }
  return 0;
}
