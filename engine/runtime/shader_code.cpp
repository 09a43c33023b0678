#include "runtime/shader_code.h"

#include <fmt/format.h>

#include <unordered_map>

#include "heed/error.h"

namespace heed {

const ShaderModuleCode& shader_code(std::string_view key) {
  static const std::unordered_map<std::string_view, const ShaderModuleCode*> kByKey = [] {
    std::unordered_map<std::string_view, const ShaderModuleCode*> map;
    for (const ShaderModuleCode& code : shader_modules()) map.emplace(code.key, &code);
    return map;
  }();
  const auto found = kByKey.find(key);
  if (found == kByKey.end()) {
    throw Error(fmt::format("this build of heed has no shader '{}'; build it with a newer glslang", key));
  }
  return *found->second;
}

}  // namespace heed
