// Sequences that go on together, against each of them alone.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <vector>

#include "generate/text/batch.h"
#include "generate/text/prompt_runs.h"
#include "generate/text/session.h"
#include "planner/make_plan.h"
#include "tests/golden/golden_data.h"

namespace heed::golden {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<std::int32_t>;

struct Request {
  Ids prompt;
  SamplingOptions sampling;
  std::int64_t max_tokens = 40;
};

/// Requests of many kinds; each third one begins as others do, for more than a page.
std::vector<Request> requests_of(std::size_t count, std::int64_t vocabulary) {
  std::vector<Request> requests;
  for (std::size_t i = 0; i < count; ++i) {
    Request request;
    const std::size_t length = i % 3 == 0 ? 70 + i : 1 + (i * 29) % 67;
    for (std::size_t p = 0; p < length; ++p) {
      const std::size_t salt = i % 3 == 0 && p < 66 ? 0 : i;
      request.prompt.push_back(
          static_cast<std::int32_t>((p * p * 7 + p + salt * 13) % static_cast<std::size_t>(vocabulary)));
    }
    request.sampling.seed = 100 + i;
    request.sampling.temperature = i % 4 == 1 ? 0.0 : 0.9;
    request.sampling.repetition_penalty = i % 5 == 2 ? 1.3 : 1.0;
    request.sampling.top_k = i % 2 == 0 ? 0 : 20;
    request.max_tokens = static_cast<std::int64_t>(5 + (i * 11) % 50);
    requests.push_back(request);
  }
  return requests;
}

/// What all requests give, `together` at most at a time, each begun as soon as there is a slot.
std::vector<Ids> run(TextBatch& batch, const std::vector<Request>& requests, std::size_t together) {
  std::vector<Ids> texts(requests.size());
  std::size_t next = 0;
  while (next < requests.size() || batch.size() > 0) {
    while (next < requests.size() && batch.size() < together &&
           batch.add(static_cast<std::int64_t>(next), requests[next].prompt, requests[next].sampling,
                     requests[next].max_tokens)) {
      ++next;
    }
    for (const TextBatch::Made& made : batch.advance()) {
      CHECK_FALSE(made.broken);
      Ids& text = texts[static_cast<std::size_t>(made.id)];
      text.insert(text.end(), made.tokens.begin(), made.tokens.end());
      if (!batch.has_room(made.id)) batch.remove(made.id);
    }
  }
  return texts;
}

}  // namespace

TEST_CASE("batch: a sequence says the same alone and among others, whenever it comes") {
  const ConvertedModel model(fs::path(HEED_SOURCE_DIR) / "models" / "shakespeare");
  TextSession session(device().gpu(), model.file(), 256, CacheType::F32);
  const std::vector<Request> requests = requests_of(quick() ? 7 : 18, session.vocabulary());
  TextBatch alone(device().gpu(), session.weights(), session.text(), 1);
  const std::vector<Ids> expected = run(alone, requests, 1);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    CHECK(static_cast<std::int64_t>(expected[i].size()) == requests[i].max_tokens);
  }
  for (const std::size_t together : {3, 16}) {
    CAPTURE(together);
    TextBatch batch(device().gpu(), session.weights(), session.text(), static_cast<std::int64_t>(together));
    CHECK(run(batch, requests, together) == expected);
    // Of those that begin alike all but the first.
    const auto alike = static_cast<std::int64_t>((requests.size() + 2) / 3);
    CHECK(batch.shared_tokens() == (alike - 1) * PagePool::kPositions);
    if (quick()) return;
    // Once more, with what is known by now.
    CHECK(run(batch, requests, together) == expected);
    CHECK(batch.available_pages() == static_cast<std::int64_t>(together) * 256 / PagePool::kPositions);
  }
  // Few places, so that some wait for others.
  TextBatch narrow(device().gpu(), session.weights(), session.text(), 16, 512);
  CHECK(run(narrow, requests, 16) == expected);
  CHECK(narrow.available_pages() == 512 / PagePool::kPositions);
  // More places each time that these do not suffice, in the midst of texts.
  TextBatch growing(device().gpu(), session.weights(), session.text(), 16, 0, 256);
  CHECK(growing.available_pages() == 256 / PagePool::kPositions);
  CHECK(run(growing, requests, 16) == expected);
  CHECK(growing.available_pages() > 512 / PagePool::kPositions);
}

TEST_CASE("batch: nor does what it says depend on how long the pieces are in which prompts are read") {
  const ConvertedModel model(fs::path(HEED_SOURCE_DIR) / "models" / "shakespeare");
  Gpu& gpu = device().gpu();
  const Tuning tuned = gpu.tuning();
  Tuning tiled = tuned;
  tiled.set(&ProductTuning::tile, 32);  // products in tiles, for which longer pieces pay
  tiled.flops_pace = tiled.bytes_pace = Tuning::kMostPace;
  tiled.query_tile = 64;
  std::vector<Request> requests = requests_of(quick() ? 4 : 9, 64);
  const std::size_t lengths[] = {64, 65, 128, 129, 192, 193, 200, 127, 1};
  for (std::size_t i = 0; i < requests.size(); ++i) {
    while (requests[i].prompt.size() < lengths[i]) requests[i].prompt.push_back(requests[i].prompt.back() ^ 1);
    requests[i].prompt.resize(lengths[i]);
    requests[i].max_tokens = 20;
  }
  std::vector<std::vector<Ids>> texts;
  gpu.set_tuning(tiled);
  for (const std::int64_t most_run : {std::int64_t{64}, kMostPromptRun}) {
    TextSession session(gpu, model.file(), 256, CacheType::F32, TextSession::kFirstPositions, most_run);
    TextBatch batch(gpu, session.weights(), session.text(), 4, 0, TextBatch::kFirstPlaces, most_run);
    texts.push_back(run(batch, requests, 4));
    CHECK(run(batch, requests, 4) == texts.back());  // with the blocks that it knows by now
    // One at a time, of which each begins as the one before, or does not.
    std::vector<Ids> alone;
    for (const Request& request : requests) {
      alone.push_back({session.start(request.prompt, SamplingOptions{.temperature = 0.0}).value()});
      for (const std::int32_t token : session.step(7)) alone.back().push_back(token);
      // Once more, with what the cache holds by now.
      CHECK(session.start(request.prompt, SamplingOptions{.temperature = 0.0}).value() == alone.back()[0]);
      for (const std::int32_t token : session.step(7)) alone.back().push_back(token);
      Ids longer = request.prompt;
      longer.insert(longer.end(), alone.back().begin(), alone.back().end());
      alone.push_back({session.start(longer, SamplingOptions{.temperature = 0.0}).value()});
    }
    texts.push_back(alone);
    const auto plan_of = [&](std::int64_t tokens) {
      return make_plan(session.text().graph, {{"tokens", tokens}, {"outputs", 0}, {"context", 256}}, gpu.caps(), tiled);
    };
    CHECK(prompt_length(gpu.caps(), tiled, kMostPromptRun, plan_of).behind(0) == 256);  // or both would read alike
  }
  gpu.set_tuning(tuned);
  CHECK(texts[0] == texts[2]);
  CHECK(texts[1] == texts[3]);
}

TEST_CASE("batch: nor does it depend on the others with windows, experts, learned positions and slopes") {
  for (const char* name : {"mistral", "qwen3_moe", "gpt2", "bloom"}) {
    if (quick() && name != std::string("qwen3_moe")) continue;
    CAPTURE(std::string(name));
    const ConvertedModel model(convert_test::golden_folder() / name);
    TextSession session(device().gpu(), model.file(), 0, CacheType::F32);
    std::vector<Request> requests = requests_of(9, session.vocabulary());
    const auto longest = static_cast<std::size_t>(session.context() / 2);
    for (Request& request : requests) {
      request.prompt.resize(std::min(request.prompt.size(), longest));
      request.max_tokens = std::min<std::int64_t>(request.max_tokens, 20);
    }
    TextBatch alone(device().gpu(), session.weights(), session.text(), 1);
    const std::vector<Ids> expected = run(alone, requests, 1);
    for (const std::size_t together : {5, 9}) {
      TextBatch batch(device().gpu(), session.weights(), session.text(), static_cast<std::int64_t>(together));
      CHECK(run(batch, requests, together) == expected);
    }
  }
}

TEST_CASE("batch: greedy texts are those of a session of one") {
  const ConvertedModel model(fs::path(HEED_SOURCE_DIR) / "models" / "shakespeare");
  TextSession session(device().gpu(), model.file(), 256, CacheType::F32);
  std::vector<Request> requests = requests_of(7, session.vocabulary());
  std::vector<Ids> expected;
  for (Request& request : requests) {
    request.sampling = {.temperature = 0.0};
    request.max_tokens = 30;
    Ids text = {session.start(request.prompt, request.sampling).value()};
    for (const std::int32_t token : session.step(29)) text.push_back(token);
    expected.push_back(text);
  }
  TextBatch batch(device().gpu(), session.weights(), session.text(), 8);
  CHECK(run(batch, requests, 8) == expected);
}

TEST_CASE("batch: models of every family go on together, with the greedy tokens of transformers") {
  if (quick()) return;
  std::size_t models = 0;
  for (const fs::directory_entry& folder : fs::directory_iterator(convert_test::golden_folder())) {
    if (!fs::exists(folder.path() / "golden.json")) continue;
    CAPTURE(folder.path().filename().string());
    const nlohmann::json golden = read_json(folder.path() / "golden.json");
    Request request{.prompt = golden.at("prompt_tokens").get<Ids>(), .sampling = {.temperature = 0.0}, .max_tokens = 0};
    Ids expected = golden.at("greedy_tokens").get<Ids>();
    request.max_tokens = static_cast<std::int64_t>(expected.size());
    Request other = request;  // other positions beside it
    other.prompt.insert(other.prompt.end(), {5, 6, 7, 8});
    const ConvertedModel model(folder.path());
    TextSession session(device().gpu(), model.file(), 0, CacheType::F32);
    TextBatch batch(device().gpu(), session.weights(), session.text(), 3);
    const std::vector<Ids> texts = run(batch, {request, other, request}, 3);
    for (const std::size_t i : {0, 2}) {
      // These go on behind the model's end token, where transformers' text ends.
      CHECK(Ids(texts[i].begin(), std::ranges::find(texts[i], 2)) ==
            Ids(expected.begin(), std::ranges::find(expected, 2)));
    }
    ++models;
  }
  CHECK(models >= 20);
}

TEST_CASE("batch: sequences that go in the midst of it change nothing for the others, and give their pages back") {
  const ConvertedModel model(fs::path(HEED_SOURCE_DIR) / "models" / "shakespeare");
  TextSession session(device().gpu(), model.file(), 256, CacheType::F32);
  std::vector<Request> requests = requests_of(6, session.vocabulary());
  for (Request& request : requests) request.max_tokens = 60;
  TextBatch batch(device().gpu(), session.weights(), session.text(), 6);
  const std::vector<Ids> expected = run(batch, requests, 6);
  std::vector<Ids> texts(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    REQUIRE(batch.add(static_cast<std::int64_t>(i), requests[i].prompt, requests[i].sampling, 60));
  }
  const auto advance = [&] {
    for (const TextBatch::Made& made : batch.advance()) {
      Ids& text = texts[static_cast<std::size_t>(made.id)];
      text.insert(text.end(), made.tokens.begin(), made.tokens.end());
    }
  };
  for (int round = 0; round <= 10; ++round) {
    advance();
    if (round == 1) batch.remove(3);  // while prompts are read
    if (round == 9) batch.remove(1);
    if (round == 10) batch.remove(4);
  }
  for (const std::int64_t id : {0, 2, 5}) {  // which may have ended by now
    while (batch.has_room(id)) advance();
    batch.remove(id);
  }
  for (const std::size_t i : {0, 2, 5}) CHECK(texts[i] == expected[i]);
  CHECK(batch.available_pages() == 6 * 256 / PagePool::kPositions);
}

TEST_CASE("batch: what cannot be is refused, and the others go on") {
  const ConvertedModel model(fs::path(HEED_SOURCE_DIR) / "models" / "shakespeare");
  TextSession session(device().gpu(), model.file(), 256, CacheType::F32);
  TextBatch batch(device().gpu(), session.weights(), session.text(), 2, 128);
  CHECK_THROWS_WITH_AS(batch.add(1, {}, {}, 5), doctest::Contains("the prompt is empty"), Error);
  CHECK_THROWS_WITH_AS(batch.add(1, {1, -2}, {}, 5), doctest::Contains("token 1 of the prompt is -2"), Error);
  CHECK_THROWS_WITH_AS(batch.add(1, Ids(256, 1), {}, 5), doctest::Contains("the context holds 256"), Error);
  CHECK_THROWS_WITH_AS(batch.add(1, Ids(100, 1), {}, 60),
                       "a prompt of 100 tokens and 60 new ones need 192 places, but all sequences together have 128",
                       Error);
  CHECK_THROWS_WITH_AS(batch.add(1, {1}, SamplingOptions{.temperature = -1.0}, 5), doctest::Contains("temperature"),
                       Error);
  CHECK(batch.available_pages() == 2);
  CHECK(batch.add(1, {1}, {}, 5));
  CHECK(batch.add(2, {1}, {}, 60));
  CHECK_FALSE(batch.add(3, {1}, {}, 5));  // no slot
  batch.remove(1);
  CHECK_FALSE(batch.add(3, {1}, {}, 100));  // too few pages
  CHECK(batch.add(3, {1}, {}, 5));
  batch.remove(2);
  batch.remove(3);
  // What may go on for ever goes on as far as the places reach.
  REQUIRE(batch.add(4, {1}, {}, std::numeric_limits<std::int64_t>::max()));
  std::size_t tokens = 1;
  while (batch.has_room(4)) {
    for (const TextBatch::Made& made : batch.advance()) tokens += made.tokens.size();
  }
  CHECK(tokens == 129);
}

}  // namespace heed::golden
