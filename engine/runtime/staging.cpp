#include "runtime/staging.h"

#include <utility>

#include "heed/error.h"

namespace heed {
namespace {

constexpr std::string_view kWhat = "upload";

}  // namespace

Staging::Slot::Slot(const vk::Device& device, std::uint64_t bytes)
    : buffer(device, bytes, vk::MemoryUse::Upload, "staging"), pool(device), commands(pool.allocate()), fence(device) {}

Staging::Staging(Gpu& gpu, std::size_t buffers, std::uint64_t buffer_bytes) : gpu_(gpu) {
  for (std::size_t i = 0; i < buffers; ++i) {
    slots_.push_back(std::make_unique<Slot>(gpu.device(), buffer_bytes));
    free_.push_back(slots_.back().get());
    available_.release();
  }
}

Staging::~Staging() {
  try {
    finish();
  } catch (const Error&) {
    // Only where another error is on its way already: whoever has none called finish() and heard of it there.
  }
}

Staging::Borrowed Staging::borrow() {
  available_.acquire();
  Slot* oldest;
  {
    const std::lock_guard lock(mutex_);
    oldest = free_.front();
    free_.pop_front();
  }
  Borrowed borrowed(*this, *oldest);
  wait(*oldest);
  return borrowed;
}

void Staging::give_back(Slot& slot) {
  {
    const std::lock_guard lock(mutex_);
    free_.push_back(&slot);
  }
  available_.release();
}

void Staging::copy(Borrowed borrowed, const vk::Buffer& target, std::uint64_t offset, std::span<const ByteRun> runs) {
  Slot& slot = *borrowed.slot_;
  slot.commands.begin(vk::Recording::OneTime);
  for (const ByteRun& run : runs) slot.commands.copy(slot.buffer, run.from, target, offset + run.to, run.bytes);
  gpu_.finish(slot.commands);
  gpu_.submit(slot.commands, slot.fence, kWhat);
  slot.pending = true;
  ++submitted_;
}

void Staging::wait(Slot& slot) {
  if (!slot.pending) return;
  gpu_.wait(slot.fence, kWhat);
  slot.pending = false;
}

void Staging::finish() {
  for (const std::unique_ptr<Slot>& slot : slots_) wait(*slot);
  if (const std::uint32_t submitted = submitted_.exchange(0); submitted > 0) gpu_.proof().check(submitted, kWhat);
}

}  // namespace heed
