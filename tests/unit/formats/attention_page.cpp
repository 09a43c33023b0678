// The page of attention, in a browser where there is one.
#include <doctest/doctest.h>

#include <fstream>
#include <iterator>

#include "formats/attention_file.h"
#include "tests/browser.h"
#include "tests/unit/formats/sample_attention.h"

namespace heed {
namespace {

using testing::TemporaryFolder;

/// Tokens that would do something, if they were more than text.
constexpr const char* kHostile = "</script><script>top.pwned=1</script><img/src=x/onerror='top.pwned=1'>\"'&amp;<!--";

Attention hostile_attention() {
  Attention attention = testing::sample_attention();
  attention.source[0] = kHostile;
  attention.target[1] = kHostile;
  attention.nodes[1].node = kHostile;
  attention.begin = kHostile;
  attention.nodes.push_back({"own", 1, 6, 6, std::vector<float>(36, 0.25f), AttentionKind::Target});
  attention.nodes.back().weights[0] = 0.12345f;
  return attention;
}

std::string page_of(const Attention& attention, const TemporaryFolder& folder, const AttentionChoice& choice = {}) {
  const std::filesystem::path out = folder.path("page.html");
  write_attention(out, attention, choice);
  std::ifstream file(out, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool page_has(const std::string& page, const std::string& part) { return page.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("attention page: needs nothing else, and texts are no part of it") {
  const TemporaryFolder folder;
  const std::string page = page_of(hostile_attention(), folder);
  for (const char* part : {"http:", "https:", "url(", "@import", "<img", "<!--", "innerHTML", "@DATA@"}) {
    CAPTURE(std::string(part));
    CHECK(!page_has(page, part));
  }
  CHECK(page_has(page, "\\u003c/script>"));
  std::size_t scripts = 0;
  for (std::size_t at = 0; (at = page.find("</script", at)) != std::string::npos; ++at) ++scripts;
  CHECK(scripts == 2);  // the data and the program
  CHECK(page_has(page, R"("heads":1,"weights":[1235,2500,)"));
}

TEST_CASE("attention page: layers and heads can be chosen, and read by pointer and keys") {
  const std::string browser = testing::find_chromium();
  if (browser.empty()) {
    MESSAGE("SKIPPED: no Chromium here to open the page with");
    return;
  }
  const TemporaryFolder folder;
  const nlohmann::json said = testing::ask_page(browser, folder, page_of(hostile_attention(), folder), 1280, R"(
  const id = name => page.getElementById(name);
  const choose = (list, value) => { list.value = value; list.dispatchEvent(new Event("change")); };
  const cells = () => [...page.querySelectorAll("td.cell")];
  const heads = kind => [...page.querySelectorAll("th." + kind)].map(e => e.textContent);
  const state = () => ({value: cells()[0].getAttribute("aria-label"), largest: id("largest").textContent,
                        share: cells()[1].style.getPropertyValue("--w"), heads: id("head").options.length});
  const key = name => page.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: name, bubbles: true, cancelable: true}));
  const said = {layers: [...id("layer").options].map(o => o.text), rows: heads("row"), columns: heads("column"),
                count: cells().length, average: state(), stops: cells().filter(e => e.tabIndex === 0).length};
  choose(id("layer"), 1);
  said.layer = state();
  choose(id("head"), 1);
  said.head = state();
  choose(id("layer"), 2);
  said.kept = state();
  said.chosen = id("head").value;
  cells()[8].dispatchEvent(new MouseEvent("mouseover", {bubbles: true}));
  said.pointed = id("value").textContent;
  cells()[7].click();
  said.clicked = id("value").textContent;
  said.focused = page.activeElement.dataset.at;
  said.path = [];
  for (const name of ["ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp", "Home", "ArrowLeft", "ArrowUp", "ArrowUp", "End", "ArrowRight"]) {
    key(name);
    said.path.push(Number(page.activeElement.dataset.at));
  }
  said.seen = [...page.querySelectorAll("th.seen")].map(e => e.textContent);
  said.onestop = cells().filter(e => e.tabIndex === 0).length;
  choose(id("layer"), 3);
  said.own = state();
  said.read = heads("column");
  said.pwned = Boolean(window.pwned || frame.contentWindow.pwned);
  said.scripts = page.scripts.length;
  said.title = page.title;
  return said;)");
  INFO(said.dump(1));
  const std::vector<std::string> tokens = {kHostile, "\u2581ho", "use", "\u2581is", "\u2581small", "<2>"};
  CHECK(said.at("columns") == tokens);
  CHECK(said.at("rows") == std::vector<std::string>{"\u2581Das", kHostile, "us", "\u2581ist", "\u2581klein", "<2>"});
  CHECK(said.at("layers") ==
        std::vector<std::string>{"average of 2 layers, all heads", "layer0.cross_attention", kHostile, "own"});
  CHECK(said.at("count") == 36);
  CHECK(said.at("average") ==
        nlohmann::json{{"value", "0.7000"}, {"largest", "0.7000"}, {"share", "0.086"}, {"heads", 1}});
  CHECK(said.at("layer") ==
        nlohmann::json{{"value", "0.7000"}, {"largest", "0.7000"}, {"share", "0.086"}, {"heads", 3}});
  CHECK(said.at("head") ==
        nlohmann::json{{"value", "0.5000"}, {"largest", "0.5000"}, {"share", "0.200"}, {"heads", 3}});
  CHECK(said.at("kept") == said.at("head"));
  CHECK(said.at("chosen") == "1");
  CHECK(said.at("pointed") == "\u201C" + std::string(kHostile) + "\u201D (1) looked at \u201Cuse\u201D (2): 0.1000");
  CHECK(said.at("clicked") ==
        "\u201C" + std::string(kHostile) + "\u201D (1) looked at \u201C\u2581ho\u201D (1): 0.5000");
  CHECK(said.at("focused") == "7");
  CHECK(said.at("path") == std::vector<int>{8, 14, 13, 7, 6, 6, 0, 0, 5, 5});
  CHECK(said.at("seen") == std::vector<std::string>{"<2>", "\u2581Das"});
  CHECK(said.at("stops") == 1);
  CHECK(said.at("onestop") == 1);
  CHECK(said.at("own").at("value") == "0.1235");
  CHECK(said.at("read")[0] == kHostile);
  CHECK(said.at("read")[1] == "\u2581Das");
  CHECK(said.at("pwned") == false);
  CHECK(said.at("scripts") == 2);
  CHECK(said.at("title") == "heed: what attention looked at");
}

TEST_CASE("attention page: of a text that has no source") {
  const std::string browser = testing::find_chromium();
  if (browser.empty()) {
    MESSAGE("SKIPPED: no Chromium here to open the page with");
    return;
  }
  Attention attention;
  attention.begin = "<1>";
  attention.target = {"\u2581upon", "\u2581a", "\u2581time"};
  attention.nodes = {{"layer0.attention", 1, 3, 3, {1, 0, 0, 0.5f, 0.5f, 0, 0.2f, 0.2f, 0.6f}, AttentionKind::Target}};
  const TemporaryFolder folder;
  const nlohmann::json said = testing::ask_page(browser, folder, page_of(attention, folder), 1280, R"(
  const heads = kind => [...page.querySelectorAll("th." + kind)].map(e => e.textContent);
  return {rows: heads("row"), columns: heads("column"), cells: page.querySelectorAll("td.cell").length};)");
  INFO(said.dump(1));
  CHECK(said.at("rows") == attention.target);
  CHECK(said.at("columns") == std::vector<std::string>{"<1>", "\u2581upon", "\u2581a"});
  CHECK(said.at("cells") == 9);
}

TEST_CASE("attention page: fits a phone and a large screen, light and dark") {
  const std::string browser = testing::find_chromium();
  if (browser.empty()) {
    MESSAGE("SKIPPED: no Chromium here to open the page with");
    return;
  }
  const TemporaryFolder folder;
  Attention attention = testing::even_attention(60, 80);
  attention.target[3] = kHostile;
  attention.source[5] = std::string(2000, 'x');
  attention.nodes[0].node = std::string(300, 'n');
  const std::string page = page_of(attention, folder);
  for (const int width : {390, 1280}) {
    for (const bool dark : {false, true}) {
      const nlohmann::json said = testing::ask_page(
          browser, folder, page, width, R"(
  const view = frame.contentWindow, cell = page.querySelector("td.cell"), box = cell.getBoundingClientRect();
  const table = page.querySelector(".frame"), corner = page.querySelector("td.corner").getBoundingClientRect();
  const colour = name => view.getComputedStyle(page.body)[name];
  table.scrollLeft = 500;
  const label = page.querySelector("th.row").getBoundingClientRect();
  const small = [...page.querySelectorAll("select")].filter(e => e.getBoundingClientRect().height < 24);
  const outside = [...page.querySelectorAll("body > *, select")].filter(e => e.getBoundingClientRect().right > view.innerWidth);
  return {inner: view.innerWidth, content: page.documentElement.scrollWidth, cell: [box.width, box.height],
    corner: [corner.width, corner.height], label: label.left - table.getBoundingClientRect().left, scrolled: table.scrollLeft,
    paper: colour("backgroundColor"), text: colour("color"), small: small.length, outside: outside.map(e => e.outerHTML.slice(0, 60)),
    ink: view.getComputedStyle(cell).backgroundColor};)",
          dark ? "--blink-settings=preferredColorScheme=0" : "--blink-settings=preferredColorScheme=1");
      INFO(width, dark ? " pixels, dark: " : " pixels, light: ", said.dump());
      CHECK(said.at("inner") == width);
      CHECK(said.at("content").get<int>() <= width);
      CHECK(said.at("outside").empty());
      CHECK(said.at("small") == 0);
      CHECK(said.at("cell")[0].get<double>() >= 24);
      CHECK(said.at("cell")[1].get<double>() >= 24);
      CHECK(said.at("corner")[0].get<double>() < width / 2.5);  // cells are seen
      CHECK(said.at("corner")[1].get<double>() < 300);
      CHECK(said.at("scrolled").get<double>() > 400);
      CHECK(std::abs(said.at("label").get<double>()) < 5);  // labels stay where the map is scrolled
      CHECK(said.at("paper") == (dark ? "rgb(17, 17, 17)" : "rgb(255, 255, 255)"));
      CHECK(said.at("text") == (dark ? "rgb(238, 238, 238)" : "rgb(17, 17, 17)"));
      CHECK(said.at("ink") == (dark ? "rgb(150, 205, 255)" : "rgb(8, 48, 107)"));
    }
  }
}

}  // namespace heed
