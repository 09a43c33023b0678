#include "vulkan/device.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <vector>

#include "heed/error.h"
#include "vulkan/check.h"
#include "vulkan/feature_chain.h"

namespace heed::vk {
namespace {

constexpr const char* kPortabilitySubset = "VK_KHR_portability_subset";  // its macro is in vulkan_beta.h only

void require_features(const PhysicalDevice& physical, const Features& features) {
  for (const FeatureEntry& entry : all_features()) {
    if (features.*entry.member && !(physical.features.*entry.member)) {
      throw Error(fmt::format("device '{}': does not support {}; choose another device or do without the feature",
                              physical.name, entry.name));
    }
  }
}

std::vector<const char*> needed_extensions(const PhysicalDevice& physical, const Features& features) {
  std::vector<const char*> extensions;
  for (const FeatureEntry& entry : all_features()) {
    const std::string_view extension = entry.extension;
    if (!(features.*entry.member) || extension.empty()) continue;
    if (std::none_of(extensions.begin(), extensions.end(), [&](std::string_view e) { return e == extension; })) {
      extensions.push_back(entry.extension);
    }
  }
  if (physical.has_extension(kPortabilitySubset)) extensions.push_back(kPortabilitySubset);
  return extensions;
}

}  // namespace

struct Device::State {
  std::shared_ptr<const Instance> instance;
  PhysicalDevice physical;
  Features features;
  VolkDeviceTable api{};
  VkDevice device = VK_NULL_HANDLE;
  VkQueue queue = VK_NULL_HANDLE;
  std::mutex queue_mutex;
  std::atomic<bool> abandoned = false;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (device == VK_NULL_HANDLE || abandoned) return;
    // Lost or not: nothing of the device may be in use when it goes.
    api.vkDeviceWaitIdle(device);
    api.vkDestroyDevice(device, nullptr);
  }
};

Device::Device(const PhysicalDevice& physical, const Features& features, std::shared_ptr<const Instance> instance)
    : state_(std::make_unique<State>()) {
  if (!physical.unusable.empty()) {
    throw Error(
        fmt::format("device '{}': cannot be used: {}; choose another device", physical.name, physical.unusable));
  }
  require_features(physical, features);
  state_->instance = std::move(instance);
  state_->physical = physical;
  state_->features = features;

  const std::vector<const char*> extensions = needed_extensions(physical, features);
  FeatureChain chain([&](std::string_view extension) {
    return std::any_of(extensions.begin(), extensions.end(), [&](std::string_view e) { return e == extension; });
  });
  chain.set(features);

  const float priority = 1.0f;
  const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                         .pNext = nullptr,
                                         .flags = 0,
                                         .queueFamilyIndex = physical.queue_family,
                                         .queueCount = 1,
                                         .pQueuePriorities = &priority};
  const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                   .pNext = chain.head(),
                                   .flags = 0,
                                   .queueCreateInfoCount = 1,
                                   .pQueueCreateInfos = &queue,
                                   .enabledLayerCount = 0,
                                   .ppEnabledLayerNames = nullptr,
                                   .enabledExtensionCount = static_cast<std::uint32_t>(extensions.size()),
                                   .ppEnabledExtensionNames = extensions.data(),
                                   .pEnabledFeatures = nullptr};
  VkDevice device = VK_NULL_HANDLE;
  check(vkCreateDevice(physical.handle, &info, nullptr, &device), "vkCreateDevice", physical.name);
  volkLoadDeviceTable(&state_->api, device);
  state_->device = device;
  state_->api.vkGetDeviceQueue(device, physical.queue_family, 0, &state_->queue);
}

Device::~Device() {
  // Handles of a device that is left alone still ask.
  if (state_ != nullptr && state_->abandoned) static_cast<void>(state_.release());
}
Device::Device(Device&&) noexcept = default;
Device& Device::operator=(Device&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

VkDevice Device::handle() const { return state_->device; }
Owner Device::owner() const { return {state_->device, &state_->abandoned}; }
const PhysicalDevice& Device::physical() const { return state_->physical; }
const Features& Device::features() const { return state_->features; }
const VolkDeviceTable& Device::api() const { return state_->api; }

void Device::submit(std::span<const VkCommandBuffer> command_buffers, VkFence fence) const {
  const VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                             .pNext = nullptr,
                             .waitSemaphoreCount = 0,
                             .pWaitSemaphores = nullptr,
                             .pWaitDstStageMask = nullptr,
                             .commandBufferCount = static_cast<std::uint32_t>(command_buffers.size()),
                             .pCommandBuffers = command_buffers.data(),
                             .signalSemaphoreCount = 0,
                             .pSignalSemaphores = nullptr};
  const std::lock_guard lock(state_->queue_mutex);
  check(state_->api.vkQueueSubmit(state_->queue, 1, &info, fence), "vkQueueSubmit", state_->physical.name);
}

void Device::abandon() const { state_->abandoned = true; }
bool Device::abandoned() const { return state_->abandoned; }

void Device::wait_idle() const {
  const std::lock_guard lock(state_->queue_mutex);
  check(state_->api.vkQueueWaitIdle(state_->queue), "vkQueueWaitIdle", state_->physical.name);
}

}  // namespace heed::vk
