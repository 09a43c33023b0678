// heed conform: what it writes, and what it leaves alone.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "plan/device_caps.h"
#include "tests/browser.h"
#include "tests/end_to_end/process.h"
#include "tests/temporary_folder.h"
#include "tools/conform_report.h"

namespace heed::end_to_end {
namespace {

std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A report of a driver with many faults, and with names that are no HTML.
tools::ConformReport bad_report(int failures) {
  tools::ConformReport report;
  report.device.name = "Test <device> & \"co\" with a name as long as some are (LLVM 15.0.6, 256 bits)";
  report.device.driver =
      "test driver 1.2.3-a-very-long-version-without-any-space-in-it-0123456789abcdef0123456789abcdef";
  report.device.uuid = "00000000-1111-2222-3333-444444444444";
  report.device.api_version = "1.3.230";
  report.caps.name = report.device.name;
  report.probes = {{"submissions", "", "run", true},
                   {"subgroup size", "32", "shaders see 64, 1 to a workgroup of 64", false},
                   {"largest storage binding", "4095 MiB", "128 MiB", false}};
  op_cases::ConformRow sound;
  sound.op = "linear";
  sound.variant = "storage";
  sound.cases = 100 + failures;
  sound.pipelines = {"linear_rows-storage-q8_0-1-1,64,4"};
  op_cases::ConformRow wrong;
  wrong.op = "linear";
  wrong.variant = "4 rows a lane, texel, same by storage";
  wrong.cases = wrong.failures = failures;
  wrong.worst_error = 123456.789;
  for (int i = 0; i < failures; ++i) {
    wrong.failed.push_back({op_cases::case_id("linear", std::to_string(i), wrong.variant),
                            "q8_0 3x64 -> " + std::to_string(i) + ", bias & <gelu>",
                            "'y' element [2, 31] of [3, 96]: expected 0.123456789, got -1.23456789e+10, off by "
                            "1.23e+10 of the bound 1.5e-06; 96 of 288 elements are wrong",
                            {"linear_own-texel-q8_0-1-1-same,64,4"},
                            {"pairs, texel"}});
  }
  op_cases::ConformRow other = sound;
  other.op = "elementwise";
  other.pipelines = {"elementwise-storage,64"};
  report.rows = {sound, wrong, other};
  report.verdict = op_cases::verdict_of(report.rows);
  return report;
}

/// What a browser says of a page in a frame of this width: its own width and that of its content, its title, and what
/// of it is cut off.
nlohmann::json measured(const std::string& browser, const testing::TemporaryFolder& folder, const std::string& page,
                        int width) {
  return testing::ask_page(browser, folder, page, width, R"(
  const cut = [...page.querySelectorAll("body *")].filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0);
  const lines = e => { const r = page.createRange(); r.selectNodeContents(e); return r.getClientRects().length; };
  const broken = [...page.querySelectorAll("th, td:first-child, td.n")].filter(e => !/\s/.test(e.innerText) && lines(e) > 1);
  return {inner: frame.contentWindow.innerWidth,
    content: page.documentElement.scrollWidth, title: page.title, cut: cut.map(e => e.outerHTML.slice(0, 80)),
    broken: broken.map(e => e.innerText),
    text: page.body.innerText.length};)");
}

}  // namespace

TEST_CASE("conform: reports hold the driver's identity, every limit and the verdict") {
  const testing::TemporaryFolder folder;
  const std::string json_name = folder.path("out.json").string();
  const std::string html_name = folder.path("out.html").string();
  const Finished finished =
      run_heed({"conform", "--op", "triangle", "--repeats", "2", "--report", json_name, "--report", html_name});
  REQUIRE_MESSAGE(finished.exit_code == 0, finished.both());
  CHECK(folder.names() == std::vector<std::string>{"out.html", "out.json"});
  const nlohmann::json device = nlohmann::json::parse(run_heed({"devices", "--json"}).out).at(0);
  const nlohmann::json json = nlohmann::json::parse(content_of(json_name));
  const std::string html = content_of(html_name);
  CHECK(json.at("device") == device.at("name"));
  for (const char* key : {"driver", "uuid", "type", "api_version"}) {
    CAPTURE(std::string(key));
    CHECK(json.at(key) == device.at(key));
    CHECK(has(html, device.at(key).get<std::string>()));
  }
  CHECK(device.at("limits").size() > 15);
  for (const auto& [name, value] : device.at("limits").items()) {
    const std::string limit = name;
    CAPTURE(limit);
    CHECK(json.at("limits").contains(name));
    CHECK(has(html, "<td>" + name + "</td>"));
  }
  const std::string verdict = json.at("verdict");
  CHECK(verdict.starts_with("conforms: "));
  CHECK(has(verdict, "only cases with 'triangle' in their name"));
  CHECK(lines_of(finished.out).back() == verdict);
  CHECK(has(html, "conforms: " + std::to_string(json.at("passed").get<int>()) + " of "));
}

TEST_CASE("conform: reports hold each failure, and what the verdict rests on") {
  const tools::ConformReport report = bad_report(40);
  const nlohmann::json json = tools::conform_json(report);
  const std::string html = tools::conform_html(report);
  CHECK(json.at("conforms") == false);
  CHECK(json.at("plain_variant") == "storage");
  CHECK(json.at("kernels_off") == nlohmann::json{"linear_own-texel-q8_0-1-1-same"});
  CHECK(json.at("rows")[1].at("failed").size() == 40);
  for (const op_cases::ConformFailure& failure : report.rows[1].failed) {
    CHECK(has(html, "heed conform --case " + failure.id));
  }
  // First what it comes to, then what failed, then the rest.
  CHECK(html.find("conforms with 2 variants off") < html.find("What failed"));
  CHECK(html.find("What failed") < html.find("Ops</h2>"));
  CHECK(has(html, "none of 280 with the plainest kernels (storage)"));
  CHECK(has(html, "bias &amp; &lt;gelu&gt;"));
  CHECK(!has(html, "<gelu>"));
  CHECK(has(html, "<details><summary>linear: 40 of 180 cases fail</summary>"));  // folded away, as there are many
  CHECK(has(tools::conform_html(bad_report(2)), "<details open>"));
  CHECK(has(html, "does not do what its driver reports (subgroup size, largest storage binding)"));
  CHECK(!has(html, "Results are right"));
  tools::ConformReport without = report;
  without.probes.clear();
  CHECK(has(tools::conform_html(without), "linear_own-texel-q8_0-1-1-same are off. Results are right"));
  without.turns_off = false;
  CHECK(has(tools::conform_html(without), "nothing was turned off"));
  CHECK(tools::conform_json(without).at("kernels_off").empty());
  // Nothing of it is elsewhere.
  for (const char* part : {"http:", "https:", "src=", "url(", "@import", "<script"}) {
    CAPTURE(std::string(part));
    CHECK(!has(html, part));
  }
}

TEST_CASE("conform: probes that find something else than reported do not pass for conforming") {
  tools::ConformReport report = bad_report(0);
  CHECK(tools::conform_json(report).at("verdict").get<std::string>().starts_with(
      "DOES NOT CONFORM: the device does not do what its driver reports (subgroup size, largest storage binding)"));
  report.probes.clear();
  CHECK(tools::conform_json(report).at("verdict").get<std::string>().starts_with("conforms: "));
}

TEST_CASE("conform: a report that cannot be written is one line and exit code 1, and the old one stays") {
  const testing::TemporaryFolder folder;
  for (const char* name : {"old.json", "old.html"}) {
    CAPTURE(std::string(name));
    const std::string path = folder.path(name).string();
    std::ofstream(path) << "what was there";
    RunOptions options;
    options.file_size_limit = 1000;  // a limit stands in for a full disk: writing fails half way in the same manner
    const Finished full = run_heed({"conform", "--op", "triangle", "--report", path}, options);
    CHECK(full.exit_code == 1);
    CHECK_MESSAGE(has(full.error, "heed: cannot write '" + path + "': "), full.error);
    CHECK(has(full.out, "\nconforms: "));  // the result is not lost with it
    CHECK(content_of(path) == "what was there");
  }
  CHECK(folder.names() == std::vector<std::string>{"old.html", "old.json"});
  // Before anything runs.
  check_error(run_heed({"conform", "--op", "triangle", "--report", folder.path("no/out.json").string()}),
              "no/out.json");
  check_error(run_heed({"conform", "--op", "triangle", "--report", folder.path("out.txt").string()}),
              "ends in neither .json nor .html");
  if (std::filesystem::is_character_file("/dev/full")) {
    std::filesystem::create_symlink("/dev/full", folder.path("full.json"));
    check_error(run_heed({"conform", "--op", "triangle", "--report", folder.path("full.json").string()}), "full.json");
  } else {
    MESSAGE("SKIPPED: no /dev/full here");
  }
}

TEST_CASE("conform: what is interrupted leaves no report, and the old one as it was") {
  const testing::TemporaryFolder folder;
  std::ofstream(folder.path("old.html")) << "what was there";
  const char* other = std::getenv("HEED_PROGRAM");
  const std::string program = other == nullptr ? HEED_BUILT_PROGRAM : other;
  const std::string fresh = folder.path("new.json").string();
  const std::string old = folder.path("old.html").string();
  const pid_t child = ::fork();
  if (child == 0) {
    const int nowhere = ::open("/dev/null", O_WRONLY);
    ::dup2(nowhere, 1);
    ::dup2(nowhere, 2);
    ::execl(program.c_str(), program.c_str(), "conform", "--op", "linear", "--repeats", "1000", "--report",
            fresh.c_str(), "--report", old.c_str(), nullptr);
    ::_exit(127);
  }
  REQUIRE(child > 0);
  std::this_thread::sleep_for(std::chrono::seconds(2));
  ::kill(child, SIGINT);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  CHECK(content_of(old) == "what was there");
  CHECK(folder.names() == std::vector<std::string>{"old.html"});
}

TEST_CASE("conform: lists what can be chosen, all of which it takes") {
  const Finished listed = run_heed({"conform", "--list"});
  REQUIRE(listed.exit_code == 0);
  CHECK(listed.out.starts_with("--op\n"));
  const std::size_t variants = listed.out.find("--variant\n");
  REQUIRE(variants != std::string::npos);
  for (const char* name : {"\n  linear\n", "\n  attention\n", "\n  where\n"}) {
    CHECK(listed.out.substr(0, variants).find(name) != std::string::npos);
  }
  for (const char* name : {"storage", "3 workgroups", "as tuned"}) {
    CHECK(listed.out.find(std::string("\n  ") + name + "\n", variants) != std::string::npos);
    CHECK(run_heed({"conform", "--op", "where", "--quick", "--compile-only", "--variant", name}).exit_code == 0);
  }
  const Finished wrong = run_heed({"conform", "--op", "where", "--compile-only", "--variant", "storge"});
  CHECK(wrong.exit_code == 1);
  CHECK(wrong.error.find("no case runs in variant 'storge'; there are storage; ") != std::string::npos);
}

TEST_CASE("conform: the page fits a phone and a large screen, and needs nothing else") {
  const std::string browser = testing::find_chromium();
  if (browser.empty()) {
    MESSAGE("SKIPPED: no Chromium here to open the report with");
    return;
  }
  const testing::TemporaryFolder folder;
  for (const int failures : {0, 3, 40}) {
    const std::string page = tools::conform_html(bad_report(failures));
    for (const int width : {390, 1280}) {
      const nlohmann::json said = measured(browser, folder, page, width);
      INFO(failures, " failures, ", width, " pixels: ", said.dump());
      CHECK(said.at("inner") == width);
      CHECK(said.at("content").get<int>() <= width);
      CHECK(said.at("cut").empty());
      CHECK(said.at("broken").empty());  // words of names and numbers
      CHECK(said.at("title").get<std::string>().starts_with("heed conform: Test <device> & \"co\""));
      CHECK(said.at("text").get<int>() > 1000);
    }
  }
  // The measure itself: a page that is too wide is found.
  const nlohmann::json wide = measured(browser, folder, "<p style='width:2000px'>wide</p>", 390);
  CHECK(wide.at("content").get<int>() > 390);
}

}  // namespace heed::end_to_end
