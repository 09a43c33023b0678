// Templates against what jinja2 in transformers' environment prints: make_templates.py.
#include <doctest/doctest.h>

#include <cstdlib>
#include <ctime>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "chat/rendering.h"
#include "chat/template.h"

namespace heed::chat {
namespace {

using Json = nlohmann::ordered_json;

/// What the script's strftime_now formats.
std::chrono::system_clock::time_point then() {
  std::tm time = {};
  time.tm_year = 2024 - 1900;
  time.tm_mon = 6;
  time.tm_mday = 5;
  time.tm_hour = 13;
  time.tm_min = 2;
  time.tm_sec = 3;
  time.tm_isdst = -1;
  return std::chrono::system_clock::from_time_t(std::mktime(&time));
}

Json read(const std::string& path) {
  std::ifstream file(path);
  REQUIRE_MESSAGE(file.good(), path);
  return Json::parse(file);
}

/// What heed says of the cases that jinja2 refuses in its own words.
const std::map<std::string, std::string>& refusals() {
  static const std::map<std::string, std::string> kRefusals = {
      {"{{ 1 + 2 ~ 3 + 4 }}", "line 1: '+' is not for int and str"},
      {"{{ nothing.x.y }}", "line 1: 'nothing' is undefined, and nothing can be taken from it"},
      {"{{ nothing() }}", "line 1: 'nothing' is called, but it is undefined"},
      {"{{ 'a' + 1 }}", "line 1: '+' is not for str and int"},
      {"{{ l.append(4) }}", "line 1: 'append' changes a list, which chat templates may not"},
      {"{{ d.update({'x': 1}) }}", "line 1: 'update' changes a dict, which chat templates may not"},
      {"{{ d.pop('b') }}", "line 1: 'pop' changes a dict, which chat templates may not"},
      {"{{ 'a'.nothing() }}", "line 1: 'nothing' is called, but a str has no such method that is supported"},
      {"{{ 1 / 0 }}", "line 1: 1 / 0 divides by zero"},
      {"{{ l | nofilter }}", "line 1: the filter 'nofilter' is not supported"},
      {"{{ l is notest }}", "line 1: the test 'notest' is not supported"},
      {"{% include 'x' %}", "line 1: the tag 'include' is not supported"},
      {"{% for x in l recursive %}{{ loop(x) }}{% endfor %}", "line 1: recursive loops are not supported"},
      {"{{ undefined_function(1) }}", "line 1: 'undefined_function' is called, but it is undefined"},
      {"{{ tree }", "line 1: '}' closes what was not opened"},
      {"{% if true %}", "line 1: 'endif' is missing"},
      {"{{ 'abc }}", "line 1: a string does not end"},
      {"{{ (1 }}", "line 1: '}' closes what was not opened"},
      {"{% endfor %}", "line 1: there is no tag 'endfor', or it does not stand here"},
      {"{{ greet(1, 2, 3, 4) }}", "line 1: 'greet' is called, but it is undefined"},
      {"{{ nothing | tojson }}", "line 1: tojson: a value that is undefined cannot be JSON"},
      {"{{ 5 in 'abc' }}", "line 1: 'in' is not for int and str"},
      {"{{ (l | map('string')) | length }}", "line 1: a generator has no length"},
      {"{{ none | length }}", "line 1: a None has no length"},
      {"{{ n | join }}", "line 1: a int is no list: there is nothing in it to go through"},
      {"{% for x in n %}{% endfor %}", "line 1: a int is no list: there is nothing in it to go through"},
      {"{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "line 1: m: 2 arguments are more than it takes"},
      {"{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}", "line 1: m: there is no argument 'b'"},
      {"{% set n.x = 1 %}", "line 1: 'n.x' is set, but 'n' is no namespace"},
      {"{% for a, b in [[1, 2, 3]] %}{% endfor %}", "line 1: 3 values are given to 2 names"},
      {"{{ [3, 'a'] | sort }}", "line 1: '<' is not for str and int"},
  };
  return kRefusals;
}

/// Whether an error is that of a refused case: where a template raised it, it has the template's words.
bool is_refusal(const Json& test, const std::string& error) {
  constexpr std::string_view kRaised = "TemplateError: ";
  const std::string wanted = test["refused"].get<std::string>();
  if (wanted.starts_with(kRaised)) return error.ends_with("does not take this chat: " + wanted.substr(kRaised.size()));
  const auto known = refusals().find(test["template"].get<std::string>());
  // Templates from outside are not listed.
  return known != refusals().end() ? error.find(known->second) != std::string::npos : test.contains("variables");
}

/// Whether a template prints what is expected, or is refused where that is.
bool agrees(const Json& test, const Json& variables) {
  std::string printed;
  bool refused = false;
  try {
    printed = Template(test["template"].get<std::string>()).render(variables, then());
  } catch (const Error& error) {
    refused = true;
    printed = error.what();
  }
  const bool expected = test.contains("expected");
  const bool same =
      expected ? !refused && printed == test["expected"].get<std::string>() : refused && is_refusal(test, printed);
  INFO(test["name"].get<std::string>());
  INFO("template ", test["template"].get<std::string>());
  INFO("printed  ", printed);
  INFO("expected ", expected ? test["expected"].get<std::string>() : "refused: " + test["refused"].get<std::string>());
  CHECK(same);
  return same;
}

std::string template_error(const std::string& source, const Json& variables = Json::object()) {
  try {
    Template(source).render(variables);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool template_says(const std::string& error, const std::string& part) {
  INFO(error);
  return error.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("templates print what jinja2 prints, or are refused with it") {
  const Json file = read(HEED_SOURCE_DIR "/tests/unit/chat/templates.json");
  REQUIRE(file["cases"].size() > 80);
  for (const Json& test : file["cases"]) agrees(test, file["variables"]);
}

TEST_CASE("given templates print what transformers prints") {
  const char* path = std::getenv("HEED_CHAT_CASES");
  if (path == nullptr) {
    MESSAGE("SKIPPED: HEED_CHAT_CASES names no file of tests/unit/chat/make_templates.py");
    return;
  }
  std::size_t same = 0;
  const Json file = read(path);
  REQUIRE(!file["cases"].empty());
  for (const Json& test : file["cases"]) same += agrees(test, test["variables"]);
  MESSAGE(same, " of ", file["cases"].size(), " agree");
}

TEST_CASE("what is not supported is refused by name and line") {
  CHECK(template_says(template_error("a\n{% include 'x' %}"), "line 2: the tag 'include' is not supported"));
  CHECK(template_says(template_error("{% call m() %}{% endcall %}"), "the tag 'call'"));
  CHECK(template_says(template_error("\n\n{{ x | wordwrap(3) }}"), "line 3: the filter 'wordwrap' is not supported"));
  CHECK(template_says(template_error("{{ x is filter }}"), "the test 'filter' is not supported"));
  CHECK(template_says(template_error("{% for x in y recursive %}{% endfor %}"), "recursive loops"));
  CHECK(template_says(template_error("{% for x in [1] %}{% macro m() %}{% endmacro %}{% endfor %}"), "a macro within"));
  CHECK(template_says(template_error("{{ f(*x) }}"), "arguments with '*'"));
  CHECK(template_says(template_error("{{ 'a'.encode('utf-8') }}"), "the method 'encode' of a text is not supported"));
  CHECK(template_says(template_error("{{ [1].append(2) }}"), "'append' changes a list"));
  CHECK(template_says(template_error("{{ 'a'.__class__ }}"), "the attribute '__class__'"));
  CHECK(template_says(template_error("a\n{{ x.y }}"), "line 2: 'x' is undefined"));
  CHECK(template_says(template_error("{{ 'ß'.upper() }}"), "several letters"));
  CHECK(template_says(template_error("\n{{ raise_exception('no system role') }}"),
                      "chat template (line 2) does not take this chat: no system role"));
  CHECK_THROWS_AS(Template("{{ raise_exception('x') }}").render(Json::object()), Refused);
  CHECK(template_says(template_error("{{ '\xff' }}"), "not valid UTF-8"));
  CHECK(template_says(template_error(std::string((1 << 20) + 1, 'a')), "at most 1048576"));
}

TEST_CASE("what templates look for, compare and name is counted") {
  const auto refused = [](const std::string& source) {
    CAPTURE(source.substr(0, 200));
    CHECK(template_says(template_error(source), "more than 20000000 steps"));
  };
  const std::string texts = "{% set t = 'a' * 2000000 %}{% set u = 'a' * 1000000 ~ 'b' %}{{ ";
  for (const char* search :
       {"t.find(u)", "t.rfind(u)", "u in t", "t.count(u)", "t.split(u) | length", "t.rsplit(u) | length",
        "t.replace(u, '') | length", "t.partition(u) | length", "t.strip(u ~ u) | length"}) {
    refused(texts + search + " }}");
  }
  refused(
      "{% set a = 'a' * 9999999 %}{% set b = 'a' * 9999999 %}{% for i in range(1000) %}{{ a == b or a < b or "
      "{a: 1}[b] }}{% endfor %}");
  refused("{{ ('a' * 6000000).split('a') | length }}");
  refused("{{ ('a ' * 6000000).split() | length }}");
  refused("{{ ('a\\n' * 6000000).splitlines() | length }}");
  std::string names;
  for (int i = 0; i < 50'000; ++i) names += "{% set a" + std::to_string(i) + "=1 %}";
  refused(names);
}

TEST_CASE("a template cannot run for ever, grow for ever, or nest until the stack ends") {
  CHECK(template_says(template_error("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"),
                      "more than 20000000 steps"));
  CHECK(template_says(template_error("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), "nests deeper"));
  CHECK(template_says(
      template_error(
          "{% set n = namespace(x='aaaaaaaa') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}"),
      "are allowed"));
  CHECK(template_says(template_error("{{ 'a' * 999999999999 }}"), "too many"));
  CHECK(template_says(template_error("{{ ('a' * 9999) | indent(9999999) }}"), "too many"));
  CHECK(template_says(
      template_error("{% set n = namespace(x=[]) %}{% for i in range(9999) %}{% set n.x = [n.x] %}{% endfor %}"),
      "nest deeper than 100"));
  // Rounds of loops that hold each other.
  CHECK(template_says(
      template_error(
          "{% set n = namespace(l=0) %}{% for j in range(10) %}{% for i in range(30000) %}{% for x in [n.l] %}"
          "{% set n.l = loop %}{% endfor %}{% endfor %}{% endfor %}"),
      "nest deeper than 100"));
  CHECK(template_says(template_error("{{ range(1000000) }}"), "more than 100000"));
  CHECK(template_says(template_error("{{ " + std::string(100'000, '(') + "1" + std::string(100'000, ')') + " }}"),
                      "nests deeper"));
  CHECK(template_says(template_error("{{ 1" + std::string(100'000, ' ') + "}}{{ " + std::string(50'000, '-') + "1 }}"),
                      "nests deeper"));
  std::string sum = "{{ 1";
  for (int i = 0; i < 50'000; ++i) sum += "+1";
  CHECK(template_says(template_error(sum + " }}"), "nest deeper than 150"));
  std::string ifs;
  for (int i = 0; i < 50'000; ++i) ifs += "{% if 1 %}";
  CHECK(template_says(template_error(ifs), "nests deeper"));
  Json deep = 1;
  for (int i = 0; i < 500; ++i) deep = Json::array({deep});
  CHECK(template_says(template_error("{{ x }}", {{"x", deep}}), "nest"));
}

}  // namespace heed::chat
