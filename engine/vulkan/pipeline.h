#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "vulkan/shader_module.h"

namespace heed::vk {

/// The driver's compiled pipelines, to be kept between runs of the program.
///
/// Threads: pipelines may be made from one cache on several threads at once, and data() may be called meanwhile.
class PipelineCache {
 public:
  /// `initial` is what data() gave in an earlier run. It is ignored when it was made by another device or driver
  /// version or is too short to tell; a driver trusts the rest of it, so whoever keeps it in a file checks a checksum
  /// first.
  explicit PipelineCache(const Device& device, std::span<const std::byte> initial = {});

  VkPipelineCache handle() const { return cache_.get(); }
  bool used_initial() const { return used_initial_; }
  std::vector<std::byte> data() const;

 private:
  const VolkDeviceTable* api_;
  VkDevice device_;
  Handle<VkPipelineCache> cache_;
  bool used_initial_ = false;
};

/// What a compute pipeline is made of, beside its shader.
struct ComputePipelineInfo {
  std::string_view name = {};  // for errors
  /// The type of bindings 0, 1, 2, ... of set 0: VK_DESCRIPTOR_TYPE_STORAGE_BUFFER or _UNIFORM_TEXEL_BUFFER.
  std::span<const VkDescriptorType> bindings = {};
  std::uint32_t push_constant_bytes = 0;               // a multiple of 4
  std::span<const std::uint32_t> specialization = {};  // specialization constants 0, 1, 2, ... as 32-bit words
  /// With Features::subgroup_size_control: a power of two within the device's subgroup_sizes, of which workgroups are
  /// whole multiples, and all are full. 0: the driver's choice.
  std::uint32_t required_subgroup_size = 0;
};

/// A compute pipeline with entry point "main", its layout and its set layout. Immutable: any thread may record it. The
/// Device must outlive it; module and cache need not.
class ComputePipeline {
 public:
  /// `cache` may be null. May run on several threads at once. Throws Error naming the pipeline when the driver refuses.
  ComputePipeline(const Device& device, const PipelineCache* cache, const ShaderModule& module,
                  const ComputePipelineInfo& info);

  VkPipeline handle() const { return pipeline_.get(); }
  VkPipelineLayout layout() const { return layout_.get(); }
  VkDescriptorSetLayout set_layout() const { return set_layout_.get(); }
  std::uint32_t push_constant_bytes() const { return push_constant_bytes_; }

 private:
  Handle<VkDescriptorSetLayout> set_layout_;
  Handle<VkPipelineLayout> layout_;
  Handle<VkPipeline> pipeline_;
  std::uint32_t push_constant_bytes_ = 0;
};

}  // namespace heed::vk
