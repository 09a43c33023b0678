// heed generate, from the prompt to the last line on standard error.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>

#include "tests/end_to_end/models.h"
#include "tests/end_to_end/process.h"
#include "tests/temporary_folder.h"

namespace heed::end_to_end {
namespace {

const std::string kPrompt = "Alice was beginning";

std::vector<std::string> generate(const std::string& model, std::vector<std::string> more) {
  more.insert(more.begin(), {"generate", model});
  return more;
}

std::vector<std::string> greedy(std::vector<std::string> more) {
  more.insert(more.end(), {"--temperature", "0", "-n", "12"});
  return generate(models().llama(), std::move(more));
}

/// Standard output of a run that must succeed.
std::string output_of(const std::vector<std::string>& arguments, const RunOptions& options = {}) {
  const Finished finished = run_heed(arguments, options);
  CHECK_MESSAGE(finished.exit_code == 0, finished.both());
  return finished.out;
}

/// The JSON objects of a run with --json, a line each.
std::vector<nlohmann::json> objects_of(const std::string& out) {
  std::vector<nlohmann::json> objects;
  for (const std::string& line : lines_of(out)) objects.push_back(nlohmann::json::parse(line));
  return objects;
}

}  // namespace

TEST_CASE("standard output is the continuation, standard error ends with device, tokens and tokens/s") {
  const Finished finished = run_heed(greedy({kPrompt}));
  REQUIRE(finished.exit_code == 0);
  const nlohmann::json json = objects_of(output_of(greedy({kPrompt, "--json"}))).at(0);
  CHECK(finished.out == json.at("text").get<std::string>());
  const std::string last = lines_of(finished.error).back();
  CAPTURE(last);
  CHECK(std::regex_match(last, std::regex(".+: [0-9]+ prompt tokens in [0-9.]+ s, 12 tokens, [0-9.]+ tokens/s")));
  CHECK(last.starts_with(json.at("device").get<std::string>()));
}

TEST_CASE("--json has everything") {
  const nlohmann::json json = objects_of(output_of(greedy({kPrompt, "--json", "--seed", "5"}))).at(0);
  CHECK(json.at("prompt") == kPrompt);
  CHECK(json.at("prompt_tokens").size() > 2);
  CHECK(json.at("tokens").size() == 12);
  CHECK(json.at("seed") == 5);
  CHECK(json.at("stop_reason") == "max_tokens");
  CHECK(json.at("prompt_seconds").get<double>() > 0);
  CHECK(json.at("generate_seconds").get<double>() > 0);
  CHECK(json.at("generated_tokens_per_second").get<double>() > 0);
  CHECK(!json.at("driver").get<std::string>().empty());
}

TEST_CASE("the prompt comes from the argument, standard input, a file, or as ids") {
  const std::string expected = output_of(greedy({kPrompt}));
  CHECK(!expected.empty());
  CHECK(output_of(greedy({"-"}), {.input = kPrompt}) == expected);
  CHECK(output_of(greedy({}), {.input = kPrompt}) == expected);
  CHECK(output_of(greedy({}), {.input = kPrompt + "\n"}) == expected);
  CHECK(output_of(greedy({}), {.input = kPrompt + "\n\n"}) != expected);
  CHECK(output_of(greedy({"--echo", kPrompt})) == kPrompt + expected);

  const nlohmann::json json = objects_of(output_of(greedy({kPrompt, "--json"}))).at(0);
  std::string ids;
  for (const nlohmann::json& id : json.at("prompt_tokens")) ids.append(ids.empty() ? "" : ",").append(id.dump());
  CHECK(output_of(greedy({"--tokens", ids})) == expected);

  const std::string file = models().path("prompts.txt");
  std::ofstream(file) << kPrompt << "\n\n \nThe Rabbit\r\n" << kPrompt;
  const Finished several = run_heed(greedy({"--prompts", file}));
  CHECK(several.exit_code == 0);
  CHECK(several.out == expected + "\n" + output_of(greedy({"The Rabbit"})) + "\n" + expected);
  CHECK(several.error.find("2 blank lines skipped") != std::string::npos);
  CHECK(several.error.find("--- 2/3\n") != std::string::npos);
  CHECK(objects_of(output_of(greedy({"--prompts", file, "--json"}))).size() == 3);
}

TEST_CASE("prompts that look like something else are prompts") {
  for (const std::string prompt : {"\"Can I play?\" asked Sara", "[a,b]", "{}", "--", "'", "%%", "-5"}) {
    CAPTURE(prompt);
    const Finished finished = run_heed(generate(models().llama(), {"-n", "1", "--json", "--", prompt}));
    REQUIRE_MESSAGE(finished.exit_code == 0, finished.both());
    CHECK(objects_of(finished.out).at(0).at("prompt") == prompt);
  }
  CHECK(objects_of(output_of(generate(models().llama(), {"-n", "1", "--json", ""}))).at(0).at("prompt") == "");
}

TEST_CASE("the same seed gives the same bytes, alone and among several") {
  const std::string model = models().llama();
  const auto sampled = [&](const std::string& seed, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {kPrompt, "-n", "24", "--temperature", "1.2", "--top-k", "0", "--top-p", "1", "--seed",
                               seed, "--repetition-penalty", "1.1"});
    return output_of(generate(model, more));
  };
  const std::string first = sampled("7");
  CHECK(sampled("7") == first);
  const std::string third = sampled("9");
  CHECK(third != first);
  const std::vector<nlohmann::json> four = objects_of(sampled("7", {"--count", "4", "--json"}));
  REQUIRE(four.size() == 4);
  CHECK(four[0].at("text") == first);
  CHECK(four[1].at("text") == sampled("8"));
  CHECK(four[2].at("text") == third);
  CHECK(four[3].at("seed") == 10);
  std::string joined;
  for (const nlohmann::json& one : four) {
    joined.append(joined.empty() ? "" : "\n").append(one.at("text").get<std::string>());
  }
  CHECK(sampled("7", {"--count", "4"}) == joined);
}

TEST_CASE("options of sampling change what is made, and --logprobs shows what the model thought of it") {
  const std::string plain = output_of(greedy({kPrompt}));
  const auto made = [&](std::vector<std::string> more) {
    more.push_back("--json");
    more.push_back(kPrompt);
    return objects_of(output_of(greedy(std::move(more)))).at(0);
  };
  const nlohmann::json told = made({"--logprobs", "3"});
  CHECK(told.at("text") == plain);
  CHECK(!made({}).contains("logprobs"));
  REQUIRE(told.at("logprobs").size() == told.at("tokens").size());
  for (std::size_t i = 0; i < told.at("tokens").size(); ++i) {
    const nlohmann::json& token = told.at("logprobs").at(i);
    CHECK(token.at("token") == told.at("tokens").at(i));
    CHECK(token.at("logprob").get<double>() < 0.0);
    REQUIRE(token.at("top").size() == 3);
    // Greedy: what came is the best.
    CHECK(token.at("top").at(0).at("token") == token.at("token"));
    CHECK(token.at("top").at(0).at("logprob") == token.at("logprob"));
    CHECK(token.at("top").at(1).at("logprob").get<double>() <= token.at("logprob").get<double>());
  }
  const std::string first = std::to_string(told.at("tokens").at(0).get<int>());
  CHECK(made({"--logit-bias", first + "=-inf"}).at("tokens").at(0) ==
        told.at("logprobs").at(0).at("top").at(1).at("token"));
  CHECK(made({"--logit-bias", "9=100", "--logit-bias", "8=1"}).at("tokens").at(0) == 9);
  const nlohmann::json often = made({"--logit-bias", "9=100"}).at("tokens");
  CHECK(std::count(often.begin(), often.end(), 9) == 12);
  const nlohmann::json once = made({"--logit-bias", "9=100", "--no-repeat-ngram", "1"}).at("tokens");
  CHECK(std::count(once.begin(), once.end(), 9) == 1);
  const nlohmann::json seldom = made({"--logit-bias", "9=100", "--frequency-penalty", "40"}).at("tokens");
  CHECK(std::count(seldom.begin(), seldom.end(), 9) < 12);
  const auto refused = [&](std::vector<std::string> more, const char* message) {
    more.push_back(kPrompt);
    check_error(run_heed(greedy(std::move(more))), message);
  };
  refused({"--logprobs", "3"}, "--logprobs stands in what --json prints");
  refused({"--logprobs", "21", "--json"}, "--logprobs");
  refused({"--logit-bias", "9"}, "--logit-bias is '9', expected TOKEN=BIAS");
  refused({"--logit-bias", "9=1e3"}, "logit bias of token 9 is 1000");
  refused({"--logit-bias", "999999=1"}, "--logit-bias: there is no token 999999");
  refused({"--logit-bias", "a text of many tokens=1"}, "expected one");
  refused({"--typical-p", "2"}, "typical-p is 2");
}

TEST_CASE("--slots makes several at a time, shown in order, the same bytes with any number") {
  const std::string file = models().path("three.txt");
  std::ofstream(file) << kPrompt << "\nThe Rabbit\n" << kPrompt << " to get very";
  const auto drawn = [&](const std::string& slots, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"--prompts", file, "-n", "24", "--temperature", "1.1", "--seed", "3", "--count", "3",
                               "--echo", "--slots", slots});
    return run_heed(generate(models().llama(), more));
  };
  const Finished two = drawn("2");
  REQUIRE_MESSAGE(two.exit_code == 0, two.both());
  CHECK(two.error.find("--- 9/9\n") != std::string::npos);
  CHECK(two.error.find(" 2 at a time, ") != std::string::npos);
  CHECK(two.out.starts_with(kPrompt));
  for (const char* slots : {"4", "9", "16"}) CHECK(drawn(slots).out == two.out);
  const std::vector<nlohmann::json> nine = objects_of(drawn("4", {"--json"}).out);
  REQUIRE(nine.size() == 9);
  CHECK(nine[4].at("prompt") == "The Rabbit");
  CHECK(nine[4].at("seed") == 4);
  CHECK(two.out.find("The Rabbit" + nine[4].at("text").get<std::string>() + "\n") != std::string::npos);

  std::ofstream(file) << kPrompt << "\n" << std::string(4000, 'a');
  const Finished refused = drawn("4");
  CHECK(refused.exit_code == 1);
  CHECK(refused.out.empty());
  CHECK(lines_of(refused.error).back().find("three.txt:2: the prompt has ") != std::string::npos);
  CHECK(run_heed(generate(models().llama(), {kPrompt, "--slots", "0"})).exit_code != 0);

  const std::string map = models().path("together.npz");
  CHECK(run_heed(greedy({kPrompt, "--slots", "2", "--attention", map})).exit_code == 0);
  CHECK(std::filesystem::exists(map));
}

TEST_CASE("of an option that is given twice the last counts") {
  const std::string expected = output_of(greedy({kPrompt}));  // -n 12 at its end
  CHECK(output_of(greedy({kPrompt, "--echo", "--echo", "-n", "3", "--temperature", "1"})) == kPrompt + expected);
  CHECK(objects_of(output_of(greedy({kPrompt, "--json", "--seed", "1", "--seed", "010"}))).at(0).at("seed") == 10);
}

TEST_CASE("one token has no speed") {
  const std::vector<std::string> one = {kPrompt, "-n", "1", "--temperature", "0"};
  const Finished finished = run_heed(generate(models().llama(), one));
  REQUIRE(finished.exit_code == 0);
  CHECK(lines_of(finished.error).back().ends_with(" s, 1 token"));
  std::vector<std::string> json = one;
  json.push_back("--json");
  const nlohmann::json object = objects_of(output_of(generate(models().llama(), json))).at(0);
  CHECK(object.at("generated_tokens_per_second").is_null());
}

TEST_CASE("without --seed the seed is random, and told so that the text can be had again") {
  const auto sampled = [](std::vector<std::string> more) {
    more.insert(more.begin(), {kPrompt, "-n", "16", "--temperature", "1.5"});
    const Finished finished = run_heed(generate(models().llama(), more));
    REQUIRE(finished.exit_code == 0);
    std::smatch seed;
    const std::string last = lines_of(finished.error).back();
    REQUIRE(std::regex_search(last, seed, std::regex("seed ([0-9]+)$")));
    return std::pair(finished.out, seed[1].str());
  };
  const auto [text, seed] = sampled({});
  CHECK(sampled({}).second != seed);
  CHECK(sampled({"--seed", seed}).first == text);
}

TEST_CASE("--stop ends before the text, wherever its pieces fall") {
  const std::string whole = output_of(greedy({kPrompt}));
  // A text from its middle, cut where characters begin.
  std::size_t begin = whole.size() / 2;
  while ((static_cast<unsigned char>(whole[begin]) & 0xc0) == 0x80) ++begin;
  std::size_t end = begin + 3;
  while (end < whole.size() && (static_cast<unsigned char>(whole[end]) & 0xc0) == 0x80) ++end;
  std::string stop;
  for (const char c : whole.substr(begin, end - begin)) stop.append(c == '\\' ? 2 : 1, c);
  CAPTURE(stop);
  const std::string expected = whole.substr(0, whole.find(whole.substr(begin, end - begin)));
  CHECK(output_of(greedy({kPrompt, "--stop", "{}", "--stop", stop})) == expected);
  const nlohmann::json json = objects_of(output_of(greedy({kPrompt, "--json", "--stop", stop}))).at(0);
  CHECK(json.at("stop_reason") == "stop_text");
  CHECK(json.at("text") == expected);
}

TEST_CASE("--attention shows what was looked at, and the text is the same bytes") {
  const testing::TemporaryFolder folder;
  const std::string plain = output_of(greedy({kPrompt}));
  for (const char* name : {"look.png", "look.html", "look.npz"}) {
    const std::string out = folder.path(name).string();
    CHECK(output_of(greedy({kPrompt, "--attention", out, "--layer", "0", "--head", "1"})) == plain);
    CHECK(std::filesystem::file_size(out) > 500);
  }
  const std::string out = folder.path("look.png").string();
  check_error(run_heed(greedy({kPrompt, "--attention", "look.jpg"})), "attention is written as .png");
  check_error(run_heed(greedy({kPrompt, "--attention", out, "--count", "2"})),
              "shows one continuation; 2 were asked for");
  for (const auto& [option, message] : {std::pair{"--layer", "layer 99 was asked for; the model has layers 0 to"},
                                        {"--head", "head 99 was asked for; '"}}) {
    check_error(run_heed(greedy({kPrompt, "--attention", out, option, "99"})), message);
  }
}

TEST_CASE("--cache says what keys and values are kept as") {
  const auto made = [](const char* type) {
    const nlohmann::json json = objects_of(output_of(greedy({kPrompt, "--json", "--cache", type}))).at(0);
    CHECK(json.at("cache") == type);
    return json.at("text").get<std::string>();
  };
  CHECK(made("f16") == made("f32"));
  const Finished finished = run_heed(greedy({kPrompt, "--cache", "f8"}));
  CHECK(finished.exit_code == 1);
  CHECK(finished.error.find("--cache") != std::string::npos);
  const testing::TemporaryFolder folder;
  const std::string page = folder.path("attention.npz");
  CHECK(output_of(greedy({kPrompt, "--cache", "f16", "--attention", page})) == made("f16"));
  CHECK(std::filesystem::file_size(page) > 0);
}

TEST_CASE("a model without a tokenizer takes and gives ids") {
  const std::string model = models().without_tokenizer();
  const std::string out = output_of(generate(model, {"--tokens", "40, 48,143", "-n", "5", "--temperature", "0"}));
  CHECK(std::regex_match(out, std::regex("[0-9]+(,[0-9]+){4}")));
  CHECK(output_of(generate(model, {"--tokens", "40,48,143", "-n", "5", "--temperature", "0", "--echo"})) ==
        "40,48,143," + out);
  const nlohmann::json json =
      objects_of(output_of(generate(model, {"--tokens", "40,48,143", "-n", "5", "--temperature", "0", "--json"})))
          .at(0);
  CHECK(json.at("tokens").size() == 5);
  check_error(run_heed(generate(model, {"text"})), "no tokenizer");
  check_error(run_heed(generate(model, {"--tokens", "1,160"})), "160");
  check_error(run_heed(generate(model, {"--tokens", "1,-2"})), "'-2' is no token id");
  check_error(run_heed(generate(model, {"--tokens", "1,,2"})), "'' is no token id");
  check_error(run_heed(generate(model, {"--tokens", "1", "--stop", "x"})), "--stop");
}

TEST_CASE("the context is a limit: generation ends at it, longer prompts are refused") {
  const nlohmann::json json = objects_of(output_of(
      generate(models().without_tokenizer(), {"--tokens", "40", "-n", "1000", "--temperature", "0", "--json"})))[0];
  CHECK(json.at("stop_reason") == "context_full");
  CHECK(json.at("tokens").size() == 63);
  const Finished full =
      run_heed(generate(models().without_tokenizer(), {"--tokens", "40", "-n", "1000", "--temperature", "0"}));
  CHECK_MESSAGE(full.error.find("the context of 64 tokens is full") != std::string::npos, full.error);
  CHECK(run_heed(generate(models().without_tokenizer(), {"--tokens", "40", "-n", "2"})).error.find("is full") ==
        std::string::npos);
  std::string ids = "1";
  for (int i = 1; i < 64; ++i) ids += ",1";
  check_error(run_heed(generate(models().without_tokenizer(), {"--tokens", ids})), "64 tokens");
  check_error(run_heed(greedy({kPrompt, "--context", "4"})), "context holds 4");
  check_error(run_heed(greedy({kPrompt, "--context", "65"})), "context of 65");
}

TEST_CASE("bad prompts and files are one line") {
  check_error(run_heed(greedy({"\xff\xfe"})), "UTF-8");
  check_error(run_heed(greedy({}), {.input = "ab\xc3"}), "UTF-8");
  const std::string broken = models().path("broken.txt");
  std::ofstream(broken) << "\xe2\x82\n";
  check_error(run_heed(greedy({"--prompts", broken})), broken + ":1: cannot encode the text");
  std::ofstream(broken) << "\n\n" << std::string(1000, 'x') << " y z\n";
  const Finished long_line = run_heed(greedy({"--prompts", broken}));
  CHECK(long_line.exit_code == 1);
  CHECK(long_line.out.empty());
  CHECK(lines_of(long_line.error).back().find(broken + ":3: the prompt has ") != std::string::npos);
  check_error(run_heed(greedy({"a", "--stop", "\xff"})), "UTF-8");
  check_error(run_heed(greedy({"a", "--tokens", "1"})), "give one of them");
  check_error(run_heed(greedy({"--prompts", models().path("none.txt")})), "none.txt");
  check_error(run_heed(greedy({"--prompts", models().path("")})), "read");
  check_error(run_heed({"generate", models().path("none.heed"), "x"}), "none.heed");
  check_error(run_heed({"generate", models().path(""), "x"}), "heed: ");
  const std::string blank = models().path("blank.txt");
  std::ofstream(blank) << "\n\n";
  check_error(run_heed(greedy({"--prompts", blank})), "no prompt in it");
}

TEST_CASE("damaged weights are refused") {
  const convert_test::TempFolder folder;
  std::string content = convert_test::read_whole(models().without_tokenizer());
  for (const double share : {0.5, 0.75, 0.99}) {
    const auto at = static_cast<std::size_t>(static_cast<double>(content.size()) * share);
    CAPTURE(at);
    std::string flipped = content;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    const std::string path = folder.write("damaged.heed", flipped).string();
    const Finished finished = run_heed({"generate", path, "--tokens", "1"});
    check_error(finished, "'" + path + "': tensor '");
    check_error(finished, "' is damaged: checksum ");
    check_error(finished, "; fetch or convert the file again");
  }
}

TEST_CASE("Ctrl-C ends with the statistics, and exit code 130") {
  RunOptions options;
  options.on_output = [](int process) { ::kill(process, SIGINT); };
  const Finished finished = run_heed(generate(models().llama(), {kPrompt, "-n", "40", "--count", "100000"}), options);
  CHECK_MESSAGE(finished.exit_code == 130, finished.both());
  CHECK(lines_of(finished.error).back().find("prompt token") != std::string::npos);
}

TEST_CASE("a reader that leaves ends the program quietly") {
  RunOptions options;
  options.close_output_early = true;
  const Finished finished = run_heed(generate(models().llama(), {kPrompt, "-n", "40", "--count", "100000"}), options);
  CHECK_MESSAGE(finished.exit_code == 141, finished.both());
  CHECK(finished.error.find("heed:") == std::string::npos);
}

TEST_CASE("a full disk behind standard output is an error") {
  struct stat status;
  if (::stat("/dev/full", &status) != 0 || !S_ISCHR(status.st_mode)) {
    MESSAGE("SKIPPED: no /dev/full here");
    return;
  }
  const Finished finished = run_heed(greedy({kPrompt}), {.output_file = "/dev/full"});
  check_error(finished, "cannot write to standard output");
}

}  // namespace heed::end_to_end
