// Whether a model that does not fit is refused before anything of it is allocated.
#include <doctest/doctest.h>

#include "heed/error.h"
#include "runtime/session.h"
#include "tests/unit/runtime/fake_driver.h"
#include "tests/unit/runtime/test_device.h"

namespace heed {
namespace {

/// The device as a card with so much memory, of a driver that tells no budget.
class PretendedCard {
 public:
  explicit PretendedCard(Gpu& gpu)
      : physical_(const_cast<vk::PhysicalDevice&>(gpu.device().physical())), before_(physical_) {
    physical_.type = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
    physical_.extensions.clear();
  }
  ~PretendedCard() { physical_ = before_; }
  PretendedCard(const PretendedCard&) = delete;
  PretendedCard& operator=(const PretendedCard&) = delete;

  void has(std::uint64_t bytes) {
    for (VkMemoryHeap& heap : physical_.memory.memoryHeaps) heap.size = bytes;
  }

 private:
  vk::PhysicalDevice& physical_;
  const vk::PhysicalDevice before_;
};

}  // namespace

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

  PretendedCard card(gpu);
  {
    testing::FakeDriver driver(gpu);
    driver.count_memory();
    card.has(std::uint64_t{5} << 20);
    CHECK_THROWS_WITH_AS(
        session.prepare(graph, {}),
        doctest::Contains("needs 0.01 GiB of memory more (0.00 of weights, 0.00 of states and inputs, 0.00 of "
                          "intermediates and outputs); 0.00 GiB is all that the device has; use a smaller model"),
        Error);
    CHECK(driver.allocated() == 0);
  }
  // What is there already counts no more.
  card.has(std::uint64_t{7} << 20);
  CHECK_NOTHROW(session.prepare(graph, {}));
  card.has(std::uint64_t{2} << 20);
  std::unique_ptr<Executable> again;
  CHECK_NOTHROW(again = session.prepare(Plan(session.prepare(graph, {}).plan())));
  card.has(std::uint64_t{1} << 19);
  CHECK_THROWS_AS(session.prepare(Plan(again->plan())), Error);  // the output is its own
}

TEST_CASE("states that grow are refused for want of memory before any of them has grown") {
  const auto device = test_device();
  if (!device) return;
  Gpu& gpu = device->gpu();
  MemoryWeights weights;
  WeightStore store(gpu, weights);
  Session session(gpu, store);
  const std::vector<std::uint32_t> kept(std::size_t{1} << 18, 7);  // 1 MiB
  session.reserve_and_write("k", std::as_bytes(std::span(kept)));
  session.reserve_and_write("v", std::as_bytes(std::span(kept)));

  PretendedCard card(gpu);
  constexpr std::uint64_t kTwo = std::uint64_t{2} << 20;
  // One MiB more of each, and for a while one beside what replaces it.
  card.has((std::uint64_t{3} << 20) - 1);
  {
    testing::FakeDriver driver(gpu);
    driver.count_memory();
    CHECK_THROWS_WITH_AS(session.grow({{"k", kTwo}, {"v", kTwo}}, "room for texts"),
                         doctest::Contains("room for texts on "), Error);
    CHECK(driver.allocated() == 0);
  }
  card.has(std::uint64_t{3} << 20);
  session.grow({{"k", kTwo}, {"v", kTwo}}, "room for texts");
  card.has(0);
  session.grow({{"k", kTwo}, {"v", kTwo}}, "room for texts");  // is there
  std::vector<std::uint32_t> read(kept.size());
  session.read("v", std::as_writable_bytes(std::span(read)));
  CHECK(read == kept);
}

}  // namespace heed
