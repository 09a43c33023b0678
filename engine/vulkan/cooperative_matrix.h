#pragma once

#include <volk.h>

/// VK_KHR_cooperative_matrix as its specification has it, for headers that are older than the extension.
namespace heed::vk {

inline constexpr const char* kCooperativeMatrixExtension = "VK_KHR_cooperative_matrix";
inline constexpr auto kCooperativeMatrixFeaturesType = static_cast<VkStructureType>(1000506000);
inline constexpr auto kCooperativeMatrixPropertiesType = static_cast<VkStructureType>(1000506001);
inline constexpr std::uint32_t kComponentFloat16 = 0;
inline constexpr std::uint32_t kComponentFloat32 = 1;
inline constexpr std::uint32_t kScopeSubgroup = 3;

struct CooperativeMatrixFeatures {
  VkStructureType sType;
  void* pNext;
  VkBool32 cooperativeMatrix;
  VkBool32 cooperativeMatrixRobustBufferAccess;
};

struct CooperativeMatrixProperties {
  VkStructureType sType;
  void* pNext;
  std::uint32_t MSize, NSize, KSize;
  std::uint32_t AType, BType, CType, ResultType;  // VkComponentTypeKHR
  VkBool32 saturatingAccumulation;
  std::uint32_t scope;  // VkScopeKHR
};

using GetCooperativeMatrixProperties = VkResult(VKAPI_PTR*)(VkPhysicalDevice, std::uint32_t* count,
                                                            CooperativeMatrixProperties* properties);

}  // namespace heed::vk
