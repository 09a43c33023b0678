// heed verify.
#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/end_to_end/models.h"
#include "tests/end_to_end/process.h"
#include "tests/temporary_folder.h"

namespace heed::end_to_end {

TEST_CASE("verify: text models agree with the reference, for a prompt and for a token") {
  for (const std::string& model : {models().llama(), models().without_tokenizer()}) {
    const Finished finished = run_heed({"verify", model, "--json"});
    REQUIRE_MESSAGE(finished.exit_code == 0, finished.both());
    const nlohmann::json json = nlohmann::json::parse(finished.out);
    CHECK(json.at("passed") == true);
    REQUIRE(json.at("runs").size() == 2);
    CHECK(json.at("runs")[0].at("what").get<std::string>().starts_with("a prompt of "));
    CHECK(json.at("runs")[1].at("what").get<std::string>().starts_with("a token at position "));
    for (const nlohmann::json& run : json.at("runs")) {
      CHECK(run.at("values").get<int>() > 4);
      CHECK(run.at("first_failure").is_null());
      CHECK(run.at("worst_error").get<double>() < 1.0);
    }
  }
}

TEST_CASE("verify: the picture model that ships agrees, in every graph") {
  const testing::TemporaryFolder folder;
  const std::string model = folder.path("fashion.heed").string();
  REQUIRE(run_heed({"convert", std::string(HEED_SOURCE_DIR) + "/models/fashion", "-o", model}).exit_code == 0);
  const Finished finished = run_heed({"verify", model, "--seed", "3"});
  REQUIRE_MESSAGE(finished.exit_code == 0, finished.both());
  CHECK(finished.out.find("values agree, the worst at ") != std::string::npos);
  CHECK(finished.out.find(": verified\n") != std::string::npos);
}

TEST_CASE("verify: what is not there is one line") {
  check_error(run_heed({"verify", models().llama(), "--graph", "encode"}), "encode");
  check_error(run_heed({"verify", models().llama(), "--tokens", "5"}), "at least 2 tokens");
  check_error(run_heed({"verify", models().llama(), "--graph", "decode", "--input", "x=nowhere.npy"}),
              "has no input of this name");
}

}  // namespace heed::end_to_end
