// The thread of a model: texts and other work for it, limits, and devices that are lost.
#include "tools/serve/worker.h"

#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <future>
#include <thread>

#include "heed/error.h"
#include "tests/unit/runtime/test_device.h"
#include "tests/unit/runtime/text_models.h"
#include "tools/serve/text_answer.h"

namespace heed::tools {
namespace {

using testing::count_up;
using testing::CountingModel;
using testing::Ids;

WorkerOptions quick() {
  WorkerOptions options;
  options.slots = 2;
  options.waiting = 3;
  options.recovery_delay = std::chrono::milliseconds(1);
  return options;
}

TextOrder order(std::size_t texts, std::int64_t tokens) {
  TextOrder order;
  order.choices = texts;
  order.requests = [texts, tokens](Worker::Model&) {
    TextRequest request{.prompt = {3}, .options = {}};
    request.options.max_tokens = tokens;
    request.options.sampling.temperature = 0;
    return std::vector<TextRequest>(texts, request);
  };
  return order;
}

/// The texts of an answer, by number.
std::vector<Generation> read(TextAnswer& answer, std::size_t texts) {
  std::vector<Generation> ended(texts);
  while (!answer.ended()) {
    const auto piece = answer.next(std::chrono::milliseconds(100));
    if (piece && piece->end) ended.at(piece->text) = *piece->end;
  }
  return ended;
}

int status_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const HttpError& error) {
    return error.status();
  }
  return 200;
}

}  // namespace

TEST_CASE("worker: texts, and other work between their steps") {
  if (!test_device()) return;
  const CountingModel file;
  Worker worker("counter", file.path(), quick(), [] {});
  CHECK(worker.kind() == Worker::Kind::Text);
  CHECK(worker.context() == testing::kContext);
  const auto answer = TextAnswer::ask(worker, order(3, 8));
  CHECK(answer->prompt_tokens() == 1);
  const auto logits = worker.call<std::size_t>(std::chrono::seconds(60), [](Worker::Model& model, const auto&) {
    return std::get<TextModel>(model.any).logits({1, 2}).size();
  });
  CHECK(logits == 2 * testing::kVocabulary);
  for (const Generation& text : read(*answer, 3)) CHECK(text.tokens == count_up(4, 12));
  CHECK(worker.outstanding() == 0);
  CHECK_THROWS_WITH_AS(
      worker.call<int>(std::chrono::seconds(60), [](Worker::Model&, const auto&) -> int { throw Error("not so"); }),
      "not so", Error);
  CHECK(status_of([&] { TextAnswer::ask(worker, order(1, 0)); }) == 400);
  CHECK(worker.outstanding() == 0);
}

TEST_CASE("worker: no more than there are places for, and texts that are not wanted any more leave theirs") {
  if (!test_device()) return;
  const CountingModel file;
  Worker worker("counter", file.path(), quick(), [] {});
  CHECK(status_of([&] { TextAnswer::ask(worker, order(6, 1)); }) == 400);
  {
    // Work that goes on until it is told, so that texts stay where they are.
    std::promise<void> go;
    const std::shared_future<void> told = go.get_future().share();
    worker.post({.work = [told](Worker::Model&) { told.wait(); }, .fail = [](const HttpError&) {}});
    std::future<std::shared_ptr<TextAnswer>> first =
        std::async(std::launch::async, [&] { return TextAnswer::ask(worker, order(5, 300)); });
    while (worker.outstanding() < 5) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    CHECK(status_of([&] { TextAnswer::ask(worker, order(1, 1)); }) == 429);
    CHECK(status_of([&] { worker.take_places(1); }) == 429);
    go.set_value();
    const std::shared_ptr<TextAnswer> answer = first.get();
    answer->cancel();
    // The model's thread may have made a few, or none at all.
    const int status = status_of([&] {
      for (const Generation& text : read(*answer, 5)) {
        CHECK(text.reason == StopReason::Cancelled);
        CHECK(text.tokens.size() < 300);
      }
    });
    CHECK((status == 200 || status == 504));  // 504: without a token
  }
  // The others of the order end with the first one that is told.
  for (int i = 0; i < 4000 && worker.outstanding() > 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  CHECK(worker.outstanding() == 0);
  CHECK(read(*TextAnswer::ask(worker, order(1, 4)), 1)[0].tokens == count_up(4, 8));
}

TEST_CASE("worker: time ends texts where they are, and work that takes too long") {
  if (!test_device()) return;
  const CountingModel file;
  Worker worker("counter", file.path(), quick(), [] {});
  TextOrder none = order(1, 4);
  none.time = std::chrono::seconds(0);
  const auto answer = TextAnswer::ask(worker, none);
  CHECK(status_of([&] { read(*answer, 1); }) == 504);
  std::atomic<bool> told = false;
  CHECK(status_of([&] {
          worker.call<int>(std::chrono::seconds(0), [&](Worker::Model&, const std::function<bool()>& cancelled) {
            while (!cancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
            told = true;
            return 0;
          });
        }) == 504);
  worker.call<int>(std::chrono::seconds(60), [](Worker::Model&, const auto&) { return 0; });
  CHECK(told);
}

TEST_CASE("worker: a device that is lost is opened afresh, and whoever waited is told") {
  if (!test_device()) return;
  const CountingModel file;
  Worker worker("counter", file.path(), quick(), [] { FAIL("it came back"); });
  for (int i = 0; i < 3; ++i) {
    // A text is taken up, and the device is lost before its first step.
    std::promise<void> go;
    const std::shared_future<void> told = go.get_future().share();
    worker.post({.work = [told](Worker::Model&) { told.wait(); }, .fail = [](const HttpError&) {}});
    std::future<int> status = std::async(
        std::launch::async, [&] { return status_of([&] { read(*TextAnswer::ask(worker, order(1, 300)), 1); }); });
    while (worker.outstanding() < 1) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    worker.post({.work = [](Worker::Model&) { throw DeviceLost("gone"); }, .fail = [](const HttpError&) {}});
    go.set_value();
    CHECK(status.get() == 503);
    // Until it is open again texts are refused, as something that may be tried again.
    Ids tokens;
    const auto once = [&] {
      return status_of([&] { tokens = read(*TextAnswer::ask(worker, order(1, 4)), 1)[0].tokens; });
    };
    int reached = 503;
    for (int n = 0; n < 4000 && reached == 503; ++n) {
      reached = once();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    CHECK(reached == 200);
    CHECK(tokens == count_up(4, 8));
  }
}

TEST_CASE("worker: work that goes on when the server gives up is told to end") {
  if (!test_device()) return;
  const CountingModel file;
  Worker worker("counter", file.path(), quick(), [] {});
  std::promise<void> began;
  std::future<int> status = std::async(std::launch::async, [&] {
    return status_of([&] {
      worker.call<int>(std::chrono::seconds(600), [&](Worker::Model&, const std::function<bool()>& cancelled) {
        began.set_value();
        while (!cancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        return 0;
      });
    });
  });
  began.get_future().wait();
  worker.give_up();
  CHECK(status.get() == 503);
}

TEST_CASE("worker: where the device does not come back the server is told") {
  if (!test_device()) return;
  const CountingModel file;
  std::promise<void> lost;
  Worker worker("counter", file.path(), quick(), [&] { lost.set_value(); });
  std::filesystem::remove(file.path());  // what cannot be loaded again is as good as lost
  worker.post({.work = [](Worker::Model&) { throw DeviceLost("gone"); }, .fail = [](const HttpError&) {}});
  REQUIRE(lost.get_future().wait_for(std::chrono::seconds(60)) == std::future_status::ready);
  CHECK(worker.state() == Worker::State::Lost);
  CHECK(status_of([&] { TextAnswer::ask(worker, order(1, 1)); }) == 503);
}

TEST_CASE("worker: what cannot be loaded is told to whoever makes it") {
  if (!test_device()) return;
  CHECK_THROWS_AS(Worker("none", "/nowhere/at-all.heed", quick(), [] {}), Error);
}

}  // namespace heed::tools
