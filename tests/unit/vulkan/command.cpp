#include "vulkan/command.h"

#include <array>
#include <bit>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "tests/unit/vulkan/devices.h"
#include "tests/unit/vulkan/scale_spirv.h"
#include "vulkan/descriptor.h"
#include "vulkan/fence.h"

namespace heed::vk {
namespace {

constexpr std::uint32_t kPoison = 0xffffffff;  // a NaN, which no result is

/// Runs the scale shader over `count` numbers in one buffer and `count` texels in another, the way weights and
/// activations go: host memory, copied to device memory, computed, copied back.
class Scale {
 public:
  Scale(const Device& device, std::uint32_t count, std::uint32_t lanes, float factor)
      : device_(device),
        count_(count),
        lanes_(lanes),
        upload_(device, bytes() * 2, MemoryUse::Upload, "upload"),
        numbers_(device, bytes(), MemoryUse::Device, "numbers"),
        texels_(device, bytes(), MemoryUse::Device, "texels"),
        results_(device, bytes() * 2, MemoryUse::Device, "results"),
        readback_(device, bytes() * 2, MemoryUse::Readback, "readback"),
        view_(device, texels_, VK_FORMAT_R32_SFLOAT, 0, bytes()),
        pipeline_(make_pipeline(device, lanes, factor)),
        descriptors_(device, {.sets = 1, .storage_buffers = 2, .texel_buffers = 1}),
        set_(descriptors_.allocate(pipeline_.set_layout())) {
    DescriptorWriter writer(device);
    writer.storage_buffer(set_, 0, numbers_, 0, bytes());
    writer.texel_buffer(set_, 1, view_);
    writer.storage_buffer(set_, 2, results_, 0, bytes() * 2);
    writer.write();
  }

  /// The first half scaled as storage, the second as texels.
  void write(std::span<const float> values) const {
    std::memcpy(upload_.mapped().data(), values.data(), values.size_bytes());
  }
  std::vector<float> read() const {
    std::vector<float> results(count_ * 2);
    std::memcpy(results.data(), readback_.mapped().data(), bytes() * 2);
    return results;
  }

  void record(CommandBuffer& commands, Recording recording, const TimestampQueries* queries = nullptr) const {
    commands.begin(recording);
    if (queries != nullptr) {
      commands.reset(*queries);
      commands.timestamp(*queries, 0);
    }
    // The submission before may still read or write all of these.
    commands.barrier(Stage::Compute | Stage::Transfer, Stage::Transfer);
    commands.copy(upload_, 0, numbers_, 0, bytes());
    commands.copy(upload_, bytes(), texels_, 0, bytes());
    commands.fill(results_, 0, bytes() * 2, kPoison);
    commands.barrier(Stage::Transfer, Stage::Compute);
    commands.bind(pipeline_, set_, std::span(&count_, 1));
    commands.dispatch((count_ + lanes_ - 1) / lanes_, 1, 1);
    if (queries != nullptr) commands.timestamp(*queries, 1);
    commands.barrier(Stage::Compute, Stage::Transfer);
    commands.copy(results_, 0, readback_, 0, bytes() * 2);
    commands.barrier(Stage::Transfer, Stage::Host);
    commands.end();
  }

  void run(const CommandBuffer& commands, Fence& fence) const {
    const VkCommandBuffer handle = commands.handle();
    device_.submit(std::span(&handle, 1), fence.handle());
    fence.wait_or_throw(kPatienceNs, "scale");
    fence.reset();
  }

 private:
  std::uint64_t bytes() const { return std::uint64_t{count_} * sizeof(float); }

  static ComputePipeline make_pipeline(const Device& device, std::uint32_t lanes, float factor) {
    constexpr VkDescriptorType kStorage = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
    const std::array bindings = {kStorage, VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER, kStorage};
    const std::array<std::uint32_t, 2> specialization = {lanes, std::bit_cast<std::uint32_t>(factor)};
    const ShaderModule module(device, kScaleSpirv);
    return ComputePipeline(
        device, nullptr, module,
        {.name = "scale", .bindings = bindings, .push_constant_bytes = 4, .specialization = specialization});
  }

  const Device& device_;
  std::uint32_t count_;
  std::uint32_t lanes_;
  Buffer upload_, numbers_, texels_, results_, readback_;
  BufferView view_;
  ComputePipeline pipeline_;
  DescriptorPool descriptors_;
  VkDescriptorSet set_;
};

std::vector<float> ramp(std::uint32_t count, float start) {
  std::vector<float> values(count);
  for (std::uint32_t i = 0; i < count; ++i) values[i] = start + 0.5f * static_cast<float>(i);
  return values;
}

std::vector<float> scaled(std::vector<float> values, float factor) {
  for (float& value : values) value *= factor;
  return values;
}

TEST_CASE("a shader doubles numbers through storage buffers and texel views") {
  on_every_device([](const Device& device) {
    CommandPool pool(device);
    CommandBuffer commands = pool.allocate();
    Fence fence(device);
    for (const std::uint32_t lanes : {3, 32, 128}) {
      for (const std::uint32_t count : {1, 31, 128, 129, 5000, 65536}) {
        const Scale scale(device, count, lanes, 2.0f);
        const std::vector<float> values = ramp(count * 2, -3.0f);
        scale.write(values);
        scale.record(commands, Recording::OneTime);
        scale.run(commands, fence);
        INFO(count, " numbers, ", lanes, " lanes");
        CHECK(scale.read() == scaled(values, 2.0f));
      }
    }
  });
}

TEST_CASE("one recording runs again on new numbers") {
  on_every_device([](const Device& device) {
    const Scale scale(device, 777, 64, -0.25f);
    CommandPool pool(device);
    CommandBuffer commands = pool.allocate();
    scale.record(commands, Recording::Reusable);
    Fence fence(device);
    for (int i = 0; i < 20; ++i) {
      const std::vector<float> values = ramp(777 * 2, static_cast<float>(i));
      scale.write(values);
      scale.run(commands, fence);
      REQUIRE(scale.read() == scaled(values, -0.25f));
    }
  });
}

TEST_CASE("a simultaneous recording may be pending several times") {
  on_every_device([](const Device& device) {
    const Scale scale(device, 4096, 64, 3.0f);
    const std::vector<float> values = ramp(4096 * 2, 1.0f);
    scale.write(values);
    CommandPool pool(device);
    CommandBuffer recorded = pool.allocate();
    const CommandBuffer commands = std::move(recorded);
    CommandBuffer again = pool.allocate();
    again = pool.allocate();  // frees the one before
    scale.record(again, Recording::Simultaneous);
    const std::array<VkCommandBuffer, 2> twice = {again.handle(), again.handle()};
    for (int i = 0; i < 4; ++i) device.submit(twice);
    Fence fence(device);
    device.submit(twice, fence.handle());
    fence.wait_or_throw(kPatienceNs, "ten runs");
    CHECK(scale.read() == scaled(values, 3.0f));
  });
}

TEST_CASE("timestamps rise from zero") {
  on_every_device([](const Device& device) {
    if (device.physical().timestamp_valid_bits == 0) {
      CHECK_THROWS_WITH_AS(TimestampQueries(device, 2), doctest::Contains("timestampValidBits"), Error);
      return;
    }
    CHECK_THROWS_AS(TimestampQueries(device, 0), Error);
    const TimestampQueries queries(device, 2);
    const Scale scale(device, 65536, 64, 2.0f);
    scale.write(ramp(65536 * 2, 0.0f));
    CommandPool pool(device);
    CommandBuffer commands = pool.allocate();
    scale.record(commands, Recording::OneTime, &queries);
    Fence fence(device);
    scale.run(commands, fence);
    const std::vector<double> times = queries.nanoseconds();
    REQUIRE(times.size() == 2);
    CHECK(times[0] == 0.0);
    CHECK(times[1] > 0.0);
    CHECK(times[1] < static_cast<double>(kPatienceNs));
  });
}

TEST_CASE("bindings outside the buffer or the limits are refused") {
  on_every_device([](const Device& device) {
    const Buffer buffer(device, 4096, MemoryUse::Device, "bound");
    DescriptorWriter writer(device);
    const VkDescriptorSet none = VK_NULL_HANDLE;  // never written
    CHECK_THROWS_AS(writer.storage_buffer(none, 0, buffer, 0, 4097), Error);
    CHECK_THROWS_AS(writer.storage_buffer(none, 0, buffer, 4096, 1), Error);
    CHECK_THROWS_AS(writer.storage_buffer(none, 0, buffer, 0, 0), Error);
    CHECK_THROWS_AS(writer.storage_buffer(none, 0, buffer, UINT64_MAX - 255, 512), Error);
    if (device.physical().limits.minStorageBufferOffsetAlignment > 1) {
      CHECK_THROWS_WITH_AS(writer.storage_buffer(none, 0, buffer, 1, 4),
                           doctest::Contains("minStorageBufferOffsetAlignment"), Error);
    }
    PhysicalDevice narrow = device.physical();
    narrow.limits.maxStorageBufferRange = 1024;
    const Device other(narrow);
    DescriptorWriter strict(other);
    CHECK_THROWS_WITH_AS(strict.storage_buffer(none, 0, buffer, 0, 2048), doctest::Contains("maxStorageBufferRange"),
                         Error);
    CHECK_THROWS_AS(DescriptorPool(device, {.sets = 0, .storage_buffers = 1}), Error);
    CHECK_THROWS_AS(DescriptorPool(device, {.sets = 1}), Error);
  });
}

}  // namespace
}  // namespace heed::vk
