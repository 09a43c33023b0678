#include "tools/serve/request_fields.h"

#include <doctest/doctest.h>

#include <functional>

#include "tools/serve/bounded_json.h"
#include "tools/serve/http_server.h"

namespace heed::tools {
namespace {

nlohmann::ordered_json json(const char* text) { return nlohmann::ordered_json::parse(text); }

/// What is wrong with a request, and where.
std::pair<std::string, std::string> refusal(const std::function<void()>& read) {
  try {
    read();
  } catch (const HttpError& error) {
    CHECK(error.status() == 400);
    const auto body = error.body().at("error");
    return {error.what(), body.at("param").is_null() ? "" : body.at("param").get<std::string>()};
  }
  return {"nothing was wrong", ""};
}

}  // namespace

TEST_CASE("request fields: what is there is read, what is absent or null is nothing") {
  const auto body = json(R"({"a": "x", "b": true, "c": 0.5, "d": 7, "e": null, "f": -3})");
  RequestFields fields(body);
  CHECK(fields.text("a") == "x");
  CHECK(fields.boolean("b") == true);
  CHECK(fields.number("c", 0, 1) == 0.5);
  CHECK(fields.integer("d", 0, 7) == 7);
  CHECK(!fields.text("e"));
  CHECK(!fields.number("missing"));
  CHECK(fields.integer("f") == -3);
  fields.refuse_unread();
}

TEST_CASE("request fields: wrong ones are refused by their path, with what is expected") {
  const auto body = json(R"({"a": 1, "n": "many", "x": 2.5, "i": 1.5, "big": 18446744073709551615, "o": {}})");
  RequestFields fields(body, "messages[2]");
  using Refusal = std::pair<std::string, std::string>;
  CHECK(refusal([&] { fields.text("a"); }) == Refusal("messages[2].a is 1, expected a text", "messages[2].a"));
  CHECK(refusal([&] { fields.boolean("a"); }).first == "messages[2].a is 1, expected true or false");
  CHECK(refusal([&] { fields.number("n"); }).first == "messages[2].n is \"many\", expected a number");
  CHECK(refusal([&] { fields.number("x", 0, 2); }).first == "messages[2].x is 2.5, expected a number from 0 to 2");
  CHECK(refusal([&] { fields.integer("i", 1); }).first == "messages[2].i is 1.5, expected an integer of 1 or more");
  CHECK(refusal([&] { fields.integer("big"); }).first ==
        "messages[2].big is 18446744073709551615, expected an integer");
  CHECK(refusal([&] { fields.text("o"); }).first == "messages[2].o is an object, expected a text");
  CHECK(refusal([&] { fields.fail("lacks", "a text"); }).first == "messages[2].lacks is missing, expected a text");
  CHECK(refusal([&] { RequestFields(json("[1]"), "tools[0]"); }).first == "tools[0] is an array, expected an object");
}

TEST_CASE("request fields: integers may be written as numbers with a point, where nothing is behind it") {
  const auto body =
      json(R"({"a": 5.0, "b": -3.0, "c": 1e3, "half": 5.5, "large": 1e17, "huge": 1e300, "text": "5.0"})");
  RequestFields fields(body);
  CHECK(fields.integer("a", 1, 5) == 5);
  CHECK(fields.integer("b") == -3);
  CHECK(fields.integer("c") == 1000);
  CHECK(refusal([&] { fields.integer("a", 6); }).first == "a is 5.0, expected an integer of 6 or more");
  CHECK(refusal([&] { fields.integer("half"); }).first == "half is 5.5, expected an integer");
  CHECK(refusal([&] { fields.integer("large"); }).first == "large is 1e+17, expected an integer");
  CHECK(refusal([&] { fields.integer("huge"); }).first == "huge is 1e+300, expected an integer");
  CHECK(refusal([&] { fields.integer("text"); }).first == "text is \"5.0\", expected an integer");
}

TEST_CASE("request fields: what nobody asked for is refused, but not what is known to change nothing") {
  const auto body = json(R"({"user": "me", "temprature": 0, "gone": null})");
  RequestFields fields(body);
  fields.ignore({"user"});
  CHECK(refusal([&] { fields.refuse_unread(); }).first == "temprature is not known here; leave it out");
}

TEST_CASE("bounded json: as many levels, values and keys as anyone needs, and no more") {
  using Json = nlohmann::ordered_json;
  const auto object = [](std::size_t keys) {
    std::string text = "{";
    for (std::size_t i = 0; i < keys; ++i) text += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":[{}]";
    return text + "}";
  };
  CHECK(bounded_json<Json>(object(2048)).size() == 2048);
  CHECK(bounded_json<Json>(object(2049)).is_discarded());
  CHECK(bounded_json<Json>("{\"a\":" + object(2048) + ",\"b\":" + object(2048) + "}").size() == 2);
  CHECK(bounded_json<Json>("[[" + object(2049) + "]]").is_discarded());
  const auto nested = [](int levels) {
    return std::string(static_cast<std::size_t>(levels), '[') + std::string(static_cast<std::size_t>(levels), ']');
  };
  CHECK(!bounded_json<Json>(nested(100)).is_discarded());
  CHECK(bounded_json<Json>(nested(102)).is_discarded());
  std::string many = "[0";
  for (int i = 0; i < 200'000; ++i) many += ",0";
  CHECK(bounded_json<Json>(many + "]").is_discarded());
  CHECK(bounded_json<Json>("{\"b\":1,\"a\":2}").dump() == "{\"b\":1,\"a\":2}");
}

}  // namespace heed::tools
