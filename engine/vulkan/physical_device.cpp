#include "vulkan/physical_device.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "vulkan/check.h"
#include "vulkan/cooperative_matrix.h"
#include "vulkan/enumerate.h"
#include "vulkan/feature_chain.h"

namespace heed::vk {
namespace {

constexpr std::uint32_t kVendorNvidia = 0x10de;

/// The vendors pack driverVersion differently.
std::string driver_version_text(std::uint32_t vendor, std::uint32_t version) {
  if (vendor == kVendorNvidia) {
    return fmt::format("{}.{}.{}.{}", version >> 22, (version >> 14) & 0xff, (version >> 6) & 0xff, version & 0x3f);
  }
  return version_text(version);
}

void fill_identity(PhysicalDevice& device, const VkPhysicalDeviceProperties& properties) {
  device.name = properties.deviceName;
  device.type = properties.deviceType;
  device.vendor_id = properties.vendorID;
  device.device_id = properties.deviceID;
  device.api_version = properties.apiVersion;
  device.driver_version_number = properties.driverVersion;
  device.driver_version = driver_version_text(properties.vendorID, properties.driverVersion);
  std::copy_n(properties.pipelineCacheUUID, VK_UUID_SIZE, device.pipeline_cache_uuid.begin());
  device.limits = properties.limits;
}

void fill_properties(PhysicalDevice& device) {
  VkPhysicalDeviceProperties2 properties{};
  properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
  const auto link = [&](auto& structure, VkStructureType type) {
    structure.sType = type;
    structure.pNext = properties.pNext;
    properties.pNext = &structure;
  };
  VkPhysicalDeviceIDProperties id{};
  link(id, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES);
  VkPhysicalDeviceMaintenance3Properties maintenance3{};
  link(maintenance3, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES);
  VkPhysicalDeviceSubgroupProperties subgroup{};
  link(subgroup, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES);
  VkPhysicalDeviceDriverPropertiesKHR driver{};
  if (device.has_extension(VK_KHR_DRIVER_PROPERTIES_EXTENSION_NAME)) {
    link(driver, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES_KHR);
  }
  VkPhysicalDeviceMaintenance4PropertiesKHR maintenance4{};
  if (device.has_extension(VK_KHR_MAINTENANCE_4_EXTENSION_NAME)) {
    link(maintenance4, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES_KHR);
  }
  VkPhysicalDeviceSubgroupSizeControlPropertiesEXT subgroup_sizes{};
  if (device.has_extension(VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME)) {
    link(subgroup_sizes, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES_EXT);
  }
  vkGetPhysicalDeviceProperties2(device.handle, &properties);

  std::copy_n(id.deviceUUID, VK_UUID_SIZE, device.device_uuid.begin());
  device.driver_name = driver.driverName;
  device.driver_info = driver.driverInfo;
  device.max_memory_allocation_size = maintenance3.maxMemoryAllocationSize;
  if (maintenance4.maxBufferSize != 0) device.max_buffer_size = maintenance4.maxBufferSize;
  device.subgroup_size = subgroup.subgroupSize;
  device.subgroup_operations = subgroup.supportedOperations;
  device.subgroup_stages = subgroup.supportedStages;
  device.subgroup_sizes = {subgroup.subgroupSize, subgroup.subgroupSize};
  if ((subgroup_sizes.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0) {
    device.subgroup_sizes = {subgroup_sizes.minSubgroupSize, subgroup_sizes.maxSubgroupSize};
  }
}

void fill_features(PhysicalDevice& device) {
  FeatureChain chain([&](std::string_view extension) { return device.has_extension(extension); });
  vkGetPhysicalDeviceFeatures2(device.handle, chain.head());
  device.features = chain.get();
  if (device.subgroup_sizes.min == 0) device.features.subgroup_size_control = false;
}

void fill_cooperative_sizes(PhysicalDevice& device, VkInstance instance) {
  if (!device.features.cooperative_matrix) return;
  const auto get = reinterpret_cast<GetCooperativeMatrixProperties>(
      vkGetInstanceProcAddr(instance, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR"));
  if (get == nullptr) {
    device.features.cooperative_matrix = false;
    return;
  }
  std::uint32_t count = 0;
  check(get(device.handle, &count, nullptr), "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR", device.name);
  std::vector<CooperativeMatrixProperties> kinds(count);
  for (CooperativeMatrixProperties& kind : kinds) {
    kind = {};
    kind.sType = kCooperativeMatrixPropertiesType;
  }
  check(get(device.handle, &count, kinds.data()), "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR", device.name);
  for (const CooperativeMatrixProperties& kind : kinds) {
    const bool wanted = kind.AType == kComponentFloat16 && kind.BType == kComponentFloat16 &&
                        kind.CType == kComponentFloat32 && kind.ResultType == kComponentFloat32 &&
                        kind.saturatingAccumulation == VK_FALSE && kind.scope == kScopeSubgroup;
    const std::array<std::uint32_t, 3> size = {kind.MSize, kind.NSize, kind.KSize};
    if (wanted && std::ranges::find(device.cooperative_sizes, size) == device.cooperative_sizes.end()) {
      device.cooperative_sizes.push_back(size);
    }
  }
}

bool supports_texel_formats(VkPhysicalDevice device) {
  constexpr VkFormat kFormats[] = {VK_FORMAT_R32G32B32A32_SFLOAT, VK_FORMAT_R32G32B32A32_UINT, VK_FORMAT_R32G32_UINT,
                                   VK_FORMAT_R32_SFLOAT,          VK_FORMAT_R32_UINT,          VK_FORMAT_R32_SINT};
  return std::all_of(std::begin(kFormats), std::end(kFormats), [&](VkFormat format) {
    VkFormatProperties properties{};
    vkGetPhysicalDeviceFormatProperties(device, format, &properties);
    return (properties.bufferFeatures & VK_FORMAT_FEATURE_UNIFORM_TEXEL_BUFFER_BIT) != 0;
  });
}

/// A family with compute: without graphics if there is one, so that long work does not stand before the desktop's.
std::optional<std::uint32_t> compute_family(const std::vector<VkQueueFamilyProperties>& families) {
  std::optional<std::uint32_t> found;
  for (std::uint32_t i = 0; i < families.size(); ++i) {
    if (families[i].queueCount == 0 || (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) == 0) continue;
    if ((families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT) == 0) return i;
    if (!found) found = i;
  }
  return found;
}

PhysicalDevice describe(VkPhysicalDevice handle, VkInstance instance) {
  PhysicalDevice device;
  device.handle = handle;
  VkPhysicalDeviceProperties properties{};
  vkGetPhysicalDeviceProperties(handle, &properties);
  fill_identity(device, properties);
  if (properties.apiVersion < VK_API_VERSION_1_1) {
    device.unusable = fmt::format("its driver offers Vulkan {}, heed needs 1.1", version_text(properties.apiVersion));
    return device;
  }
  const auto extensions = enumerate<VkExtensionProperties>(
      "vkEnumerateDeviceExtensionProperties", [&](std::uint32_t* count, VkExtensionProperties* elements) {
        return vkEnumerateDeviceExtensionProperties(handle, nullptr, count, elements);
      });
  for (const VkExtensionProperties& extension : extensions) device.extensions.emplace_back(extension.extensionName);
  std::sort(device.extensions.begin(), device.extensions.end());

  fill_properties(device);
  fill_features(device);
  fill_cooperative_sizes(device, instance);
  vkGetPhysicalDeviceMemoryProperties(handle, &device.memory);
  device.texel_formats = supports_texel_formats(handle);

  const auto families = enumerate<VkQueueFamilyProperties>(
      "vkGetPhysicalDeviceQueueFamilyProperties", [&](std::uint32_t* count, VkQueueFamilyProperties* elements) {
        vkGetPhysicalDeviceQueueFamilyProperties(handle, count, elements);
        return VK_SUCCESS;
      });
  const std::optional<std::uint32_t> family = compute_family(families);
  if (!family) {
    device.unusable = "it has no queue for compute shaders";
    return device;
  }
  device.queue_family = *family;
  device.timestamp_valid_bits = families[*family].timestampValidBits;
  return device;
}

}  // namespace

bool PhysicalDevice::has_extension(std::string_view extension) const {
  return std::binary_search(extensions.begin(), extensions.end(), extension);
}

bool PhysicalDevice::has_subgroup_operations(VkSubgroupFeatureFlags operations) const {
  return (subgroup_stages & VK_SHADER_STAGE_COMPUTE_BIT) != 0 && (subgroup_operations & operations) == operations;
}

std::uint64_t PhysicalDevice::device_memory() const {
  std::uint64_t largest = 0;
  for (std::uint32_t i = 0; i < memory.memoryHeapCount; ++i) {
    if ((memory.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) != 0) {
      largest = std::max<std::uint64_t>(largest, memory.memoryHeaps[i].size);
    }
  }
  return largest;
}

std::vector<PhysicalDevice> physical_devices(const Instance& instance) {
  const auto handles =
      enumerate<VkPhysicalDevice>("vkEnumeratePhysicalDevices", [&](std::uint32_t* count, VkPhysicalDevice* elements) {
        return vkEnumeratePhysicalDevices(instance.handle(), count, elements);
      });
  std::vector<PhysicalDevice> devices;
  devices.reserve(handles.size());
  for (const VkPhysicalDevice handle : handles) devices.push_back(describe(handle, instance.handle()));
  return devices;
}

std::string_view type_name(VkPhysicalDeviceType type) {
  switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
      return "discrete GPU";
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
      return "integrated GPU";
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
      return "virtual GPU";
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
      return "CPU";
    default:
      return "other";
  }
}

std::string version_text(std::uint32_t api_version) {
  return fmt::format("{}.{}.{}", VK_API_VERSION_MAJOR(api_version), VK_API_VERSION_MINOR(api_version),
                     VK_API_VERSION_PATCH(api_version));
}

std::string uuid_text(const std::array<std::uint8_t, VK_UUID_SIZE>& uuid) {
  std::string text;
  for (std::size_t i = 0; i < uuid.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", uuid[i]);
  }
  return text;
}

}  // namespace heed::vk
