#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <semaphore>
#include <span>
#include <vector>

#include "plan/weight_layout.h"
#include "runtime/gpu.h"

namespace heed {

/// Copies to device memory that the host does not see, from several threads at once: each packs bytes into a buffer
/// that it borrows, and hands it back to be copied while it packs the next. There are no more buffers than said, so
/// whoever wants one waits until the copy out of the oldest is done.
///
/// Any thread may call borrow() and copy(). Meanwhile the Gpu is not used otherwise. The Gpu must outlive it.
class Staging {
 public:
  Staging(Gpu& gpu, std::size_t buffers, std::uint64_t buffer_bytes);
  /// Waits for copies that are on their way.
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

 private:
  struct Slot {
    explicit Slot(const vk::Device& device, std::uint64_t bytes);
    vk::Buffer buffer;
    vk::CommandPool pool;
    vk::CommandBuffer commands;
    vk::Fence fence;
    bool pending = false;
  };

 public:
  /// A buffer that one thread fills. Goes back by itself.
  class Borrowed {
   public:
    std::span<std::byte> bytes() const { return slot_->buffer.mapped(); }
    /// Else the memory is write-combined: written from front to back, never read.
    bool host_cached() const { return slot_->buffer.host_cached(); }

   private:
    friend class Staging;
    struct GiveBack {
      Staging* staging;
      void operator()(Slot* slot) const { staging->give_back(*slot); }
    };
    explicit Borrowed(Staging& staging, Slot& slot) : slot_(&slot, {&staging}) {}
    std::unique_ptr<Slot, GiveBack> slot_;
  };

  Borrowed borrow();
  /// Copies from the borrowed buffer to `offset` in the target and does not wait.
  void copy(Borrowed borrowed, const vk::Buffer& target, std::uint64_t offset, std::span<const ByteRun> runs);
  /// Waits for all copies. One thread, when the others are done. Throws what Gpu::submit_and_wait does.
  void finish();

 private:
  void give_back(Slot& slot);
  void wait(Slot& slot);

  Gpu& gpu_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::mutex mutex_;
  std::deque<Slot*> free_;  // the one that was used last comes last
  std::counting_semaphore<> available_{0};
  std::atomic<std::uint32_t> submitted_ = 0;  // since the last finish()
};

}  // namespace heed
