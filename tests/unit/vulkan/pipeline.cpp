#include "vulkan/pipeline.h"

#include <algorithm>
#include <array>
#include <bit>
#include <span>
#include <thread>
#include <vector>

#include "tests/unit/vulkan/devices.h"
#include "tests/unit/vulkan/scale_spirv.h"

namespace heed::vk {
namespace {

constexpr VkDescriptorType kStorage = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
constexpr VkDescriptorType kTexel = VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER;
constexpr std::array kBindings = {kStorage, kTexel, kStorage};

ComputePipeline scale_pipeline(const Device& device, const PipelineCache* cache, float factor) {
  const ShaderModule module(device, kScaleSpirv);
  const std::array<std::uint32_t, 2> specialization = {64, std::bit_cast<std::uint32_t>(factor)};
  return ComputePipeline(
      device, cache, module,
      {.name = "scale", .bindings = kBindings, .push_constant_bytes = 4, .specialization = specialization});
}

TEST_CASE("words that are not SPIR-V are refused") {
  on_every_device([](const Device& device) {
    CHECK_THROWS_WITH_AS(ShaderModule(device, {}), doctest::Contains("SPIR-V"), Error);
    CHECK_THROWS_AS(ShaderModule(device, std::span(kScaleSpirv).first(5)), Error);
    const std::array<std::uint32_t, 8> words = {1, 2, 3, 4, 5, 6, 7, 8};
    CHECK_THROWS_AS(ShaderModule(device, words), Error);
  });
}

TEST_CASE("pipelines are refused with their name when a limit forbids them") {
  on_every_device([](const Device& device) {
    const ShaderModule module(device, kScaleSpirv);
    const auto make = [&](const ComputePipelineInfo& info) { ComputePipeline(device, nullptr, module, info); };
    const std::uint32_t limit = device.physical().limits.maxPushConstantsSize;
    CHECK_THROWS_WITH_AS(make({.name = "scale", .bindings = kBindings, .push_constant_bytes = limit + 4}),
                         doctest::Contains("'scale'"), Error);
    CHECK_THROWS_AS(make({.name = "scale", .bindings = kBindings, .push_constant_bytes = 3}), Error);
    const std::array images = {VK_DESCRIPTOR_TYPE_STORAGE_IMAGE};
    CHECK_THROWS_AS(make({.name = "scale", .bindings = images}), Error);
    CHECK_THROWS_WITH_AS(make({.name = "scale",
                               .bindings = kBindings,
                               .push_constant_bytes = 4,
                               .specialization = {},
                               .required_subgroup_size = device.physical().subgroup_size}),
                         doctest::Contains("not enabled"), Error);
  });
}

TEST_CASE("a pipeline cache takes back its own data and ignores everybody else's") {
  on_every_device([](const Device& device) {
    std::vector<std::byte> data;
    {
      const PipelineCache cache(device);
      CHECK_FALSE(cache.used_initial());
      const ComputePipeline pipeline = scale_pipeline(device, &cache, 2.0f);
      CHECK(pipeline.push_constant_bytes() == 4);
      data = cache.data();
    }
    REQUIRE(data.size() >= 32);
    CHECK(PipelineCache(device, data).used_initial());
    CHECK_NOTHROW(scale_pipeline(device, nullptr, 2.0f));

    // Every byte of the header counts: size, version, vendor, device, UUID.
    for (std::size_t i = 0; i < 32; ++i) {
      std::vector<std::byte> foreign = data;
      foreign[i] ^= std::byte{0xff};
      INFO("byte ", i);
      CHECK_FALSE(PipelineCache(device, foreign).used_initial());
    }
    for (const std::size_t size : {0, 1, 16, 31}) {
      CHECK_FALSE(PipelineCache(device, std::span(data).first(size)).used_initial());
    }
  });
}

TEST_CASE("several threads make pipelines from one cache") {
  on_every_device([](const Device& device) {
    const PipelineCache cache(device);
    std::vector<VkPipeline> handles(4);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < handles.size(); ++i) {
      threads.emplace_back([&, i] {
        for (int repeat = 0; repeat < 3; ++repeat) {
          const ComputePipeline pipeline = scale_pipeline(device, &cache, static_cast<float>(i));
          handles[i] = pipeline.handle();
          (void)cache.data();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(std::count(handles.begin(), handles.end(), VkPipeline{}) == 0);
  });
}

}  // namespace
}  // namespace heed::vk
