#include "runtime/gpu.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <utility>

#include "file/model_file.h"
#include "graph/integer.h"
#include "heed/error.h"
#include "runtime/cache_folder.h"
#include "runtime/self_test.h"
#include "runtime/shader_code.h"
#include "runtime/threads.h"
#include "runtime/tuner.h"

namespace heed {
namespace {

constexpr std::uint64_t kSubmitTimeoutNs = 600'000'000'000;  // nanoseconds; CPU drivers may be slow, but not that slow
constexpr std::size_t kMostAhead = 16;                       // submissions
constexpr double kMostSecondsAhead = 1.6;                    // as planned: a stop is heard soon enough
constexpr std::uint64_t kStagingBytes = std::uint64_t{16} << 20;

/// What kernels of cooperative matrices and of dot products need, where the device has all of it; else nothing beyond
/// Vulkan 1.1.
vk::Features wanted_features(const vk::PhysicalDevice& physical) {
  const vk::Features& has = physical.features;
  const vk::SubgroupSizes sizes = physical.subgroup_sizes;
  const bool full_subgroups =
      has.subgroup_size_control && physical.subgroup_size >= sizes.min && physical.subgroup_size <= sizes.max;
  const bool cooperative = full_subgroups && has.cooperative_matrix && has.vulkan_memory_model && has.shader_float16 &&
                           !physical.cooperative_sizes.empty();
  const bool dots = full_subgroups && has.integer_dot_product;
  return {.shader_float16 = cooperative,
          .integer_dot_product = dots,
          .subgroup_size_control = cooperative || dots,
          .vulkan_memory_model = cooperative,
          .cooperative_matrix = cooperative};
}

}  // namespace

DeviceCaps reported_caps(const vk::PhysicalDevice& physical) {
  DeviceCaps caps;
  caps.name = physical.name;
  switch (physical.type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
      caps.type = DeviceType::Discrete;
      break;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
      caps.type = DeviceType::Integrated;
      break;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
      caps.type = DeviceType::Virtual;
      break;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
      caps.type = DeviceType::Cpu;
      break;
    default:
      caps.type = DeviceType::Other;
  }
  const VkPhysicalDeviceLimits& limits = physical.limits;
  caps.max_storage_buffer_range = limits.maxStorageBufferRange;
  caps.max_texel_buffer_elements = physical.texel_formats ? limits.maxTexelBufferElements : 0;
  caps.max_storage_buffers =
      std::min(limits.maxPerStageDescriptorStorageBuffers, limits.maxDescriptorSetStorageBuffers);
  // Uniform texel buffers count as sampled images.
  caps.max_texel_buffers = std::min(limits.maxPerStageDescriptorSampledImages, limits.maxDescriptorSetSampledImages);
  caps.max_resources = limits.maxPerStageResources;
  for (std::uint32_t i = 0; i < physical.memory.memoryHeapCount; ++i) {
    caps.memory = saturating_sum(caps.memory, physical.memory.memoryHeaps[i].size);
  }
  caps.max_memory_allocation = std::min(physical.max_memory_allocation_size, physical.max_buffer_size);
  caps.buffer_alignment =
      std::max<std::uint64_t>(limits.minStorageBufferOffsetAlignment, limits.minTexelBufferOffsetAlignment);
  caps.max_push_constants = limits.maxPushConstantsSize;
  caps.max_workgroup_invocations = limits.maxComputeWorkGroupInvocations;
  std::copy_n(limits.maxComputeWorkGroupSize, 3, caps.max_workgroup_size.begin());
  std::copy_n(limits.maxComputeWorkGroupCount, 3, caps.max_workgroup_count.begin());
  caps.max_shared_memory = limits.maxComputeSharedMemorySize;
  caps.subgroup_size = physical.subgroup_size;
  // Seen in Mesa 22.3, no more in 26.1; what lies between is not worth telling apart.
  if (physical.driver_name == "llvmpipe") caps.max_loop_iterations = 65535;
  caps.subgroup_arithmetic =
      physical.has_subgroup_operations(VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_ARITHMETIC_BIT);
  caps.subgroup_shuffle =
      physical.has_subgroup_operations(VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_SHUFFLE_BIT);
  if (wanted_features(physical).cooperative_matrix) caps.cooperative_sizes = physical.cooperative_sizes;
  caps.integer_dot_product = wanted_features(physical).integer_dot_product;
  return caps;
}

DeviceCaps device_caps(const vk::PhysicalDevice& physical) { return usable_caps(reported_caps(physical)); }

std::string cache_name(std::string_view kind, const vk::PhysicalDevice& physical) {
  // Versions of Mesa's CPU driver differ in nothing but their names and subgroups.
  Checksum driver;
  driver.update(std::as_bytes(std::span(physical.driver_name)));
  driver.update(std::as_bytes(std::span(physical.driver_info)));
  return fmt::format("{}-{:04x}-{:04x}-{:x}-{}-{}-{:016x}", kind, physical.vendor_id, physical.device_id,
                     physical.driver_version_number, vk::uuid_text(physical.pipeline_cache_uuid),
                     physical.subgroup_size, driver.digest());
}

Gpu::Gpu(std::shared_ptr<const vk::Instance> instance, const vk::PhysicalDevice& physical, const DeviceOptions& options)
    : instance_(std::move(instance)),
      device_(physical, wanted_features(physical), instance_),
      caps_(device_caps(physical)),
      tuning_(default_tuning(caps_)),
      cache_(device_, read_cache_file(cache_name("pipelines"), notes_)),
      commands_(device_),
      proof_(device_, cache_) {
  if (options.compile_only) return;
  std::string note;
  quarantine_ = read_quarantine(cache_name("quarantine") + ".json", note);
  if (!note.empty()) notes_.push_back(note);
  for (const auto& [module, reason] : quarantine_) caps_.broken_modules.insert(module);
  CrashMark mark(cache_name("trying"), shaders_checksum());
  tune_or_remember(mark, options.before_measuring);
  test_or_remember(mark, !note.empty());
  for (const std::string& what : mark.given_up()) {
    notes_.push_back(
        fmt::format("{} is left out on {}: it cost the device before, or the program did not come back from it three "
                    "times; see what 'heed conform' says, or delete {} to have it tried again",
                    what, caps_.name, mark.path().string()));
  }
}

void Gpu::tune_or_remember(CrashMark& mark, const std::function<void(std::string_view)>& before) {
  const std::string name = cache_name("tuning");
  if (const std::optional<Tuning> known = tuning_from_bytes(read_cache_file(name, notes_), caps_)) {
    tuning_ = *known;
    return;
  }
  const std::string what = "measuring kernels";
  if (!mark.begin(what)) return;
  try {
    if (before) before(caps_.name);
    tuning_ = tune(*this);
  } catch (const DeviceLost&) {
    mark.lost(what);
    throw;
  } catch (...) {
    mark.survived(what);
    throw;
  }
  mark.survived(what);
  write_cache_file(name, tuning_to_bytes(tuning_));
}

void Gpu::test_or_remember(CrashMark& mark, bool forgotten) {
  // Judged again when kernels change with a new build, for a new driver version, whose name is another, and when the
  // kernels that are off, or what is not tried, are not what the last test left.
  const std::string tested = cache_name("self-test");
  const auto verdict = [&] {
    return std::array{shaders_checksum(), quarantine_checksum(quarantine_), mark.checksum()};
  };
  const std::array before = verdict();
  const bool known = std::ranges::equal(read_cache_file(tested, notes_), std::as_bytes(std::span(before)));
  if (known && !forgotten) return;
  const SelfTest result = self_test(*this, mark);
  std::ranges::copy(result.notes, std::back_inserter(notes_));
  if (forgotten) put_into_quarantine({});  // in place of the damaged file
  if (!result.conclusive) return;
  const std::array after = verdict();
  write_cache_file(tested, std::as_bytes(std::span(after)));
}

void Gpu::put_into_quarantine(const Quarantine& modules) {
  for (const auto& [module, reason] : modules) {
    quarantine_[module] = reason;
    caps_.broken_modules.insert(module);
  }
  change_quarantine(cache_name("quarantine") + ".json", modules, {});
}

void Gpu::release_from_quarantine(const std::set<std::string>& modules) {
  for (const std::string& module : modules) {
    quarantine_.erase(module);
    caps_.broken_modules.erase(module);
  }
  change_quarantine(cache_name("quarantine") + ".json", {}, modules);
}

Gpu::~Gpu() {
  if (!compiled_new_ || device_.abandoned()) return;
  try {
    write_cache_file(cache_name("pipelines"), cache_.data());
  } catch (const std::exception&) {
    // Without a cache the next start is slower; nothing else depends on it.
  }
}

std::string Gpu::pipeline_key(const Dispatch& dispatch) {
  std::string key = dispatch.module_key();
  for (const std::uint32_t word : dispatch.specialization) key += fmt::format(",{}", word);
  return key;
}

void Gpu::compile(const Plan& plan) {
  std::vector<const Dispatch*> missing;
  for (const Dispatch& dispatch : plan.dispatches) {
    if (pipelines_.try_emplace(pipeline_key(dispatch)).second) missing.push_back(&dispatch);
  }
  if (missing.empty()) return;
  compiled_new_ = true;

  try {
    for_each_on_threads(missing.size(), [&](std::size_t i) {
      const Dispatch& dispatch = *missing[i];
      const std::string module_key = dispatch.module_key();
      const vk::ShaderModule module(device_, shader_code(module_key).words);
      std::vector<VkDescriptorType> types;
      for (const Binding& binding : dispatch.bindings) {
        types.push_back(binding.view != View::None && dispatch.texel ? VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER
                                                                     : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER);
      }
      vk::ComputePipelineInfo info;
      info.name = module_key;
      info.bindings = types;
      info.push_constant_bytes = static_cast<std::uint32_t>(dispatch.push_constants.size() * 4);
      info.specialization = dispatch.specialization;
      info.required_subgroup_size = dispatch.subgroup_size;
      // Distinct keys, so no two threads touch the same slot; the map itself does not change here.
      pipelines_.find(pipeline_key(dispatch))->second =
          std::make_unique<vk::ComputePipeline>(device_, &cache_, module, info);
    });
  } catch (...) {
    std::erase_if(pipelines_, [](const auto& item) { return item.second == nullptr; });
    throw;
  }
}

const vk::ComputePipeline& Gpu::pipeline(const Dispatch& dispatch) const {
  return *pipelines_.at(pipeline_key(dispatch));
}

void Gpu::finish(vk::CommandBuffer& commands) const {
  proof_.append(commands);
  commands.end();
}

void Gpu::refuse_abandoned(std::string_view what) const {
  if (device_.abandoned())
    throw DeviceLost(fmt::format("{}: {} did not answer before; open it again", what, caps_.name));
}

void Gpu::submit(const vk::CommandBuffer& commands, vk::Fence& fence, std::string_view what) const {
  refuse_abandoned(what);
  fence.reset();
  const VkCommandBuffer handle = commands.handle();
  device_.submit({&handle, 1}, fence.handle());
}

void Gpu::wait(const vk::Fence& fence, std::string_view what) const {
  refuse_abandoned(what);
  if (fence.wait(kSubmitTimeoutNs)) return;
  device_.abandon();
  throw DeviceLost(
      fmt::format("{}: {} did not finish within {} s; it may hang, or be too slow for this: use a smaller "
                  "batch or prompt chunk, or another device",
                  what, caps_.name, kSubmitTimeoutNs / 1'000'000'000));
}

void Gpu::submit_ahead(const vk::CommandBuffer& commands, double seconds, std::string_view what) {
  const auto too_much = [&] {
    double sum = seconds;
    for (const Ahead& ahead : ahead_) sum += ahead.seconds;
    return ahead_.size() >= kMostAhead || sum > kMostSecondsAhead;
  };
  while (!ahead_.empty() && too_much()) wait_for(1, what);
  if (fences_.empty()) fences_.push_back(std::make_unique<vk::Fence>(device_));
  try {
    submit(commands, *fences_.back(), what);
  } catch (const DeviceLost&) {
    take_back(ahead_.size());  // none of it will ever be asked for
    unproved_ = 0;
    throw;
  } catch (const Error&) {
    // What went before is not left running: its owner may be gone soon.
    wait_for(ahead_.size(), what);
    proof_.check(std::exchange(unproved_, 0), what);
    throw;
  }
  ahead_.push_back({std::move(fences_.back()), seconds});
  fences_.pop_back();
  ++unproved_;
}

/// Waits for the first of what is ahead. A fence says that all before it has run as well.
void Gpu::take_back(std::size_t count) {
  for (; count > 0; --count, ahead_.pop_front()) fences_.push_back(std::move(ahead_.front().fence));
}

void Gpu::wait_for(std::size_t count, std::string_view what) {
  if (count == 0) return;
  try {
    wait(*ahead_[count - 1].fence, what);
  } catch (const DeviceLost&) {
    take_back(ahead_.size());  // none of it will ever be asked for
    unproved_ = 0;
    throw;
  }
  take_back(count);
}

void Gpu::wait_for_all(std::string_view what) {
  wait_for(ahead_.size(), what);
  if (const std::uint32_t submitted = std::exchange(unproved_, 0); submitted > 0) proof_.check(submitted, what);
}

void Gpu::check_memory(const MemoryNeed& need, std::string_view what) const {
  const vk::PhysicalDevice& physical = device_.physical();
  const std::uint64_t needed = saturating_sum(need.weights, saturating_sum(need.states, need.other));
  if (physical.type == VK_PHYSICAL_DEVICE_TYPE_CPU || needed == 0) return;
  const vk::MemoryLeft left = vk::memory_left(physical);
  if (needed <= left.bytes) return;
  const auto gib = [](std::uint64_t bytes) { return static_cast<double>(bytes) / 0x1p30; };
  throw Error(fmt::format(
      "{} on {}: needs {:.2f} GiB of memory more ({:.2f} of weights, {:.2f} of states and inputs, {:.2f} of "
      "intermediates and outputs); {:.2f} GiB {}; {}use a smaller model, context or size, or weights of a smaller "
      "type (heed convert --type q4_0)",
      what, caps_.name, gib(needed), gib(need.weights), gib(need.states), gib(need.other), gib(left.bytes),
      left.budget ? "are left for this program" : "is all that the device has",
      left.budget ? "close other programs that use the device, or " : ""));
}

void Gpu::upload(const vk::Buffer& buffer, std::uint64_t offset, std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  if (!buffer.mapped().empty()) {
    std::memcpy(buffer.mapped().data() + offset, bytes.data(), bytes.size());
    return;
  }
  const vk::Buffer staging(device_, std::min<std::uint64_t>(kStagingBytes, bytes.size()), vk::MemoryUse::Upload,
                           "staging");
  vk::CommandBuffer commands = commands_.allocate();
  for (std::uint64_t done = 0; done < bytes.size(); done += staging.size()) {
    const std::uint64_t count = std::min<std::uint64_t>(staging.size(), bytes.size() - done);
    std::memcpy(staging.mapped().data(), bytes.data() + done, count);
    commands.begin(vk::Recording::OneTime);
    commands.copy(staging, 0, buffer, offset + done, count);
    finish(commands);
    submit_and_wait(commands, "upload");
  }
}

void Gpu::download(const vk::Buffer& buffer, std::uint64_t offset, std::span<std::byte> bytes) {
  if (bytes.empty()) return;
  // A few bytes are read sooner than copied, also where each read crosses the bus.
  constexpr std::size_t kFewBytes = 256;
  if (!buffer.mapped().empty() && (buffer.host_cached() || bytes.size() <= kFewBytes)) {
    std::memcpy(bytes.data(), buffer.mapped().data() + offset, bytes.size());
    return;
  }
  const vk::Buffer staging(device_, std::min<std::uint64_t>(kStagingBytes, bytes.size()), vk::MemoryUse::Readback,
                           "staging");
  vk::CommandBuffer commands = commands_.allocate();
  for (std::uint64_t done = 0; done < bytes.size(); done += staging.size()) {
    const std::uint64_t count = std::min<std::uint64_t>(staging.size(), bytes.size() - done);
    commands.begin(vk::Recording::OneTime);
    commands.barrier(vk::Stage::Compute, vk::Stage::Transfer);
    commands.copy(buffer, offset + done, staging, 0, count);
    finish(commands);
    submit_and_wait(commands, "download");
    std::memcpy(bytes.data() + done, staging.mapped().data(), count);
  }
}

void Gpu::copy(const vk::Buffer& source, const vk::Buffer& target, std::uint64_t bytes) {
  vk::CommandBuffer commands = commands_.allocate();
  commands.begin(vk::Recording::OneTime);
  commands.barrier(vk::Stage::Transfer | vk::Stage::Compute, vk::Stage::Transfer);
  commands.copy(source, 0, target, 0, bytes);
  finish(commands);
  submit_and_wait(commands, "copying memory");
}

void Gpu::fill(const vk::Buffer& buffer, std::uint32_t word) {
  vk::CommandBuffer commands = commands_.allocate();
  commands.begin(vk::Recording::OneTime);
  commands.fill(buffer, 0, buffer.size(), word);
  finish(commands);
  submit_and_wait(commands, "filling memory");
}

void Gpu::check_validation() const { instance_->throw_on_validation_message(); }

}  // namespace heed
