// libFuzzer target for the config.json of generator folders: only heed::Error may escape. The tensors are always these.
#include <cstdint>
#include <string>

#include "heed/error.h"
#include "models/generator.h"
#include "tools/convert/json_text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using heed::DType;
  static const heed::models::TensorTable kTensors = {
      {"class_embedding.weight", {DType::F32, {2, 3}}},
      {"layers.0.weight", {DType::F32, {8, 6}}},
      {"layers.0.bias", {DType::F32, {8}}},
      {"layers.1.weight", {DType::F32, {1, 2, 3, 3}}},
      {"layers.1.bias", {DType::F32, {1}}},
      {"layers.2.weight", {DType::F32, {2, 1, 2, 2}}},
      {"layers.2.bias", {DType::F32, {1}}},
  };
  try {
    const auto config =
        heed::convert::parse_json("config.json", std::string(reinterpret_cast<const char*>(data), size));
    heed::models::transposed_layers(config);
    heed::models::TensorTable named;  // others would be refused before the layers' own checks are met
    for (const auto& [name, type] : kTensors) {
      if (config.dump().find(name.substr(0, name.find('.'))) != std::string::npos) named.emplace(name, type);
    }
    heed::models::generator(config, named);
  } catch (const heed::Error&) {  // what bad input ends in
  }
  return 0;
}
