// heed serve: LibreTranslate's interface, against what `heed translate` says.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/end_to_end/models.h"
#include "tests/end_to_end/process.h"
#include "tests/end_to_end/serving.h"
#include "tests/unit/convert/sample_files.h"

namespace heed::end_to_end {
namespace {

using Json = nlohmann::json;

/// models/en-ja, converted; its languages are in its name.
std::string en_ja(const convert_test::TempFolder& folder) {
  const std::string file = (folder.path() / "en-ja.heed").string();
  const Finished finished =
      run_heed({"convert", (std::filesystem::path(HEED_SOURCE_DIR) / "models" / "en-ja").string(), "-o", file});
  REQUIRE_MESSAGE(finished.exit_code == 0, finished.both());
  return file;
}

std::vector<std::string> program_lines(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "translate");
  const Finished finished = run_heed(arguments);
  REQUIRE_MESSAGE(finished.exit_code == 0, finished.both());
  return lines_of(finished.out);
}

std::string translate_error(const Json& answer) { return answer.at("error"); }

const std::string kText = "he plays the guitar .\n\ni can't swim .";

}  // namespace

TEST_CASE("serve: translations are those of heed translate, line by line, however they are sent") {
  const convert_test::TempFolder folder;
  const std::string model = en_ja(folder);
  const std::vector<std::string> lines = program_lines({model, kText});
  REQUIRE(lines.size() == 3);
  const std::string expected = lines[0] + "\n" + lines[1] + "\n" + lines[2];
  const Serving served({model});
  CHECK(served.post("/translate", {{"q", kText}, {"source", "en"}, {"target", "ja"}}) ==
        Json{{"translatedText", expected}});
  CHECK(served.post("/translate", {{"q", {"i can't swim .", kText, ""}}, {"source", "en"}, {"target", "ja"}}) ==
        Json{{"translatedText", {lines[2], expected, ""}}});
  // The ends of lines stay what they are, and what one line says does not depend on the others.
  CHECK(served.post("/translate", {{"q", "i can't swim .\r\n\r\n"}, {"source", "en"}, {"target", "ja"}})
            .at("translatedText") == lines[2] + "\r\n\r\n");

  const httplib::Params form = {{"q", "he plays the guitar .\r\n\r\ni can't swim ."},
                                {"source", "en"},
                                {"target", "ja"},
                                {"format", "text"},
                                {"api_key", ""}};
  auto client = served.client();
  CHECK(json_of(client.Post("/translate", form)).at("translatedText") == expected);
  httplib::MultipartFormDataItems parts;
  for (const auto& [name, value] : form) parts.push_back({name, value, "", ""});
  CHECK(json_of(client.Post("/translate", parts)).at("translatedText") == expected);
  // More than cpp-httplib takes of forms by itself.
  std::string many, many_expected;
  for (int i = 0; i < 700; ++i) {
    many += "i can't swim .\n";
    many_expected += lines[2] + "\n";
  }
  CHECK(json_of(client.Post("/translate", httplib::Params{{"q", many}, {"source", "en"}, {"target", "ja"}}))
            .at("translatedText") == many_expected);
}

TEST_CASE("serve: other translations, and what a translation looked at") {
  const convert_test::TempFolder folder;
  const std::string model = en_ja(folder);
  const std::vector<std::string> best = program_lines({model, "he plays the guitar .", "--n-best", "3"});
  REQUIRE(best.size() == 3);
  const auto text_of = [](const std::string& line) {
    const std::size_t begin = line.find("||| ") + 4;
    return line.substr(begin, line.rfind(" |||") - begin);
  };
  const Serving served({model});
  const Json answer = served.post(
      "/translate",
      {{"q", "he plays the guitar ."}, {"source", "en"}, {"target", "ja"}, {"alternatives", 2}, {"attention", true}});
  CHECK(answer.at("translatedText") == text_of(best[0]));
  CHECK(answer.at("alternatives") == Json{text_of(best[1]), text_of(best[2])});
  const Json many = served.post("/translate", {{"q", {"he plays the guitar ."}}, {"alternatives", 7}});
  CHECK(many.at("alternatives").at(0).size() <= 7);
  CHECK(many.at("alternatives").at(0).size() > 2);

  REQUIRE(answer.at("attention").size() == 1);
  const Json& map = answer.at("attention").at(0);
  CHECK(map.at("source").size() >= 5);
  REQUIRE(map.at("weights").size() == map.at("target").size());
  for (const Json& row : map.at("weights")) {
    REQUIRE(row.size() == map.at("source").size());
    double sum = 0.0;
    for (const Json& weight : row) sum += weight.get<double>();
    CHECK(sum == doctest::Approx(1.0).epsilon(1e-4));
  }
  const Json blank = served.post("/translate", {{"q", "\ni can't swim ."}, {"attention", true}});
  REQUIRE(blank.at("attention").size() == 2);
  CHECK(blank.at("attention").at(0).is_null());
  CHECK(blank.at("attention").at(1).at("source").size() >= 4);
}

TEST_CASE("serve: languages are found by the models' names, and what has none is asked for without them") {
  const convert_test::TempFolder folder;
  const Serving served({en_ja(folder), "dates=" + models().dates()});
  CHECK(served.get("/languages") == Json::parse(R"([{"code": "en", "name": "English", "targets": ["ja"]},
                                                    {"code": "ja", "name": "Japanese", "targets": []}])"));
  CHECK(served.get("/frontend/settings").at("language").at("target").at("code") == "ja");
  const Json models = served.get("/v1/models").at("data");
  CHECK(models.at(0).at("source_languages") == Json{"en"});
  CHECK(models.at(1).at("target_languages") == Json::array());

  const auto ask = [&](const Json& more, int status = 200) {
    Json body = {{"q", "may 3 2008"}};
    body.update(more);
    return served.post("/translate", body, status);
  };
  CHECK(ask({{"model", "dates"}}).at("translatedText") == "2008-05-03");
  CHECK(ask({{"model", "dates"}, {"source", "auto"}}) == Json{{"translatedText", "2008-05-03"}});
  CHECK(ask({{"source", "auto"}, {"target", "ja"}}).at("detectedLanguage") ==
        Json{{"confidence", 0}, {"language", "en"}});
  CHECK(has(translate_error(ask({{"source", "auto"}}, 400)), "leave open which model is meant"));
  CHECK(has(translate_error(ask({{"source", "fr"}, {"target", "ja"}}, 400)),
            "nothing here translates from 'fr' to 'ja'"));
  CHECK(
      has(translate_error(ask({{"source", "en"}, {"target", "ja"}, {"model", "dates"}}, 400)), "with the model dates"));
  CHECK(has(translate_error(ask({{"model", "other"}}, 404)),
            "there is no model 'other' here, expected one of en-ja, dates"));
}

TEST_CASE("serve: translations that cannot be had are refused with a reason, as LibreTranslate spells it") {
  const convert_test::TempFolder folder;
  const std::string date = std::string(100, '1');
  const std::string key = folder.write("key.txt", "a secret\n").string();
  const Serving served({"dates=" + models().dates(), "--api-key-file", key});
  const auto ask = [&](Json body, int status) {
    body["api_key"] = "a secret";
    return translate_error(served.post("/translate", body, status));
  };
  CHECK(has(ask({{"q", "x\n" + date}}, 400), "line 2: has 101 tokens, the model reads at most 64"));
  CHECK(has(ask({{"q", {"x\ny", date}}}, 400), "q[1], line 1: has 101 tokens"));
  CHECK(has(ask({{"q", "<b>x</b>"}, {"format", "html"}}, 400), "format is \"html\", expected \"text\""));
  CHECK(has(ask({{"q", ""}}, 400), "q is \"\""));
  CHECK(has(ask({{"q", Json::array()}}, 400), "q is an empty array"));
  CHECK(has(ask({{"source", "en"}}, 400), "q is missing"));
  CHECK(has(ask({{"q", "x"}, {"alternatives", 32}}, 400), "alternatives is 32, expected an integer from 0 to 31"));
  CHECK(has(ask({{"q", "x"}, {"alternatives", 2}, {"beams", 2}}, 400), "the 3 best were asked for"));
  CHECK(has(ask({{"q", "x"}, {"glossary", "y"}}, 400), "glossary is not known here"));
  CHECK(has(ask({{"q", std::string(5000, '\n')}}, 400), "more than 4096 lines"));

  // The key may be in the form or in the header; two paths are open, as LibreTranslate's are.
  CHECK(has(translate_error(served.post("/translate", {{"q", "x"}}, 403)), "Invalid API key"));
  CHECK(has(translate_error(served.post("/translate", {{"q", "x"}, {"api_key", "a secre"}}, 403)), "Invalid API key"));
  auto client = served.client();
  client.set_bearer_token_auth("a secret");
  CHECK(json_of(client.Post("/translate", httplib::Params{{"q", "may 3 2008"}})).at("translatedText") == "2008-05-03");
  CHECK(json_of(client.Post("/detect", httplib::Params{{"q", "x"}}), 501).at("error").is_string());
  CHECK(json_of(client.Post("/translate", "q=x", "text/plain"), 415).at("error").is_string());
  CHECK(served.get("/languages") == Json::array());
  CHECK(served.get("/v1/models", 401).at("error").is_object());
}

}  // namespace heed::end_to_end
