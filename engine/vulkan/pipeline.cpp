#include "vulkan/pipeline.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <string>

#include "heed/error.h"
#include "vulkan/check.h"

namespace heed::vk {
namespace {

/// VkPipelineCacheHeaderVersionOne with a plain number for the version, which may be anything in foreign data.
struct CacheHeader {
  std::uint32_t bytes;
  std::uint32_t version;
  std::uint32_t vendor_id;
  std::uint32_t device_id;
  std::array<std::uint8_t, VK_UUID_SIZE> uuid;
};
static_assert(sizeof(CacheHeader) == sizeof(VkPipelineCacheHeaderVersionOne) && sizeof(CacheHeader) == 32);

/// Whether cache data begins with the header of this very device and driver version.
bool is_ours(const PhysicalDevice& physical, std::span<const std::byte> data) {
  CacheHeader header{};
  if (data.size() < sizeof header) return false;
  std::memcpy(&header, data.data(), sizeof header);
  return header.bytes >= sizeof header && header.bytes <= data.size() &&
         header.version == VK_PIPELINE_CACHE_HEADER_VERSION_ONE && header.vendor_id == physical.vendor_id &&
         header.device_id == physical.device_id && header.uuid == physical.pipeline_cache_uuid;
}

void check_info(const Device& device, const ComputePipelineInfo& info) {
  const PhysicalDevice& physical = device.physical();
  if (info.push_constant_bytes % 4 != 0 || info.push_constant_bytes > physical.limits.maxPushConstantsSize) {
    throw Error(fmt::format("pipeline '{}': {} bytes of push constants; device '{}' allows multiples of 4 up to {}",
                            info.name, info.push_constant_bytes, physical.name, physical.limits.maxPushConstantsSize));
  }
  for (const VkDescriptorType type : info.bindings) {
    if (type != VK_DESCRIPTOR_TYPE_STORAGE_BUFFER && type != VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER) {
      throw Error(fmt::format("pipeline '{}': VkDescriptorType {} is neither storage nor uniform texel buffer",
                              info.name, static_cast<int>(type)));
    }
  }
  const std::uint32_t subgroup = info.required_subgroup_size;
  if (subgroup == 0) return;
  const SubgroupSizes sizes = physical.subgroup_sizes;
  const bool power_of_two = (subgroup & (subgroup - 1)) == 0;
  if (!device.features().subgroup_size_control || !power_of_two || subgroup < sizes.min || subgroup > sizes.max) {
    throw Error(
        fmt::format("pipeline '{}': needs subgroups of {}; device '{}' allows powers of two from {} to {}{}", info.name,
                    subgroup, physical.name, sizes.min, sizes.max,
                    device.features().subgroup_size_control ? "" : ", and subgroup_size_control is not enabled"));
  }
}

VkDescriptorSetLayout create_set_layout(const Device& device, const ComputePipelineInfo& info) {
  std::vector<VkDescriptorSetLayoutBinding> bindings(info.bindings.size());
  for (std::size_t i = 0; i < bindings.size(); ++i) {
    bindings[i] = {.binding = static_cast<std::uint32_t>(i),
                   .descriptorType = info.bindings[i],
                   .descriptorCount = 1,
                   .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
                   .pImmutableSamplers = nullptr};
  }
  const VkDescriptorSetLayoutCreateInfo create = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
                                                  .pNext = nullptr,
                                                  .flags = 0,
                                                  .bindingCount = static_cast<std::uint32_t>(bindings.size()),
                                                  .pBindings = bindings.data()};
  VkDescriptorSetLayout layout = VK_NULL_HANDLE;
  check(device.api().vkCreateDescriptorSetLayout(device.handle(), &create, nullptr, &layout),
        "vkCreateDescriptorSetLayout", info.name);
  return layout;
}

VkPipelineLayout create_layout(const Device& device, VkDescriptorSetLayout set_layout,
                               const ComputePipelineInfo& info) {
  const VkPushConstantRange range = {
      .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .offset = 0, .size = info.push_constant_bytes};
  const VkPipelineLayoutCreateInfo create = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                             .pNext = nullptr,
                                             .flags = 0,
                                             .setLayoutCount = 1,
                                             .pSetLayouts = &set_layout,
                                             .pushConstantRangeCount = info.push_constant_bytes == 0 ? 0u : 1u,
                                             .pPushConstantRanges = &range};
  VkPipelineLayout layout = VK_NULL_HANDLE;
  check(device.api().vkCreatePipelineLayout(device.handle(), &create, nullptr, &layout), "vkCreatePipelineLayout",
        info.name);
  return layout;
}

VkPipeline create_pipeline(const Device& device, const PipelineCache* cache, const ShaderModule& module,
                           VkPipelineLayout layout, const ComputePipelineInfo& info) {
  std::vector<VkSpecializationMapEntry> entries(info.specialization.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    entries[i] = {.constantID = static_cast<std::uint32_t>(i),
                  .offset = static_cast<std::uint32_t>(i * sizeof(std::uint32_t)),
                  .size = sizeof(std::uint32_t)};
  }
  const VkSpecializationInfo specialization = {.mapEntryCount = static_cast<std::uint32_t>(entries.size()),
                                               .pMapEntries = entries.data(),
                                               .dataSize = info.specialization.size_bytes(),
                                               .pData = info.specialization.data()};
  VkPipelineShaderStageRequiredSubgroupSizeCreateInfoEXT subgroup{};
  subgroup.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO_EXT;
  subgroup.requiredSubgroupSize = info.required_subgroup_size;
  const VkPipelineShaderStageCreateFlags flags =
      info.required_subgroup_size == 0
          ? VkPipelineShaderStageCreateFlags{0}
          : VkPipelineShaderStageCreateFlags{VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT_EXT};
  const VkComputePipelineCreateInfo create = {.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
                                              .pNext = nullptr,
                                              .flags = 0,
                                              .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                                                        .pNext = info.required_subgroup_size == 0 ? nullptr : &subgroup,
                                                        .flags = flags,
                                                        .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                                                        .module = module.handle(),
                                                        .pName = "main",
                                                        .pSpecializationInfo = &specialization},
                                              .layout = layout,
                                              .basePipelineHandle = VK_NULL_HANDLE,
                                              .basePipelineIndex = -1};
  VkPipeline pipeline = VK_NULL_HANDLE;
  // The cache is not externally synchronised, so that this may run on several threads at once.
  check(device.api().vkCreateComputePipelines(device.handle(), cache == nullptr ? VK_NULL_HANDLE : cache->handle(), 1,
                                              &create, nullptr, &pipeline),
        "vkCreateComputePipelines", fmt::format("pipeline '{}' on '{}'", info.name, device.physical().name));
  return pipeline;
}

}  // namespace

PipelineCache::PipelineCache(const Device& device, std::span<const std::byte> initial)
    : api_(&device.api()), device_(device.handle()), used_initial_(is_ours(device.physical(), initial)) {
  VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO,
                                    .pNext = nullptr,
                                    .flags = 0,
                                    .initialDataSize = used_initial_ ? initial.size() : 0,
                                    .pInitialData = used_initial_ ? initial.data() : nullptr};
  VkPipelineCache cache = VK_NULL_HANDLE;
  VkResult result = api_->vkCreatePipelineCache(device_, &info, nullptr, &cache);
  if (result != VK_SUCCESS && used_initial_) {
    // The data is only there to save time: a driver that dislikes it gets none.
    used_initial_ = false;
    info.initialDataSize = 0;
    info.pInitialData = nullptr;
    result = api_->vkCreatePipelineCache(device_, &info, nullptr, &cache);
  }
  check(result, "vkCreatePipelineCache", device.physical().name);
  cache_ = {device.owner(), cache, api_->vkDestroyPipelineCache};
}

std::vector<std::byte> PipelineCache::data() const {
  for (;;) {
    std::size_t size = 0;
    check(api_->vkGetPipelineCacheData(device_, cache_.get(), &size, nullptr), "vkGetPipelineCacheData");
    std::vector<std::byte> data(size);
    const VkResult result = api_->vkGetPipelineCacheData(device_, cache_.get(), &size, data.data());
    if (result == VK_INCOMPLETE) continue;  // another thread added a pipeline in between
    check(result, "vkGetPipelineCacheData");
    data.resize(size);
    return data;
  }
}

ComputePipeline::ComputePipeline(const Device& device, const PipelineCache* cache, const ShaderModule& module,
                                 const ComputePipelineInfo& info)
    : push_constant_bytes_(info.push_constant_bytes) {
  check_info(device, info);
  const VolkDeviceTable& api = device.api();
  set_layout_ = {device.owner(), create_set_layout(device, info), api.vkDestroyDescriptorSetLayout};
  layout_ = {device.owner(), create_layout(device, set_layout(), info), api.vkDestroyPipelineLayout};
  pipeline_ = {device.owner(), create_pipeline(device, cache, module, layout(), info), api.vkDestroyPipeline};
}

}  // namespace heed::vk
