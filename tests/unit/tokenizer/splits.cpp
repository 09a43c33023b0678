// How Hugging Face tokenizers cuts texts at patterns: splits.json, made by make_splits.py.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "heed/error.h"
#include "tests/unit/tokenizer/test_data.h"
#include "tokenizer/split.h"

namespace heed {
namespace {

using Pieces = std::vector<std::string>;

Pieces split(const Splitter& splitter, std::string_view text, const SplitLimits& limits = {}) {
  Pieces pieces;
  for (const std::string_view piece : Splitter::Matcher(splitter, limits).split(text)) pieces.emplace_back(piece);
  return pieces;
}

}  // namespace

TEST_CASE("tokenizer split: stretches are those of tokenizers") {
  const auto content = test::read_if_there(test::source_path("tests/unit/tokenizer/splits.json"));
  REQUIRE(content.has_value());
  const auto golden = nlohmann::json::parse(*content);
  const auto& texts = golden["texts"];
  REQUIRE(texts.size() > 20);
  REQUIRE(golden["splits"].size() > 50);
  for (const auto& one : golden["splits"]) {
    const std::string pattern = one["pattern"];
    CAPTURE(pattern);
    const Splitter splitter({pattern});
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const std::string text = texts[i];
      CAPTURE(text);
      const auto pieces = one["pieces"][i].get<Pieces>();
      CHECK(split(splitter, text) == pieces);
      SplitLimits as_long_text;
      as_long_text.longest_searched = 0;
      CHECK(split(splitter, text, as_long_text) == pieces);
    }
  }
}

TEST_CASE("tokenizer split: [:punct:] holds symbols wherever a class holds it") {
  const std::string text = "a+b-c]d";
  CHECK(split(Splitter({"[[:punct:]]"}), text) == Pieces{"a", "+", "b", "-", "c", "]", "d"});
  CHECK(split(Splitter({"[[:^punct:]]+"}), text) == Pieces{"a", "+", "b", "-", "c", "]", "d"});
  CHECK(split(Splitter({"[^[:punct:]]+"}), text) == Pieces{"a", "+", "b", "-", "c", "]", "d"});
  CHECK(split(Splitter({"[]b[:punct:]]+"}), text) == Pieces{"a", "+b-", "c", "]", "d"});
  CHECK(split(Splitter({"[[:punct:]&&[^+]]"}), text) == Pieces{"a+b", "-", "c", "]", "d"});
  CHECK(split(Splitter({"[[:digit:][:punct:]]"}), text) == Pieces{"a", "+", "b", "-", "c", "]", "d"});
  // Behind a class within a class that begins like a POSIX bracket.
  CHECK(split(Splitter({"[[:a c][:punct:]]"}), text) == Pieces{"a", "+", "b", "-", "c", "]", "d"});
  CHECK(split(Splitter({"[[:][:punct:]]"}), text) == Pieces{"a", "+", "b", "-", "c", "]", "d"});
  // Not a POSIX bracket: escaped, or outside a class.
  CHECK(split(Splitter({"\\[[:punct:]"}), "[+[t") == Pieces{"[+", "[t"});
  CHECK(split(Splitter({"[:punct:]"}), "a+tb") == Pieces{"a+", "t", "b"});
}

TEST_CASE("tokenizer split: what a hostile pattern may cost is bounded") {
  const std::string many(30'000, 'a');
  const auto complaint = [&](const std::string& pattern, const SplitLimits& limits) -> std::string {
    try {
      split(Splitter({pattern}), many, limits);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  SplitLimits no_time;
  no_time.base_time = no_time.time_per_byte = std::chrono::nanoseconds(0);
  no_time.longest_searched = 0;
  const std::string quadratic = "(?>a+)(?=[cd])";  // n steps from each of n places, and hardly a retry
  CHECK(complaint(quadratic, no_time).find("gives up on a split of tokenizer.json at byte 15: it takes too long") !=
        std::string::npos);
  CHECK(complaint("a", no_time).find("it takes too long") != std::string::npos);  // many searches, each of them short
  CHECK(complaint("(?:a|aa)+(?=[cd])", {}).find("retry-limit") != std::string::npos);

  CHECK(why_no_pattern(std::string(150, '(') + "a" + std::string(150, ')')).empty());
  for (const std::string& deep :
       {std::string(5000, '(') + "a" + std::string(5000, ')'), std::string(5000, '[') + "a" + std::string(5000, ']')}) {
    CHECK(why_no_pattern(deep) == "parse depth limit over");
  }
  CHECK(why_no_pattern("(?<x>\\g<x>)") == "never ending recursion");
}

}  // namespace heed
