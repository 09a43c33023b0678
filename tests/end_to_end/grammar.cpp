// heed generate with --grammar and --json-schema.
#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>

#include "tests/end_to_end/models.h"
#include "tests/end_to_end/process.h"
#include "tests/temporary_folder.h"

namespace heed::end_to_end {
namespace {

Finished write(std::vector<std::string> more) {
  more.insert(more.begin(), {"generate", models().llama(), "Alice was"});
  return run_heed(more);
}

}  // namespace

TEST_CASE("--json-schema: what is written is valid, each continuation by itself") {
  const std::string schema = R"({"type": "object", "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 99},
    "s": {"enum": ["yes", "no"]}}, "required": ["n", "s"], "additionalProperties": false})";
  const Finished finished = write({"--json-schema", schema, "--count", "3", "--seed", "1", "-n", "100", "--json"});
  REQUIRE_MESSAGE(finished.exit_code == 0, finished.both());
  const std::vector<std::string> lines = lines_of(finished.out);
  REQUIRE(lines.size() == 3);
  for (const std::string& line : lines) {
    const nlohmann::json made = nlohmann::json::parse(line);
    CAPTURE(line);
    CHECK(made.at("stop_reason") == "end_token");
    const nlohmann::json text = nlohmann::json::parse(made.at("text").get<std::string>());
    CHECK(text.size() == 2);
    CHECK(text.at("n").get<int>() >= 1);
    CHECK(text.at("n").get<int>() <= 99);
    CHECK((text.at("s") == "yes" || text.at("s") == "no"));
  }
}

TEST_CASE("--grammar: a file says what is written") {
  const testing::TemporaryFolder folder;
  const std::string file = folder.path("answer.gbnf").string();
  std::ofstream(file) << "root ::= \"a\" [b-d]{2,4} \" é\" # all of it\n";
  const Finished finished = write({"--grammar", file, "--seed", "2", "-n", "50"});
  REQUIRE_MESSAGE(finished.exit_code == 0, finished.both());
  CHECK(std::regex_match(finished.out, std::regex("a[b-d]{2,4} é")));
}

TEST_CASE("--grammar: a text that -n cuts short is told to be incomplete") {
  const testing::TemporaryFolder folder;
  const std::string file = folder.path("long.gbnf").string();
  std::ofstream(file) << "root ::= [a-c]{30}\n";
  const Finished cut = write({"--grammar", file, "-n", "2"});
  CHECK(cut.exit_code == 0);
  CHECK(has(cut.error, "note: 2 tokens, as many as -n allows, are no complete text of the grammar or schema"));
}

TEST_CASE("--grammar and --json-schema: what is wrong is named before anything is written") {
  const testing::TemporaryFolder folder;
  const std::string file = folder.path("bad.gbnf").string();
  std::ofstream(file) << "root ::= \"a\"\n  b";
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"--grammar", file}, "heed: --grammar: grammar: line 2, column 4: expected '::='"},
      {{"--grammar", folder.path("none").string()}, "cannot open"},
      {{"--json-schema", R"({"type": "objekt"})"},
       "heed: --json-schema: schema: #/type: expected one of null, boolean"},
      {{"--json-schema", "{}", "--grammar", file}, "--grammar and --json-schema both say what may be written"}};
  for (const auto& one : cases) {
    const Finished finished = write(one.first);
    CAPTURE(finished.error);
    CHECK(finished.exit_code == 1);
    CHECK(finished.out.empty());
    CHECK(finished.error.find(one.second) != std::string::npos);
  }
}

}  // namespace heed::end_to_end
