#pragma once

#include <volk.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/gpu.h"
#include "runtime/shader_code.h"

namespace heed::testing {

/// What a driver can do to work that it is given, put in place of the functions of an opened device for as long as this
/// lives. One at a time.
class FakeDriver {
 public:
  explicit FakeDriver(const Gpu& gpu) : table_(const_cast<VolkDeviceTable&>(gpu.device().api())), real_(table_) {
    current() = this;
  }
  ~FakeDriver() {
    table_ = real_;
    current() = nullptr;
  }
  FakeDriver(const FakeDriver&) = delete;
  FakeDriver& operator=(const FakeDriver&) = delete;

  /// Submissions from the `first` on succeed without being run.
  void drop_submissions(int first = 0) {
    first_dropped_ = first;
    table_.vkQueueSubmit = [](VkQueue queue, std::uint32_t, const VkSubmitInfo* info, VkFence fence) {
      FakeDriver& self = *current();
      if (self.submissions_++ < self.first_dropped_) return self.real_.vkQueueSubmit(queue, 1, info, fence);
      return self.real_.vkQueueSubmit(queue, 0, nullptr, fence);
    };
  }
  /// The device is lost when the host waits the `nth` time from now on; what was submitted has then finished.
  void lose_device(int nth = 0) {
    lost_at_ = nth;
    table_.vkWaitForFences = [](VkDevice device, std::uint32_t count, const VkFence* fences, VkBool32 all,
                                std::uint64_t timeout) {
      FakeDriver& self = *current();
      const VkResult result = self.real_.vkWaitForFences(device, count, fences, all, timeout);
      return self.waits_++ == self.lost_at_ ? VK_ERROR_DEVICE_LOST : result;
    };
  }
  /// Counts what is submitted and how often the host waits, and does no harm.
  void count() {
    drop_submissions(std::numeric_limits<int>::max());
    lose_device(-1);
  }
  int waits() const { return waits_; }
  int submissions() const { return submissions_; }
  /// The driver compiles a shader module wrongly: where it adds, it subtracts. May be called for several.
  void break_module(const std::string& key) {
    broken_.push_back(shader_code(key).words);
    table_.vkCreateShaderModule = [](VkDevice device, const VkShaderModuleCreateInfo* info,
                                     const VkAllocationCallbacks* callbacks, VkShaderModule* module) {
      FakeDriver& self = *current();
      const std::span<const std::uint32_t> code(info->pCode, info->codeSize / 4);
      const auto is_code = [&](std::span<const std::uint32_t> other) { return std::ranges::equal(code, other); };
      if (std::ranges::none_of(self.broken_, is_code)) {
        return self.real_.vkCreateShaderModule(device, info, callbacks, module);
      }
      constexpr std::uint32_t kFAdd = 129, kFSub = 131;  // of SPIR-V
      std::vector<std::uint32_t> words(code.begin(), code.end());
      for (std::size_t at = 5; at < words.size(); at += words[at] >> 16) {
        if ((words[at] & 0xffffu) == kFAdd) words[at] = (words[at] & 0xffff0000u) | kFSub;
      }
      VkShaderModuleCreateInfo changed = *info;
      changed.pCode = words.data();
      return self.real_.vkCreateShaderModule(device, &changed, callbacks, module);
    };
  }
  /// No memory is left.
  void run_out_of_memory() {
    table_.vkAllocateMemory = [](VkDevice, const VkMemoryAllocateInfo*, const VkAllocationCallbacks*, VkDeviceMemory*) {
      return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    };
  }
  /// The next `count` times memory cannot be mapped, so that the host does not see it.
  void refuse_mapping(int count) {
    refused_ = count;
    table_.vkMapMemory = [](VkDevice device, VkDeviceMemory memory, VkDeviceSize offset, VkDeviceSize size,
                            VkMemoryMapFlags flags, void** data) {
      FakeDriver& self = *current();
      if (self.refused_ > 0 && self.refused_-- > 0) return VK_ERROR_MEMORY_MAP_FAILED;
      return self.real_.vkMapMemory(device, memory, offset, size, flags, data);
    };
  }
  /// Counts what is allocated from now on.
  void count_memory() {
    table_.vkAllocateMemory = [](VkDevice device, const VkMemoryAllocateInfo* info,
                                 const VkAllocationCallbacks* callbacks, VkDeviceMemory* memory) {
      FakeDriver& self = *current();
      self.allocated_ += info->allocationSize;
      return self.real_.vkAllocateMemory(device, info, callbacks, memory);
    };
  }
  std::uint64_t allocated() const { return allocated_; }
  /// Nothing that is waited for ever ends.
  void hang() {
    table_.vkWaitForFences = [](VkDevice, std::uint32_t, const VkFence*, VkBool32, std::uint64_t) {
      return VK_TIMEOUT;
    };
  }

 private:
  static FakeDriver*& current() {
    static FakeDriver* driver = nullptr;
    return driver;
  }
  VolkDeviceTable& table_;
  VolkDeviceTable real_;
  std::vector<std::span<const std::uint32_t>> broken_;
  int first_dropped_ = 0;
  std::atomic<int> submissions_ = 0;
  int lost_at_ = 0;
  std::atomic<int> waits_ = 0;
  std::atomic<int> refused_ = 0;
  std::atomic<std::uint64_t> allocated_ = 0;
};

/// Devices that are opened while this lives are lost at the next wait whenever it is armed. One at a time; a process
/// that has opened an instance before.
class LossyDevices {
 public:
  LossyDevices() : real_(vkGetDeviceProcAddr) {
    current() = this;
    vkGetDeviceProcAddr = [](VkDevice device, const char* name) {
      LossyDevices& self = *current();
      const PFN_vkVoidFunction found = self.real_(device, name);
      if (std::string_view(name) != "vkWaitForFences") return found;
      self.wait_ = reinterpret_cast<PFN_vkWaitForFences>(found);
      const PFN_vkWaitForFences lossy = [](VkDevice lost, std::uint32_t count, const VkFence* fences, VkBool32 all,
                                           std::uint64_t timeout) {
        const VkResult result = current()->wait_(lost, count, fences, all, timeout);
        if (!current()->armed_) return result;
        current()->armed_ = false;
        ++current()->losses_;
        return VK_ERROR_DEVICE_LOST;
      };
      return reinterpret_cast<PFN_vkVoidFunction>(lossy);
    };
  }
  ~LossyDevices() { vkGetDeviceProcAddr = real_; }
  LossyDevices(const LossyDevices&) = delete;
  LossyDevices& operator=(const LossyDevices&) = delete;

  void arm() { armed_ = true; }
  int losses() const { return losses_; }

 private:
  static LossyDevices*& current() {
    static LossyDevices* devices = nullptr;
    return devices;
  }
  PFN_vkGetDeviceProcAddr real_;
  PFN_vkWaitForFences wait_ = nullptr;
  bool armed_ = false;
  int losses_ = 0;
};

}  // namespace heed::testing
