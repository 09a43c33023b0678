// The text loop, on a model that counts.
#include <doctest/doctest.h>
#include <stdlib.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <optional>
#include <set>

#include "file/model_file.h"
#include "generate/text/prompt_runs.h"
#include "heed/error.h"
#include "heed/text.h"
#include "tests/temporary_folder.h"
#include "tests/unit/runtime/fake_driver.h"
#include "tests/unit/runtime/test_device.h"
#include "tests/unit/runtime/text_models.h"

namespace heed {
namespace {

using namespace testing;  // NOLINT: its models

}  // namespace

TEST_CASE("without a tokenizer generation ends at the end tokens of the metadata, unless they are ignored") {
  const auto device = test_device();
  if (!device) return;
  const CountingModel file(Ids{20, 9});
  TextModel model(*device, file.path());
  GenerationOptions options = greedy(12);
  Generation made = model.generate(Ids{3}, options);
  CHECK(made.tokens == count_up(4, 9));
  CHECK(made.reason == StopReason::EndToken);
  made = model.generate(Ids{8}, options);  // the very first
  CHECK(made.tokens.empty());
  CHECK(made.reason == StopReason::EndToken);
  options.ignore_end = true;
  made = model.generate(Ids{3}, options);
  CHECK(made.tokens == count_up(4, 16));
  CHECK(made.reason == StopReason::MaxTokens);

  const CountingModel endless;
  made = TextModel(*device, endless.path()).generate(Ids{3}, greedy(12));
  CHECK(made.tokens == count_up(4, 16));
  const CountingModel outside(Ids{kVocabulary});
  CHECK_THROWS_WITH_AS(TextModel(*device, outside.path()), doctest::Contains("the end token 32 is outside"), Error);
}

TEST_CASE("a long prompt can be cancelled between its chunks, and be begun again") {
  const auto device = test_device();
  if (!device) return;
  const CountingModel file;
  TextModel model(*device, file.path());
  Ids prompt(300, 1);
  prompt.back() = 5;
  for (const int wanted : {1, 3}) {
    CAPTURE(wanted);
    int asked = 0;
    GenerationOptions options = greedy(4);
    options.cancelled = [&] { return ++asked == wanted; };
    bool said = false;
    Generation made = model.generate(prompt, options, [&](std::string_view) { said = true; });
    CHECK(asked == wanted);
    CHECK(made.reason == StopReason::Cancelled);
    CHECK(made.tokens.empty());
    CHECK(made.text.empty());
    CHECK(!said);
    CHECK(made.prompt_tokens == prompt);
    CHECK(made.prompt_seconds > 0);
    CHECK(made.generate_seconds == 0);
    made = model.generate(prompt, greedy(4));
    CHECK(made.tokens == count_up(6, 10));
    prompt[0] = 2;  // or all but the last chunk would be in the cache
  }
}

TEST_CASE("prompts of any length run in few sizes, every token before it is needed") {
  for (const std::int64_t most : {std::int64_t{64}, std::int64_t{256}, std::int64_t{1024}}) {
    CAPTURE(most);
    std::set<std::int64_t> sizes;
    for (std::int64_t count = 1; count <= (most == 1024 ? 2100 : 600); ++count) {
      for (std::int64_t done = 0; done < count; done += kPromptBlock) {
        CAPTURE(count);
        CAPTURE(done);
        const std::vector<PromptRun> runs = prompt_runs(done, count, most);
        std::int64_t cached = done;
        for (const PromptRun& run : runs) {
          sizes.insert(run.size);
          CHECK(run.begin >= 0);
          CHECK(run.begin <= cached);
          CHECK(run.begin + run.size > cached);
          cached = run.begin + run.size;
        }
        CHECK(cached == count);
        CHECK((runs.back().size >= 4) == (count >= 4));  // or the logits' bits would depend on what was cached
        CHECK(static_cast<std::int64_t>(runs.size()) <= (count - done + most - 1) / most + 1);
      }
    }
    std::set<std::int64_t> expected;
    for (std::int64_t size = 1; size <= most; size *= 2) expected.insert(size);
    CHECK(sizes == expected);
  }
}

TEST_CASE("a key or value that is too large for a cache of f16 is an error that says so, and fits one of f32") {
  const auto device = test_device();
  if (!device) return;
  for (const char* projection : {"k", "v"}) {
    CAPTURE(std::string(projection));
    const LookingBackModel file(projection, 1e6f);
    TextModel exact(*device, file.path(), 0, CacheType::F32);
    CHECK(exact.generate(Ids{3}, greedy(12)).tokens.size() == 12);
    TextModel half(*device, file.path(), 0, CacheType::F16);
    REQUIRE(half.cache_type() == CacheType::F16);
    // Read as a prompt, and as a token.
    for (const Ids& prompt : {Ids{3}, Ids{3, 4, 5, 6, 7, 8, 9, 10}}) {
      CHECK_THROWS_WITH_AS(half.generate(prompt, greedy(12)), doctest::Contains("try one of f32 (--cache f32)"), Error);
    }
  }
}

TEST_CASE("prompts of any length are continued as the logits of all of them say") {
  const auto device = test_device();
  if (!device) return;
  const LookingBackModel file;
  TextModel model(*device, file.path());
  std::set<std::int32_t> said;
  for (const int length : {1, 2, 3, 5, 7, 12, 31, 33, 63, 64, 65, 66, 69, 97, 127, 129, 150, 191, 200}) {
    CAPTURE(length);
    Ids prompt;
    for (int i = 0; i < length; ++i) prompt.push_back((i * i * 5 + i + length) % kVocabulary);
    const std::int32_t next = model.generate(prompt, greedy(1)).tokens.at(0);
    const std::vector<float> logits = model.logits(prompt);
    const auto last = logits.end() - model.vocabulary();
    CHECK(next == std::max_element(last, logits.end()) - last);
    said.insert(next);
  }
  CHECK(said.size() >= 5);
}

TEST_CASE("a prompt that begins like the last one is continued as by a model that never saw that") {
  const auto device = test_device();
  if (!device) return;
  const LookingBackModel file;
  Ids first(230);
  for (std::size_t i = 0; i < first.size(); ++i)
    first[i] = static_cast<std::int32_t>((i * i * 7 + i * 3) % kVocabulary);
  TextModel model(*device, file.path());
  std::set<Ids> said;
  said.insert(model.generate(first, greedy(12)).tokens);
  // In chunks of 64: where prompts part within a chunk, at its edges, and in what was generated; then longer ones.
  for (const std::size_t part : {230u, 229u, 193u, 192u, 191u, 129u, 128u, 127u, 65u, 64u, 63u, 1u, 0u}) {
    for (const std::size_t length : {230u, 200u, 300u}) {
      CAPTURE(part);
      CAPTURE(length);
      Ids prompt = first;
      prompt.resize(length, 5);
      for (std::size_t i = part; i < length; ++i) prompt[i] = (prompt[i] + 11) % kVocabulary;
      const Ids again = model.generate(prompt, greedy(12)).tokens;
      CHECK(again == TextModel(*device, file.path()).generate(prompt, greedy(12)).tokens);
      said.insert(again);
      CHECK(model.generate(first, greedy(12)).tokens ==
            TextModel(*device, file.path()).generate(first, greedy(12)).tokens);
    }
  }
  CHECK(said.size() >= 10);  // what it says depends on what it was told
}

TEST_CASE("a vocabulary that is not the graph's is refused") {
  const std::optional<Device> device = test_device();
  if (!device) return;
  for (const std::int32_t said : {kVocabulary - 1, kVocabulary + 1, 1 << 20}) {
    const CountingModel model({}, said);
    CHECK_THROWS_WITH_AS(TextModel(*device, model.path()), doctest::Contains("but metadata 'vocabulary' is"), Error);
  }
}

TEST_CASE("profiles cover the whole step and leave the model as it was") {
  const std::optional<Device> device = test_device();
  if (!device) return;
  const CountingModel file;
  TextModel model(*device, file.path());
  const std::vector<DispatchTime> step = model.profile(1);
  CHECK(step.size() == model.dispatches_per_token());
  CHECK(step.front().label == "embedding");
  CHECK(!model.profile(kContext).empty());
  CHECK_THROWS_AS(model.profile(kContext + 1), Error);
  GenerationOptions options;
  options.sampling.temperature = 0;
  options.max_tokens = 3;
  CHECK(model.generate(Ids{4}, options).tokens == Ids{5, 6, 7});
}

TEST_CASE("a text goes on where the device was lost, also when random") {
  if (!test_device()) return;
  const CountingModel file;
  for (const double temperature : {0.0, 1.0}) {
    GenerationOptions options = greedy(60);
    options.sampling.temperature = temperature;
    options.sampling.seed = 5;
    const Device undisturbed;
    const Generation expected = TextModel(undisturbed, file.path()).generate(Ids{3, 4, 5}, options);
    CHECK(expected.device_losses == 0);
    for (const int nth : {0, 1, 4}) {
      const Device device;
      TextModel model(device, file.path());
      testing::FakeDriver driver(device.gpu());
      driver.lose_device(nth);
      const Generation made = model.generate(Ids{3, 4, 5}, options);
      CHECK(made.tokens == expected.tokens);
      CHECK(made.device_losses == 1);
      CHECK(made.reason == StopReason::MaxTokens);
      CHECK(model.generate(Ids{3, 4, 5}, options).tokens == expected.tokens);
    }
  }
}

TEST_CASE("a device that was lost outside of generate is opened again as well") {
  if (!test_device()) return;
  const CountingModel file;
  const Device device;
  TextModel model(device, file.path());
  const std::vector<float> expected = model.logits({3, 4, 5});
  {
    testing::FakeDriver driver(device.gpu());
    driver.lose_device();
    CHECK_THROWS_AS(model.logits({3, 4, 5}), DeviceLost);
  }
  CHECK(model.logits({3, 4, 5}) == expected);
  CHECK(model.generate(Ids{3, 4, 5}, greedy(3)).tokens == count_up(6, 9));
}

TEST_CASE("a device that is lost again and again is given up") {
  if (!test_device()) return;
  const CountingModel file;
  testing::LossyDevices devices;
  const Device device;
  TextModel model(device, file.path());
  GenerationOptions options = greedy(200);
  options.cancelled = [&] {  // asked before each step
    devices.arm();
    return false;
  };
  CHECK_THROWS_AS(model.generate(Ids{3, 4, 5}, options), DeviceLost);
  CHECK(devices.losses() == 4);
  CHECK(model.generate(Ids{3, 4, 5}, greedy(3)).tokens == count_up(6, 9));
}

TEST_CASE("a device opened again is the same with the same options") {
  if (!test_device()) return;
  const Device device("", {.compile_only = true});
  const Device again = device.reopened();
  CHECK(again.info().uuid == device.info().uuid);
  CHECK(again.info().name == device.info().name);
  // One for running has measured its kernels, or read what was measured.
  CHECK(again.gpu().tuning() == device.gpu().tuning());
  CHECK(&again.gpu() != &device.gpu());
}

}  // namespace heed
