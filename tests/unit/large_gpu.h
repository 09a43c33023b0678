#pragma once

#include <cstdint>

#include "plan/device_caps.h"

namespace heed::testing {

/// A large GPU: subgroups of the given size, wide workgroups, and limits that no usual model meets.
inline DeviceCaps large_gpu(std::uint32_t subgroup_size = 32) {
  DeviceCaps caps;
  caps.type = DeviceType::Discrete;
  caps.subgroup_size = subgroup_size;
  caps.subgroup_arithmetic = true;
  caps.max_workgroup_invocations = 1024;
  caps.max_workgroup_size = {1024, 1024, 64};
  caps.max_shared_memory = 49152;
  caps.max_storage_buffers = 16;
  caps.max_storage_buffer_range = std::uint64_t{1} << 32;
  return caps;
}

/// One like an H100.
inline DeviceCaps h100() {
  DeviceCaps caps = large_gpu();
  caps.memory = std::uint64_t{80} << 30;
  caps.max_memory_allocation = caps.max_storage_buffer_range = (std::uint64_t{1} << 32) - 1;
  caps.max_workgroup_count[0] = 0x7fffffff;
  caps.subgroup_shuffle = true;
  return caps;
}

}  // namespace heed::testing
