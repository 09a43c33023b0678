// The page of heed serve, in a browser where there is one.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "tests/browser.h"
#include "tests/browser_session.h"
#include "tests/end_to_end/process.h"
#include "tests/end_to_end/serving.h"
#include "tests/temporary_folder.h"
#include "tests/unit/convert/sample_files.h"

namespace heed::end_to_end {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::BrowserSession;

/// Empty, and a line that says so, where there is none.
std::string browser_or_skip() {
  const std::string browser = testing::find_chromium();
  if (browser.empty()) MESSAGE("SKIPPED: no Chromium here to open the page of heed serve with");
  return browser;
}

/// models/shakespeare, which writes letters, with a template for chats; and tests/golden/hf/llama, without.
class PageModels {
 public:
  PageModels() {
    const fs::path copy = folder_.path("romeo");
    fs::copy(fs::path(HEED_SOURCE_DIR) / "models" / "shakespeare", copy);
    const char* const kTemplate =
        "{% for m in messages %}{{ m.role | upper }}:\n{{ m.content }}\n\n{% endfor %}"
        "{% if add_generation_prompt %}ROMEO:\n{% endif %}";
    std::ofstream(copy / "tokenizer_config.json") << json{{"chat_template", kTemplate}}.dump();
    convert(copy, chat());
    convert(convert_test::golden_folder() / "llama", plain());
  }
  /// One of models/, which is converted when it is asked for.
  std::string shipped(const std::string& name) const {
    const fs::path made = folder_.path(name + ".heed");
    if (!fs::exists(made)) convert(fs::path(HEED_SOURCE_DIR) / "models" / name, made.string());
    return made.string();
  }
  std::string chat() const { return folder_.path("romeo.heed").string(); }
  std::string plain() const { return folder_.path("plain.heed").string(); }
  std::string key_file(const std::string& key) const {
    std::ofstream(folder_.path("key")) << key << "\n";
    return folder_.path("key").string();
  }

 private:
  static void convert(const fs::path& from, const std::string& to) {
    const Finished converted = run_heed({"convert", from.string(), "-o", to});
    REQUIRE_MESSAGE(converted.exit_code == 0, converted.both());
  }
  testing::TemporaryFolder folder_;
};

const PageModels& page_models() {
  static const PageModels made;
  return made;
}

std::string url_of(const Serving& server) { return "http://127.0.0.1:" + std::to_string(server.port()); }

/// A page that is loaded and shows a view.
void open_page(BrowserSession& page, const std::string& url, const std::string& view) {
  page.open(url);
  page.wait_for("!document.getElementById('" + view + "').hidden");
}

void choose_model(BrowserSession& page, const std::string& model) {
  page.evaluate("(() => { const list = byId('model'); list.value = '" + model +
                "'; list.dispatchEvent(new Event('change')); })()");
}

bool scrolls_sideways(BrowserSession& page) {
  page.resize(390, 800);
  const bool scrolls = page.evaluate("document.documentElement.scrollWidth > innerWidth").get<bool>();
  page.resize(1280, 800);
  return scrolls;
}

json texts_of(BrowserSession& page, const std::string& selector) {
  return page.evaluate("[...document.querySelectorAll('" + selector + "')].map(e => e.textContent)");
}

void set_field(BrowserSession& page, const std::string& name, const std::string& value) {
  page.evaluate("(() => { const field = settings.elements['" + name + "']; field.value = '" + value +
                "'; field.dispatchEvent(new Event('input', {bubbles: true})); })()");
}

/// Answers to paths that the page asks, in place of a server's. Their texts would do something, if they were more.
constexpr const char* kHostile = "<img src=x onerror=top.pwned=1>";
std::string canned_answers() {
  const std::string pixel =  // a PNG of 1 x 1
      "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==";
  const json attention = {{"source", {"the", kHostile, "cat"}},
                          {"target", {"neko", "da"}},
                          {"weights", {{0.1, 0.2, 0.7}, {0.25, 0.75, 0.0}}}};
  const json answers = {
      {"/v1/models",
       {{"data",
         {{{"id", "en-ja"}, {"task", "translation"}},
          {{"id", "fashion"}, {"task", "text-to-image"}},
          {{"id", "rfdn"}, {"task", "transform"}},
          {{"id", "stories"}, {"task", "text"}, {"chat", false}, {"context_length", 64}}}}}},
      {"/languages",
       {{{"code", "en"}, {"name", "English"}, {"targets", {"ja"}}},
        {{"code", "ja"}, {"name", "Japanese"}, {"targets", json::array()}}}},
      {"/translate", {{"translatedText", kHostile}, {"alternatives", {"neko"}}, {"attention", {attention, nullptr}}}},
      {"/v1/images/generations", {{"data", {{{"b64_json", pixel}}, {{"b64_json", pixel}}}}, {"seed", 5}}},
      {"/v1/images/edits", {{"data", {{{"b64_json", pixel}}}}}},
      {"/v1/attention",
       {{"rows", {"Once", kHostile, " there"}},
        {"columns", {"<s>", "Once", kHostile}},
        {"prompt_tokens", 2},
        {"layers",
         {{{"layer", 0}, {"weights", {{1, 0, 0}, {0.5, 0.5, 0}, {0.2, 0.7, 0.1}}}},
          {{"layer", 1}, {"weights", {{1, 0, 0}, {0.5, 0.5, 0}, {0.2, 0.2, 0.6}}}}}}}}};
  return "const canned = " + answers.dump() + ", asked = [], pixel = '" + pixel + "';" + R"(
    window.fetch = async (path, {body} = {}) => {
      asked.push([path, body && JSON.parse(body)]);
      return canned[path] ? new Response(JSON.stringify(canned[path]))
                          : new Response(JSON.stringify({error: "no such path"}), {status: 404});
    };)";
}

}  // namespace

TEST_CASE("page: a chat streams, stops, is written again, edited and kept") {
  const std::string browser = browser_or_skip();
  if (browser.empty()) return;
  const Serving server({page_models().chat(), "--temperature", "0"});
  BrowserSession page(browser);
  open_page(page, url_of(server), "chat");
  CHECK(page.evaluate("byId('mode').hidden") == false);

  // Enter sends, but with Shift; the text comes in steps.
  page.evaluate("byId('message').focus()");
  page.type("Who is there?");
  page.evaluate("window.lengths = new Set()");
  page.evaluate(R"(new MutationObserver(() => {
    const said = document.querySelector('.assistant .said');
    if (said) lengths.add(said.textContent.length);
  }).observe(byId('messages'), {subtree: true, childList: true, characterData: true}))");
  page.press("Enter");
  page.wait_for("running !== null || document.querySelector('.assistant')");
  page.wait_for("running === null");
  CHECK(page.evaluate("lengths.size").get<int>() > 5);
  CHECK(page.evaluate("byId('message').value") == "");
  CHECK(texts_of(page, ".user .said") == json::array({"Who is there?"}));
  const json first = texts_of(page, ".assistant .said");
  REQUIRE(first.size() == 1);
  CHECK(first[0].get<std::string>().size() > 20);
  const std::string status = page.evaluate("chat.view.querySelector('.status').textContent").get<std::string>();
  CHECK(has(status, "tokens/s"));
  CHECK(page.evaluate("byId('messages').ariaBusy") == "false");

  // The same again, as nothing is left to chance at temperature 0.
  const auto press_tool = [&](const std::string& name) {
    page.evaluate("[...document.querySelectorAll('.tools button')].find(e => e.textContent === '" + name +
                  "').click()");
  };
  press_tool("Regenerate");
  page.wait_for("running === null");
  CHECK(texts_of(page, ".assistant .said") == first);

  // A reload keeps it.
  page.reload();
  page.wait_for("document.querySelector('.assistant')");
  CHECK(texts_of(page, ".assistant .said") == first);
  CHECK(!scrolls_sideways(page));

  // The question goes back into its field to be changed. Its answer is stopped as soon as it begins.
  press_tool("Edit");
  CHECK(page.evaluate("byId('message').value") == "Who is there?");
  CHECK(texts_of(page, "#messages li").empty());
  page.evaluate(R"(new MutationObserver(() => {
    if (document.querySelector('.assistant .said')?.textContent) chat.view.querySelector('.go').click();
  }).observe(byId('messages'), {subtree: true, characterData: true}))");
  page.evaluate("byId('message').focus()");
  page.press("Enter", /*ctrl=*/true);
  page.wait_for("document.querySelector('.assistant') && running === null");
  CHECK(page.evaluate("chat.view.querySelector('.status').textContent") == "Stopped.");
  const json stopped = texts_of(page, ".assistant .said");
  REQUIRE(stopped.size() == 1);
  CHECK(!stopped[0].get<std::string>().empty());
  CHECK(stopped[0].get<std::string>().size() < first[0].get<std::string>().size());
  CHECK(first[0].get<std::string>().starts_with(stopped[0].get<std::string>()));
  // Nor does the server go on with it.
  page.wait_for("fetch('/metrics').then(r => r.text()).then(t => /heed_outstanding.* 0\\n/.test(t))");

  page.evaluate("byId('clear-chat').click()");
  page.wait_for("document.querySelectorAll('#messages li').length === 0");
  CHECK(page.evaluate("kept.get('chat.romeo').length") == 0);
  CHECK(page.complaints() == std::vector<std::string>{});
}

TEST_CASE("page: a text is continued as heed generate does, and what the server says is wrong is shown") {
  const std::string browser = browser_or_skip();
  if (browser.empty()) return;
  const Serving server({page_models().plain(), "chat=" + page_models().chat()});
  BrowserSession page(browser);
  open_page(page, url_of(server), "completion");
  set_field(page, "temperature", "0");
  set_field(page, "max_tokens", "12");
  page.evaluate("byId('text').focus()");
  page.type("the cat");
  page.press("Enter", /*ctrl=*/true);
  page.wait_for("running === null && byId('undo').disabled === false");
  const Finished generated = run_heed({"generate", page_models().plain(), "the cat", "-n", "12", "--temperature", "0"});
  REQUIRE(generated.exit_code == 0);
  std::string expected = "the cat" + generated.out;
  while (expected.ends_with('\n')) expected.pop_back();
  CHECK(page.evaluate("byId('text').value.trimEnd()") == expected);
  page.evaluate("byId('undo').click()");
  CHECK(page.evaluate("byId('text').value") == "the cat");
  CHECK(!scrolls_sideways(page));

  // A setting that is none is pointed out, and nothing is sent.
  set_field(page, "top_p", "2");
  page.evaluate("completion.view.querySelector('form').requestSubmit()");
  CHECK(page.evaluate("[byId('settings').open, running === null, byId('text').value]") ==
        json::array({true, true, "the cat"}));
  set_field(page, "top_p", "");

  page.evaluate("byId('text').value = 'cat '.repeat(500)");
  page.evaluate("completion.view.querySelector('form').requestSubmit()");
  page.wait_for("running === null && !completion.view.querySelector('.error').hidden");
  const json said = page.evaluate(R"(fetch('/v1/completions', {method: 'POST',
    headers: {'Content-Type': 'application/json'}, body: JSON.stringify({prompt: 'cat '.repeat(500), max_tokens: 12})})
    .then(r => r.json()).then(j => j.error.message))");
  CHECK(said.get<std::string>().size() > 10);
  CHECK(page.evaluate("completion.view.querySelector('.error').textContent") == said);
  choose_model(page, "chat");
  CHECK(page.evaluate("[byId('chat').hidden, byId('completion').hidden]") == json::array({false, true}));
}

TEST_CASE("page: asks for the key, again where it is wrong, and keeps it") {
  const std::string browser = browser_or_skip();
  if (browser.empty()) return;
  const Serving server({page_models().plain(), "--api-key-file", page_models().key_file("open-sesame")});
  BrowserSession page(browser);
  page.open(url_of(server));
  page.wait_for("byId('key').open");
  CHECK(!scrolls_sideways(page));
  CHECK(page.evaluate("[byId('key-wrong').hidden, document.activeElement.id]") == json::array({true, "key-field"}));
  page.type("open-barley");
  page.press("Enter");
  page.wait_for("byId('key').open && !byId('key-wrong').hidden");
  page.type("open-sesame");
  page.press("Enter");
  page.wait_for("!byId('completion').hidden");
  CHECK(page.evaluate("[byId('key').open, sessionStorage.getItem('heed.key'), localStorage.length]") ==
        json::array({false, "\"open-sesame\"", 0}));
  page.reload();
  page.wait_for("!byId('completion').hidden");
  CHECK(page.evaluate("byId('key').open") == false);
}

TEST_CASE("page: alignments, pictures and attention are shown, and texts of models are no more than text") {
  const std::string browser = browser_or_skip();
  if (browser.empty()) return;
  const Serving server({page_models().plain()});
  BrowserSession page(browser);
  page.before_pages(canned_answers());
  open_page(page, url_of(server), "translation");
  page.wait_for("byId('from').options.length === 2");
  CHECK(texts_of(page, "#to option") == json::array({"Japanese"}));
  page.evaluate("byId('source').focus()");
  page.type("the cat");
  page.press("Enter", /*ctrl=*/true);
  page.wait_for("document.querySelector('.alignment')");
  CHECK(page.evaluate("asked.at(-1)") == json::array({"/translate",
                                                      {{"q", "the cat"},
                                                       {"model", "en-ja"},
                                                       {"source", "en"},
                                                       {"target", "ja"},
                                                       {"alternatives", 2},
                                                       {"attention", true}}}));
  CHECK(page.evaluate("byId('target').textContent") == kHostile);
  CHECK(texts_of(page, "#others span") == json::array({"neko"}));
  // The second token looked most at the second that was read; an arrow moves to it.
  const char* const kShades =
      "[...document.querySelectorAll('.tokens')[0].children].map(e => e.style.getPropertyValue('--w'))";
  page.evaluate("document.querySelectorAll('.tokens')[1].children[0].focus()");
  CHECK(page.evaluate(kShades) == json::array({"0.283", "0.401", "0.750"}));
  page.press("ArrowRight");
  CHECK(page.evaluate(kShades) == json::array({"0.433", "0.750", "0.000"}));
  CHECK(page.evaluate("document.querySelector('.alignment .muted').textContent")
            .get<std::string>()
            .starts_with("“da” looked most at “" + std::string(kHostile) + "” 0.75, “the” 0.25"));
  CHECK(page.evaluate("document.querySelectorAll('td.weight').length") == 6);
  CHECK(!scrolls_sideways(page));

  choose_model(page, "fashion");
  page.evaluate("byId('prompt').focus()");
  page.type("a coat");
  page.press("Enter");
  page.wait_for("running === null && document.querySelectorAll('#pictures img.tiny').length === 2");
  CHECK(page.evaluate("[...document.querySelectorAll('#pictures img')].map(e => e.alt)") ==
        json::array({"a coat, number 1", "a coat, number 2"}));
  CHECK(page.evaluate("[...document.querySelectorAll('#pictures a')].map(e => e.download)") ==
        json::array({"fashion-1.png", "fashion-2.png"}));
  CHECK(!scrolls_sideways(page));

  choose_model(page, "rfdn");
  CHECK(page.evaluate("transform.view.querySelector('.go').disabled") == true);
  page.evaluate(
      "transform.take(new File([Uint8Array.from(atob(pixel), c => c.charCodeAt(0))], 'x.png', {type: 'image/png'}))");
  page.wait_for("transform.picture");
  page.evaluate("transform.view.querySelector('form').requestSubmit()");
  page.wait_for("running === null && !byId('compared').hidden");
  CHECK(page.evaluate("asked.at(-1)[1].image === pixel") == true);
  CHECK(page.evaluate("byId('after').naturalWidth") == 1);
  CHECK(!scrolls_sideways(page));

  choose_model(page, "stories");
  page.evaluate("showTextAttention(completion.view, 'cmpl-1')");
  CHECK(page.evaluate("asked.at(-1)") == json::array({"/v1/attention", {{"id", "cmpl-1"}, {"index", 0}}}));
  const char* const kTokens =
      "[...document.querySelectorAll('#completion .token')].map(e => e.style.getPropertyValue('--w'))";
  page.evaluate("document.querySelectorAll('#completion .token')[3].focus()");
  CHECK(page.evaluate(kTokens) == json::array({"0.000", "0.433", "0.750", "0.000"}));  // of the last layer
  page.evaluate(
      "(() => { const list = document.querySelector('#completion .attention select'); list.value = 0;"
      "list.dispatchEvent(new Event('change')); })()");
  CHECK(page.evaluate(kTokens) == json::array({"0.000", "0.750", "0.283", "0.000"}));
  CHECK(!scrolls_sideways(page));

  CHECK(page.evaluate("[window.pwned ?? null, document.querySelectorAll('img[src=x]').length]") ==
        json::array({nullptr, 0}));
  CHECK(page.complaints() == std::vector<std::string>{});
}

TEST_CASE("page: a translation with its alignment, pictures, and what a text's model looked at, of real models") {
  const std::string browser = browser_or_skip();
  if (browser.empty()) return;
  const PageModels& files = page_models();
  const Serving server(
      {files.shipped("en-ja"), files.shipped("fashion-tokens"), files.shipped("fashion"), files.plain()});
  BrowserSession page(browser);
  open_page(page, url_of(server), "translation");
  page.wait_for("byId('from').options.length > 0");
  CHECK(page.evaluate("[byId('from').value, byId('to').value]") == json::array({"en", "ja"}));
  page.evaluate("byId('source').focus()");
  page.type("The cat is sleeping.\n\nGood morning.");
  page.press("Enter", /*ctrl=*/true);
  page.wait_for("running === null && byId('target').textContent !== ''");
  const Finished translated = run_heed({"translate", files.shipped("en-ja"), "The cat is sleeping.\n\nGood morning."});
  CHECK(page.evaluate("byId('target').textContent").get<std::string>() + "\n" == translated.out);
  CHECK(page.evaluate("document.querySelectorAll('.alignment').length") == 2);  // the blank line has none
  CHECK(page.evaluate("[...document.querySelectorAll('.alignment')].every(e => e.querySelectorAll('td.weight').length"
                      " === e.querySelectorAll('.tokens')[0].children.length * e.querySelectorAll('.tokens')[1]"
                      ".children.length)") == true);
  CHECK(texts_of(page, "#others span").size() == 2);

  // Seeds are shown, so that pictures can be drawn again.
  for (const char* model : {"fashion-tokens", "fashion"}) {
    CAPTURE(std::string(model));
    choose_model(page, model);
    page.evaluate("byId('prompt').value = model.id === 'fashion' ? '' : 'a dark coat'");
    page.evaluate("byId('count').value = 3");
    page.evaluate("drawing.view.querySelector('form').requestSubmit()");
    page.wait_for("running === null && document.querySelectorAll('#pictures img.tiny').length === 3");
    CHECK(page.evaluate("[...document.querySelectorAll('#pictures img')].map(e => e.naturalWidth)") ==
          json::array({32, 32, 32}));
    const json sources = page.evaluate("[...document.querySelectorAll('#pictures img')].map(e => e.src)");
    page.evaluate(
        "byId('picture-seed').value = drawing.view.querySelector('.status').textContent.match(/seed (\\d+)/)[1]");
    page.evaluate("drawing.view.querySelector('form').requestSubmit()");
    page.wait_for("running === null && document.querySelectorAll('#pictures img.tiny').length === 3");
    CHECK(page.evaluate("[...document.querySelectorAll('#pictures img')].map(e => e.src)") == sources);
    page.evaluate("byId('picture-seed').value = ''");
  }

  choose_model(page, "plain");
  set_field(page, "max_tokens", "8");
  page.evaluate("byId('text').value = 'the cat'");
  page.evaluate("completion.view.querySelector('form').requestSubmit()");
  page.wait_for("running === null && byId('text-attention').disabled === false");
  page.evaluate("byId('text-attention').click()");
  page.wait_for("document.querySelector('#completion .token[role=button]')");
  CHECK(page.evaluate("document.querySelectorAll('#completion .token[role=button]').length") == 8);
  page.evaluate("document.querySelectorAll('#completion .token[role=button]')[7].focus()");
  CHECK(page.evaluate("document.querySelectorAll('#completion .token').length > 9") == true);
  CHECK(page.evaluate("Number(document.querySelectorAll('#completion .token')[2].style.getPropertyValue('--w')) > 0") ==
        true);
  CHECK(page.evaluate("completion.view.querySelector('.error').hidden") == true);
  CHECK(page.complaints() == std::vector<std::string>{});
}

}  // namespace heed::end_to_end
