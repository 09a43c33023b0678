#pragma once

#include <cstdint>
#include <span>

#include "vulkan/device.h"
#include "vulkan/handle.h"

namespace heed::vk {

/// A shader's SPIR-V, handed to the driver. May go once the pipelines made from it exist. Any thread.
class ShaderModule {
 public:
  /// The words are copied. Throws Error when they do not begin like SPIR-V.
  ShaderModule(const Device& device, std::span<const std::uint32_t> words);

  VkShaderModule handle() const { return module_.get(); }

 private:
  Handle<VkShaderModule> module_;
};

}  // namespace heed::vk
