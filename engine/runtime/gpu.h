#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "heed/device.h"
#include "plan/plan.h"
#include "runtime/crash_mark.h"
#include "runtime/quarantine.h"
#include "runtime/run_proof.h"
#include "vulkan/command.h"
#include "vulkan/fence.h"
#include "vulkan/pipeline.h"

namespace heed {

/// What the planner must know of a physical device, as the driver says it.
DeviceCaps reported_caps(const vk::PhysicalDevice& physical);
/// The same made fit for planning (usable_caps).
DeviceCaps device_caps(const vk::PhysicalDevice& physical);

/// The name in the cache folder of what is kept of one kind for a device and the version of its driver.
std::string cache_name(std::string_view kind, const vk::PhysicalDevice& physical);

/// Bytes that have to be allocated before something runs.
struct MemoryNeed {
  std::uint64_t weights = 0;
  std::uint64_t states = 0;  // and inputs
  std::uint64_t other = 0;   // intermediates, outputs, constants
};

/// One opened device and what every session on it shares: its limits, the tuner's verdict, compiled pipelines (kept in
/// the cache folder between runs), and copies to and from memory the host does not see. Used by one thread at a time.
class Gpu {
 public:
  /// Opens the device and reads its caches; the tuner and the self-test run where there is no verdict yet.
  /// With `compile_only` it plans with the default tuning, and submits nothing.
  Gpu(std::shared_ptr<const vk::Instance> instance, const vk::PhysicalDevice& physical, const DeviceOptions& options);
  ~Gpu();  // keeps the pipeline cache
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  const vk::Device& device() const { return device_; }
  const vk::Instance& instance() const { return *instance_; }
  const DeviceCaps& caps() const { return caps_; }
  const Tuning& tuning() const { return tuning_; }
  void set_tuning(const Tuning& tuning) { tuning_ = tuning; }
  vk::CommandPool& commands() { return commands_; }

  /// Kernels that are off here (runtime/quarantine.h); caps().broken_modules are their keys.
  const Quarantine& quarantine() const { return quarantine_; }
  /// Turns kernels off, or on again, and keeps that. Plans made from now on go by it.
  void put_into_quarantine(const Quarantine& modules);
  void release_from_quarantine(const std::set<std::string>& modules);
  /// Compiles everything anew from now on; nothing prepared before may be used any more.
  void forget_pipelines() { pipelines_.clear(); }
  /// For trying: nothing is kept.
  void set_broken_modules(std::set<std::string> modules) { caps_.broken_modules = std::move(modules); }
  /// Lines for the user about what happened when the device was opened: kernels turned off, caches ignored.
  const std::vector<std::string>& notes() const { return notes_; }

  /// Compiles what the plan needs and is not there yet, on several threads.
  void compile(const Plan& plan);
  /// The pipeline of a dispatch; compile() has seen its plan.
  const vk::ComputePipeline& pipeline(const Dispatch& dispatch) const;

  /// Throws Error, with the numbers and what to do, where less memory is left than `what` needs. CPU drivers are not
  /// asked: they make up the size of their heap and give what the machine has.
  void check_memory(const MemoryNeed& need, std::string_view what) const;

  /// Copies host bytes into a buffer, or out of it, and waits. Direct where the memory is mapped.
  void upload(const vk::Buffer& buffer, std::uint64_t offset, std::span<const std::byte> bytes);
  void download(const vk::Buffer& buffer, std::uint64_t offset, std::span<std::byte> bytes);
  /// Copies the first `bytes` of a buffer into another and waits.
  void copy(const vk::Buffer& source, const vk::Buffer& target, std::uint64_t bytes);
  void fill_zero(const vk::Buffer& buffer) { fill(buffer, 0); }
  /// Sets every 32-bit word of a buffer and waits.
  void fill(const vk::Buffer& buffer, std::uint32_t word);
  /// Ends a command buffer with the proof that it ran; nothing else is submitted.
  void finish(vk::CommandBuffer& commands) const;
  /// Submits and does not wait, unless much is on its way already: 16 submissions, or as much as a slow GPU does in
  /// 1.6 s, where a submission that is planned to take `seconds` would be more. What it refers to must live, and may
  /// not be submitted again, until wait_for_all() has returned. Throws what that does.
  void submit_ahead(const vk::CommandBuffer& commands, double seconds, std::string_view what);
  /// Waits until all that was submitted ahead has run. Throws DeviceLost when the device is lost, or silent for ten
  /// minutes: then it is abandoned, with all that was made on it. Throws Error when the driver says that it ran the
  /// work and did not.
  void wait_for_all(std::string_view what);
  void submit_and_wait(const vk::CommandBuffer& commands, std::string_view what) {
    submit_ahead(commands, 0, what);
    wait_for_all(what);
  }
  /// The same in parts, for threads of which each has a fence of its own: whoever calls them has the proof checked in
  /// the end. Any thread.
  void submit(const vk::CommandBuffer& commands, vk::Fence& fence, std::string_view what) const;
  void wait(const vk::Fence& fence, std::string_view what) const;
  RunProof& proof() { return proof_; }

  /// Throws Error with the first message of the validation layer, if it is on (HEED_VALIDATION=1) and has said
  /// anything.
  void check_validation() const;

 private:
  /// A submission that the host has not waited for.
  struct Ahead {
    std::unique_ptr<vk::Fence> fence;
    double seconds = 0;  // that it is planned to take
  };
  void take_back(std::size_t count);
  void wait_for(std::size_t count, std::string_view what);
  void refuse_abandoned(std::string_view what) const;
  static std::string pipeline_key(const Dispatch& dispatch);
  void tune_or_remember(CrashMark& mark, const std::function<void(std::string_view)>& before);
  void test_or_remember(CrashMark& mark, bool forgotten);
  std::string cache_name(std::string_view kind) const { return heed::cache_name(kind, device_.physical()); }

  std::shared_ptr<const vk::Instance> instance_;
  vk::Device device_;  // keeps the instance as well
  DeviceCaps caps_;
  Tuning tuning_;
  std::vector<std::string> notes_;  // before what is read from caches
  vk::PipelineCache cache_;
  vk::CommandPool commands_;
  RunProof proof_;
  std::map<std::string, std::unique_ptr<vk::ComputePipeline>> pipelines_;
  bool compiled_new_ = false;
  std::deque<Ahead> ahead_;                         // in their order
  std::vector<std::unique_ptr<vk::Fence>> fences_;  // to be used again
  std::uint32_t unproved_ = 0;                      // submissions that the proof was not asked for
  Quarantine quarantine_;
};

}  // namespace heed
