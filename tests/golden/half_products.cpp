// Products in half precision, against the same model without.
#include <doctest/doctest.h>

#include <filesystem>
#include <vector>

#include "constants/attention_cooperative.h"
#include "generate/text/session.h"
#include "planner/make_plan.h"
#include "tests/golden/golden_data.h"
#include "tests/unit/from_words.h"

namespace heed::golden {

TEST_CASE("half products: logits are near, and not the same") {
  Gpu& gpu = device().gpu();
  if (gpu.caps().cooperative_sizes.empty()) {
    MESSAGE("skipped: the device has no units for matrices");
    return;
  }
  const ConvertedModel model(std::filesystem::path(HEED_SOURCE_DIR) / "models" / "shakespeare");
  const Tuning tuned = gpu.tuning();
  const auto logits_with = [&](bool half) {
    Tuning tuning = tuned;
    tuning.set(&ProductTuning::tile, 64);
    tuning.set(&ProductTuning::cooperative, true);
    tuning.query_tile = 64;
    tuning.cooperative_attention = true;
    tuning.half_products = half;
    gpu.set_tuning(tuning);
    TextSession session(gpu, model.file(), 256, CacheType::F32);
    const Bindings dims = {{"tokens", 40}, {"outputs", 40}, {"context", 256}};
    std::size_t layers = 0;
    for (const Dispatch& d : make_plan(session.text().graph, dims, gpu.caps(), tuning).dispatches) {
      CHECK(d.shader != "attention_tiles");
      if (d.shader != "attention_cooperative") continue;
      ++layers;
      CHECK(testing::from_words<ops::AttentionCooperativeConstants>(d.specialization).halves == (half ? 1 : 2));
    }
    CHECK(layers > 0);
    std::vector<std::int32_t> tokens;
    for (int i = 0; i < 40; ++i) tokens.push_back((i * i * 7 + i) % static_cast<int>(session.vocabulary()));
    const std::vector<float> logits = session.logits(tokens);
    gpu.set_tuning(tuned);
    return logits;
  };
  const std::vector<float> exact = logits_with(false);
  const std::size_t columns = exact.size() / 40;
  const double error = logits_error(logits_with(true), {40, columns, {exact.begin(), exact.end()}});
  MESSAGE("logits within " << error << " of their range");
  CHECK(error < 2e-3);
  CHECK(error > 0.0);
}

}  // namespace heed::golden
