// What happens to logits before a token is chosen, against transformers and llama.cpp (sampling.json, which
// make_sampling.py made), and against the model's own logits.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "generate/text/batch.h"
#include "generate/text/session.h"
#include "generate/token_choice.h"
#include "ops/op.h"
#include "tests/golden/golden_data.h"

namespace heed::golden {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<std::int32_t>;

constexpr double kLogprobTolerance = 2e-4;

SamplingOptions sampling_of(const nlohmann::json& json) {
  SamplingOptions options;
  options.temperature = json.value("temperature", options.temperature);
  options.top_k = json.value("top_k", options.top_k);
  options.top_p = json.value("top_p", options.top_p);
  options.min_p = json.value("min_p", options.min_p);
  options.typical_p = json.value("typical_p", options.typical_p);
  options.repetition_penalty = json.value("repetition_penalty", options.repetition_penalty);
  options.presence_penalty = json.value("presence_penalty", options.presence_penalty);
  options.frequency_penalty = json.value("frequency_penalty", options.frequency_penalty);
  options.penalty_window = json.value("penalty_window", options.penalty_window);
  options.no_repeat_ngram = json.value("no_repeat_ngram", options.no_repeat_ngram);
  options.xtc_probability = json.value("xtc_probability", options.xtc_probability);
  options.xtc_threshold = json.value("xtc_threshold", options.xtc_threshold);
  options.dry_multiplier = json.value("dry_multiplier", options.dry_multiplier);
  options.dry_base = json.value("dry_base", options.dry_base);
  options.dry_allowed_length = json.value("dry_allowed_length", options.dry_allowed_length);
  options.dry_window = json.value("dry_window", options.dry_window);
  for (const auto& pair : json.value("logit_bias", nlohmann::json::array())) {
    options.logit_bias[pair.at(0).get<std::int32_t>()] = pair.at(1).get<double>();
  }
  return options;
}

/// What the device makes of logits behind a text.
std::vector<float> prepared(const TokenChoice& choice, const Ids& text, const std::vector<float>& logits) {
  const auto vocabulary = static_cast<std::int64_t>(logits.size());
  const ChoiceMode mode = ChoiceMode::of(choice);
  GraphBuilder builder("logits to choose from");
  const ChoiceInputs inputs = {
      .logits = builder.input("logits", DType::F32, {1, vocabulary}),
      .tokens = builder.state("tokens", DType::I32, {1}),
      .position = builder.state("position", DType::I32, {1}),
      .history = builder.state("history", DType::I32, {static_cast<std::int64_t>(text.size())}),
      .sampler = builder.state("sampler", DType::I32, {ops::kSamplerWords}),
      .sequences = 1};
  builder.output(add_rules(builder, mode, inputs), "prepared");
  const Graph graph = std::move(builder).finish();
  MemoryWeights none;
  WeightStore weights(device().gpu(), none);
  Session session(device().gpu(), weights);
  ChoiceStates states(session, vocabulary, 1);
  const TokenChoice* const choices[] = {&choice};
  Executable& run = session.prepare(graph, states.reserve(mode, choices));
  states.write(mode, choices);
  const std::int32_t position = static_cast<std::int32_t>(text.size()) - 1;
  const ops::SamplerState sampler = sampler_state(choice);
  session.write("logits", std::as_bytes(std::span(logits)));
  if (mode.adjusts || mode.filters) session.write("position", std::as_bytes(std::span(&position, 1)));
  if (mode.adjusts) session.write("history", std::as_bytes(std::span(text)));
  if (mode.filters) session.write("sampler", std::as_bytes(std::span(&sampler, 1)));
  session.run(run);
  std::vector<float> result(logits.size());
  session.read_output(run, "prepared", std::as_writable_bytes(std::span(result)));
  return result;
}

/// Lets tokens come whose number leaves 0 or 1 when divided by 3 with the count of those before them added.
class Thirds : public TokenConstraint {
 public:
  explicit Thirds(std::int64_t vocabulary) : vocabulary_(vocabulary) {}
  bool allows(std::int64_t token, std::int64_t count) const { return (token + count) % 3 != 2; }
  void allowed(std::span<std::uint32_t> mask) override {
    for (std::int64_t token = 0; token < vocabulary_; ++token) {
      if (allows(token, count_)) mask[static_cast<std::size_t>(token / 32)] |= 1u << (token % 32);
    }
  }
  void accept(std::int32_t token) override {
    CHECK(allows(token, count_));
    ++count_;
  }

 private:
  std::int64_t vocabulary_;
  std::int64_t count_ = 0;
};

struct ChoiceRequest {
  Ids prompt;
  SamplingOptions sampling;
  std::optional<int> logprobs;
  bool constrained = false;
  std::int64_t max_tokens = 20;
};

struct Text {
  Ids tokens;
  std::vector<float> logprobs;  // all that is told, one behind the other
  std::vector<std::int32_t> best;
  bool operator==(const Text&) const = default;
};

/// Requests with every option, alone and together, and some without.
std::vector<ChoiceRequest> requests_with_options(std::size_t count, std::int64_t vocabulary) {
  std::vector<ChoiceRequest> requests;
  for (std::size_t i = 0; i < count; ++i) {
    ChoiceRequest request;
    for (std::size_t p = 0; p < 3 + (i * 23) % 70; ++p) {
      request.prompt.push_back(
          static_cast<std::int32_t>((p * p * 7 + p + i * 13) % static_cast<std::size_t>(vocabulary)));
    }
    SamplingOptions& s = request.sampling;
    s.seed = 100 + i;
    s.temperature = i % 4 == 1 ? 0.0 : 0.9;
    const std::size_t kind = i % 10;
    if (kind == 1 || kind == 9) s.presence_penalty = 0.8;
    if (kind == 2 || kind == 9) s.frequency_penalty = 0.6;
    if (kind == 3 || kind == 9) s.typical_p = 0.7;
    if (kind == 4 || kind == 9) {
      s.logit_bias = {{3, 2.0}, {5, -std::numeric_limits<double>::infinity()}, {static_cast<std::int32_t>(i), 1.5}};
    }
    if (kind == 5 || kind == 9) s.no_repeat_ngram = 2;
    if (kind == 6 || kind == 9) s.xtc_probability = 0.5;
    if (kind == 7 || kind == 9) s.dry_multiplier = 0.8, s.dry_breakers = {4};
    if (kind == 8) s.repetition_penalty = 1.3;
    if (kind == 9) s.repetition_penalty = 1.1;
    if (i % 3 != 0) request.logprobs = static_cast<int>(i * 7 % 21);
    request.constrained = i % 6 == 4;
    request.max_tokens = static_cast<std::int64_t>(8 + (i * 11) % 30);
    requests.push_back(request);
  }
  return requests;
}

/// What all requests give, `together` at most at a time.
std::vector<Text> run_choices(TextBatch& batch, const std::vector<ChoiceRequest>& requests, std::size_t together,
                              std::int64_t vocabulary) {
  std::vector<Text> texts(requests.size());
  std::vector<std::shared_ptr<TokenConstraint>> constraints(requests.size());
  std::size_t next = 0;
  while (next < requests.size() || batch.size() > 0) {
    while (next < requests.size() && batch.size() < together) {
      const ChoiceRequest& request = requests[next];
      if (request.constrained) constraints[next] = std::make_shared<Thirds>(vocabulary);
      if (!batch.add(static_cast<std::int64_t>(next), request.prompt,
                     {request.sampling, request.logprobs, constraints[next]}, request.max_tokens)) {
        break;
      }
      ++next;
    }
    for (const TextBatch::Made& made : batch.advance()) {
      const auto i = static_cast<std::size_t>(made.id);
      REQUIRE_FALSE(made.broken);
      CHECK(made.logprobs.size() == (requests[i].logprobs ? made.tokens.size() : 0));
      for (const std::int32_t token : made.tokens) {
        texts[i].tokens.push_back(token);
        if (constraints[i]) constraints[i]->accept(token);
      }
      for (const TokenLogprobs& told : made.logprobs) {
        texts[i].logprobs.push_back(told.logprob);
        for (const TokenLogprobs::Choice& choice : told.best) {
          texts[i].logprobs.push_back(choice.logprob);
          texts[i].best.push_back(choice.token);
        }
      }
      if (!batch.has_room(made.id)) batch.remove(made.id);
    }
  }
  return texts;
}

/// log softmax of the rows of logits at which tokens behind a prompt were chosen, against what was told.
void check_logprobs(TextSession& session, const Ids& prompt, const Ids& tokens, const std::vector<TokenLogprobs>& told,
                    std::size_t alternatives) {
  REQUIRE(told.size() == tokens.size());
  Ids text = prompt;
  text.insert(text.end(), tokens.begin(), tokens.end());
  const std::vector<float> logits = session.logits(text);
  const auto vocabulary = static_cast<std::size_t>(session.vocabulary());
  double worst = 0.0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto row = logits.begin() + static_cast<std::ptrdiff_t>((prompt.size() - 1 + i) * vocabulary);
    std::vector<double> logprobs(row, row + static_cast<std::ptrdiff_t>(vocabulary));
    const double largest = *std::ranges::max_element(logprobs);
    double sum = 0.0;
    for (const double logit : logprobs) sum += std::exp(logit - largest);
    for (double& logit : logprobs) logit -= largest + std::log(sum);
    const auto off = [&](std::int32_t token, double said) {
      worst = std::max(worst, std::abs(logprobs[static_cast<std::size_t>(token)] - said));
    };
    off(tokens[i], told[i].logprob);
    std::vector<double> sorted = logprobs;
    std::ranges::sort(sorted, std::greater());
    REQUIRE(told[i].best.size() == alternatives);
    std::set<std::int32_t> seen;
    for (std::size_t n = 0; n < alternatives; ++n) {
      off(told[i].best[n].token, told[i].best[n].logprob);
      worst = std::max(worst, std::abs(sorted[n] - static_cast<double>(told[i].best[n].logprob)));
      CHECK(seen.insert(told[i].best[n].token).second);
    }
  }
  CHECK(worst < kLogprobTolerance);
}

}  // namespace

TEST_CASE("sampling: penalties, biases and filters are those of transformers, llama.cpp and OpenAI's formula") {
  const nlohmann::json cases = read_json(convert_test::golden_folder().parent_path() / "sampling.json");
  CHECK(cases.size() == 34);
  for (const nlohmann::json& each : cases) {
    CAPTURE(each.at("by").get<std::string>());
    CAPTURE(each.at("options").dump());
    const auto logits = each.at("logits").get<std::vector<float>>();
    SamplingOptions options = sampling_of(each.at("options"));
    // With any bias the repetition penalty is part of what is looked at here, too, not of the choice.
    if (options.repetition_penalty != 1.0) options.logit_bias.emplace(0, 0.0);
    const std::vector<float> got = prepared(options, each.at("tokens").get<Ids>(), logits);
    for (std::size_t token = 0; token < logits.size(); ++token) {
      CAPTURE(token);
      const nlohmann::json& expected = each.at("expected").at(token);
      if (expected.is_null()) {
        CHECK(got[token] == -std::numeric_limits<float>::infinity());
      } else {
        CHECK(std::abs(static_cast<double>(got[token]) - expected.get<double>()) < 2e-5);
      }
    }
  }
}

TEST_CASE("sampling: log probabilities are those of the model's logits, whatever is done to these") {
  const ConvertedModel model(fs::path(HEED_SOURCE_DIR) / "models" / "shakespeare");
  TextSession session(device().gpu(), model.file(), 256, CacheType::F32);
  const Ids prompt = {3, 14, 15, 9, 26, 5, 35};
  for (const int alternatives : {0, 5, kMostLogprobs}) {
    const SamplingOptions sampling{.temperature = 0.7,
                                   .top_k = 12,
                                   .repetition_penalty = 1.2,
                                   .seed = 3,
                                   .presence_penalty = 0.4,
                                   .typical_p = 0.9,
                                   .logit_bias = {{7, 3.0}}};
    Ids tokens = {session.start(prompt, {sampling, alternatives}).value()};
    std::vector<TokenLogprobs> told = session.logprobs(1);
    for (const int steps : {1, 20, 64, quick() ? 1 : 40}) {
      for (const std::int32_t token : session.step(steps)) tokens.push_back(token);
      for (const TokenLogprobs& one : session.logprobs(static_cast<std::size_t>(steps))) told.push_back(one);
    }
    check_logprobs(session, prompt, tokens, told, static_cast<std::size_t>(alternatives));
  }
  // A row of several.
  TextBatch batch(device().gpu(), session.weights(), session.text(), 3);
  REQUIRE(batch.add(0, prompt, SamplingOptions{}, 30));
  REQUIRE(batch.add(1, prompt, {SamplingOptions{.temperature = 0.0, .frequency_penalty = 1.0}, 3}, 30));
  REQUIRE(batch.add(2, {9, 9}, {SamplingOptions{}, 0}, 30));
  Ids tokens;
  std::vector<TokenLogprobs> told;
  while (batch.has_room(1)) {
    for (const TextBatch::Made& made : batch.advance()) {
      if (made.id != 1) continue;
      tokens.insert(tokens.end(), made.tokens.begin(), made.tokens.end());
      told.insert(told.end(), made.logprobs.begin(), made.logprobs.end());
    }
  }
  CHECK(tokens.size() == 30);
  check_logprobs(session, prompt, tokens, told, 3);
}

TEST_CASE("sampling: a text with any options says the same alone and among others") {
  const ConvertedModel model(fs::path(HEED_SOURCE_DIR) / "models" / "shakespeare");
  TextSession session(device().gpu(), model.file(), 256, CacheType::F32);
  const std::int64_t vocabulary = session.vocabulary();
  const std::vector<ChoiceRequest> requests = requests_with_options(quick() ? 10 : 20, vocabulary);
  TextBatch alone(device().gpu(), session.weights(), session.text(), 1);
  const std::vector<Text> expected = run_choices(alone, requests, 1, vocabulary);
  int compared = 0, different = 0;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    CAPTURE(i);
    const Ids& tokens = expected[i].tokens;
    CHECK(static_cast<std::int64_t>(tokens.size()) == requests[i].max_tokens);
    if (requests[i].sampling.logit_bias.contains(5)) CHECK(std::ranges::find(tokens, 5) == tokens.end());
    if (requests[i].sampling.no_repeat_ngram == 2) {
      std::set<std::pair<std::int32_t, std::int32_t>> pairs;
      for (std::size_t p = 1; p < tokens.size(); ++p) CHECK(pairs.insert({tokens[p - 1], tokens[p]}).second);
    }
    // Options matter.
    ChoiceRequest plain = requests[i];
    if (i % 10 == 0 || plain.sampling.temperature == 0.0) continue;
    plain.sampling = {.temperature = 0.9, .seed = plain.sampling.seed};
    plain.constrained = false;
    const Text other = run_choices(alone, {plain}, 1, vocabulary).front();
    ++compared;
    if (other.tokens != tokens) ++different;
  }
  CHECK(2 * different > compared);
  for (const std::size_t together : {3, 16}) {
    CAPTURE(together);
    TextBatch batch(device().gpu(), session.weights(), session.text(), static_cast<std::int64_t>(together));
    CHECK(run_choices(batch, requests, together, vocabulary) == expected);
    if (quick()) return;
  }
}

TEST_CASE("sampling: greedy texts with options are those of a session of one") {
  const ConvertedModel model(fs::path(HEED_SOURCE_DIR) / "models" / "shakespeare");
  TextSession session(device().gpu(), model.file(), 256, CacheType::F32);
  const std::int64_t vocabulary = session.vocabulary();
  std::vector<ChoiceRequest> requests = requests_with_options(10, vocabulary);
  std::vector<Ids> expected;
  std::set<Ids> different;
  for (ChoiceRequest& request : requests) {
    request.prompt = {1, 2, 3, 2, 3};
    request.sampling.temperature = 0.0;
    request.max_tokens = 25;
    const auto constraint = request.constrained ? std::make_shared<Thirds>(vocabulary) : nullptr;
    Ids text = {session.start(request.prompt, {request.sampling, request.logprobs, constraint}).value()};
    if (constraint) constraint->accept(text.back());
    while (text.size() < 25) {
      const int steps = static_cast<int>(std::min<std::int64_t>(4, session.most_steps()));
      for (const std::int32_t token : session.step(steps)) {
        text.push_back(token);
        if (constraint) constraint->accept(token);
      }
    }
    expected.push_back(text);
    different.insert(text);
  }
  CHECK(different.size() >= 6);  // options matter
  TextBatch batch(device().gpu(), session.weights(), session.text(), 4);
  const std::vector<Text> texts = run_choices(batch, requests, 4, vocabulary);
  for (std::size_t i = 0; i < texts.size(); ++i) CHECK(texts[i].tokens == expected[i]);
}

}  // namespace heed::golden
