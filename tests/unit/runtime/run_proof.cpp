// Whether a session notices that the driver did not do what it says: work that is dropped, a device that is lost or
// never answers, and indices that name no place.
#include <doctest/doctest.h>

#include <cstring>
#include <numeric>

#include "heed/error.h"
#include "planner/make_plan.h"
#include "runtime/session.h"
#include "runtime/weights.h"
#include "tests/unit/runtime/fake_driver.h"
#include "tests/unit/runtime/test_device.h"

namespace heed {
namespace {

using testing::FakeDriver;

/// y = relu(x), four numbers.
Graph relu() {
  GraphBuilder g("small");
  g.output(g.add("relu", "the relu", {g.input("x", DType::F32, {4})}), "y");
  return std::move(g).finish();
}

/// y = op(x, i): x [5, 3] and indices of the given shape.
Graph gather(const std::string& op, const SymbolicShape& indices) {
  GraphBuilder g(op + " " + std::to_string(indices.size()));
  g.output(g.add(op, "look up", {g.input("x", DType::F32, {5, 3}), g.input("i", DType::I32, indices)}), "y");
  return std::move(g).finish();
}

struct Fixture {
  explicit Fixture(const Device& device) : gpu(device.gpu()), store(gpu, weights), session(gpu, store) {}

  /// The error of a run after the inputs are set; empty where there is none.
  std::string run(const Graph& graph, const std::vector<std::int32_t>& indices = {}) {
    try {
      Executable& executable = session.prepare(graph, {});
      if (!indices.empty()) session.write("i", std::as_bytes(std::span(indices)));
      session.run(executable);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  MemoryWeights weights;
  Gpu& gpu;
  WeightStore store;
  Session session;
};

}  // namespace

TEST_CASE("work that the driver drops is an error, and the next run is judged by itself") {
  const auto device = test_device();
  if (!device) return;
  Fixture f(*device);
  CHECK(f.run(relu()).empty());
  {
    FakeDriver driver(f.gpu);
    driver.drop_submissions();
    const std::string message = f.run(relu());
    CHECK_MESSAGE(message.find("the driver reported success but did not run the work") != std::string::npos, message);
    CHECK_MESSAGE(message.find("graph 'small'") != std::string::npos, message);
    CHECK(!f.run(relu()).empty());
  }
  CHECK(f.run(relu()).empty());
}

TEST_CASE("a copy or filling that the driver drops is an error") {
  const auto device = test_device();
  if (!device) return;
  Fixture f(*device);
  f.session.prepare(relu(), {});
  FakeDriver driver(f.gpu);
  driver.drop_submissions();
  CHECK_THROWS_WITH_AS(f.session.clear("x"), doctest::Contains("did not run the work"), Error);
}

TEST_CASE("a later submission of a run that is dropped is an error") {
  const auto device = test_device();
  if (!device) return;
  Fixture f(*device);
  GraphBuilder g("long");
  ValueId x = g.input("x", DType::F32, {4});
  for (int i = 0; i < 3; ++i) x = g.add("relu", "relu " + std::to_string(i), {x});
  g.output(x, "y");
  Plan plan = make_plan(std::move(g).finish(), {}, f.gpu.caps(), f.gpu.tuning());
  for (Dispatch& dispatch : plan.dispatches) dispatch.flops = 20'000'000'000;  // a submission each
  const std::unique_ptr<Executable> executable = f.session.prepare(std::move(plan));
  f.session.run(*executable);
  FakeDriver driver(f.gpu);
  driver.drop_submissions(2);
  CHECK_THROWS_WITH_AS(f.session.run(*executable), doctest::Contains("did not run the work"), Error);
}

TEST_CASE("the host waits once for a run of many submissions, and before it only where they take long") {
  const auto device = test_device();
  if (!device) return;
  Fixture f(*device);
  const auto waits = [&](std::uint64_t flops, int repeats) {
    Plan plan = make_plan(relu(), {}, f.gpu.caps(), f.gpu.tuning());
    for (Dispatch& dispatch : plan.dispatches) dispatch.flops = flops;
    const std::unique_ptr<Executable> executable = f.session.prepare(std::move(plan));
    const std::vector<float> x = {-1, 2, -3, 4};
    f.session.write("x", std::as_bytes(std::span(x)));
    FakeDriver driver(f.gpu);
    driver.count();
    f.session.run(*executable, repeats);
    CHECK(driver.submissions() == repeats);
    std::vector<float> y(4);
    f.session.read_output(*executable, "y", std::as_writable_bytes(std::span(y)));
    CHECK(y == std::vector<float>{0, 2, 0, 4});
    return driver.waits();
  };
  CHECK(waits(9'000'000'000, 16) == 1);
  CHECK(waits(9'000'000'000, 18) == 3);    // more than 16 are not on their way
  CHECK(waits(45'000'000'000, 16) == 14);  // 0.45 s each, three of which are on their way
  CHECK(waits(400'000'000'000, 3) == 3);   // each alone too long
}

TEST_CASE("a device that is lost in the midst of a run names the dispatch that was running") {
  const auto device = test_device();
  if (!device) return;
  Fixture f(*device);
  GraphBuilder g("long");
  ValueId x = g.input("x", DType::F32, {4});
  for (const char* name : {"the first", "the second", "the third"}) x = g.add("relu", name, {x});
  g.output(x, "y");
  Plan plan = make_plan(std::move(g).finish(), {}, f.gpu.caps(), f.gpu.tuning());
  REQUIRE(plan.dispatches.size() == 3);
  for (Dispatch& dispatch : plan.dispatches) dispatch.flops = 9'000'000'000;
  const std::unique_ptr<Executable> executable = f.session.prepare(std::move(plan));
  FakeDriver driver(f.gpu);
  driver.drop_submissions(1);
  driver.lose_device();
  CHECK_THROWS_WITH_AS(f.session.run(*executable), doctest::Contains("'the second'"), DeviceLost);
}

TEST_CASE("work that ran more often than it was given is an error, and flags of that run are forgotten") {
  const auto device = test_device();
  if (!device) return;
  Fixture f(*device);
  const Graph rows = gather("gather", {3});
  CHECK(f.run(rows, {0, 4, -5}).empty());
  std::int32_t count = 0;
  const std::span<std::byte> word = f.gpu.proof().buffer()->mapped().subspan(0, sizeof(count));
  std::memcpy(&count, word.data(), sizeof(count));
  ++count;
  std::memcpy(word.data(), &count, sizeof(count));
  const std::string message = f.run(rows, {0, 1000000, 1});
  CHECK_MESSAGE(message.find("the driver ran something twice") != std::string::npos, message);
  CHECK(f.run(relu()).empty());
}

TEST_CASE("a session whose memory ran out goes on when there is some again") {
  const auto device = test_device();
  if (!device) return;
  Fixture f(*device);
  {
    FakeDriver driver(f.gpu);
    driver.run_out_of_memory();
    CHECK_THROWS_AS(f.session.reserve("x", 16), Error);
    CHECK(!f.session.has("x"));
    CHECK(!f.run(relu()).empty());
  }
  CHECK(f.run(relu()).empty());
}

TEST_CASE("a lost device names the dispatch that was planned to take longest") {
  const auto device = test_device();
  if (!device) return;
  Fixture f(*device);
  GraphBuilder g("lost");
  const ValueId x = g.add("relu", "the small one", {g.input("x", DType::F32, {8, 64})});
  g.output(g.add("matmul", "the large one", {x, g.input("w", DType::F32, {64, 64})}), "y");
  const Graph graph = std::move(g).finish();
  Executable& executable = f.session.prepare(graph, {});
  FakeDriver driver(f.gpu);
  driver.lose_device();
  try {
    f.session.run(executable);
    FAIL("the device was lost");
  } catch (const DeviceLost& lost) {
    const std::string message = lost.what();
    for (const char* part : {"graph 'lost'", "VK_ERROR_DEVICE_LOST", "'the large one'", "planned to take at most"}) {
      CHECK_MESSAGE(message.find(part) != std::string::npos, message);
    }
  }
}

TEST_CASE("a device that never answers is abandoned: nothing of it is destroyed while work may be pending") {
  if (!test_device()) return;
  // What is destroyed, counted by functions that stand in for the driver's from the beginning.
  static int destroyed = 0;
  destroyed = 0;
  {
    const Device device;
    VolkDeviceTable& table = const_cast<VolkDeviceTable&>(device.gpu().device().api());
    static PFN_vkDestroyBuffer destroy_buffer = nullptr;
    destroy_buffer = table.vkDestroyBuffer;
    table.vkDestroyBuffer = [](VkDevice owner, VkBuffer buffer, const VkAllocationCallbacks* callbacks) {
      ++destroyed;
      destroy_buffer(owner, buffer, callbacks);
    };
    Fixture f(device);
    Executable& executable = f.session.prepare(relu(), {});
    FakeDriver driver(f.gpu);
    driver.hang();
    CHECK_THROWS_WITH_AS(f.session.run(executable), doctest::Contains("did not finish within 600 s"), DeviceLost);
    CHECK(f.gpu.device().abandoned());
    CHECK_THROWS_WITH_AS(f.session.run(executable), doctest::Contains("did not answer before"), DeviceLost);
  }
  CHECK(destroyed == 0);
}

TEST_CASE("an index outside is an error that names node, index and what there is") {
  const auto device = test_device();
  if (!device) return;
  Fixture f(*device);
  const Graph rows = gather("gather", {3});
  CHECK(f.run(rows, {0, 4, -5}).empty());
  CHECK(f.run(rows, {0, 1000000, 1}) == "gather 'look up': index 1000000 (element 1) is outside -5 to 4");
  CHECK(f.run(rows, {0, 1, -6}) == "gather 'look up': index -6 (element 2) is outside -5 to 4");
  CHECK(f.run(rows, {2, 2, 2}).empty());  // the flag is down again
  const Graph tuples = gather("gather_nd", {2, 2});
  CHECK(f.run(tuples, {4, 2, 0, -3}).empty());
  CHECK(f.run(tuples, {4, 2, 0, 3}) == "gather_nd 'look up': index 3 (element 3) is outside -3 to 2");
  CHECK(f.run(gather("gather_elements", {2, 3}), {0, 0, 0, 0, 0, 5}) ==
        "gather_elements 'look up': index 5 (element 5) is outside -5 to 4");

  const auto with_updates = [](const std::string& op, const SymbolicShape& indices, const SymbolicShape& updates) {
    GraphBuilder g(op);
    g.output(g.add(op, "put",
                   {g.input("x", DType::F32, {5, 3}), g.input("i", DType::I32, indices),
                    g.input("updates", DType::F32, updates)}),
             "y");
    return std::move(g).finish();
  };
  CHECK(f.run(with_updates("scatter_elements", {1, 3}, {1, 3}), {0, 5, 0}) ==
        "scatter_elements 'put': index 5 (element 1) is outside -5 to 4");
  CHECK(f.run(with_updates("scatter_nd", {1, 2}, {1}), {0, 3}) ==
        "scatter_nd 'put': index 3 (element 1) is outside -3 to 2");

  GraphBuilder ids("embedding");
  f.weights.add("table", {DType::F32, {5, 4}}, std::vector<std::byte>(80));
  ids.output(ids.add("embedding", "embed", {ids.input("i", DType::I32, {2}), ids.weight("table", DType::F32, {5, 4})}),
             "y");
  const Graph embedding = std::move(ids).finish();
  CHECK(f.run(embedding, {4, 0}).empty());
  CHECK(f.run(embedding, {4, -1}) == "embedding 'embed': id -1 (element 1) is outside 0 to 4");

  for (const std::int64_t inside : {0, 1}) {
    GraphBuilder g("one_hot " + std::to_string(inside));
    const ValueId depth = g.add("constant", "depth", {},
                                {{"dtype", "i64"}, {"shape", Shape{}}, {"integers", std::vector<std::int64_t>{5}}});
    g.output(g.add("one_hot", "class", {g.input("i", DType::I32, {2}), depth, g.input("values", DType::F32, {2})},
                   {{"inside", inside}}),
             "y");
    CHECK(f.run(std::move(g).finish(), {4, 5}) ==
          (inside == 1 ? "one_hot 'class': index 5 (element 1) is outside -5 to 4" : ""));
  }
}

TEST_CASE("a position that leaves no room in the cache is an error") {
  const auto device = test_device();
  if (!device) return;
  for (const std::int64_t rows : {1, 3}) {
    Fixture f(*device);
    GraphBuilder g("attention");
    const auto rows_of = [&](const std::string& name) { return g.input(name, DType::F32, {rows, 8}); };
    const auto cache = [&](const std::string& name) { return g.state(name, DType::F32, {10, 8}); };
    const ValueId q = rows_of("q"), k = rows_of("k"), v = rows_of("v");
    const ValueId cache_k = cache("cache_k"), cache_v = cache("cache_v");
    g.output(g.add("attention", "attend", {q, k, v, kNoValue, cache_k, cache_v, g.input("i", DType::I32, {1})},
                   {{"heads", std::int64_t{2}}, {"causal", std::int64_t{1}}}),
             "y");
    const Graph graph = std::move(g).finish();
    const auto last = static_cast<std::int32_t>(10 - rows);
    CHECK(f.run(graph, {last}).empty());
    CHECK(f.run(graph, {last + 1}) == "attention 'attend': position " + std::to_string(last + 1) +
                                          " (element 0) is outside 0 to " + std::to_string(last));
  }
}

TEST_CASE("only the executables asked for last are kept, and constants and outputs share memory") {
  const auto device = test_device();
  if (!device) return;
  Fixture f(*device);
  GraphBuilder g("sizes");
  ValueId x = g.input("x", DType::F32, {"n"});
  for (int i = 0; i < 40; ++i) {
    x = g.add("relu", "relu " + std::to_string(i), {x});
    g.output(x, "y" + std::to_string(i));
  }
  const Graph graph = std::move(g).finish();
  f.session.reserve("x", 4096);
  static int allocations = 0;
  allocations = 0;
  VolkDeviceTable& table = const_cast<VolkDeviceTable&>(f.gpu.device().api());
  static PFN_vkAllocateMemory allocate = nullptr;
  allocate = table.vkAllocateMemory;
  table.vkAllocateMemory = [](VkDevice owner, const VkMemoryAllocateInfo* info, const VkAllocationCallbacks* callbacks,
                              VkDeviceMemory* memory) {
    ++allocations;
    return allocate(owner, info, callbacks, memory);
  };
  static int freed = 0;
  freed = 0;
  static PFN_vkFreeMemory free_memory = nullptr;
  free_memory = table.vkFreeMemory;
  table.vkFreeMemory = [](VkDevice owner, VkDeviceMemory memory, const VkAllocationCallbacks* callbacks) {
    ++freed;
    free_memory(owner, memory, callbacks);
  };
  constexpr int kSizes = 100;
  for (int n = 1; n <= kSizes; ++n) {
    Executable& executable = f.session.prepare(graph, {{"n", n}});
    const std::vector<float> values(static_cast<std::size_t>(n), static_cast<float>(n));
    f.session.write("x", std::as_bytes(std::span(values)));
    f.session.run(executable);
    std::vector<float> first(values.size()), last(values.size());
    f.session.read_output(executable, "y0", std::as_writable_bytes(std::span(first)));
    f.session.read_output(executable, "y39", std::as_writable_bytes(std::span(last)));
    CHECK(first == values);
    CHECK(last == values);
  }
  table.vkAllocateMemory = allocate;
  table.vkFreeMemory = free_memory;
  CHECK(allocations <= 2 * kSizes);
  CHECK(allocations - freed <= 40);
}

}  // namespace heed
