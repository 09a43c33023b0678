#include "vulkan/shader_module.h"

#include <fmt/format.h>

#include "heed/error.h"
#include "vulkan/check.h"

namespace heed::vk {
namespace {

constexpr std::uint32_t kSpirvMagic = 0x07230203;
constexpr std::size_t kSpirvHeaderWords = 5;

}  // namespace

ShaderModule::ShaderModule(const Device& device, std::span<const std::uint32_t> words) {
  // Drivers trust the words, so at least what is plainly no shader stays out.
  if (words.size() <= kSpirvHeaderWords || words[0] != kSpirvMagic) {
    throw Error(fmt::format("shader module: {} words are not SPIR-V (no header with magic {:#010x})", words.size(),
                            kSpirvMagic));
  }
  const VkShaderModuleCreateInfo info = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                         .pNext = nullptr,
                                         .flags = 0,
                                         .codeSize = words.size_bytes(),
                                         .pCode = words.data()};
  VkShaderModule module = VK_NULL_HANDLE;
  check(device.api().vkCreateShaderModule(device.handle(), &info, nullptr, &module), "vkCreateShaderModule");
  module_ = {device.owner(), module, device.api().vkDestroyShaderModule};
}

}  // namespace heed::vk
