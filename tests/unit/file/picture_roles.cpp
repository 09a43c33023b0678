#include "file/picture_roles.h"

#include <doctest/doctest.h>

#include "heed/error.h"

namespace heed {
namespace {

using Json = nlohmann::json;

/// The metadata of a model with a role for each of its outputs.
Json metadata() {
  return Json::parse(R"({"task": "draw", "classes": ["a", "b"], "roles": {
    "latent": {"role": "latent"}, "label": {"role": "label", "encoding": "one_hot"},
    "image": {"role": "image", "range": [-1, 1]}, "m": {"role": "map"},
    "a": {"role": "attention", "size": [3, 5], "normalised": "columns"}}})");
}

/// The message with which metadata are refused; empty when they are not.
std::string refusal(const Json& json) {
  try {
    PictureRoles::of(json, "x.heed");
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

const Role& role(const PictureRoles& roles, const std::string& name) {
  for (const Role& one : roles.roles) {
    if (one.name == name) return one;
  }
  FAIL("no role " << name);
  return roles.roles.front();
}

}  // namespace

TEST_CASE("picture roles: maps and attention are read with their sizes") {
  Json json = metadata();
  PictureRoles roles = PictureRoles::of(json, "x.heed");
  REQUIRE(roles.roles.size() == 5);
  CHECK(role(roles, "m").kind == "map");
  CHECK(role(roles, "a").kind == "attention");
  CHECK(role(roles, "a").height == 3);
  CHECK(role(roles, "a").width == 5);
  CHECK(role(roles, "a").sums_over_rows);
  CHECK(role(roles, "image").least == -1.0);
  CHECK(role(roles, "label").encoding == "one_hot");
  CHECK(roles.classes == std::vector<std::string>{"a", "b"});

  json["roles"]["a"]["normalised"] = "rows";
  CHECK(!role(PictureRoles::of(json, "x.heed"), "a").sums_over_rows);
  json["roles"]["a"].erase("normalised");
  CHECK(!role(PictureRoles::of(json, "x.heed"), "a").sums_over_rows);
  json["roles"]["a"]["size"] = {1, 16384};
  CHECK(role(PictureRoles::of(json, "x.heed"), "a").width == 16384);
}

TEST_CASE("picture roles: an attention of no size, or of one that cannot be, is refused") {
  const std::string expected =
      "x.heed: role of 'a': 'size' is missing or wrong, expected height and width of what the weights are of";
  Json json = metadata();
  json["roles"]["a"].erase("size");
  CHECK(refusal(json) == expected);
  for (const char* size : {"null", "15", "[]", "[3]", "[3, 5, 1]", "[0, 5]", "[3, 0]", "[-1, 5]", "[3, -5]",
                           "[16385, 5]", "[3, 16385]", "[3.0, 5]", "[3, \"5\"]", "[3, null]", "{\"0\": 3, \"1\": 5}",
                           "[9223372036854775808, 5]", "[3, 18446744073709551615]"}) {
    CAPTURE(std::string(size));
    json["roles"]["a"]["size"] = Json::parse(size);
    CHECK(refusal(json) == expected);
  }
  // Only of attention are sizes asked for.
  json = metadata();
  json["roles"]["a"] = {{"role", "map"}};
  CHECK(refusal(json).empty());
}

TEST_CASE("picture roles: attention is normalised over rows or columns") {
  Json json = metadata();
  for (const Json& normalised : {Json("column"), Json(""), Json(), Json(1), Json::array({"rows"})}) {
    json["roles"]["a"]["normalised"] = normalised;
    CHECK(refusal(json) == "x.heed: role of 'a': 'normalised' is missing or wrong, expected rows or columns");
  }
}

TEST_CASE("picture roles: other roles and descriptions of roles are refused") {
  Json json = metadata();
  json["roles"]["m"] = {{"role", "maps"}};
  CHECK(refusal(json) ==
        "x.heed: role of 'm': 'role' is missing or wrong, expected latent or label or time or image or map or "
        "attention");
  json["roles"]["m"] = Json::object();
  CHECK(refusal(json).starts_with("x.heed: role of 'm': 'role' is missing or wrong"));
  json["roles"]["m"] = "map";
  CHECK(refusal(json) == "x.heed: role of 'm' is no object");
  json["roles"] = Json::array();
  CHECK(refusal(json) == "x.heed: 'roles' is missing or wrong, expected an object");
}

TEST_CASE("picture roles: found by kind among the inputs and outputs of a graph") {
  const PictureRoles roles = PictureRoles::of(metadata(), "x.heed");
  GraphBuilder b("draw");
  const ValueId latent = b.input("latent", DType::F32, {"batch", 4});
  b.output(b.add("relu", "one", {latent}), "m");
  b.output(b.add("tanh", "two", {latent}), "image");
  const Graph graph = std::move(b).finish();
  REQUIRE(roles.output(graph, "map") != nullptr);
  CHECK(roles.output(graph, "map")->name == "m");
  CHECK(roles.output(graph, "image")->name == "image");
  CHECK(roles.output(graph, "attention") == nullptr);
  CHECK(roles.output(graph, "latent") == nullptr);
  CHECK(roles.input(graph, "latent")->name == "latent");
  CHECK(roles.input(graph, "label") == nullptr);
  CHECK(roles.input(graph, "map") == nullptr);
}

}  // namespace heed
