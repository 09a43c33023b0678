// heed translate, with the shipped model of dates: lines in, lines out, and what it looked at.
#include <doctest/doctest.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/end_to_end/models.h"
#include "tests/end_to_end/process.h"
#include "tests/temporary_folder.h"

namespace heed::end_to_end {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kWritten = {"the 3rd of may, 2008", "",   "sunday, december 25 1994",
                                           "19.08.2030",           "  ", "1 jan 1900"};
const std::vector<std::string> kIso = {"2008-05-03", "", "1994-12-25", "2030-08-19", "", "1900-01-01"};

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

void write_text(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Finished translate(std::vector<std::string> more, const RunOptions& options = {}) {
  more.insert(more.begin(), {"translate", models().dates()});
  return run_heed(more, options);
}

std::string translated(const std::vector<std::string>& more, const RunOptions& options = {}) {
  const Finished finished = translate(more, options);
  CHECK_MESSAGE(finished.exit_code == 0, finished.both());
  return finished.out;
}

}  // namespace

TEST_CASE("translate: a line of output for each of input, in order, blank ones blank, from a file, TEXT and input") {
  const testing::TemporaryFolder folder;
  write_text(folder.path() / "dates.txt", joined(kWritten));
  const std::string file = (folder.path() / "dates.txt").string();
  CHECK(translated({"--file", file}) == joined(kIso));
  CHECK(translated({joined(kWritten)}) == joined(kIso));
  CHECK(translated({"-"}, {.input = joined(kWritten)}) == joined(kIso));
  CHECK(translated({}, {.input = joined(kWritten)}) == joined(kIso));
  CHECK(translated({"--file", file, "--batch", "1", "--beam", "1"}) == joined(kIso));
  write_text(folder.path() / "dates.txt", "");
  CHECK(translated({"--file", file}).empty());
  CHECK(translated({"the 3rd of may, 2008\r\n"}) == "2008-05-03\n");
}

TEST_CASE("translate: scores of a line are the same bytes alone and in a file") {
  std::vector<std::string> lines;
  for (int day = 1; day <= 28; ++day) lines.push_back(std::to_string(day) + " february 19" + std::to_string(70 + day));
  const std::string together = translated({joined(lines), "--scores"});
  const std::vector<std::string> shown = lines_of(together);
  REQUIRE(shown.size() == lines.size());
  for (const std::size_t i : {0u, 13u, 27u}) CHECK(translated({lines[i], "--scores"}) == shown[i] + "\n");
}

TEST_CASE("translate: the best first, as lines and as JSON") {
  const std::vector<std::string> best =
      lines_of(translated({"may 3 2008\n4 june 1999", "--n-best", "2", "--beam", "3"}));
  REQUIRE(best.size() == 4);
  CHECK(best[0].starts_with("0 ||| 2008-05-03 ||| -0."));
  CHECK(best[1].starts_with("0 ||| "));
  CHECK(best[2].starts_with("1 ||| 1999-06-04 ||| -0."));
  const auto json = nlohmann::json::parse(translated({"may 3 2008", "--json", "--n-best", "2", "--beam", "3"}));
  CHECK(json.at("line") == 1);
  CHECK(json.at("source") == "may 3 2008");
  REQUIRE(json.at("translations").size() == 2);
  const auto& first = json.at("translations").at(0);
  CHECK(first.at("text") == "2008-05-03");
  CHECK(first.at("tokens").size() == 10);
  CHECK(first.at("ended") == true);
  CHECK(first.at("score").get<double>() > json.at("translations").at(1).at("score").get<double>());
}

TEST_CASE(
    "translate: samples of a line are the same bytes for a seed, alone and in a file, and in the order of scores") {
  const std::vector<std::string> how = {"--samples", "5", "--temperature", "1.5", "--top-k", "0", "--top-p", "1"};
  const auto sampled = [&](const std::string& text, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {text};
    arguments.insert(arguments.end(), how.begin(), how.end());
    arguments.insert(arguments.end(), more.begin(), more.end());
    return lines_of(translated(arguments));
  };
  const std::vector<std::string> together = sampled("may 3 2008\n\n4 june 1999\n1 jan 1900", {"--seed", "7"});
  REQUIRE(together.size() == 16);
  CHECK(together[5] == "1 |||  ||| 0.000000");
  const std::vector<std::string> alone = sampled("4 june 1999", {"--seed", "7"});
  REQUIRE(alone.size() == 5);
  double before = 0.0;
  for (std::size_t i = 0; i < 5; ++i) {
    CHECK(alone[i].substr(1) == together[6 + i].substr(1));
    const double score = std::stod(alone[i].substr(alone[i].rfind(' ')));
    CHECK(score <= before);
    before = score;
  }
  CHECK(sampled("4 june 1999", {"--seed", "8"}) != alone);
  CHECK(sampled("4 june 1999", {"--seed", "7", "--n-best", "1"}) ==
        std::vector<std::string>{alone[0].substr(alone[0].find("||| ") + 4, alone[0].rfind(" |||") - 6)});
  CHECK(translated({"4 june 1999", "--samples", "1", "--temperature", "0"}) == "1999-06-04\n");
  const auto json = nlohmann::json::parse(translated({"4 june 1999", "--samples", "2", "--seed", "9", "--json"}));
  CHECK(json.at("seed") == 9);
  CHECK(json.at("translations").size() == 2);
  check_error(translate({"x", "--temperature", "1"}), "--temperature says how translations are drawn; give --samples");
  check_error(translate({"x", "--samples", "0"}), "0 samples were asked for, expected 1 to 32");
  check_error(translate({"x", "--samples", "33"}), "33 samples were asked for, expected 1 to 32");
  check_error(translate({"x", "--samples", "2", "--beam", "2"}), "beams and samples were asked for; give one of them");
  check_error(translate({"x", "--samples", "2", "--early-stopping", "yes"}), "early stopping ends a search with beams");
  check_error(translate({"x", "--samples", "2", "--n-best", "3"}), "expected 1 to the number of samples, 2");
  check_error(translate({"x", "--samples", "2", "--top-p", "2"}), "top-p");
  check_error(translate({"x", "--samples", "2", "--repetition-penalty", "0.5"}), "expected 1 (none) or more");
}

TEST_CASE("translate: token ids in and out, a prefix, a greatest and a least length") {
  // "2008" and the end, in the ids of source.json; digits of target.json begin at 4.
  const std::string ids = "33,31,31,39,2";
  const auto json = nlohmann::json::parse(translated({"--tokens", ids, "--json"}));
  CHECK(json.at("source_tokens") == nlohmann::json::parse("[" + ids + "]"));
  CHECK(translated({"--tokens", ids, "--max-length", "4"}) == "6,4,4,12\n");
  CHECK(translated({"may 3 2008", "--prefix", "1999"}).starts_with("1999-05-03"));
  CHECK(translated({"may 3 2008", "--max-length", "4"}) == "2008\n");
  CHECK(translated({"may 3 2008", "--min-length", "12"}).size() > 11);
}

TEST_CASE("translate: what it looked at, and the text is the same bytes with and without") {
  const testing::TemporaryFolder folder;
  const std::string line = "saturday the 3rd of may, 2008";
  const std::string plain = translated({line, "--scores"});
  const std::string pairs = (folder.path() / "pairs.txt").string();
  for (const char* name : {"look.png", "look.html", "look.npz"}) {
    const std::string out = (folder.path() / name).string();
    CHECK(translated({line, "--scores", "--attention", out, "--alignments", pairs, "--align-tokens"}) == plain);
    CHECK(fs::file_size(out) > 500);
  }
  // The year's digits look at the year, characters 25 to 28, the month's at "may", 20 to 22 and the comma.
  const std::string text = read_text(pairs);
  CHECK(lines_of(text).size() == 1);
  CHECK(text.find("28-3") != std::string::npos);
  CHECK((text.find("20-6") != std::string::npos || text.find("21-6") != std::string::npos));
  CHECK(translated({"may 3 2008\n\n4 may 2009", "--alignments", pairs}) == "2008-05-03\n\n2009-05-04\n");
  CHECK(lines_of(read_text(pairs)).size() == 3);
}

TEST_CASE("translate: Ctrl-C names the file that is not written then") {
  const testing::TemporaryFolder folder;
  std::string lines;
  for (int i = 0; i < 20000; ++i) lines += "saturday the 3rd of may, 2008\n";
  write_text(folder.path() / "lines.txt", lines);
  const std::string pairs = (folder.path() / "pairs.txt").string();
  RunOptions options;
  options.on_output = [](int process) { ::kill(process, SIGINT); };
  const Finished stopped =
      translate({"--file", (folder.path() / "lines.txt").string(), "--alignments", pairs}, options);
  CHECK_MESSAGE(stopped.exit_code == 130, stopped.both());
  CHECK(has(stopped.error, pairs + ": not written, since the run was stopped before\n"));
  CHECK_FALSE(fs::exists(pairs));
}

TEST_CASE(
    "translate: a list that names no begin and end has those of config.json, and one of another length is refused") {
  const testing::TemporaryFolder folder;
  const fs::path dates = fs::path(HEED_SOURCE_DIR) / "models" / "dates";
  for (const char* name : {"config.json", "model.safetensors"}) fs::copy_file(dates / name, folder.path() / name);
  for (const char* name : {"source.json", "target.json"}) {
    nlohmann::json list = nlohmann::json::parse(read_text(dates / name));
    for (const char* key : {"begin", "end", "pad"}) list.erase(key);
    write_text(folder.path() / name, list.dump());
  }
  const std::string model = (folder.path() / "model.heed").string();
  CHECK(run_heed({"convert", folder.path().string(), "-o", model}).exit_code == 0);
  const std::vector<std::string> line = {"may 3 2008", "--scores"};
  CHECK(run_heed({"translate", model, line[0], line[1]}).out == translated(line));

  nlohmann::json shorter = nlohmann::json::parse(read_text(dates / "target.json"));
  shorter["tokens"].erase(shorter["tokens"].size() - 1);
  write_text(folder.path() / "target.json", shorter.dump());
  check_error(run_heed({"convert", folder.path().string(), "-o", model}),
              "has 14 tokens, but the model has 15; it is the vocabulary of another model");
}

TEST_CASE("translate: one line out, whatever the text") {
  const testing::TemporaryFolder folder;
  const fs::path dates = fs::path(HEED_SOURCE_DIR) / "models" / "dates";
  for (const char* name : {"config.json", "model.safetensors", "source.json"}) {
    fs::copy_file(dates / name, folder.path() / name);
  }
  nlohmann::json list = nlohmann::json::parse(read_text(dates / "target.json"));
  list["tokens"][14] = "\n";  // in place of "-"
  write_text(folder.path() / "target.json", list.dump());
  const std::string model = (folder.path() / "model.heed").string();
  CHECK(run_heed({"convert", folder.path().string(), "-o", model}).exit_code == 0);
  CHECK(run_heed({"translate", model, "may 3 2008\n4 may 2009"}).out == "2008 05 03\n2009 05 04\n");
  const Finished json = run_heed({"translate", model, "may 3 2008", "--json"});
  CHECK(nlohmann::json::parse(json.out).at("translations").at(0).at("text") == "2008\n05\n03");
}

TEST_CASE("translate: bad input is one clear line, and nothing is translated") {
  const auto refused = [](const std::vector<std::string>& more, const std::string& message) {
    check_error(translate(more), message);
  };
  refused({"x", "--beam", "0"}, "0 beams were asked for, expected 1 to 32");
  refused({"x", "--beam", "33"}, "33 beams were asked for, expected 1 to 32");
  refused({"x", "--beam", "2", "--n-best", "3"}, "the 3 best were asked for, expected 1 to the number of beams, 2");
  refused({"ok\n" + std::string(100, 'a')}, "line 2: has 101 tokens, the model reads at most 64; split it");
  refused({"x", "--to", "de"}, "language 'de': the model has no tokens that name languages");
  refused({"x", "--from", "de"}, "language 'de': the model has no tokens");
  refused({"x", "--max-length", "99"}, "translations of at most 99 tokens were asked for; the model makes 1 to");
  refused({"--tokens", "1,99"}, "token 2 is 99; the vocabulary has ids 0 to 45");
  refused({"--tokens", "1,x"}, "x");
  refused({"x", "--tokens", "1"}, "exclude each other");
  refused({"x", "--prefix", "12345678901234567"}, "the prefix has 17 tokens, but the translation may have only");
  refused({"x", "--file", "/nonexistent"}, "exclude each other");
  refused({"--file", "/nonexistent"}, "/nonexistent");
  refused({"x", "--attention", "look.gif"}, "look.gif");
  const testing::TemporaryFolder folder;
  const std::string out = folder.path("look.png").string();
  refused({"x", "--attention", out, "--layer", "9"},
          "layer 9 was asked for; attention over the source has layers 0 to 0");
  refused({"x", "--attention", out, "--layer", "-1"}, "'-1' is not an integer");
  refused({"x", "--attention", out, "--alignments", out}, "--attention and --alignments would both be written to");
  refused({"x", "--attention", out, "--head", "99"}, "head 99 was asked for; '");
  refused({"a\nb", "--attention", "look.png"}, "--attention shows one line; there are 2");
  refused({"\xff\xfe"}, "line 1: ");
  refused({"x", "--length-penalty", "nan"}, "length penalty");
}

}  // namespace heed::end_to_end
