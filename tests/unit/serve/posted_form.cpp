// What clients fill in, as JSON and as forms.
#include "tools/serve/posted_form.h"

#include <doctest/doctest.h>

#include <string>

#include "tools/serve/http_server.h"

namespace heed::tools {
namespace {

using Json = nlohmann::ordered_json;

Json url_fields(const std::string& text) {
  return PostedForm::read({.type = "application/x-www-form-urlencoded", .bytes = text, .parts = {}}).fields;
}

int status_of(PostedBody body) {
  try {
    PostedForm::read(std::move(body));
  } catch (const HttpError& error) {
    return error.status();
  }
  return 200;
}

}  // namespace

TEST_CASE("posted form: fields of a form are texts, decoded, and arrays where they come again") {
  CHECK(url_fields("q=a+b%20c%2B&empty=&bare&%C3%A9=%E3%81%AF") ==
        Json{{"q", "a b c+"}, {"empty", ""}, {"bare", ""}, {"é", "は"}});
  CHECK(url_fields("q=1&q=2&q=3") == Json{{"q", {"1", "2", "3"}}});
  CHECK(url_fields("q=100%&r=%4&s=%zz&&t=a=b") == Json{{"q", "100%"}, {"r", "%4"}, {"s", "%zz"}, {"t", "a=b"}});
  CHECK(url_fields("") == Json::object());
}

TEST_CASE("posted form: parts are fields, or files where they have a file's name") {
  PostedForm form = PostedForm::read({.type = "multipart/form-data",
                                      .bytes = {},
                                      .parts = {{.name = "n", .is_file = false, .content = "3"},
                                                {.name = "image", .is_file = true, .content = std::string("\0x", 2)}}});
  CHECK(form.fields == Json{{"n", "3"}});
  CHECK(form.files.at("image") == std::string("\0x", 2));
  CHECK_FALSE(form.is_json);
  const PostedBody twice = {.type = "multipart/form-data",
                            .bytes = {},
                            .parts = {{.name = "image", .is_file = true, .content = "a"},
                                      {.name = "image", .is_file = true, .content = "b"}}};
  CHECK(status_of(twice) == 400);
}

TEST_CASE("posted form: numbers of forms are numbers where numbers are wanted, and nowhere else") {
  const PostedForm form{.fields = {{"n", "3"}, {"x", "true"}, {"q", "3"}, {"left", ""}, {"word", "three"}},
                        .files = {}};
  CHECK(form.with_values({"n", "x", "left", "word", "none"}) ==
        Json{{"n", 3}, {"x", true}, {"q", "3"}, {"left", nullptr}, {"word", "three"}});
  const PostedForm json{.fields = {{"n", "3"}}, .files = {}, .is_json = true};
  CHECK(json.with_values({"n"}) == Json{{"n", "3"}});
}

TEST_CASE("posted form: what is no form is refused") {
  CHECK(status_of({.type = "application/json", .bytes = "[1]", .parts = {}}) == 400);
  CHECK(status_of({.type = "application/json", .bytes = "{", .parts = {}}) == 400);
  CHECK(status_of({.type = "text/plain", .bytes = "q=1", .parts = {}}) == 415);
  CHECK(status_of({.type = "", .bytes = "q=1", .parts = {}}) == 415);
  CHECK(status_of({.type = "application/x-www-form-urlencoded", .bytes = std::string(2000, '&'), .parts = {}}) == 400);
  CHECK(media_type("Application/JSON ; charset=utf-8") == "application/json");
  CHECK(media_type("") == "");
}

}  // namespace heed::tools
