// Constraints, log probabilities and what is told of tokens, through the text loop.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "heed/constraint.h"
#include "heed/error.h"
#include "heed/text.h"
#include "tests/unit/runtime/fake_driver.h"
#include "tests/unit/runtime/test_device.h"
#include "tests/unit/runtime/text_models.h"

namespace heed {
namespace {

using namespace testing;  // NOLINT: its models

/// Lets only tokens come that a list names for their place; anything behind its end.
struct Listed : TokenConstraint {
  explicit Listed(std::vector<Ids> lists) : choices(std::move(lists)) {}
  void allowed(std::span<std::uint32_t> mask) override {
    CHECK(mask.size() == 1);
    CHECK(std::ranges::all_of(mask, [](std::uint32_t word) { return word == 0; }));
    ++asked;
    if (accepted.size() >= choices.size()) {
      mask[0] = 0xffffffffu;
      return;
    }
    for (const std::int32_t token : choices[accepted.size()]) mask[0] |= 1u << token;
  }
  void accept(std::int32_t token) override {
    if (fails_at && accepted.size() == *fails_at) throw std::runtime_error("the grammar is lost");
    accepted.push_back(token);
  }

  std::vector<Ids> choices;
  Ids accepted;
  int asked = 0;
  std::optional<std::size_t> fails_at;
};

}  // namespace

TEST_CASE("choice: a constraint says what comes, and hears of each token once") {
  const auto device = test_device();
  if (!device) return;
  const CountingModel file(Ids{20});
  for (const std::int64_t slots : {1, 3}) {
    CAPTURE(slots);
    TextModel model(*device, file.path(), 0, CacheType::Auto, slots);
    // The model would say 4, 5, 6; equal logits fall to the first that may come.
    const auto constraint = std::make_shared<Listed>(std::vector<Ids>{{4, 9}, {7, 12}, {8}, {31, 2}, {20}});
    TextRequest request{.prompt = {3}, .options = greedy(12)};
    request.options.constraint = constraint;
    request.options.logprobs = 2;
    Ids told;
    std::vector<float> logprobs;
    request.on_token = [&](std::int32_t token, const TokenLogprobs* of_token) {
      told.push_back(token);
      REQUIRE(of_token != nullptr);
      logprobs.push_back(of_token->logprob);
      CHECK(of_token->best.size() == 2);
    };
    const Generation made = model.generate_many({request}).front();
    CHECK(made.tokens == Ids{4, 7, 8, 2});
    CHECK(made.reason == StopReason::EndToken);
    CHECK(constraint->accepted == made.tokens);
    CHECK(constraint->asked == 5);
    CHECK(told == made.tokens);
    // Of 32 logits one is 1 and all others 0: 4 and 8 came with the best of these, 7 and 2 did not.
    const double sum = std::log(std::exp(1.0) + 31.0);
    REQUIRE(made.logprobs.size() == 4);
    for (const std::size_t i : {0, 1, 2, 3}) {
      CHECK(std::abs(static_cast<double>(logprobs[i]) - ((i % 2 == 0 ? 1.0 : 0.0) - sum)) < 1e-5);
      CHECK(made.logprobs[i].logprob == logprobs[i]);
    }
    CHECK(made.logprobs[1].best[0].token == 5);
    CHECK(made.logprobs[1].best[1].token == 0);
  }
}

TEST_CASE("choice: constraints that allow nothing, or fail, end their own text with their words") {
  const auto device = test_device();
  if (!device) return;
  const CountingModel file;
  const auto failing = [](std::optional<std::size_t> at) {
    TextRequest request{.prompt = {3}, .options = greedy(5)};
    const auto constraint = std::make_shared<Listed>(std::vector<Ids>{{4}, {}});
    if (at) constraint->choices = {{4}, {5}, {6}};
    constraint->fails_at = at;
    request.options.constraint = constraint;
    return request;
  };
  for (const std::int64_t slots : {1, 3}) {
    CAPTURE(slots);
    TextModel model(*device, file.path(), 0, CacheType::Auto, slots);
    const TextRequest other{.prompt = {8}, .options = greedy(6)};
    CHECK_THROWS_WITH_AS(model.generate_many({other, failing({}), other}),
                         doctest::Contains("the constraint allows no token"), RequestError);
    CHECK_THROWS_WITH_AS(model.generate_many({other, failing(1), other}), doctest::Contains("the grammar is lost"),
                         RequestError);
    CHECK(model.generate_many({other}).front().tokens == count_up(9, 15));
  }
}

TEST_CASE("choice: options that leave no token are named, and those that make no sense are refused") {
  const auto device = test_device();
  if (!device) return;
  const CountingModel file;
  for (const std::int64_t slots : {1, 2}) {
    CAPTURE(slots);
    TextModel model(*device, file.path(), 0, CacheType::Auto, slots);
    const auto said = [&](auto set) -> std::string {
      GenerationOptions options = greedy(5);
      set(options);
      try {
        model.generate(Ids{3}, options);
      } catch (const Error& error) {
        return error.what();
      }
      return "";
    };
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    CHECK(said([](auto& o) {
            for (std::int32_t t = 0; t < kVocabulary; ++t) o.sampling.logit_bias[t] = -kInfinity;
          }).find("nothing is left that may come next") != std::string::npos);
    CHECK(said([](auto& o) { o.logprobs = 21; }) == "logprobs is 21, expected 0 to 20 alternatives");
    CHECK(said([](auto& o) { o.sampling.logit_bias[32] = 1.0; }) == "logit bias names token 32, expected 0 to 31");
    CHECK(said([](auto& o) { o.sampling.logit_bias[1] = 101.0; }) ==
          "logit bias of token 1 is 101, expected a number from -100 to 100, or -inf to forbid it");
    CHECK(said([](auto& o) { o.sampling.logit_bias[1] = std::nan(""); }).starts_with("logit bias of token 1 is nan"));
    CHECK(said([](auto& o) { o.sampling.presence_penalty = kInfinity; }).starts_with("presence penalty is inf"));
    CHECK(said([](auto& o) { o.sampling.typical_p = 1.5; }).starts_with("typical-p is 1.5"));
    CHECK(said([](auto& o) { o.sampling.no_repeat_ngram = 65; }).starts_with("no-repeat n-gram is 65"));
    CHECK(said([](auto& o) { o.sampling.dry_base = 0.5; }).starts_with("DRY base is 0.5"));
    CHECK(said([](auto& o) { o.sampling.xtc_probability = -1.0; }).starts_with("XTC probability is -1"));
    CHECK(said([](auto&) {}).empty());
  }
}

TEST_CASE("choice: a text with a constraint goes on where the device was lost, and nothing is accepted twice") {
  if (!test_device()) return;
  const LookingBackModel file;
  std::vector<Ids> lists;
  for (std::int32_t i = 0; i < 30; ++i) lists.push_back({i % 32, (i * 7 + 3) % 32, (i * 11 + 9) % 32});
  const auto request_of = [&] {
    TextRequest request{.prompt = count_up(1, 9), .options = greedy(30)};
    request.options.sampling.temperature = 1.0;
    request.options.sampling.top_k = 0;
    request.options.logprobs = 1;
    request.options.constraint = std::make_shared<Listed>(lists);
    return request;
  };
  TextRequest free{.prompt = count_up(3, 20), .options = greedy(40)};
  for (const std::int64_t slots : {1, 2}) {
    const Device undisturbed;
    const std::vector<Generation> expected =
        TextModel(undisturbed, file.path(), 0, CacheType::F32, slots).generate_many({request_of(), free});
    for (const int nth : {0, 3, 17}) {
      CAPTURE(slots);
      CAPTURE(nth);
      const Device device;
      TextModel model(device, file.path(), 0, CacheType::F32, slots);
      testing::FakeDriver driver(device.gpu());
      driver.lose_device(nth);
      const TextRequest request = request_of();
      const std::vector<Generation> made = model.generate_many({request, free});
      CHECK(made[0].device_losses == 1);
      CHECK(made[0].tokens == expected[0].tokens);
      CHECK(made[1].tokens == expected[1].tokens);
      CHECK(made[0].logprobs.size() == 30);
      CHECK(dynamic_cast<const Listed&>(*request.options.constraint).accepted == made[0].tokens);
    }
  }
}

}  // namespace heed
