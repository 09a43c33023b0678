#include "tests/browser.h"

#include <stdio.h>
#include <stdlib.h>

#include <array>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace heed::testing {
namespace {

std::string attribute(const std::string& html) {
  std::string text;
  for (const char c : html) text += c == '&' ? "&amp;" : c == '"' ? "&quot;" : std::string(1, c);
  return text;
}

}  // namespace

std::string find_chromium() {
  for (const char* name : {"chromium", "chromium-browser", "google-chrome"}) {
    const std::string found = "command -v " + std::string(name) + " >/dev/null 2>&1";
    if (::system(found.c_str()) == 0) return name;
  }
  return "";
}

nlohmann::json ask_page(const std::string& browser, const TemporaryFolder& folder, const std::string& page, int width,
                        const std::string& script, const std::string& options) {
  const std::string frame = folder.path("frame.html").string();
  std::ofstream(frame) << "<!doctype html><meta charset=utf-8><iframe id=f style='border:0;height:900px;width:" << width
                       << "px' srcdoc=\"" << attribute(page) << "\"></iframe><pre id=said></pre><script>\n"
                       << "const frame = document.getElementById('f');\n"
                       << "function ask(page) {\n"
                       << script << "\n}\n"
                       << R"(frame.onload = () => {
  let said;
  try { said = ask(frame.contentDocument); } catch (error) { said = {failed: String(error)}; }
  document.getElementById("said").textContent = JSON.stringify(said);
};)"
                       << "\n</script>";
  const std::string command =
      "timeout 100 " + browser + " --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir='" +
      folder.path("profile").string() + "' --host-resolver-rules='MAP * ~NOTFOUND' --virtual-time-budget=10000 " +
      options + " --dump-dom 'file://" + frame + "' 2>'" + folder.path("browser.log").string() + "'";
  FILE* const pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("cannot run " + browser);
  std::string dom;
  std::array<char, 4096> block;
  for (std::size_t count = 1; count > 0;) {
    count = ::fread(block.data(), 1, block.size(), pipe);
    dom.append(block.data(), count);
  }
  const std::string begin = "<pre id=\"said\">";
  const std::size_t at = dom.find(begin);
  if (::pclose(pipe) != 0 || at == std::string::npos) {
    std::ifstream log(folder.path("browser.log"));
    throw std::runtime_error(browser + " failed: " + std::string(std::istreambuf_iterator<char>(log), {}));
  }
  std::string said = dom.substr(at + begin.size(), dom.find("</pre>", at) - at - begin.size());
  using Entity = std::pair<const char*, const char*>;
  for (const auto& [entity, letter] :
       {Entity{"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&nbsp;", "\u00A0"}, {"&amp;", "&"}}) {
    for (std::size_t found = said.find(entity); found != std::string::npos; found = said.find(entity, found + 1)) {
      said.replace(found, std::string_view(entity).size(), letter);
    }
  }
  const nlohmann::json json = nlohmann::json::parse(said);
  if (json.is_object() && json.contains("failed")) throw std::runtime_error(json.at("failed").get<std::string>());
  return json;
}

}  // namespace heed::testing
