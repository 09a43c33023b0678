// The command line itself: verbs, help, errors.
#include <doctest/doctest.h>
#include <stdlib.h>

#include <nlohmann/json.hpp>

#include "tests/end_to_end/models.h"
#include "tests/end_to_end/process.h"

namespace heed::end_to_end {
namespace {

constexpr const char* kVerbs[] = {"devices", "convert", "inspect", "generate", "chat",
                                  "sound",   "run",     "conform", "bench"};

}  // namespace

TEST_CASE("--version is the version of the build") {
  const Finished finished = run_heed({"--version"});
  CHECK(finished.exit_code == 0);
  CHECK(finished.out == "heed " HEED_VERSION "\n");
  CHECK(finished.error.empty());
}

TEST_CASE("help goes to standard output, names every verb, and shows an example of each") {
  const Finished all = run_heed({"--help"});
  CHECK(all.exit_code == 0);
  for (const char* verb : kVerbs) {
    CAPTURE(std::string(verb));
    CHECK(all.out.find(verb) != std::string::npos);
    const Finished one = run_heed({verb, "--help"});
    CHECK(one.exit_code == 0);
    CHECK(one.error.empty());
    CHECK(one.out.find("Example") != std::string::npos);
    CHECK(one.out.find(std::string("  heed ") + verb) != std::string::npos);
  }
}

TEST_CASE("wrong usage is one line that says what and where to look") {
  check_error(run_heed({}), "no verb given");
  check_error(run_heed({"translte"}), "no verb 'translte'");
  check_error(run_heed({"--loud"}), "--loud");
  check_error(run_heed({"generate"}), "MODEL is required; see 'heed generate --help'");
  check_error(run_heed({"generate", "m.heed", "x", "--tmperature", "1"}), "--tmperature");
  check_error(run_heed({"generate", "m.heed", "x", "-n", "many"}), "many");
  check_error(run_heed({"generate", "m.heed", "x", "-n", "0"}),
              "--max-tokens: '0' is not an integer of 1 or more; see 'heed generate --help'");
  check_error(run_heed({"generate", "m.heed", "x", "--seed", "-1"}), "--seed: '-1' is not an integer of 0 or more");
  check_error(run_heed({"convert", "in", "-o", "out", "--type", "q5_k"}), "q5_k");
  check_error(run_heed({"convert", "in"}), "--output is required");
  check_error(run_heed({"conform", "--repeats", "0"}),
              "'0' is not an integer from 1 to 1000000; see 'heed conform --help'");
  check_error(run_heed({"bench", "m.heed", "-p", "0"}), "-p: '0' is not an integer from 1 to 2147483647");
  check_error(run_heed({"bench", "m.heed", "-n", "3.5"}), "'3.5' is not an integer");
  check_error(run_heed({"generate", "m.heed", "x", "--context", ""}), "--context: '' is not an integer");
  // Nothing that does not fit becomes something that does.
  const std::string huge = "99999999999999999999999";
  for (const char* option : {"--seed", "--count", "-n", "--context", "--top-k", "--penalty-window"}) {
    CAPTURE(std::string(option));
    check_error(run_heed({"generate", "m.heed", "x", option, huge}), huge);
  }
  check_error(run_heed({"generate", "m.heed", "x", "--seed", "18446744073709551616"}),
              "too large, expected at most 18446744073709551615");
  check_error(run_heed({"bench", "m.heed", "-r", huge}), "too large, expected at most 1000000");
  check_error(run_heed({"devices", "extra"}), "extra");
}

TEST_CASE("sampling options that make no sense are named") {
  const std::string model = models().llama();
  check_error(run_heed({"generate", model, "x", "--temperature", "-1"}), "temperature is -1");
  check_error(run_heed({"generate", model, "x", "--temperature", "nan"}), "temperature");
  check_error(run_heed({"generate", model, "x", "--top-p", "1.5"}), "top-p is 1.5");
  check_error(run_heed({"generate", model, "x", "--top-k", "-3"}), "top-k is -3");
  check_error(run_heed({"generate", model, "x", "--min-p", "2"}), "min-p");
  check_error(run_heed({"generate", model, "x", "--repetition-penalty", "0"}), "repetition penalty");
  check_error(run_heed({"generate", model, "x", "--penalty-window", "-1"}), "penalty window");
  check_error(run_heed({"generate", model, "x", "--stop", ""}), "--stop");
  check_error(run_heed({"generate", model, "x", "--stop", "\\q"}), "backslash");
}

TEST_CASE("devices lists what there is, for people and for scripts") {
  const Finished text = run_heed({"devices"});
  CHECK(text.exit_code == 0);
  CHECK(text.out.starts_with("0: "));
  const Finished json = run_heed({"devices", "--json"});
  CHECK(json.exit_code == 0);
  const nlohmann::json list = nlohmann::json::parse(json.out);
  REQUIRE(!list.empty());
  std::size_t index = 0;
  for (const nlohmann::json& device : list) {
    CHECK(device.at("index") == index++);
    CHECK(text.out.find(device.at("name").get<std::string>()) != std::string::npos);
    CHECK(text.out.find(device.at("uuid").get<std::string>()) != std::string::npos);
  }
}

TEST_CASE("a device is chosen by index, name and UUID; one that is not there is refused") {
  const std::string model = models().llama();
  const nlohmann::json device = nlohmann::json::parse(run_heed({"devices", "--json"}).out).at(0);
  const auto generate_on = [&](const std::string& which) {
    return run_heed({"generate", model, "Alice", "-n", "4", "--temperature", "0", "--device", which});
  };
  const Finished first = generate_on("0");
  CHECK_MESSAGE(first.exit_code == 0, first.both());
  CHECK(generate_on(device.at("uuid")).out == first.out);
  CHECK(generate_on(device.at("name")).out == first.out);
  check_error(generate_on("99"), "no device 99; there ");
  check_error(generate_on("99"), " 0: " + device.at("name").get<std::string>());
  check_error(generate_on("GeForce 9999"), "no device 'GeForce 9999'");
  check_error(generate_on("-1"), "-1");
  check_error(generate_on("99999999999999999999"), "no device");
  check_error(run_heed({"bench", model, "--device", "99"}), "no device 99");
  check_error(run_heed({"conform", "--op", "softmax", "--device", "99"}), "no device 99");
}

TEST_CASE("a CPU driver is announced") {
  const nlohmann::json device = nlohmann::json::parse(run_heed({"devices", "--json"}).out).at(0);
  const Finished finished = run_heed({"generate", models().llama(), "Alice", "-n", "1"});
  CHECK((finished.error.find("is a CPU driver") != std::string::npos) == (device.at("type") == "CPU"));
}

TEST_CASE("a cache folder is made, with a line for what takes so long; one that cannot be used is a line, too") {
  const convert_test::TempFolder folder;
  const std::string file = folder.write("file", "x").string();
  const char* before = std::getenv("HEED_CACHE_DIR");
  const std::string kept = before == nullptr ? "" : before;
  ::setenv("HEED_CACHE_DIR", file.c_str(), 1);
  const Finished refused = run_heed({"generate", models().llama(), "Alice", "-n", "1"});
  ::setenv("HEED_CACHE_DIR", (folder.path() / "new" / "folder").c_str(), 1);
  const Finished made = run_heed({"generate", models().llama(), "Alice", "-n", "1"});
  const Finished later = run_heed({"generate", models().llama(), "Alice", "-n", "1"});
  if (before == nullptr) {
    ::unsetenv("HEED_CACHE_DIR");
  } else {
    ::setenv("HEED_CACHE_DIR", kept.c_str(), 1);
  }
  CHECK(refused.exit_code == 0);
  CHECK(refused.error.find("HEED_CACHE_DIR cannot be written (" + file + ": Not a directory)") != std::string::npos);
  CHECK(made.exit_code == 0);
  CHECK(made.error.find("HEED_CACHE_DIR") == std::string::npos);
  CHECK(has(made.error, "measuring which kernels are fastest on "));
  CHECK(later.exit_code == 0);
  CHECK_FALSE(has(later.error, "measuring"));
}

}  // namespace heed::end_to_end
