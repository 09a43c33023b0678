// heed verify.
#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "file/model_file.h"
#include "tests/end_to_end/models.h"
#include "tests/end_to_end/process.h"
#include "tests/temporary_folder.h"

namespace heed::end_to_end {

TEST_CASE("verify: text models agree with the reference, for a prompt and for the tokens that are chosen after it") {
  struct Run {
    std::string model, cache;
  };
  for (const Run& one : {Run{models().llama(), "auto"}, Run{models().without_tokenizer(), "auto"},
                         Run{models().llama(), "f16"}, Run{models().without_tokenizer(), "f16"}}) {
    CAPTURE(one.cache);
    const Finished finished = run_heed({"verify", one.model, "--json", "--cache", one.cache});
    REQUIRE_MESSAGE(finished.exit_code == 0, finished.both());
    const nlohmann::json json = nlohmann::json::parse(finished.out);
    CHECK(json.at("passed") == true);
    REQUIRE(json.at("runs").size() == 3);
    CHECK(json.at("runs")[0].at("what").get<std::string>().starts_with("a prompt of "));
    CHECK(json.at("runs")[1].at("what").get<std::string>().starts_with("a token at position "));
    CHECK(json.at("runs")[1].at("what").get<std::string>().ends_with("then the best"));
    CHECK(json.at("runs")[2].at("what").get<std::string>().ends_with("then one drawn"));
    CHECK(json.at("left_out").empty());
    for (const int sampled : {1, 2}) {
      CHECK(json.at("runs")[sampled].at("graph").get<std::string>().starts_with("decode+sample greedy="));
    }
    for (const nlohmann::json& run : json.at("runs")) {
      CHECK(run.at("cache") == (one.cache == "f16" ? "f16" : "f32"));
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

TEST_CASE("verify: all tokens are used; a prompt is cut and says so") {
  std::string tokens = "1";
  for (int i = 0; i < 29; ++i) tokens += ",2";
  const Finished all = run_heed({"verify", models().llama(), "--tokens", tokens});
  REQUIRE_MESSAGE(all.exit_code == 0, all.both());
  CHECK_MESSAGE(all.out.find("a prompt of 29 tokens:") != std::string::npos, all.out);
  CHECK(all.out.find("a token at position 29, then the best:") != std::string::npos);
  CHECK(all.out.find("a token at position 30, then one drawn:") != std::string::npos);
  std::string prompt;
  for (int i = 0; i < 40; ++i) prompt += "a b ";
  const Finished cut = run_heed({"verify", models().llama(), "--prompt", prompt});
  REQUIRE_MESSAGE(cut.exit_code == 0, cut.both());
  CHECK_MESSAGE(cut.out.find("a prompt of 23 tokens (24 of the ") != std::string::npos, cut.out);
}

TEST_CASE("verify: --bind sets the context of text, and sizes in the graphs that have them") {
  const std::string model = models().llama();
  const Finished small = run_heed({"verify", model, "--bind", "context=8", "--tokens", "1,2,3", "--json"});
  REQUIRE_MESSAGE(small.exit_code == 0, small.both());
  check_error(run_heed({"verify", model, "--bind", "context=8", "--tokens", "1,2,3,4,5,6,7"}),
              "7 tokens and 2 that follow do not fit a context of 8");
  check_error(run_heed({"verify", model, "--bind", "context=1000000"}), "the model knows a context of ");
  check_error(run_heed({"verify", model, "--bind", "tokens=4"}), "follows from --prompt or --tokens");
  check_error(run_heed({"verify", model, "--bind", "height=4"}), "no graph that is verified has a dimension 'height'");
  // Two graphs, of which one has no batch.
  const testing::TemporaryFolder folder;
  GraphBuilder first("first");
  first.output(first.add("neg", "neg", {first.input("x", DType::F32, {Dim("batch"), 4})}), "y");
  GraphBuilder second("second");
  second.output(second.add("neg", "neg", {second.input("x", DType::F32, {Dim("rows"), 4})}), "y");
  ModelHeader header;
  header.graphs.push_back(std::move(first).finish());
  header.graphs.push_back(std::move(second).finish());
  header.metadata = nlohmann::json::object();
  const std::string two = folder.path("two.heed").string();
  write_model_file(two, header, {}, [](const TensorInfo&, const auto&) {});
  const Finished both = run_heed({"verify", two, "--bind", "batch=3", "--bind", "rows=5"});
  REQUIRE_MESSAGE(both.exit_code == 0, both.both());
  CHECK(both.out.find("graph 'first', batch=3:") != std::string::npos);
  CHECK(both.out.find("graph 'second', rows=5:") != std::string::npos);
  check_error(run_heed({"verify", two, "--bind", "columns=3"}), "there are batch, rows");
  const Finished one = run_heed({"verify", two, "--graph", "second"});
  CHECK(one.out.find("left out, as one graph was asked for: first\n") != std::string::npos);
  // Nobody reads text here.
  check_error(run_heed({"verify", two, "--prompt", "Hello"}),
              "--prompt: the model's task is 'unknown'; only text generation takes a prompt here");
  check_error(run_heed({"verify", two, "--tokens", "1,2"}), "--tokens: ");
}

TEST_CASE("verify: what is not there is one line") {
  const testing::TemporaryFolder folder;
  const std::string fashion = folder.path("fashion.heed").string();
  REQUIRE(run_heed({"convert", std::string(HEED_SOURCE_DIR) + "/models/fashion", "-o", fashion}).exit_code == 0);
  check_error(run_heed({"verify", fashion, "--bind", "batch=0"}), "nothing can be verified");
  check_error(run_heed({"verify", models().without_tokenizer(), "--prompt", "Hello"}),
              "has no tokenizer; give --tokens");
  check_error(run_heed({"verify", models().llama(), "--tokens", "1,2,99999999"}), "99999999 is no token of the model");
  check_error(run_heed({"verify", models().llama(), "--tokens", "1,2", "--prompt", "Hello"}), "--prompt");

  check_error(run_heed({"verify", models().llama(), "--graph", "encode"}), "encode");
  check_error(run_heed({"verify", models().llama(), "--tokens", "5"}), "at least 2 tokens");
  check_error(run_heed({"verify", models().llama(), "--graph", "decode", "--input", "x=nowhere.npy"}),
              "has no input of this name");
}

}  // namespace heed::end_to_end
