#pragma once

#include <volk.h>

#include <functional>
#include <span>
#include <string_view>

#include "vulkan/cooperative_matrix.h"
#include "vulkan/physical_device.h"

namespace heed::vk {

/// A member of Features with its name in messages and the extension that brings it to Vulkan 1.1 (empty: core).
struct FeatureEntry {
  bool Features::*member;
  const char* name;
  const char* extension;
};
std::span<const FeatureEntry> all_features();

/// Features as the chain of structures that Vulkan reads and writes them in. Points into itself: neither copied nor
/// moved.
class FeatureChain {
 public:
  /// Links the structures of the extensions for which `has` is true.
  explicit FeatureChain(const std::function<bool(std::string_view extension)>& has);
  FeatureChain(const FeatureChain&) = delete;
  FeatureChain& operator=(const FeatureChain&) = delete;

  VkPhysicalDeviceFeatures2* head() { return &core_; }
  Features get() const;
  void set(const Features& features);

 private:
  VkPhysicalDeviceFeatures2 core_{};
  VkPhysicalDevice16BitStorageFeatures storage_16bit_{};
  VkPhysicalDevice8BitStorageFeaturesKHR storage_8bit_{};
  VkPhysicalDeviceShaderFloat16Int8FeaturesKHR float16_int8_{};
  VkPhysicalDeviceShaderIntegerDotProductFeaturesKHR dot_product_{};
  VkPhysicalDeviceSubgroupSizeControlFeaturesEXT subgroup_size_{};
  VkPhysicalDeviceVulkanMemoryModelFeaturesKHR memory_model_{};
  CooperativeMatrixFeatures cooperative_matrix_{};
};

}  // namespace heed::vk
