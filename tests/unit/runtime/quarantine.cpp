// A kernel that a driver compiles wrongly: the self-test finds it, plans go around it, and the file in the cache folder
// decides for how long.
#include "runtime/quarantine.h"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <fstream>
#include <sstream>

#include "heed/error.h"
#include "planner/make_plan.h"
#include "runtime/crash_mark.h"
#include "runtime/self_test.h"
#include "runtime/session.h"
#include "runtime/shader_code.h"
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

/// All modules with which some device would compute that, by turning one after the other off.
std::set<std::string> norm_modules(Gpu& gpu) {
  std::set<std::string> modules;
  DeviceCaps caps = gpu.caps();
  try {
    while (true) {
      const Plan plan = make_plan(norm(), {}, caps, gpu.tuning());
      for (const Dispatch& dispatch : plan.dispatches) modules.insert(dispatch.module_key());
      caps.broken_modules = modules;
    }
  } catch (const NoKernelLeft&) {
    return modules;
  }
}

SelfTest run_self_test(Gpu& gpu) {
  CrashMark mark("self-test of a test", 1);
  return self_test(gpu, mark);
}

std::string content(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

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
    const SelfTest result = run_self_test(gpu);
    CHECK(result.conclusive);
    REQUIRE(!result.notes.empty());
    CHECK_MESSAGE(result.notes[0].find(module) != std::string::npos, result.notes[0]);
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

TEST_CASE("a quarantine file that is deleted or damaged makes the self-test judge again") {
  if (!test_device()) return;
  const CacheFolder cache;
  {
    const Device device;
    device.gpu().put_into_quarantine({{norm_module(device.gpu()), "for a test"}});
  }
  const std::filesystem::path verdict = cache.files("self-test").at(0);
  const std::string none_off = content(verdict);
  static_cast<void>(Device());
  const std::string one_off = content(verdict);
  CHECK(one_off != none_off);
  std::filesystem::remove(cache.files("quarantine").at(0));
  static_cast<void>(Device());
  CHECK(content(verdict) == none_off);

  std::ofstream(verdict.parent_path() / (verdict.filename().string().replace(0, 9, "quarantine") + ".json")) << "{";
  std::filesystem::remove(verdict);
  CHECK(Device().notes().size() == 1);
  CHECK(content(verdict) == none_off);
  CHECK(Device().notes().empty());  // what was damaged is gone
}

TEST_CASE("the self-test judges all that it runs, and finds nothing on a sound device") {
  const auto device = test_device();
  if (!device) return;
  const SelfTest result = run_self_test(device->gpu());
  CHECK(result.conclusive);
  for (const std::string& note : result.notes) FAIL_CHECK(note);
}

TEST_CASE("where every kernel for an op is wrong none is turned off, and that is told each time") {
  if (!test_device()) return;
  const CacheFolder cache;
  const Device device;
  Gpu& gpu = device.gpu();
  testing::FakeDriver driver(gpu);
  for (const std::string& module : norm_modules(gpu)) driver.break_module(module);
  for (int time = 0; time < 2; ++time) {
    gpu.forget_pipelines();
    const SelfTest result = run_self_test(gpu);
    CHECK(!result.conclusive);
    REQUIRE(!result.notes.empty());
    CHECK_MESSAGE(result.notes[0].find("_norm with every kernel") != std::string::npos, result.notes[0]);
    CHECK(gpu.quarantine().empty());
  }
}

TEST_CASE("the self-test that costs the device is left out from then on, with a note") {
  if (!test_device()) return;
  const CacheFolder cache;
  {
    const Device device;
    CHECK(device.notes().empty());
    CHECK(cache.files("trying").empty());
    testing::FakeDriver driver(device.gpu());
    driver.lose_device();
    CrashMark mark(cache_name("trying", device.gpu().device().physical()), shaders_checksum());
    CHECK_THROWS_WITH_AS(self_test(device.gpu(), mark), doctest::Contains("while heed tested its kernels"), DeviceLost);
  }
  CHECK(cache.files("trying").size() == 1);
  for (const bool judged_before : {true, false}) {
    if (!judged_before) std::filesystem::remove(cache.files("self-test").at(0));
    const Device device;
    REQUIRE(device.notes().size() == 1);
    CHECK_MESSAGE(device.notes()[0].find("decoder layer with 1 rows") != std::string::npos, device.notes()[0]);
  }
  std::filesystem::remove(cache.files("trying").at(0));
  CHECK(Device().notes().empty());
}

TEST_CASE("two processes that turn kernels off keep what the other one found") {
  const CacheFolder cache;
  const std::string a(shader_modules()[0].key), b(shader_modules()[1].key);
  change_quarantine("off.json", {{a, "first"}}, {});
  change_quarantine("off.json", {{b, "second"}}, {});
  std::string note;
  CHECK(read_quarantine("off.json", note) == Quarantine{{a, "first"}, {b, "second"}});
  change_quarantine("off.json", {}, {a});
  CHECK(read_quarantine("off.json", note) == Quarantine{{b, "second"}});
  change_quarantine("off.json", {}, {b});
  CHECK(cache.files("off").empty());
  CHECK(note.empty());
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
