#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "heed/dispatch_time.h"
#include "heed/error.h"
#include "plan/plan.h"
#include "runtime/gpu.h"
#include "runtime/weights.h"
#include "vulkan/descriptor.h"

namespace heed {

/// A range of a buffer from `offset` on; null for weights, which a WeightStore places.
struct TensorPlace {
  std::shared_ptr<const vk::Buffer> buffer;
  std::uint64_t offset = 0;
};

/// A plan recorded for a device: pipelines, descriptor sets and command buffers. Made and run by a Session.
class Executable {
 public:
  const Plan& plan() const { return plan_; }

 private:
  friend class Session;
  /// Work that is submitted at once.
  struct Submission {
    vk::CommandBuffer commands;
    std::size_t longest;  // the dispatch of it that is planned to take most time
    double seconds = 0;   // that all of it is planned to take
  };
  Plan plan_;
  std::vector<TensorPlace> places_;  // by tensor
  std::vector<vk::BufferView> views_;
  std::unique_ptr<vk::DescriptorPool> pool_;
  std::vector<VkDescriptorSet> sets_;  // by dispatch
  /// By number of repeats: command buffers to submit one after the other.
  std::map<int, std::vector<Submission>> recorded_;
};

/// An index that a graph was given, or computed, names no place of the tensor that it is for.
class IndexOutOfRange : public Error {
 public:
  IndexOutOfRange(const std::string& message, std::string node) : Error(message), node_(std::move(node)) {}
  const std::string& node() const { return node_; }  // that looks it up

 private:
  std::string node_;
};

/// A running model: its states and inputs in device memory, an arena for intermediates, and the executables of its
/// graphs by binding. Inputs and states are shared by all graphs by name. Gpu and WeightStore must outlive it. Used by
/// one thread at a time.
class Session {
 public:
  Session(Gpu& gpu, WeightStore& weights) : gpu_(gpu), weights_(weights) {}

  /// Makes room for an input or state ahead of the graphs that use it: the largest size it will have. With Readback it
  /// lies where the host reads it after a run without a copy: for a few words that kernels write and seldom read.
  void reserve(const std::string& name, std::uint64_t bytes, vk::MemoryUse use = vk::MemoryUse::Device);
  /// Makes inputs or states as large as said, by name, where they are not; what they hold stays, and what follows is
  /// undefined. Executables are prepared anew after that. Throws Error, naming `what` this is, before anything is
  /// allocated when the device has not enough memory left for it.
  void grow(const std::map<std::string, std::uint64_t>& sizes, std::string_view what);
  /// Plans and compiles a graph for bound dimensions, once for each graph name and binding as long as it is among the
  /// last kMostExecutables that were asked for. What it returns lives that long, or until an input or state is reserved
  /// larger than it was.
  Executable& prepare(const Graph& graph, const Bindings& dims);
  /// The same for a plan made elsewhere; not kept by the session. Both throw Error before anything is allocated when
  /// the device has not enough memory left.
  std::unique_ptr<Executable> prepare(Plan plan);

  /// Bytes of inputs and states. write() zero-extends nothing; the tensor must exist (reserved or prepared).
  void write(const std::string& name, std::span<const std::byte> bytes, std::uint64_t offset = 0);
  /// Makes room for them first.
  void reserve_and_write(const std::string& name, std::span<const std::byte> bytes);
  void read(const std::string& name, std::span<std::byte> bytes, std::uint64_t offset = 0);
  /// Sets all of a state or input to zero.
  void clear(const std::string& name);
  /// An output of the last run of an executable.
  void read_output(const Executable& executable, const std::string& name, std::span<std::byte> bytes);
  /// Bytes of any tensor of its plan but weights, as the last run left them; see make_traced_plan() for intermediates.
  void read_tensor(const Executable& executable, std::size_t tensor, std::uint64_t offset, std::span<std::byte> bytes);
  /// Sets every 32-bit word of the outputs and of the arena, so that tests see what a run leaves unwritten.
  void fill_scratch(const Executable& executable, std::uint32_t word);
  bool has(const std::string& name) const { return named_.contains(name); }

  /// Runs the executable `repeats` times, one after the other, and waits once, when all is submitted, unless that is
  /// more than Gpu::submit_ahead() lets through. Work is split into submissions short enough for the watchdogs of
  /// desktop systems. Throws DeviceLost naming the dispatch that most likely took too long, Error when the driver
  /// dropped work, and IndexOutOfRange naming node and index.
  void run(Executable& executable, int repeats = 1);

  /// Each dispatch's time by the device's clock, with a barrier between all of them: the median of `repeats` runs, each
  /// of which has the effects of run(). `before_each` is called before each, to set the inputs back. Throws Error on
  /// devices without timestamps.
  std::vector<DispatchTime> time_dispatches(Executable& executable, int repeats,
                                            const std::function<void()>& before_each);

 private:
  static constexpr std::size_t kMostExecutables = 32;
  struct Prepared {
    std::unique_ptr<Executable> executable;
    std::uint64_t last_use = 0;
  };

  std::shared_ptr<const vk::Buffer> named(const std::string& name, std::uint64_t bytes,
                                          vk::MemoryUse use = vk::MemoryUse::Device);
  MemoryNeed need(const Plan& plan) const;
  std::vector<TensorPlace> place(const Plan& plan);
  void write_descriptors(Executable& executable);
  std::vector<Executable::Submission> record(const Executable& executable, int repeats);
  void submit(const Executable& executable, std::span<const Executable::Submission> submissions);

  Gpu& gpu_;
  WeightStore& weights_;
  std::map<std::string, std::shared_ptr<const vk::Buffer>> named_;
  std::vector<std::shared_ptr<const vk::Buffer>> arena_;
  std::map<std::string, Prepared> executables_;
  std::uint64_t uses_ = 0;
};

}  // namespace heed
