#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <vector>

namespace heed {

/// What a shader of SPIR-V asks of a device, and of those who dispatch it, found by reading its words.
struct ShaderNeeds {
  std::uint64_t shared_memory = 0;  // bytes of its workgroup variables
  std::uint32_t workgroup_size[3] = {1, 1, 1};
  std::set<std::uint32_t> capabilities;  // numbers of OpCapability
  std::uint64_t push_constants = 0;      // bytes
  std::size_t constants = 0;             // specialization constants, 0 to the highest
};

/// For these values of the specialization constants 0, 1, 2, ...; others have their defaults. Throws Error for an
/// instruction among the constants that it does not know.
ShaderNeeds shader_needs(std::span<const std::uint32_t> words, std::span<const std::uint32_t> specialization);

}  // namespace heed
