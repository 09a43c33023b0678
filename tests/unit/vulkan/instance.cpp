#include "vulkan/instance.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/vulkan/devices.h"
#include "vulkan/buffer.h"
#include "vulkan/command.h"

namespace heed::vk {
namespace {

TEST_CASE("several instances live at once, in any order and on any thread") {
  if (!test_instance()) return;
  auto first = std::make_unique<Instance>();
  const Instance second;
  const std::size_t count = physical_devices(second).size();
  first.reset();  // must not take the functions of the second along
  CHECK(physical_devices(second).size() == count);

  std::vector<std::size_t> counts(4);
  std::vector<std::thread> threads;
  for (std::size_t& seen : counts) {
    threads.emplace_back([&seen] {
      for (int i = 0; i < 3; ++i) seen = physical_devices(Instance()).size();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::size_t seen : counts) CHECK(seen == count);
}

TEST_CASE("without validation there are no messages") {
  if (!test_instance()) return;
  const Instance instance;
  CHECK(instance.validation_messages().empty());
  CHECK_NOTHROW(instance.throw_on_validation_message());
}

// The other tests trust that validation speaks up: here it must, on a copy that reads what a fill before it writes.
TEST_CASE("validation reports a missing barrier") {
  if (!test_instance()) return;
  std::optional<Instance> instance;
  try {
    instance.emplace(InstanceOptions{.validation = true});
  } catch (const Error& error) {
    CHECK(std::string(error.what()).find("vulkan-validationlayers") != std::string::npos);
    MESSAGE("SKIPPED: " << std::string(error.what()));
    return;
  }
  const auto physical = physical_devices(*instance);
  const auto usable = std::find_if(physical.begin(), physical.end(), [](const auto& p) { return p.unusable.empty(); });
  if (usable == physical.end()) {
    MESSAGE("SKIPPED: no usable Vulkan device");
    return;
  }
  const Device device(*usable);
  const Buffer source(device, 256, MemoryUse::Device, "source");
  const Buffer target(device, 256, MemoryUse::Device, "target");
  CommandPool pool(device);
  CommandBuffer commands = pool.allocate();

  commands.begin(Recording::OneTime);
  commands.fill(source, 0, 256, 1);
  commands.barrier(Stage::Transfer, Stage::Transfer);
  commands.copy(source, 0, target, 0, 256);
  commands.end();
  CHECK(instance->validation_messages().empty());

  commands.begin(Recording::OneTime);
  commands.fill(source, 0, 256, 1);
  commands.copy(source, 0, target, 0, 256);
  commands.end();
  REQUIRE_FALSE(instance->validation_messages().empty());
  CHECK_THROWS_WITH_AS(instance->throw_on_validation_message(), doctest::Contains("READ"), Error);
}

}  // namespace
}  // namespace heed::vk
