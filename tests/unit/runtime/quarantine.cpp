// A kernel that a driver compiles wrongly: the self-test finds it, plans go around it, and the file in the cache folder
// decides for how long.
#include "runtime/quarantine.h"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <fstream>

#include "heed/error.h"
#include "runtime/self_test.h"
#include "runtime/session.h"
#include "runtime/weights.h"
#include "tests/temporary_folder.h"
#include "tests/unit/runtime/fake_driver.h"
#include "tests/unit/runtime/test_device.h"

namespace heed {
namespace {

/// y = rms_norm(x) of one row.
Graph norm() {
  GraphBuilder g("norm");
  g.output(
      g.add("rms_norm", "norm", {g.input("x", DType::F32, {1, 8}), g.input("w", DType::F32, {8})}, {{"eps", 1e-5}}),
      "y");
  return std::move(g).finish();
}

std::vector<float> run_norm(Gpu& gpu) {
  MemoryWeights none;
  WeightStore store(gpu, none);
  Session session(gpu, store);
  Executable& executable = session.prepare(norm(), {});
  const std::vector<float> x = {1, 2, 3, 4, 5, 6, 7, 8};
  const std::vector<float> w(8, 1.0f);
  session.write("x", std::as_bytes(std::span(x)));
  session.write("w", std::as_bytes(std::span(w)));
  session.run(executable);
  std::vector<float> y(8);
  session.read_output(executable, "y", std::as_writable_bytes(std::span(y)));
  return y;
}

std::string norm_module(const Gpu& gpu) {
  return make_plan(norm(), {}, gpu.caps(), gpu.tuning()).dispatches.at(0).module_key();
}

bool is_right(const std::vector<float>& y) { return y[7] == doctest::Approx(8.0 / 5.0497524691810389); }

/// A cache folder of its own for as long as it lives.
class CacheFolder {
 public:
  CacheFolder() { ::setenv("HEED_CACHE_DIR", folder_.path("").c_str(), 1); }
  ~CacheFolder() { ::setenv("HEED_CACHE_DIR", "", 1); }
  std::vector<std::filesystem::path> files(std::string_view prefix) const {
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path(""))) {
      if (entry.path().filename().string().starts_with(prefix)) found.push_back(entry.path());
    }
    return found;
  }

 private:
  testing::TemporaryFolder folder_;
};

}  // namespace

TEST_CASE(
    "a kernel that the driver breaks is turned off, the result is right, and deleting the file turns it on again") {
  if (!test_device()) return;
  const CacheFolder cache;
  std::string module;
  {
    const Device device;
    Gpu& gpu = device.gpu();
    CHECK(gpu.quarantine().empty());
    CHECK(device.notes().empty());
    module = norm_module(gpu);
    gpu.forget_pipelines();
    testing::FakeDriver driver(gpu);
    driver.break_module(module);
    CHECK(!is_right(run_norm(gpu)));  // the fault is real

    gpu.forget_pipelines();
    const std::vector<std::string> lines = self_test(gpu);
    REQUIRE(!lines.empty());
    CHECK_MESSAGE(lines[0].find(module) != std::string::npos, lines[0]);
    CHECK(gpu.quarantine().contains(module));
    CHECK(norm_module(gpu) != module);
    CHECK(is_right(run_norm(gpu)));
  }
  REQUIRE(cache.files("quarantine").size() == 1);
  {
    const Device device;  // another process
    CHECK(device.gpu().quarantine().contains(module));
    CHECK(norm_module(device.gpu()) != module);
    for (const DeviceInfo& info : list_devices()) {
      if (info.uuid == device.info().uuid) CHECK(info.off.contains(module));
    }
  }
  std::filesystem::remove(cache.files("quarantine")[0]);
  CHECK(norm_module(Device().gpu()) == module);
}

TEST_CASE("a quarantine file that is damaged, or about other code, is ignored, the first with a note") {
  if (!test_device()) return;
  const CacheFolder cache;
  std::string module;
  {
    const Device device;
    module = norm_module(device.gpu());
    device.gpu().put_into_quarantine({{module, "for a test"}});
  }
  REQUIRE(cache.files("quarantine").size() == 1);
  const std::filesystem::path file = cache.files("quarantine")[0];
  const auto opened = [&](const std::string& text) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << text;
    return Device();
  };
  for (const char* text : {"", "{", "[]", "{\"modules\": 3}", "{\"modules\": {\"a\": {}}}", "\xff\xfe"}) {
    const Device device = opened(text);
    CHECK(device.gpu().quarantine().empty());
    REQUIRE(device.notes().size() == 1);
    CHECK(device.notes()[0].find("damaged, ignored") != std::string::npos);
  }
  const Device device = opened("{\"modules\": {\"" + module + "\": {\"reason\": \"old\", \"code\": \"0\"}}}");
  CHECK(device.gpu().quarantine().empty());
  CHECK(device.notes().empty());
}

TEST_CASE("kernels are turned on again when they are released") {
  if (!test_device()) return;
  const CacheFolder cache;
  const Device device;
  const std::string module = norm_module(device.gpu());
  device.gpu().put_into_quarantine({{module, "for a test"}});
  CHECK(norm_module(device.gpu()) != module);
  device.gpu().release_from_quarantine({module});
  CHECK(norm_module(device.gpu()) == module);
  CHECK(cache.files("quarantine").empty());
}

}  // namespace heed
