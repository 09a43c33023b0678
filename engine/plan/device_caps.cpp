#include "plan/device_caps.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <string_view>

#include "heed/error.h"
#include "plan/default_tuning.h"

namespace heed {

DeviceCaps usable_caps(DeviceCaps caps) {
  constexpr std::uint32_t kMostCounted = 0x7fffffff;
  constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 62;
  const auto at_least = [&](std::uint64_t limit, std::uint64_t least, std::string_view name) {
    if (limit < least) {
      throw Error(fmt::format("device '{}': reports {} of {}; heed needs {}; the driver is broken or too small",
                              caps.name, name, limit, least));
    }
  };
  const auto cut = [&](std::uint32_t& limit) { limit = std::min(limit, kMostCounted); };
  const auto cut_bytes = [&](std::uint64_t& limit) { limit = std::min(limit, kMostBytes); };

  at_least(caps.max_storage_buffer_range, kLeastRange, "maxStorageBufferRange");
  at_least(caps.max_memory_allocation, kLeastRange, "maxMemoryAllocationSize or maxBufferSize");
  at_least(caps.max_storage_buffers, 1, "maxPerStageDescriptorStorageBuffers");
  at_least(caps.max_resources, 1, "maxPerStageResources");
  at_least(caps.max_push_constants, 4, "maxPushConstantsSize");
  at_least(caps.max_workgroup_invocations, 1, "maxComputeWorkGroupInvocations");
  for (const std::uint32_t size : caps.max_workgroup_size) at_least(size, 1, "maxComputeWorkGroupSize");
  for (const std::uint32_t count : caps.max_workgroup_count) at_least(count, 1, "maxComputeWorkGroupCount");

  cut_bytes(caps.max_storage_buffer_range);
  cut_bytes(caps.max_memory_allocation);
  cut_bytes(caps.max_texel_buffer_elements);
  cut_bytes(caps.memory);
  cut(caps.max_storage_buffers);
  cut(caps.max_texel_buffers);
  cut(caps.max_resources);
  cut(caps.max_push_constants);
  cut(caps.max_workgroup_invocations);
  for (std::uint32_t& size : caps.max_workgroup_size) cut(size);
  for (std::uint32_t& count : caps.max_workgroup_count) cut(count);
  cut(caps.max_shared_memory);
  caps.subgroup_size = std::clamp(caps.subgroup_size, 1u, kMostCounted);
  caps.max_loop_iterations = std::max<std::uint64_t>(caps.max_loop_iterations, 1);
  if (caps.buffer_alignment > kMostAlignment) {
    throw Error(fmt::format("device '{}': wants bindings at multiples of {}; Vulkan allows a device to ask for {}",
                            caps.name, caps.buffer_alignment, kMostAlignment));
  }
  // A driver that says 0 means that any offset will do; one that says no power of two is served by the next.
  caps.buffer_alignment = std::bit_ceil(std::max<std::uint64_t>(caps.buffer_alignment, 16));
  return caps;
}

Tuning default_tuning(const DeviceCaps& caps) {
  Tuning tuning;
  tuning.texel = false;
  tuning.lanes =
      std::min({caps.max_workgroup_invocations, caps.max_workgroup_size[0], std::max(8u, caps.subgroup_size)});
  // Where subgroups are narrow, a wider workgroup is run one subgroup after the other.
  tuning.row_lanes = tuning.lanes;
  const std::uint32_t most = std::min(caps.max_workgroup_invocations, caps.max_workgroup_size[0]);
  while (caps.subgroup_size > 8 && 2 * tuning.row_lanes <= std::min(most, 256u)) tuning.row_lanes *= 2;
  tuning.set(&ProductTuning::lanes, tuning.lanes);
  tuning.set(&ProductTuning::rows, 4u);
  tuning.set(&ProductTuning::max_groups, caps.max_workgroup_count[0]);
  // A GPU has many cores, of which one workgroup a head or a sequence leaves most idle.
  constexpr std::uint32_t kManyGroups = 256;
  constexpr std::uint32_t kQueryTile = 64;
  if (caps.type != DeviceType::Cpu) {
    tuning.attention_groups = tuning.sample_groups = kManyGroups;
    tuning.query_tile = kQueryTile;
    // What a GPU waits for between dispatches is as long as it takes for a small picture.
    tuning.one_pass_convs = 2;
    // And a product of many rows, or a convolution, without shared memory waits for memory all the time.
    tuning.conv_tile = 128;
    tuning.conv_groups = kManyGroups / 2;
    tuning.set(&ProductTuning::tile, 128u);
    tuning.set(&ProductTuning::tile_groups, kManyGroups / 2);
    if (caps.integer_dot_product) tuning.set(&ProductTuning::dot_groups, 4 * kManyGroups);
  }
  return tuning;
}

}  // namespace heed
