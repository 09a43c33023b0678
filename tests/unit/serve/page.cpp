// The page for people: what comes with it, and that it needs nothing from elsewhere.
#include "tools/serve/page.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "tools/serve/server.h"

namespace heed::tools {
namespace {

struct Answers {
  httplib::Response first, second, with_key, models;
};

/// Of a server with an API key and no models.
Answers ask_server() {
  HttpOptions options;
  options.port = 0;
  options.api_key = "the key";
  options.connections = 4;
  Server server(options, {});
  server.add_routes();
  const int port = server.http().bind();
  std::thread thread([&] { server.http().run(); });
  httplib::Client client("127.0.0.1", port);
  const auto get = [&](const char* path, const httplib::Headers& headers = {}) {
    const httplib::Result result = client.Get(path, headers);
    return result ? *result : httplib::Response();
  };
  const Answers answers = {get("/"), get("/"), get("/", {{"Authorization", "Bearer the key"}}), get("/v1/models")};
  server.http().stop();
  thread.join();
  return answers;
}

std::string between(const std::string& text, const std::string& begin, const std::string& end) {
  const std::size_t at = text.find(begin);
  REQUIRE(at != std::string::npos);
  const std::size_t from = at + begin.size();
  return text.substr(from, text.find(end, from) - from);
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) ++found;
  return found;
}

/// What is wrong with the nesting of a page's elements; empty for nothing. Knows no attributes with '>' in them.
std::string nesting_error(const std::string& html) {
  const std::vector<std::string> kVoid = {"meta", "link", "input", "img", "br"};
  std::vector<std::string> open;
  for (std::size_t at = 0; (at = html.find('<', at)) != std::string::npos;) {
    const std::size_t end = html.find('>', at);
    if (end == std::string::npos) return "an element is not closed: " + html.substr(at, 40);
    const bool closes = html[at + 1] == '/';
    const std::size_t from = at + (closes ? 2 : 1);
    const std::string name = html.substr(from, html.find_first_of(" >\n", from) - from);
    at = end + 1;
    if (name == "!doctype" || std::ranges::find(kVoid, name) != kVoid.end()) continue;
    if (closes) {
      if (open.empty() || open.back() != name) return "</" + name + "> in " + (open.empty() ? "nothing" : open.back());
      open.pop_back();
      continue;
    }
    open.push_back(name);
    if (name == "script" || name == "style") at = html.find("</" + name + ">", at);
  }
  return open.empty() ? "" : open.back() + " is not closed";
}

}  // namespace

TEST_CASE("page: comes without a key, under a policy that lets only its own script run") {
  const Answers answers = ask_server();
  CHECK(answers.first.status == 200);
  CHECK(answers.with_key.status == 200);
  CHECK(answers.models.status == 401);
  CHECK(answers.first.get_header_value("Content-Type") == "text/html; charset=utf-8");
  CHECK(answers.first.get_header_value("X-Content-Type-Options") == "nosniff");
  CHECK(answers.first.get_header_value("Referrer-Policy") == "no-referrer");
  CHECK(answers.first.get_header_value("Cache-Control") == "no-store");

  const std::string policy = answers.first.get_header_value("Content-Security-Policy");
  for (const char* part : {"default-src 'none'", "connect-src 'self'", "img-src data:;", "frame-ancestors 'none'",
                           "base-uri 'none'", "form-action 'none'"}) {
    CAPTURE(std::string(part));
    CHECK(count(policy, part) == 1);
  }
  CHECK(count(policy, "unsafe") == 0);
  const std::string nonce = between(policy, "script-src 'nonce-", "'");
  CHECK(nonce.size() == 32);
  CHECK(count(policy, "style-src 'nonce-" + nonce + "'") == 1);
  CHECK(count(answers.first.body, "<script nonce=\"" + nonce + "\">") == 1);
  CHECK(count(answers.first.body, "<style nonce=\"" + nonce + "\">") == 1);
  CHECK(count(answers.first.body, "@") ==
        count(answers.first.body, "@media") + count(answers.first.body, "@keyframes"));
  CHECK(count(answers.second.body, nonce) == 0);
}

TEST_CASE("page: is whole, small, and of one piece") {
  const std::string page(kPage);
  CHECK(page.size() < 42000);
  CHECK(nesting_error(page) == "");
  CHECK(nesting_error("<p><b></p></b>") != "");  // it does see
  for (const char* part : {"http:", "https:", "url(", "@import", "innerHTML", "outerHTML", "insertAdjacentHTML",
                           "document.write", "eval(", "Function(", " style=\"", "onclick=\"", "<script src"}) {
    CAPTURE(std::string(part));
    CHECK(count(page, part) == 0);
  }
  // Each element that scripts ask for by its name is there, once.
  std::size_t asked = 0;
  for (std::size_t at = 0; (at = page.find("byId(\"", at)) != std::string::npos; ++asked) {
    at += 6;
    const std::string name = page.substr(at, page.find('"', at) - at);
    CAPTURE(name);
    CHECK(count(page, " id=\"" + name + "\"") == 1);
  }
  CHECK(asked > 50);
  // Every field has a name for those who do not see it.
  for (std::size_t at = 0; (at = page.find("<textarea", at)) != std::string::npos; ++at) {
    const std::string field = page.substr(at, page.find('>', at) - at);
    CAPTURE(field);
    const bool labelled = count(field, "aria-label=") == 1;
    CHECK((labelled || page.rfind("<label", at) > page.rfind("</label>", at)));
  }
}

}  // namespace heed::tools
