// Caches that grow with a text, against those that are large from the start.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "generate/text/session.h"
#include "tests/golden/golden_data.h"

namespace heed::golden {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<std::int32_t>;

/// A device whose attention of a single row is shared by so many workgroups, as GPUs do; by none with 0.
class SharedAttention {
 public:
  explicit SharedAttention(std::uint32_t groups) : before_(device().gpu().tuning()) {
    Tuning tuning = before_;
    tuning.attention_groups = groups;
    device().gpu().set_tuning(tuning);
  }
  ~SharedAttention() { device().gpu().set_tuning(before_); }
  SharedAttention(const SharedAttention&) = delete;
  SharedAttention& operator=(const SharedAttention&) = delete;

 private:
  Tuning before_;
};

Ids prompt_of(std::size_t length, std::int64_t vocabulary) {
  Ids prompt;
  for (std::size_t i = 0; i < length; ++i) {
    prompt.push_back(static_cast<std::int32_t>((i * i * 7 + i) % static_cast<std::size_t>(vocabulary)));
  }
  return prompt;
}

/// The greedy text of `count` tokens after a prompt, made `at_once` tokens a step.
Ids text_after(TextSession& session, const Ids& prompt, std::int64_t count, std::int64_t at_once) {
  Ids text = {session.start(prompt, SamplingOptions{.temperature = 0.0}).value()};
  while (static_cast<std::int64_t>(text.size()) < count) {
    const std::int64_t left = count - static_cast<std::int64_t>(text.size());
    for (const std::int32_t token : session.step(static_cast<int>(std::min(left, at_once)))) text.push_back(token);
  }
  return text;
}

}  // namespace

TEST_CASE("a cache that grows with the text says what a large one says") {
  const ConvertedModel model(fs::path(HEED_SOURCE_DIR) / "models" / "shakespeare");
  for (const std::uint32_t groups : {0u, 40u}) {
    if (quick() && groups == 0) continue;
    CAPTURE(groups);
    const SharedAttention shared(groups);
    TextSession large(device().gpu(), model.file(), 256, CacheType::F32, 256);
    for (const std::size_t length : {1, 15, 16, 17, 63, 130}) {
      if (quick() && length != 63) continue;
      CAPTURE(length);
      // Its last block of keys is shorter than others (with_caches_by_head()).
      TextSession growing(device().gpu(), model.file(), 250, CacheType::F32, 16);
      const Ids prompt = prompt_of(length, large.vocabulary());
      CHECK(text_after(growing, prompt, 120, 16) == text_after(large, prompt, 120, 7));
    }
  }
}

TEST_CASE("what a growing cache gives does not depend on what was before") {
  const ConvertedModel model(fs::path(HEED_SOURCE_DIR) / "models" / "shakespeare");
  for (const std::uint32_t groups : {0u, 40u}) {
    CAPTURE(groups);
    const SharedAttention shared(groups);
    TextSession session(device().gpu(), model.file(), 256, CacheType::F32, 16);
    const Ids prompt = prompt_of(65, session.vocabulary());  // the last run is a single row
    const std::vector<float> first = session.logits(prompt);
    text_after(session, prompt, 150, 16);
    CHECK(session.logits(prompt) == first);
  }
}

}  // namespace heed::golden
