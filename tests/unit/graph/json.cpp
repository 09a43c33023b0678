#include "graph/json.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "graph/json_field.h"
#include "heed/error.h"

namespace heed {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Graph sample_graph() {
  GraphBuilder builder("decode");
  const ValueId tokens = builder.input("tokens", DType::I32, {"batch", "tokens"});
  const ValueId table = builder.weight("embedding.weight", DType::Q8_0, {16, 64});
  const ValueId cache = builder.state("cache.0.keys", DType::F32, {"batch", 4, "context", 16});
  const ValueId rows = builder.add("embedding", "embed", {tokens, table});
  const ValueId scalar = builder.input("scalar", DType::F32, {});
  const auto pair = builder.add_many("attention", "attend", {rows, kNoValue, cache, scalar},
                                     {{"heads", std::int64_t{4}},
                                      {"scale", 0.1},
                                      {"whole", 1.0},
                                      {"least", -kInfinity},
                                      {"negative_zero", -0.0},
                                      {"mask", "causal \"\xc3\xa9\"\n"},
                                      {"axes", std::vector<std::int64_t>{-1, std::numeric_limits<std::int64_t>::min()}},
                                      {"no_integers", std::vector<std::int64_t>{}},
                                      {"no_reals", std::vector<double>{}},
                                      {"reals", std::vector<double>{1.0, 1e-300, kInfinity}}},
                                     2);
  builder.output(pair[1], "logits");
  return std::move(builder).finish();
}

void check_equal(const Graph& a, const Graph& b) {
  CHECK(a.name == b.name);
  CHECK(a.inputs == b.inputs);
  CHECK(a.outputs == b.outputs);
  REQUIRE(a.values.size() == b.values.size());
  for (std::size_t i = 0; i < a.values.size(); ++i) {
    CHECK(a.values[i].name == b.values[i].name);
    CHECK(a.values[i].kind == b.values[i].kind);
    CHECK(a.values[i].dtype == b.values[i].dtype);
    CHECK(a.values[i].shape == b.values[i].shape);
  }
  REQUIRE(a.nodes.size() == b.nodes.size());
  for (std::size_t i = 0; i < a.nodes.size(); ++i) {
    CHECK(a.nodes[i].op == b.nodes[i].op);
    CHECK(a.nodes[i].name == b.nodes[i].name);
    CHECK(a.nodes[i].inputs == b.nodes[i].inputs);
    CHECK(a.nodes[i].outputs == b.nodes[i].outputs);
    CHECK(a.nodes[i].attributes == b.nodes[i].attributes);
  }
}

nlohmann::json sample_json() { return graph_to_json(sample_graph()); }

// Requires that a graph with `value` at `pointer` is refused with a message that holds `part`.
void check_refused(const char* pointer, const nlohmann::json& value, const std::string& part) {
  CAPTURE(pointer);
  nlohmann::json json = sample_json();
  json[nlohmann::json::json_pointer(pointer)] = value;
  try {
    graph_from_json(json);
    FAIL_CHECK("accepted " << value.dump());
  } catch (const Error& error) {
    const std::string message = error.what();
    CAPTURE(message);
    CHECK(message.find(part) != std::string::npos);
    CHECK(message.find('\n') == std::string::npos);
  }
}

std::string message_of(std::string_view text) {
  try {
    parse_json(text, "here");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a graph comes back from JSON as it was") {
  const Graph graph = sample_graph();
  check_equal(graph, graph_from_json(graph_to_json(graph)));
  const Graph back = graph_from_json(parse_json(graph_to_json(graph).dump(), "text"));
  check_equal(graph, back);
  CHECK(std::signbit(back.nodes[1].attributes.real("negative_zero")));
  CHECK(graph_to_json(back) == graph_to_json(graph));
}

TEST_CASE("a NaN attribute survives JSON") {
  Graph graph = sample_graph();
  graph.nodes[0].attributes.set("fill", std::nan(""));
  const Graph back = graph_from_json(parse_json(graph_to_json(graph).dump(), "text"));
  CHECK(std::isnan(back.nodes[0].attributes.real("fill")));
}

TEST_CASE("weights stacked at plan time have no form in files") {
  Graph graph = sample_graph();
  graph.values[1].parts = {"a", "b"};
  CHECK_THROWS_AS(graph_to_json(graph), Error);
}

TEST_CASE("graphs of another form are refused, with the place") {
  check_refused("", 5, "expected an object");
  check_refused("", nlohmann::json::array(), "expected an object");
  check_refused("/surprise", 1, "unknown key \"surprise\"");
  check_refused("/line\nbreak", 1, "unknown key \"line\\nbreak\"");
  check_refused("/name", 7, "expected a string");
  check_refused("/name", "", "empty name");
  check_refused("/name", "a\nb", "control character");
  check_refused("/name", std::string(kMaxNameBytes + 1, 'x'), "1025 bytes");
  check_refused("/values", 5, "graph 'decode'.values: expected an array");
  check_refused("/values/0/kind", "constant", "values[0].kind: 'constant'");
  check_refused("/values/0/dtype", "f80", "'f80' is not a type");
  check_refused("/values/0/dtype", nullptr, "expected a string");
  check_refused("/values/0/shape", {1, 1, 1, 1, 1, 1, 1, 1, 1}, "9 elements");
  check_refused("/values/0/shape/0", -1, "values[0].shape[0]");
  check_refused("/values/0/shape/0", 1.0, "expected an integer");
  check_refused("/values/0/shape/0", kMaxElements + 1, "expected an integer");
  check_refused("/values/0/shape/0", "", "empty name");
  check_refused("/values/3/shape", nlohmann::json::array(), "unknown key");  // an intermediate
  check_refused("/inputs/0", -1, "graph 'decode'.inputs[0]");
  check_refused("/inputs/0", 7, "between 0 and 6");
  check_refused("/outputs/0", std::numeric_limits<std::uint64_t>::max(), "outputs[0]");
  check_refused("/outputs", nlohmann::json(std::vector<int>(8, 0)), "8 elements");
  check_refused("/nodes/1/op", "", "nodes[1].op");
  check_refused("/nodes/1/inputs/0", -2, "between -1 and 6");
  check_refused("/nodes/1/inputs/0", "tokens", "expected an integer");
  check_refused("/nodes/1/inputs", std::vector<int>(kMaxNodePorts + 1, 0), "4097 elements");
  check_refused("/nodes/1/outputs/0", std::int64_t{1} << 32, "outputs[0]");
  check_refused("/nodes/1/attributes", nlohmann::json::array(), "attributes");
  check_refused("/nodes/1/attributes/", {{"integer", 1}}, "empty name");
  check_refused("/nodes/1/attributes/heads", 4, "object of one key");
  check_refused("/nodes/1/attributes/heads", {{"integer", 1.5}}, "expected an integer");
  check_refused("/nodes/1/attributes/heads", {{"integer", 1}, {"real", 1}}, "one key");
  check_refused("/nodes/1/attributes/heads", {{"complex", 1}}, "'reals' is missing");
  check_refused("/nodes/1/attributes/heads", {{"integer", std::numeric_limits<std::uint64_t>::max()}}, "an integer");
  check_refused("/nodes/1/attributes/heads", {{"real", "many"}}, "expected a number");
  check_refused("/nodes/1/attributes/heads", {{"text", std::string(kMaxAttributeBytes + 1, 'x')}}, "65537 bytes");
  check_refused("/nodes/1/attributes/heads", {{"integers", std::vector<int>(kMaxAttributeItems + 1, 1)}}, "65537");
  check_refused("/nodes/1/attributes/heads", {{"reals", std::vector<int>(kMaxAttributeItems + 1, 1)}}, "65537");
  check_refused("/nodes/1/attributes/heads", {{"reals", {nullptr}}}, "reals[0]");
  nlohmann::json many = nlohmann::json::object();
  for (std::size_t i = 0; i <= kMaxAttributes; ++i) many[fmt::format("a{}", i)] = {{"integer", 1}};
  check_refused("/nodes/1/attributes", many, "at most 256");
}

TEST_CASE("every key of a graph is required") {
  for (const char* key : {"name", "values", "inputs", "outputs", "nodes"}) {
    nlohmann::json json = sample_json();
    json.erase(key);
    CHECK_THROWS_AS(graph_from_json(json), Error);
  }
  for (const char* key : {"name", "kind", "dtype", "shape"}) {
    nlohmann::json json = sample_json();
    json["values"][0].erase(key);
    CHECK_THROWS_AS(graph_from_json(json), Error);
  }
  for (const char* key : {"op", "name", "inputs", "outputs"}) {
    nlohmann::json json = sample_json();
    json["nodes"][0].erase(key);
    CHECK_THROWS_AS(graph_from_json(json), Error);
  }
}

TEST_CASE("JSON is bounded before anything is built from it") {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  CHECK(message_of(nested(kMaxJsonDepth)) == "");
  CHECK(message_of(nested(kMaxJsonDepth + 1)) == "here: JSON nested deeper than 64");
  CHECK(message_of(std::string(10'000'000, '[')) == "here: JSON nested deeper than 64");
  std::string objects;
  for (std::size_t i = 0; i <= kMaxJsonDepth; ++i) objects += "{\"a\":";
  CHECK(message_of(objects) == "here: JSON nested deeper than 64");
  if (HEED_SLOWNESS > 1) return;  // millions of values
  std::string many = "[0";
  for (std::size_t i = 2; i < kMaxJsonValues; ++i) many += ",0";
  CHECK(message_of(many + "]") == "");
  CHECK(message_of(many + ",0]").find("more than 4194304 JSON values") != std::string::npos);
}

TEST_CASE("what is not JSON, or is ambiguous, is refused in one line") {
  CHECK(message_of("{\"a\":1,\"b\":{\"a\":2}}") == "");
  CHECK(message_of("{\"a\":1,\"a\":1}") == "here: the key \"a\" appears twice");
  CHECK(message_of("{\"a\":{},\"b\":1,\"a\":1}") == "here: the key \"a\" appears twice");
  for (const char* text :
       {"", "{", "[1,]", "{\"a\"}", "nul", "1e999", "\"\xff\"", "\"\n\"", "[1] [2]", "\"\\ud800\""}) {
    const std::string message = message_of(text);
    CAPTURE(text);
    CAPTURE(message);
    CHECK(message.find("here: not well-formed JSON at byte ") == 0);
    CHECK(message.find('\n') == std::string::npos);
  }
}

}  // namespace heed
