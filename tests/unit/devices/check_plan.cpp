#include "tests/unit/devices/check_plan.h"

#include <fmt/format.h>

#include <map>
#include <utility>
#include <vector>

#include "shader_table.h"
#include "tests/unit/devices/spirv.h"

namespace heed {
namespace {

const ShaderModuleCode* find_module(const std::string& key) {
  static const std::map<std::string_view, const ShaderModuleCode*> kByKey = [] {
    std::map<std::string_view, const ShaderModuleCode*> map;
    for (const ShaderModuleCode& code : shader_modules()) map.emplace(code.key, &code);
    return map;
  }();
  const auto found = kByKey.find(key);
  return found == kByKey.end() ? nullptr : found->second;
}

/// shader_needs(), whose reading of all words would otherwise take most of the time: plans run few modules, many times.
const ShaderNeeds& needs_of(const ShaderModuleCode& module, const std::vector<std::uint32_t>& specialization) {
  static std::map<std::pair<const ShaderModuleCode*, std::vector<std::uint32_t>>, ShaderNeeds> known;
  const auto [at, is_new] = known.try_emplace({&module, specialization});
  if (is_new) at->second = shader_needs(module.words, specialization);
  return at->second;
}

/// Capabilities of SPIR-V (section 3.31) that Vulkan 1.1 gives every compute shader, and what the others want.
bool offers(const DeviceCaps& caps, std::uint32_t capability) {
  switch (capability) {
    case 1:   // Shader
    case 46:  // SampledBuffer: uniform texel buffers
    case 61:  // GroupNonUniform
      return true;
    case 63:  // GroupNonUniformArithmetic
      return caps.subgroup_arithmetic;
    case 65:  // GroupNonUniformShuffle
      return caps.subgroup_shuffle;
    case 9:     // Float16
    case 5345:  // VulkanMemoryModel
    case 6022:  // CooperativeMatrixKHR
      return !caps.cooperative_sizes.empty();
    case 6018:  // DotProductInput4x8BitPacked
    case 6019:  // DotProduct
      return caps.integer_dot_product;
    default:
      return false;
  }
}

}  // namespace

std::vector<std::string> misfits(const Plan& plan, const DeviceCaps& caps) {
  std::vector<std::string> found;
  std::string where;
  const auto demand = [&](bool fits, const std::string& what) {
    if (!fits) found.push_back(where + what);
  };
  for (std::size_t at = 0; at < plan.dispatches.size(); ++at) {
    const Dispatch& d = plan.dispatches[at];
    where = fmt::format("dispatch {} '{}' ({}): ", at, d.label, d.module_key());
    const ShaderModuleCode* module = find_module(d.module_key());
    if (module == nullptr) {
      demand(false, "no such shader");
      continue;
    }
    const ShaderNeeds& needs = needs_of(*module, d.specialization);
    demand(needs.shared_memory <= caps.max_shared_memory,
           fmt::format("{} bytes of shared memory, limit {}", needs.shared_memory, caps.max_shared_memory));
    for (const std::uint32_t capability : needs.capabilities) {
      demand(offers(caps, capability), fmt::format("capability {}", capability));
    }
    std::uint64_t invocations = 1;
    for (std::size_t i = 0; i < 3; ++i) {
      invocations *= needs.workgroup_size[i];
      demand(needs.workgroup_size[i] >= 1 && needs.workgroup_size[i] <= caps.max_workgroup_size[i],
             fmt::format("workgroup size {}, limit {}", needs.workgroup_size[i], caps.max_workgroup_size[i]));
      demand(d.groups[i] >= 1 && d.groups[i] <= caps.max_workgroup_count[i],
             fmt::format("{} workgroups, limit {}", d.groups[i], caps.max_workgroup_count[i]));
    }
    demand(invocations <= caps.max_workgroup_invocations,
           fmt::format("{} invocations, limit {}", invocations, caps.max_workgroup_invocations));
    demand(d.push_constants.size() * 4 <= caps.max_push_constants,
           fmt::format("{} bytes of push constants, limit {}", d.push_constants.size() * 4, caps.max_push_constants));
    demand(d.push_constants.size() * 4 == needs.push_constants,
           fmt::format("{} bytes of push constants, the shader declares {}", d.push_constants.size() * 4,
                       needs.push_constants));
    demand(
        d.specialization.size() == needs.constants,
        fmt::format("{} specialization constants, the shader declares {}", d.specialization.size(), needs.constants));
    std::uint32_t storage = 0, texel = 0;
    for (const Binding& binding : d.bindings) {
      const PlanTensor& tensor = plan.tensors[binding.tensor];
      const bool viewed = d.texel && binding.view != View::None;
      ++(viewed ? texel : storage);
      std::uint64_t start = binding.offset, end = tensor.bytes;
      if (tensor.storage == Storage::Arena) {
        start += tensor.arena_offset;
        end = plan.arena_blocks.at(tensor.arena_block);
      }
      demand(start % caps.buffer_alignment == 0,
             fmt::format("'{}' starts at {}, alignment {}", tensor.name, start, caps.buffer_alignment));
      demand(binding.size > 0 && start <= end && binding.size <= end - start && binding.offset <= tensor.bytes &&
                 binding.size <= tensor.bytes - binding.offset,
             fmt::format("'{}' binds {} at {} of {}", tensor.name, binding.size, binding.offset, tensor.bytes));
      if (viewed) {
        const std::uint64_t elements = binding.size / view_texel_bytes(binding.view);
        demand(elements <= caps.max_texel_buffer_elements,
               fmt::format("'{}' has {} texels, limit {}", tensor.name, elements, caps.max_texel_buffer_elements));
      } else {
        demand(binding.size <= caps.max_storage_buffer_range,
               fmt::format("'{}' binds {} bytes, limit {}", tensor.name, binding.size, caps.max_storage_buffer_range));
      }
    }
    demand(storage <= caps.max_storage_buffers,
           fmt::format("{} storage buffers, limit {}", storage, caps.max_storage_buffers));
    demand(texel <= caps.max_texel_buffers, fmt::format("{} texel buffers, limit {}", texel, caps.max_texel_buffers));
    demand(storage + texel <= caps.max_resources,
           fmt::format("{} buffers, limit {}", storage + texel, caps.max_resources));
  }
  where.clear();
  std::uint64_t total = 0;
  for (const PlanTensor& tensor : plan.tensors) {
    if (tensor.storage != Storage::Arena) total += tensor.bytes;
    demand(tensor.bytes <= caps.max_memory_allocation,
           fmt::format("'{}' has {} bytes, an allocation {}", tensor.name, tensor.bytes, caps.max_memory_allocation));
  }
  for (const std::uint64_t block : plan.arena_blocks) {
    total += block;
    demand(block <= caps.max_memory_allocation,
           fmt::format("an arena block of {} bytes, an allocation {}", block, caps.max_memory_allocation));
  }
  // The heap of a CPU driver is no limit.
  demand(caps.memory == 0 || caps.type == DeviceType::Cpu || total <= caps.memory,
         fmt::format("{} bytes in all, memory {}", total, caps.memory));
  return found;
}

}  // namespace heed
