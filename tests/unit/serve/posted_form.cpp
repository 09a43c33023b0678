// What clients fill in, as JSON and as forms.
#include "tools/serve/posted_form.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>

#include "tools/serve/http_server.h"

namespace heed::tools {
namespace {

using Json = nlohmann::ordered_json;

Json url_fields(const std::string& text) {
  return PostedForm::read({.content_type = "application/x-www-form-urlencoded", .bytes = text}).fields;
}

int status_of(PostedBody body) {
  try {
    PostedForm::read(std::move(body));
  } catch (const HttpError& error) {
    return error.status();
  }
  return 200;
}

PostedBody parts(std::string bytes) {
  return {.content_type = "multipart/form-data; charset=utf-8; Boundary=\"b\"", .bytes = std::move(bytes)};
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
  const PostedForm form = PostedForm::read(parts(
      "preamble\r\n--b\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n3\r\n"
      "--b \t\r\ncontent-disposition:form-data ; filename=\"a;b.png\"; name=image\r\nContent-Type: image/png\r\n\r\n" +
      std::string("\0x\r\n--bx\r\n-", 10) +
      "\r\n--b\r\nContent-Disposition: form-data; name=\"a\\\"b; name=c\"\r\n\r\n\r\n--b--\r\nepilogue"));
  CHECK(form.fields == Json{{"n", "3"}, {"a\"b; name=c", ""}});
  CHECK(form.files.at("image") == std::string("\0x\r\n--bx\r\n-", 10));
  CHECK_FALSE(form.is_json);
  CHECK(PostedForm::read(parts("--b--")).fields.empty());
  const std::string file = "--b\r\nContent-Disposition: form-data; name=f; filename=g\r\n\r\nx\r\n";
  CHECK(PostedForm::read(parts(file + "--b--")).files.at("f") == "x");
  CHECK(status_of(parts(file + file + "--b--")) == 400);
}

TEST_CASE("posted form: parts that cannot be told apart, and too many or too large ones, are refused") {
  const std::string part = "--b\r\nContent-Disposition: form-data; name=q\r\n\r\nx\r\n";
  CHECK(status_of(parts(part + "--b--")) == 200);
  for (const std::string& wrong :
       {std::string(), part, part + "--b", part + "--b-", std::string("--c\r\n\r\n--c--"),
        std::string("--b\r\n\r\nx\r\n--b--"), std::string("--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--"),
        std::string("--b\r\nContent-Disposition: attachment; name=q\r\n\r\nx\r\n--b--"),
        "--b\r\nContent-Transfer-Encoding: base64\r\n" + part.substr(5) + "--b--",
        "--b\r\nX: " + std::string(10000, 'x') + "\r\n" + part.substr(5) + "--b--"}) {
    CAPTURE(wrong);
    CHECK(status_of(parts(wrong)) == 400);
  }
  CHECK(status_of({.content_type = "multipart/form-data", .bytes = part + "--b--"}) == 400);
  CHECK(status_of({.content_type = "multipart/form-data; boundary=" + std::string(71, 'b'), .bytes = part}) == 400);
  std::string many;
  for (int i = 0; i < 1025; ++i) many += part;
  CHECK(status_of(parts(many + "--b--")) == 400);
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
  CHECK(status_of({.content_type = "application/json", .bytes = "[1]"}) == 400);
  CHECK(status_of({.content_type = "application/json", .bytes = "{"}) == 400);
  CHECK(status_of({.content_type = "text/plain", .bytes = "q=1"}) == 415);
  CHECK(status_of({.content_type = "", .bytes = "q=1"}) == 415);
  CHECK(status_of({.content_type = "application/x-www-form-urlencoded", .bytes = std::string(2000, '&')}) == 400);
  CHECK(media_type("Application/JSON ; charset=utf-8") == "application/json");
  CHECK(media_type("") == "");
}

}  // namespace heed::tools
