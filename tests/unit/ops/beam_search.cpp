// Which searches a driver that ends long loops is planned for, and why others are refused.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "heed/error.h"
#include "ops/search.h"
#include "plan/default_tuning.h"
#include "planner/make_plan.h"
#include "tests/unit/cpu_driver.h"

namespace heed {
namespace {

Graph search(std::int64_t beams, std::int64_t vocabulary) {
  constexpr std::int64_t kCapacity = 256;
  GraphBuilder b("search");
  const auto state = [&](const char* name, SymbolicShape shape, DType dtype = DType::I32) {
    return b.state(name, dtype, std::move(shape));
  };
  b.add_many("beam_search", "search",
             {b.input("logits", DType::F32, {beams, vocabulary}), state("tokens", {beams}), state("position", {beams}),
              state("parents", {beams}), state("table", {kCapacity, beams}), state("sums", {beams}, DType::F32),
              state("records", {kCapacity * beams, 2}), state("hypotheses", {1, beams, 3}),
              state("scores", {1, beams}, DType::F32), state("progress", {1, 2}),
              state("options", {static_cast<std::int64_t>(ops::kFirstForced)})},
             {{"beams", beams}}, 0);
  return std::move(b).finish();
}

DeviceCaps lavapipe() {
  DeviceCaps caps = testing::cpu_driver();
  caps.max_loop_iterations = 65535;
  caps.max_shared_memory = 32768;
  return caps;
}

Plan planned(std::int64_t beams, std::int64_t vocabulary) {
  Tuning tuning = default_tuning(lavapipe());
  tuning.lanes = tuning.row_lanes = 8;
  tuning.set(&ProductTuning::lanes, 8);
  return make_plan(search(beams, vocabulary), {}, lavapipe(), tuning);
}

}  // namespace

TEST_CASE("beam search is planned for the vocabularies that there are, with many beams") {
  for (const std::int64_t vocabulary : {32000, 32003, 58101, 65001, 128112, 250054, 256206}) {
    for (const std::int64_t beams : {1, 4, 5, 8, 16}) {
      CAPTURE(vocabulary);
      CAPTURE(beams);
      const Plan plan = planned(beams, vocabulary);
      CHECK(std::ranges::any_of(plan.dispatches, [](const Dispatch& d) { return d.shader == "beam_candidates"; }));
    }
  }
  CHECK(!planned(32, 128112).dispatches.empty());
}

TEST_CASE("a search that a driver would end too early is refused, not shortened") {
  CHECK_THROWS_WITH_AS(planned(32, 256206), doctest::Contains("take more loop iterations than the 65535"), Error);
}

}  // namespace heed
