// Texts of several lines, and the languages of models.
#include "tools/serve/translate_request.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tools/serve/http_server.h"
#include "tools/serve/languages.h"

namespace heed::tools {
namespace {

using Lines = std::vector<std::string>;

std::string refusal_of(const nlohmann::ordered_json& fields) {
  try {
    TranslateRequest::read({.fields = fields, .files = {}, .is_json = true});
  } catch (const HttpError& error) {
    return error.what();
  }
  return "none";
}

}  // namespace

TEST_CASE("translate request: lines are taken apart and joined as they were") {
  for (const std::string& text :
       {std::string("a"), std::string("a\nb"), std::string("\n\na\n"), std::string("a\r\nb\r\n"), std::string(""),
        std::string("\n"), std::string("a\rb\n")}) {
    const TextLines lines({text});
    CHECK(lines.joined(0, lines.lines()) == (text == "a\rb\n" ? "a b\n" : text));
  }
  const TextLines lines({"a\nb", "", "c\r\n"});
  CHECK(lines.lines() == Lines{"a", "b", "", "c", ""});
  CHECK(lines.joined(0, {"1", "2", "3", "4", "5"}) == "1\n2");
  CHECK(lines.joined(1, {"1", "2", "3", "4", "5"}) == "3");
  CHECK(lines.joined(2, {"1", "2", "3", "x\ny", "5"}) == "x y\r\n5");
}

TEST_CASE("translate request: messages name the text of an array, and its line") {
  const TextLines lines({"a\nb", "c", "d\ne"});
  CHECK(lines.with_place("line 2: too long", true) == "q[0], line 2: too long");
  CHECK(lines.with_place("line 3: too long", true) == "q[1], line 1: too long");
  CHECK(lines.with_place("line 5: too long", true) == "q[2], line 2: too long");
  CHECK(lines.with_place("line 5: too long", false) == "line 5: too long");
  CHECK(lines.with_place("line 9: too long", true) == "line 9: too long");
  CHECK(lines.with_place("something else", true) == "something else");
  CHECK(lines.with_place("line ", true) == "line ");
}

TEST_CASE("translate request: fields as LibreTranslate's clients send them") {
  const TranslateRequest one = TranslateRequest::read(
      {.fields = {{"q", "x"}, {"source", "en"}, {"target", "ja"}, {"format", "text"}, {"apiKey", ""}, {"secret", "s"}},
       .files = {},
       .is_json = true});
  CHECK(one.texts == Lines{"x"});
  CHECK_FALSE(one.is_array);
  CHECK(one.source == "en");
  CHECK(one.target == "ja");
  const TranslateRequest form = TranslateRequest::read(
      {.fields = {{"q", {"a\r\nb", "c"}}, {"alternatives", "2"}}, .files = {}, .is_json = false});
  CHECK(form.texts == Lines{"a\nb", "c"});
  CHECK(form.is_array);
  CHECK(form.alternatives == 2);
  CHECK(refusal_of({{"q", 1}}).starts_with("q is 1, expected a text"));
  CHECK(refusal_of({{"q", {1}}}).starts_with("q is an array, expected a text"));
  CHECK(refusal_of({{"q", "x"}, {"format", "pdf"}}) == "format is \"pdf\", expected \"text\"");
  CHECK(refusal_of({{"q", "x"}, {"beams", 33}}) == "beams is 33, expected an integer from 1 to 32");
}

TEST_CASE("languages: names of models say which they are where they end in two codes") {
  CHECK(languages_of_name("en-ja") == std::pair<std::string, std::string>("en", "ja"));
  CHECK(languages_of_name("opus-mt-fr-en") == std::pair<std::string, std::string>("fr", "en"));
  for (const char* name : {"", "ja", "dates", "my-xx-yy", "token-ja", "en_ja", "en-ja-2", "zen-ja"}) {
    CAPTURE(name);
    CHECK_FALSE(languages_of_name(name).has_value());
  }
  CHECK(language_name("ja") == "Japanese");
  CHECK(language_name("en_XX") == "English");
  CHECK(language_name("zh-Hant") == "Chinese");
  CHECK(language_name("aa") == "Afar");
  CHECK(language_name("zu") == "Zulu");
  for (const char* code : {"xx", "a", "", "eng_Latn", "=E", "n;"}) CHECK(language_name(code) == code);
}

TEST_CASE("languages: a request gets the codes that a model has") {
  using Codes = std::pair<std::string, std::string>;
  const ModelLanguages one{.sources = {"en"}, .targets = {"ja"}};
  CHECK(one.codes_for("en", "ja") == Codes("en", "ja"));
  CHECK(one.codes_for("auto", "ja") == Codes("en", "ja"));
  CHECK(one.codes_for("", "") == Codes("en", "ja"));
  CHECK_FALSE(one.codes_for("ja", "en").has_value());
  CHECK_FALSE(one.codes_for("en", "de").has_value());
  const ModelLanguages many{.sources = {"de_DE", "en_XX", "pt_BR", "pt_PT"}, .targets = {"de_DE", "en_XX", "pt_BR"}};
  CHECK(many.codes_for("en", "de") == Codes("en_XX", "de_DE"));
  CHECK(many.codes_for("en_XX", "pt") == Codes("en_XX", "pt_BR"));
  CHECK_FALSE(many.codes_for("pt", "de").has_value());  // which of the two?
  CHECK_FALSE(many.codes_for("auto", "de").has_value());
  CHECK_FALSE(many.codes_for("en", "").has_value());
  const ModelLanguages unknown;
  CHECK(unknown.codes_for("auto", "") == Codes("", ""));
  CHECK_FALSE(unknown.codes_for("en", "").has_value());
}

}  // namespace heed::tools
