#include "vulkan/feature_chain.h"

namespace heed::vk {

std::span<const FeatureEntry> all_features() {
  static constexpr FeatureEntry kEntries[] = {
      {&Features::storage_16bit, "storageBuffer16BitAccess", ""},
      {&Features::storage_8bit, "storageBuffer8BitAccess", VK_KHR_8BIT_STORAGE_EXTENSION_NAME},
      {&Features::shader_float16, "shaderFloat16", VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME},
      {&Features::shader_int8, "shaderInt8", VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME},
      {&Features::shader_int16, "shaderInt16", ""},
      {&Features::integer_dot_product, "shaderIntegerDotProduct", VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME},
      {&Features::subgroup_size_control, "subgroupSizeControl and computeFullSubgroups",
       VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME},
      {&Features::vulkan_memory_model, "vulkanMemoryModel", VK_KHR_VULKAN_MEMORY_MODEL_EXTENSION_NAME},
      {&Features::cooperative_matrix, "cooperativeMatrix", kCooperativeMatrixExtension},
      {&Features::robust_buffer_access, "robustBufferAccess", ""},
  };
  return kEntries;
}

FeatureChain::FeatureChain(const std::function<bool(std::string_view extension)>& has) {
  core_.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
  storage_16bit_.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES;
  storage_8bit_.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_8BIT_STORAGE_FEATURES_KHR;
  float16_int8_.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES_KHR;
  dot_product_.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES_KHR;
  subgroup_size_.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES_EXT;
  memory_model_.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES_KHR;
  cooperative_matrix_.sType = kCooperativeMatrixFeaturesType;
  const auto link = [&](auto& structure) {
    structure.pNext = core_.pNext;
    core_.pNext = &structure;
  };
  link(storage_16bit_);
  if (has(VK_KHR_8BIT_STORAGE_EXTENSION_NAME)) link(storage_8bit_);
  if (has(VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME)) link(float16_int8_);
  if (has(VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME)) link(dot_product_);
  if (has(VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME)) link(subgroup_size_);
  if (has(VK_KHR_VULKAN_MEMORY_MODEL_EXTENSION_NAME)) link(memory_model_);
  if (has(kCooperativeMatrixExtension)) link(cooperative_matrix_);
}

Features FeatureChain::get() const {
  return {.storage_16bit = storage_16bit_.storageBuffer16BitAccess == VK_TRUE,
          .storage_8bit = storage_8bit_.storageBuffer8BitAccess == VK_TRUE,
          .shader_float16 = float16_int8_.shaderFloat16 == VK_TRUE,
          .shader_int8 = float16_int8_.shaderInt8 == VK_TRUE,
          .shader_int16 = core_.features.shaderInt16 == VK_TRUE,
          .integer_dot_product = dot_product_.shaderIntegerDotProduct == VK_TRUE,
          .subgroup_size_control =
              subgroup_size_.subgroupSizeControl == VK_TRUE && subgroup_size_.computeFullSubgroups == VK_TRUE,
          .vulkan_memory_model = memory_model_.vulkanMemoryModel == VK_TRUE,
          .cooperative_matrix = cooperative_matrix_.cooperativeMatrix == VK_TRUE,
          .robust_buffer_access = core_.features.robustBufferAccess == VK_TRUE};
}

void FeatureChain::set(const Features& features) {
  storage_16bit_.storageBuffer16BitAccess = features.storage_16bit;
  storage_8bit_.storageBuffer8BitAccess = features.storage_8bit;
  float16_int8_.shaderFloat16 = features.shader_float16;
  float16_int8_.shaderInt8 = features.shader_int8;
  core_.features.shaderInt16 = features.shader_int16;
  dot_product_.shaderIntegerDotProduct = features.integer_dot_product;
  subgroup_size_.subgroupSizeControl = features.subgroup_size_control;
  subgroup_size_.computeFullSubgroups = features.subgroup_size_control;
  memory_model_.vulkanMemoryModel = features.vulkan_memory_model;
  cooperative_matrix_.cooperativeMatrix = features.cooperative_matrix;
  core_.features.robustBufferAccess = features.robust_buffer_access;
}

}  // namespace heed::vk
