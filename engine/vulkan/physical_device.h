#pragma once

#include <volk.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "vulkan/instance.h"

namespace heed::vk {

/// What a device offers beyond the baseline, or what a Device is asked to enable. Each name stands for the feature and
/// the extension that brings it to Vulkan 1.1.
struct Features {
  bool storage_16bit = false;          // storageBuffer16BitAccess
  bool storage_8bit = false;           // storageBuffer8BitAccess
  bool shader_float16 = false;         // shaderFloat16: arithmetic
  bool shader_int8 = false;            // shaderInt8
  bool shader_int16 = false;           // shaderInt16
  bool integer_dot_product = false;    // shaderIntegerDotProduct
  bool subgroup_size_control = false;  // with computeFullSubgroups
  bool vulkan_memory_model = false;    // vulkanMemoryModel
  bool cooperative_matrix = false;     // cooperativeMatrix
  bool robust_buffer_access = false;   // out-of-bounds accesses are defined; for hunting bugs
};

/// The smallest and largest subgroup a pipeline may ask for; both equal to subgroup_size where there is no choice.
struct SubgroupSizes {
  std::uint32_t min = 0;
  std::uint32_t max = 0;
};

/// One physical device and everything about it that is asked once: plain data but for the handle, which belongs to the
/// Instance. Free to copy; valid as long as the Instance.
struct PhysicalDevice {
  VkPhysicalDevice handle = VK_NULL_HANDLE;
  std::string unusable;  // why heed cannot use it; empty: usable. The fields below may then be unset.

  std::string name;            // "NVIDIA GeForce RTX 3060"
  std::string driver_name;     // "llvmpipe"; empty where the driver does not say
  std::string driver_info;     // "Mesa 22.3.6 (LLVM 15.0.6)", likewise
  std::string driver_version;  // VkPhysicalDeviceProperties::driverVersion in the vendor's spelling
  VkPhysicalDeviceType type = VK_PHYSICAL_DEVICE_TYPE_OTHER;
  std::uint32_t vendor_id = 0;
  std::uint32_t device_id = 0;
  std::uint32_t api_version = 0;
  std::uint32_t driver_version_number = 0;
  std::array<std::uint8_t, VK_UUID_SIZE> device_uuid{};
  std::array<std::uint8_t, VK_UUID_SIZE> pipeline_cache_uuid{};
  std::vector<std::string> extensions;  // sorted

  VkPhysicalDeviceLimits limits{};
  std::uint64_t max_memory_allocation_size = 0;  // bytes of one VkDeviceMemory
  std::uint64_t max_buffer_size = UINT64_MAX;    // bytes of one VkBuffer; UINT64_MAX where the driver does not say
  VkPhysicalDeviceMemoryProperties memory{};

  std::uint32_t subgroup_size = 0;
  SubgroupSizes subgroup_sizes;
  VkSubgroupFeatureFlags subgroup_operations = 0;  // where subgroup_stages has VK_SHADER_STAGE_COMPUTE_BIT
  VkShaderStageFlags subgroup_stages = 0;
  Features features;
  /// {M, N, K} of f16 matrices with sums of f32 that a subgroup multiplies together; with Features::cooperative_matrix.
  std::vector<std::array<std::uint32_t, 3>> cooperative_sizes;

  /// Uniform texel buffers of R32G32B32A32_{SFLOAT,UINT} and R32_{SFLOAT,UINT,SINT} all work.
  bool texel_formats = false;

  std::uint32_t queue_family = 0;          // that heed submits to: has compute, graphics only where it must
  std::uint32_t timestamp_valid_bits = 0;  // of that family; 0: no timestamps

  bool has_extension(std::string_view extension) const;
  /// Whether compute shaders may use all of these subgroup operations.
  bool has_subgroup_operations(VkSubgroupFeatureFlags operations) const;
  /// The size of the largest device-local heap in bytes.
  std::uint64_t device_memory() const;
};

/// Every physical device in the loader's order, those below Vulkan 1.1 or without a compute queue with the reason in
/// `unusable`. Empty when there is none. Any thread.
std::vector<PhysicalDevice> physical_devices(const Instance& instance);

/// "discrete GPU", "integrated GPU", "virtual GPU", "CPU", "other".
std::string_view type_name(VkPhysicalDeviceType type);

/// "1.3.230".
std::string version_text(std::uint32_t api_version);

/// 32 hexadecimal digits in the usual groups: "6d657361-3232-2e33-2e36-000000000000".
std::string uuid_text(const std::array<std::uint8_t, VK_UUID_SIZE>& uuid);

}  // namespace heed::vk
