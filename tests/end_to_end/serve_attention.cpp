// heed serve: what a model looked at while it wrote an answer.
#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "tests/end_to_end/models.h"
#include "tests/end_to_end/process.h"
#include "tests/end_to_end/serving.h"

namespace heed::end_to_end {
namespace {

using Json = nlohmann::json;

std::string attention_error(const Json& answer) { return answer.at("error").at("message"); }

/// The id of an answer that was sent as events.
std::string id_of_stream(const Serving& served, const Json& body) {
  auto client = served.client();
  const auto result = client.Post("/v1/completions", body.dump(), "application/json");
  REQUIRE(result != nullptr);
  const std::size_t begin = result->body.find("cmpl-");
  REQUIRE(begin != std::string::npos);
  return result->body.substr(begin, result->body.find('"', begin) - begin);
}

}  // namespace

TEST_CASE("serve: attention of an answer, each row of which sums to one and looks back alone") {
  const Serving served({"llama=" + models().llama()});
  const Json prompt = {1, 5, 9, 12, 7};
  const Json body = {{"prompt", prompt}, {"max_tokens", 6}, {"n", 2}, {"seed", 4}, {"ignore_eos", true}};
  const Json made = served.post("/v1/completions", body);
  const std::string id = made.at("id");
  const Json map = served.post("/v1/attention", {{"id", id}, {"index", 1}});
  CHECK(map.at("model") == "llama");
  CHECK(map.at("prompt_tokens") == 5);
  const std::size_t tokens = 10;  // of eleven each but the first was written from those before it
  REQUIRE(map.at("rows").size() == tokens);
  REQUIRE(map.at("columns").size() == tokens);
  CHECK(map.at("layers").size() >= 2);
  for (const Json& layer : map.at("layers")) {
    REQUIRE(layer.at("weights").size() == tokens);
    for (std::size_t row = 0; row < tokens; ++row) {
      const Json& weights = layer.at("weights").at(row);
      REQUIRE(weights.size() == tokens);
      double sum = 0.0;
      for (std::size_t column = 0; column < tokens; ++column) {
        const auto weight = weights.at(column).get<double>();
        sum += weight;
        if (column > row) CHECK(weight == 0.0);
      }
      CHECK(sum == doctest::Approx(1.0).epsilon(1e-5));
    }
  }

  // A layer, a head and some rows are those of the whole; the mean over heads is the mean.
  const Json part = served.post("/v1/attention", {{"id", id}, {"index", 1.0}, {"layers", {1.0}}, {"rows", {4.0, 7}}});
  REQUIRE(part.at("layers").size() == 1);
  CHECK(part.at("layers").at(0).at("layer") == 1);
  CHECK(part.at("layers").at(0).at("name") == map.at("layers").at(1).at("name"));
  CHECK(part.at("first_row") == 4);
  for (std::size_t row = 0; row < 3; ++row) {
    CHECK(part.at("rows").at(row) == map.at("rows").at(4 + row));
    CHECK(part.at("layers").at(0).at("weights").at(row) == map.at("layers").at(1).at("weights").at(4 + row));
  }
  const auto head = [&](int number) {
    return served.post("/v1/attention", {{"id", id}, {"index", 1}, {"layers", {0}}, {"heads", {number}}})
        .at("layers")
        .at(0)
        .at("weights")
        .at(9);
  };
  const Json first = head(0);
  CHECK(first != map.at("layers").at(0).at("weights").at(9));

  // The answer is the same as before it was looked at, and a stream's can be looked at too.
  CHECK(served.post("/v1/completions", body).at("choices") == made.at("choices"));
  Json stream = body;
  stream["stream"] = true;
  const std::string streamed = id_of_stream(served, stream);
  CHECK(served.post("/v1/attention", {{"id", streamed}, {"index", 1}}).at("layers") == map.at("layers"));
  CHECK(served.post("/v1/attention", {{"id", streamed}}).at("layers") != map.at("layers"));
}

TEST_CASE("serve: attention that cannot be shown is refused by name") {
  const Serving served({"llama=" + models().llama()});
  const std::string id =
      served.post("/v1/completions", {{"prompt", {1, 5, 9}}, {"max_tokens", 2}, {"ignore_eos", true}}).at("id");
  const auto refused = [&](Json body, int status = 400) {
    if (!body.contains("id")) body["id"] = id;
    return attention_error(served.post("/v1/attention", body, status));
  };
  CHECK(has(refused({{"id", "cmpl-0"}}, 404), "there is no answer 'cmpl-0' with a text 0 here"));
  CHECK(has(refused({{"index", 1}}, 404), "with a text 1 here"));
  CHECK(has(refused({{"id", nullptr}}), "id is null, expected that of an answer"));
  CHECK(has(refused({{"layers", {99}}}), "layer 99 was asked for; the model has layers 0 to"));
  CHECK(has(refused({{"layers", 1}}), "layers is 1, expected an array of numbers from 0"));
  CHECK(has(refused({{"heads", {99}}}), "there is no head 99"));
  CHECK(has(refused({{"rows", {0, 9}}}), "rows end at 9, expected at most 4"));
  CHECK(has(refused({{"rows", {2, 2}}}), "rows is an array, expected [first, behind the last]"));
  CHECK(has(refused({{"rows", {0.5, 2}}}), "rows is an array, expected [first, behind the last]"));
  CHECK(has(refused({{"layers", {0.5}}}), "layers is an array, expected an array of numbers from 0"));
  CHECK(has(refused({{"side", 1}}), "side is not known here"));
  for (int i = 0; i < 32; ++i) served.post("/v1/completions", {{"prompt", {1}}, {"max_tokens", 1}});
  CHECK(has(refused({}, 404), "the last few answers of a model are kept"));
}

}  // namespace heed::end_to_end
