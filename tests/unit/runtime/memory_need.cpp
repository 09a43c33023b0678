// Whether a model that does not fit is refused before anything of it is allocated.
#include <doctest/doctest.h>

#include "heed/error.h"
#include "runtime/session.h"
#include "tests/unit/runtime/fake_driver.h"
#include "tests/unit/runtime/test_device.h"

namespace heed {

TEST_CASE("a plan that needs more memory than is left is refused with the numbers, before anything is allocated") {
  const auto device = test_device();
  if (!device) return;
  Gpu& gpu = device->gpu();
  MemoryWeights weights;
  weights.add("w", {DType::F32, {1024, 1024}}, std::vector<std::byte>(std::size_t{4} << 20));
  GraphBuilder g("too large");
  const ValueId y =
      g.add("linear", "product", {g.input("x", DType::F32, {256, 1024}), g.weight("w", DType::F32, {1024, 1024})});
  g.output(y, "y");
  const Graph graph = std::move(g).finish();
  WeightStore store(gpu, weights);
  Session session(gpu, store);

  // The device as a card with so much memory, of a driver that tells no budget.
  vk::PhysicalDevice& physical = const_cast<vk::PhysicalDevice&>(gpu.device().physical());
  const vk::PhysicalDevice before = physical;
  physical.type = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
  physical.extensions.clear();
  const auto with_memory = [&](std::uint64_t bytes) {
    for (VkMemoryHeap& heap : physical.memory.memoryHeaps) heap.size = bytes;
  };
  {
    testing::FakeDriver driver(gpu);
    driver.count_memory();
    with_memory(std::uint64_t{5} << 20);
    CHECK_THROWS_WITH_AS(
        session.prepare(graph, {}),
        doctest::Contains("needs 0.01 GiB of memory more (0.00 of weights, 0.00 of states and inputs, 0.00 of "
                          "intermediates and outputs); 0.00 GiB is all that the device has; use a smaller model"),
        Error);
    CHECK(driver.allocated() == 0);
  }
  // What is there already counts no more.
  with_memory(std::uint64_t{7} << 20);
  CHECK_NOTHROW(session.prepare(graph, {}));
  with_memory(std::uint64_t{2} << 20);
  std::unique_ptr<Executable> again;
  CHECK_NOTHROW(again = session.prepare(Plan(session.prepare(graph, {}).plan())));
  with_memory(std::uint64_t{1} << 19);
  CHECK_THROWS_AS(session.prepare(Plan(again->plan())), Error);  // the output is its own
  physical = before;
}

}  // namespace heed
