#include "vulkan/command.h"

#include <cassert>
#include <utility>

#include "vulkan/check.h"

namespace heed::vk {
namespace {

bool contains(Stage stages, Stage stage) {
  return (static_cast<std::uint8_t>(stages) & static_cast<std::uint8_t>(stage)) != 0;
}

VkPipelineStageFlags stage_flags(Stage stages) {
  VkPipelineStageFlags flags = 0;
  if (contains(stages, Stage::Compute)) flags |= VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT;
  if (contains(stages, Stage::Transfer)) flags |= VK_PIPELINE_STAGE_TRANSFER_BIT;
  if (contains(stages, Stage::Host)) flags |= VK_PIPELINE_STAGE_HOST_BIT;
  return flags;
}

VkAccessFlags write_access(Stage stages) {
  VkAccessFlags flags = 0;
  if (contains(stages, Stage::Compute)) flags |= VK_ACCESS_SHADER_WRITE_BIT;
  if (contains(stages, Stage::Transfer)) flags |= VK_ACCESS_TRANSFER_WRITE_BIT;
  if (contains(stages, Stage::Host)) flags |= VK_ACCESS_HOST_WRITE_BIT;
  return flags;
}

// SHADER_READ covers storage buffers and uniform texel buffers alike.
VkAccessFlags read_access(Stage stages) {
  VkAccessFlags flags = 0;
  if (contains(stages, Stage::Compute)) flags |= VK_ACCESS_SHADER_READ_BIT;
  if (contains(stages, Stage::Transfer)) flags |= VK_ACCESS_TRANSFER_READ_BIT;
  if (contains(stages, Stage::Host)) flags |= VK_ACCESS_HOST_READ_BIT;
  return flags;
}

VkCommandBufferUsageFlags usage_flags(Recording recording) {
  switch (recording) {
    case Recording::OneTime:
      return VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
    case Recording::Simultaneous:
      return VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT;
    case Recording::Reusable:
      break;
  }
  return 0;
}

}  // namespace

CommandPool::CommandPool(const Device& device) : api_(&device.api()), owner_(device.owner()) {
  const VkCommandPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                        .pNext = nullptr,
                                        .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                        .queueFamilyIndex = device.physical().queue_family};
  VkCommandPool pool = VK_NULL_HANDLE;
  check(api_->vkCreateCommandPool(owner_.device, &info, nullptr, &pool), "vkCreateCommandPool");
  pool_ = {owner_, pool, api_->vkDestroyCommandPool};
}

CommandBuffer CommandPool::allocate() {
  const VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                            .pNext = nullptr,
                                            .commandPool = pool_.get(),
                                            .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                            .commandBufferCount = 1};
  VkCommandBuffer handle = VK_NULL_HANDLE;
  check(api_->vkAllocateCommandBuffers(owner_.device, &info, &handle), "vkAllocateCommandBuffers");
  return CommandBuffer(api_, owner_, pool_.get(), handle);
}

CommandBuffer::CommandBuffer(const VolkDeviceTable* api, const Owner& owner, VkCommandPool pool, VkCommandBuffer handle)
    : api_(api), owner_(owner), pool_(pool), handle_(handle) {}

CommandBuffer::CommandBuffer(CommandBuffer&& other) noexcept
    : api_(other.api_),
      owner_(other.owner_),
      pool_(other.pool_),
      handle_(std::exchange(other.handle_, VK_NULL_HANDLE)) {}

CommandBuffer& CommandBuffer::operator=(CommandBuffer&& other) noexcept {
  std::swap(api_, other.api_);
  std::swap(owner_, other.owner_);
  std::swap(pool_, other.pool_);
  std::swap(handle_, other.handle_);
  return *this;
}

CommandBuffer::~CommandBuffer() {
  if (handle_ == VK_NULL_HANDLE || *owner_.abandoned) return;
  api_->vkFreeCommandBuffers(owner_.device, pool_, 1, &handle_);
}

void CommandBuffer::begin(Recording recording) {
  const VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                         .pNext = nullptr,
                                         .flags = usage_flags(recording),
                                         .pInheritanceInfo = nullptr};
  check(api_->vkBeginCommandBuffer(handle_, &info), "vkBeginCommandBuffer");
}

void CommandBuffer::end() { check(api_->vkEndCommandBuffer(handle_), "vkEndCommandBuffer"); }

void CommandBuffer::bind(const ComputePipeline& pipeline, VkDescriptorSet set,
                         std::span<const std::uint32_t> push_constants) {
  assert(push_constants.size_bytes() == pipeline.push_constant_bytes());
  api_->vkCmdBindPipeline(handle_, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline.handle());
  if (set != VK_NULL_HANDLE) {
    api_->vkCmdBindDescriptorSets(handle_, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline.layout(), 0, 1, &set, 0, nullptr);
  }
  if (!push_constants.empty()) {
    api_->vkCmdPushConstants(handle_, pipeline.layout(), VK_SHADER_STAGE_COMPUTE_BIT, 0,
                             static_cast<std::uint32_t>(push_constants.size_bytes()), push_constants.data());
  }
}

void CommandBuffer::dispatch(std::uint32_t x, std::uint32_t y, std::uint32_t z) {
  api_->vkCmdDispatch(handle_, x, y, z);
}

void CommandBuffer::barrier(Stage from, Stage to) {
  // Writes after reads need only the execution dependency, hence no reads in the source. The target writes too: work
  // that overwrites earlier results must find them made available.
  const VkMemoryBarrier memory = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                  .pNext = nullptr,
                                  .srcAccessMask = write_access(from),
                                  .dstAccessMask = read_access(to) | write_access(to)};
  api_->vkCmdPipelineBarrier(handle_, stage_flags(from), stage_flags(to), 0, 1, &memory, 0, nullptr, 0, nullptr);
}

void CommandBuffer::copy(const Buffer& source, std::uint64_t source_offset, const Buffer& target,
                         std::uint64_t target_offset, std::uint64_t bytes) {
  assert(bytes > 0 && source_offset <= source.size() && bytes <= source.size() - source_offset);
  assert(target_offset <= target.size() && bytes <= target.size() - target_offset);
  const VkBufferCopy region = {.srcOffset = source_offset, .dstOffset = target_offset, .size = bytes};
  api_->vkCmdCopyBuffer(handle_, source.handle(), target.handle(), 1, &region);
}

void CommandBuffer::fill(const Buffer& target, std::uint64_t offset, std::uint64_t bytes, std::uint32_t word) {
  assert(bytes > 0 && bytes % 4 == 0 && offset % 4 == 0);
  assert(offset <= target.size() && bytes <= target.size() - offset);
  api_->vkCmdFillBuffer(handle_, target.handle(), offset, bytes, word);
}

void CommandBuffer::reset(const TimestampQueries& queries) {
  api_->vkCmdResetQueryPool(handle_, queries.handle(), 0, queries.count());
}

void CommandBuffer::timestamp(const TimestampQueries& queries, std::uint32_t index) {
  assert(index < queries.count());
  api_->vkCmdWriteTimestamp(handle_, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, queries.handle(), index);
}

}  // namespace heed::vk
