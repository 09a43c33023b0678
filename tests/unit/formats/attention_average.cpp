#include "formats/attention_average.h"

#include <doctest/doctest.h>

#include <limits>

#include "heed/error.h"
#include "tests/unit/formats/sample_attention.h"

namespace heed {
namespace {

using testing::sample_attention;

std::string refusal(const Attention& attention, const AttentionChoice& choice = {}) {
  try {
    average_attention(attention, choice);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("attention: the average is that of the chosen layers and heads") {
  const Attention attention = sample_attention();
  CHECK(average_attention(attention, {}).weights[0] == doctest::Approx(0.7));
  CHECK(average_attention(attention, {}).weights[1] == doctest::Approx(0.06));
  CHECK(average_attention(attention, {{}, {0}}).weights[0] == doctest::Approx(0.9));
  CHECK(average_attention(attention, {{1}, {1}}).weights[0] == doctest::Approx(0.5));
  CHECK(average_attention(attention, {{1, 1}, {1, 1}}).weights[0] == doctest::Approx(0.5));
  CHECK(average_attention(attention, {{1}, {1}}).title == "layer1.cross_attention, head 1");
  CHECK(average_attention(attention, {}).title == "average of 2 layers, all heads");
}

TEST_CASE("attention: layers count alike, however many heads they have") {
  Attention attention = testing::even_attention(1, 2);
  attention.nodes[0].weights = {1, 0};
  attention.nodes.push_back({"other", 3, 1, 2, {0, 1, 0, 1, 0, 1}, AttentionKind::Cross});
  const AveragedAttention map = average_attention(attention, {});
  CHECK(map.weights[0] == doctest::Approx(0.5));
  CHECK(map.weights[1] == doctest::Approx(0.5));
}

TEST_CASE("attention: without a choice it is cross-attention, else what a decoder saw of itself") {
  Attention attention = sample_attention();
  AttentionWeights own{"own", 1, 6, 6, std::vector<float>(36, 0.25f), AttentionKind::Target};
  attention.nodes.insert(attention.nodes.begin(), own);
  attention.nodes.push_back({"encoder", 1, 6, 6, std::vector<float>(36, 0.5f), AttentionKind::Source});
  CHECK(average_attention(attention, {}).kind == AttentionKind::Cross);
  CHECK(average_attention(attention, {}).weights[0] == doctest::Approx(0.7));
  CHECK(average_attention(attention, {{0}, {}}).kind == AttentionKind::Target);
  CHECK(
      refusal(attention, {{0, 1}, {}}) ==
      "attention: 'own' and 'layer0.cross_attention' look at different tokens and have no average; choose one of them");
  attention.nodes.erase(attention.nodes.begin() + 1, attention.nodes.begin() + 3);
  CHECK(average_attention(attention, {}).kind == AttentionKind::Target);
  attention.begin = "<0>";
  CHECK(column_tokens(attention, AttentionKind::Target) ==
        std::vector<std::string>{"<0>", " Das", " Ha", "us", " ist", " klein"});
  CHECK(column_tokens(attention, AttentionKind::Source) == attention.source);
  CHECK(row_tokens(attention, AttentionKind::Source) == attention.source);
  CHECK(row_tokens(attention, AttentionKind::Target) == attention.target);
}

TEST_CASE("attention: what is not whole is refused by name") {
  const Attention attention = sample_attention();
  CHECK(refusal(attention).empty());
  CHECK(refusal(attention, {{2}, {}}) == "attention: there is no node 2 of the model, which has 2; choose from 0 to 1");
  CHECK(refusal(attention, {{}, {-1}}) ==
        "attention: there is no head -1 of 'layer0.cross_attention', which has 2; choose from 0 to 1");
  Attention damaged = attention;
  damaged.target.clear();
  CHECK(refusal(damaged) ==
        "attention: there are no target tokens, so nothing was looked at; give a text that is not empty");
  damaged = attention;
  damaged.source.clear();
  CHECK(refusal(damaged).find("no source tokens") != std::string::npos);
  damaged = attention;
  damaged.nodes.clear();
  CHECK(refusal(damaged).find("no attention node") != std::string::npos);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    damaged = attention;
    damaged.nodes[1].weights[36 + 6 + 2] = bad;
    CHECK(refusal(damaged).find("'layer1.cross_attention': the weight of head 1, row 1, column 2 is") !=
          std::string::npos);
  }
  damaged = attention;
  damaged.nodes[0].weights.pop_back();
  CHECK(refusal(damaged).find("71 weights as [2, 6, 6], expected [heads, 6, 6]") != std::string::npos);
  damaged = attention;
  damaged.source.pop_back();
  damaged.source_special.pop_back();
  CHECK(refusal(damaged).find("expected [heads, 6, 5]") != std::string::npos);
  damaged = attention;
  damaged.nodes[0].heads = std::numeric_limits<std::int64_t>::max();
  CHECK(refusal(damaged).find("72 weights as [9223372036854775807, 6, 6]") != std::string::npos);
  damaged = attention;
  damaged.target_special.pop_back();
  CHECK(refusal(damaged).find("5 of the 6 tokens of the target") != std::string::npos);
}

}  // namespace heed
