#include "runtime/run_proof.h"

#include <fmt/format.h>

#include <array>
#include <cstring>

#include "heed/error.h"
#include "runtime/shader_code.h"

namespace heed {
namespace {

// Words of the buffer, as shaders/run_proof.comp and shaders/check_indices.comp know them.
enum Word : std::size_t { kCount, kCheck, kElement, kValue, kWords };

}  // namespace

RunProof::RunProof(const vk::Device& device, const vk::PipelineCache& cache)
    : device_name_(device.physical().name),
      buffer_(
          std::make_shared<vk::Buffer>(device, kWords * sizeof(std::int32_t), vk::MemoryUse::Readback, "run proof")),
      pool_(device, {.sets = 1, .storage_buffers = 1, .texel_buffers = 0}) {
  const std::string key = "run_proof-storage";
  const vk::ShaderModule module(device, shader_code(key).words);
  const std::array<VkDescriptorType, 1> types = {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER};
  vk::ComputePipelineInfo info;
  info.name = key;
  info.bindings = types;
  pipeline_ = std::make_unique<vk::ComputePipeline>(device, &cache, module, info);
  set_ = pool_.allocate(pipeline_->set_layout());
  vk::DescriptorWriter writer(device);
  writer.storage_buffer(set_, 0, *buffer_, 0, buffer_->size());
  writer.write();
  for (std::size_t i = 0; i < kWords; ++i) set_word(i, 0);
}

std::int32_t RunProof::word(std::size_t i) const {
  std::int32_t value = 0;
  std::memcpy(&value, buffer_->mapped().data() + i * sizeof(value), sizeof(value));
  return value;
}

void RunProof::set_word(std::size_t i, std::int32_t value) {
  std::memcpy(buffer_->mapped().data() + i * sizeof(value), &value, sizeof(value));
}

void RunProof::append(vk::CommandBuffer& commands) const {
  using vk::Stage;
  commands.barrier(Stage::Compute | Stage::Transfer, Stage::Compute);
  commands.bind(*pipeline_, set_, {});
  commands.dispatch(1, 1, 1);
  commands.barrier(Stage::Compute | Stage::Transfer, Stage::Compute | Stage::Transfer | Stage::Host);
}

void RunProof::check(std::uint32_t submissions, std::string_view what) {
  expected_ += submissions;
  const auto counted = count();
  if (counted == expected_) return;
  const std::uint32_t missing = expected_ - counted;
  // What comes next is judged by itself.
  expected_ = counted;
  clear_flag();
  if (missing > submissions) {
    throw Error(
        fmt::format("{}: the count of the work that ran is wrong ({}; {} after {}); the driver ran something "
                    "twice, or writes where it must not: its results would be garbage. Update the driver, or choose "
                    "another --device",
                    device_name_, what, counted, counted + missing));
  }
  throw Error(fmt::format(
      "{}: the driver reported success but did not run the work ({}; {} of {} submissions left no trace); "
      "its results would be garbage. Update the driver, choose another --device, or see what 'heed conform' "
      "says",
      device_name_, what, missing, submissions));
}

std::uint32_t RunProof::count() const { return static_cast<std::uint32_t>(word(kCount)); }

void RunProof::clear_flag() {
  for (const Word i : {kCheck, kElement, kValue}) set_word(i, 0);
}

std::optional<RaisedFlag> RunProof::take_flag() {
  const std::int32_t check = word(kCheck);
  if (check == 0) return std::nullopt;
  const RaisedFlag flag{static_cast<std::size_t>(check - 1), static_cast<std::uint32_t>(word(kElement)), word(kValue)};
  clear_flag();
  return flag;
}

}  // namespace heed
