// Several texts that a model makes at a time.
#include <doctest/doctest.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "heed/error.h"
#include "heed/text_queue.h"
#include "tests/unit/runtime/fake_driver.h"
#include "tests/unit/runtime/test_device.h"
#include "tests/unit/runtime/text_models.h"

namespace heed {
namespace {

using namespace testing;  // NOLINT: its models

/// Drawn texts of many lengths.
std::vector<TextRequest> many_requests(std::size_t count) {
  std::vector<TextRequest> requests;
  for (std::size_t i = 0; i < count; ++i) {
    TextRequest request{.prompt = count_up(1, static_cast<std::int32_t>(3 + i % 20)), .options = {}};
    request.options.max_tokens = static_cast<std::int64_t>(10 + 7 * i % 40);
    request.options.sampling = {.temperature = i % 3 == 0 ? 0.0 : 1.0, .top_k = 0, .seed = 40 + i};
    requests.push_back(request);
  }
  return requests;
}

std::vector<Ids> tokens_of(const std::vector<Generation>& made) {
  std::vector<Ids> tokens;
  for (const Generation& one : made) tokens.push_back(one.tokens);
  return tokens;
}

}  // namespace

TEST_CASE("together: each text ends for its own reason, and comes as soon as it is whole") {
  const auto device = test_device();
  if (!device) return;
  const CountingModel file(Ids{20});
  TextModel model(*device, file.path(), 0, CacheType::Auto, 2);
  std::vector<TextRequest> requests(5, TextRequest{.prompt = {3}, .options = greedy(4)});
  requests[1] = {.prompt = {15}, .options = greedy(100)};
  requests[2] = {.prompt = Ids(398, 3), .options = greedy(100)};
  requests[3].options.cancelled = [] { return true; };
  requests[4] = {.prompt = {18}, .options = greedy(8)};
  requests[4].options.ignore_end = true;
  std::vector<std::size_t> ended;
  const std::vector<Generation> made =
      model.generate_many(requests, [&](std::size_t i, const Generation&) { ended.push_back(i); });
  REQUIRE(made.size() == 5);
  CHECK(made[0].tokens == count_up(4, 8));
  CHECK(made[0].reason == StopReason::MaxTokens);
  CHECK(made[1].tokens == count_up(16, 20));
  CHECK(made[1].reason == StopReason::EndToken);
  CHECK(made[2].tokens == Ids{4, 5});
  CHECK(made[2].reason == StopReason::ContextFull);
  CHECK(made[3].tokens.empty());
  CHECK(made[3].reason == StopReason::Cancelled);
  CHECK(made[4].tokens == count_up(19, 27));
  CHECK(ended.size() == 5);
  CHECK(ended.front() == 3);  // what is cancelled waits for nothing
  CHECK(ended[1] <= 1);
  // One alone, of the same model.
  CHECK(model.generate(Ids{15}, greedy(100)).tokens == made[1].tokens);
  CHECK(model.generate_many({}).empty());
}

TEST_CASE("together: what one request cannot be done for is told of that one, before anything is made") {
  const auto device = test_device();
  if (!device) return;
  const CountingModel file;
  TextModel model(*device, file.path(), 0, CacheType::Auto, 3);
  for (const auto& [prompt, options, why] :
       {std::tuple{Ids{}, greedy(4), "the prompt is empty"}, std::tuple{Ids{1, 99}, greedy(4), "token 1 of the prompt"},
        std::tuple{Ids(400, 1), greedy(4), "the context holds 400"}, std::tuple{Ids{1}, greedy(0), "0 new tokens"}}) {
    std::vector<TextRequest> requests(3, TextRequest{.prompt = {3}, .options = greedy(4)});
    requests[2] = {.prompt = prompt, .options = options};
    bool made_any = false;
    try {
      model.generate_many(requests, [&](std::size_t, const Generation&) { made_any = true; });
      FAIL("no error");
    } catch (const RequestError& error) {
      CHECK(error.request() == 2);
      CHECK(std::string(error.what()).find(why) != std::string::npos);
    }
    CHECK_FALSE(made_any);
  }
  CHECK(model.generate(Ids{3}, greedy(4)).tokens == count_up(4, 8));
  CHECK_THROWS_WITH_AS(TextModel(*device, file.path(), 0, CacheType::Auto, 0), doctest::Contains("0 slots"), Error);
}

TEST_CASE("together: texts do not depend on how many go on at a time, and go on where the device was lost") {
  if (!test_device()) return;
  const LookingBackModel file;
  const std::vector<TextRequest> requests = many_requests(9);
  const Device undisturbed;
  const std::vector<Ids> expected =
      tokens_of(TextModel(undisturbed, file.path(), 0, CacheType::F32, 2).generate_many(requests));
  for (const std::int64_t slots : {4, 9}) {
    for (const std::optional<int> nth : {std::optional<int>(), std::optional(0), std::optional(3), std::optional(12)}) {
      CAPTURE(slots);
      CAPTURE(nth.value_or(-1));
      const Device device;
      TextModel model(device, file.path(), 0, CacheType::F32, slots);
      testing::FakeDriver driver(device.gpu());
      if (nth) driver.lose_device(*nth);
      const std::vector<Generation> made = model.generate_many(requests);
      int losses = 0;
      for (const Generation& one : made) losses += one.device_losses;
      CHECK((losses > 0) == nth.has_value());
      CHECK(tokens_of(made) == expected);
    }
  }
}

TEST_CASE("together: texts that shared a beginning go on where the device was lost, though they share it no more") {
  if (!test_device()) return;
  const LookingBackModel file;
  Ids prompt;
  for (std::int32_t i = 0; i < 200; ++i) prompt.push_back(i * 7 % kVocabulary);
  const std::vector<TextRequest> requests(4, TextRequest{.prompt = prompt, .options = greedy(400)});
  const Device undisturbed;
  const std::vector<Ids> expected =
      tokens_of(TextModel(undisturbed, file.path(), 0, CacheType::F32, 2).generate_many(requests));
  CHECK(expected[0].size() == 200);
  for (const int nth : {7, 11, 18}) {
    CAPTURE(nth);
    const Device device;
    TextModel model(device, file.path(), 0, CacheType::F32, 3);
    testing::FakeDriver driver(device.gpu());
    driver.lose_device(nth);
    CHECK(tokens_of(model.generate_many(requests)) == expected);
  }
}

TEST_CASE("together: too many slots are refused with what to do") {
  const auto device = test_device();
  if (!device) return;
  const CountingModel file;
  CHECK_THROWS_WITH_AS(TextModel(*device, file.path(), 0, CacheType::Auto, 1 << 20), doctest::Contains("expected 1 to"),
                       Error);
  const LookingBackModel large("", 1.0f, 1 << 24);
  CHECK_THROWS_WITH_AS(TextModel(*device, large.path(), 0, CacheType::Auto, 500),
                       doctest::Contains("at most 127 are possible; fewer slots or a smaller context"), Error);
}

TEST_CASE("together: a device that is lost again and again is given up, and what was begun is forgotten") {
  if (!test_device()) return;
  const CountingModel file;
  testing::LossyDevices devices;
  const Device device;
  TextModel model(device, file.path(), 0, CacheType::Auto, 2);
  std::vector<TextRequest> requests(3, TextRequest{.prompt = {3, 4, 5}, .options = greedy(200)});
  for (TextRequest& request : requests) {
    request.options.cancelled = [&] {
      devices.arm();
      return false;
    };
  }
  CHECK_THROWS_AS(model.generate_many(requests), DeviceLost);
  CHECK(model.generate(Ids{3, 4, 5}, greedy(3)).tokens == count_up(6, 9));
}

TEST_CASE("together: texts come to a queue at any time, and leave it when they are cancelled") {
  const auto device = test_device();
  if (!device) return;
  const CountingModel file(Ids{20});
  TextModel model(*device, file.path(), 0, CacheType::Auto, 2);
  std::vector<TextRequest> requests = many_requests(6);
  const std::vector<Ids> alone = tokens_of(model.generate_many(requests));

  std::vector<std::optional<Generation>> made(requests.size() + 1);
  TextQueue queue(model);
  CHECK(queue.empty());
  queue.advance();
  const auto add = [&](std::size_t i, const TextRequest& request) {
    queue.add({.request = request,
               .on_end = [&made, i](Generation&& one) { made[i] = std::move(one); },
               .on_error = [](const Error& error) { FAIL(error.what()); }});
  };
  bool cancelled = false;
  TextRequest endless{.prompt = {3}, .options = greedy(300)};
  endless.options.ignore_end = true;
  endless.options.cancelled = [&] { return cancelled; };
  add(6, endless);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    add(i, requests[i]);
    queue.advance();
  }
  CHECK(queue.going() <= 2);
  CHECK(!queue.empty());
  // While there is a queue it alone generates; but logits do not disturb it.
  CHECK_THROWS_WITH_AS(model.generate(Ids{3}, greedy(1)),
                       "the model has a queue of texts already, and generates nothing beside it", Error);
  CHECK_THROWS_AS(queue.add({.request = {.prompt = {}, .options = greedy(1)}, .on_end = {}, .on_error = {}}), Error);
  model.logits({1, 2, 3});
  cancelled = true;
  while (!queue.empty()) queue.advance();
  for (std::size_t i = 0; i < requests.size(); ++i) {
    REQUIRE(made[i]);
    CHECK(made[i]->tokens == alone[i]);
  }
  REQUIRE(made[6]);
  CHECK(made[6]->reason == StopReason::Cancelled);
  CHECK(made[6]->tokens.size() < 300);
}

TEST_CASE("together: a text that waits can be cancelled, and a callback that throws empties the queue") {
  const auto device = test_device();
  if (!device) return;
  const CountingModel file;
  TextModel model(*device, file.path());  // of a single slot
  std::vector<StopReason> ends;
  const auto request = [&](bool cancelled) {
    TextRequest made{.prompt = {3}, .options = greedy(5)};
    made.options.cancelled = [cancelled] { return cancelled; };
    return QueuedText{.request = made,
                      .on_end = [&ends](Generation&& one) { ends.push_back(one.reason); },
                      .on_error = [](const Error& error) { FAIL(error.what()); }};
  };
  {
    TextQueue queue(model);
    for (const bool cancelled : {false, true, false}) queue.add(request(cancelled));
    while (!queue.empty()) queue.advance();
    CHECK(ends == std::vector{StopReason::Cancelled, StopReason::MaxTokens, StopReason::MaxTokens});
    QueuedText broken = request(false);
    broken.request.on_text = [](std::string_view) { throw std::runtime_error("no one listens"); };
    broken.on_end = [](Generation&&) { throw std::runtime_error("no one listens"); };
    queue.add(broken);
    queue.add(request(false));
    CHECK_THROWS_WITH(
        [&] {
          while (!queue.empty()) queue.advance();
        }(),
        "no one listens");
    CHECK(queue.empty());
    queue.add(request(false));
    while (!queue.empty()) queue.advance();
    CHECK(ends.size() == 4);
  }
  CHECK(model.generate(Ids{3}, greedy(5)).tokens == count_up(4, 9));
}

}  // namespace heed
