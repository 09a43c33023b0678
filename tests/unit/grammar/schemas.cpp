// JSON schemas: texts that they take, what is refused, and random texts held against Python's jsonschema.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>

#include "grammar/json_schema.h"
#include "grammar/number_ranges.h"
#include "grammar/program.h"
#include "heed/error.h"
#include "tests/temporary_folder.h"
#include "tests/unit/grammar/earley.h"
#include "tests/unit/grammar/vocabularies.h"

namespace heed::grammar {
namespace {

using grammar_test::Constrained;
using grammar_test::Earley;
using grammar_test::many_marks;
using grammar_test::Random;
using grammar_test::takes;
using testing::TemporaryFolder;

struct SchemaCase {
  std::string schema;
  std::vector<std::string> yes, no;
};

const std::vector<SchemaCase>& schema_cases() {
  static const std::vector<SchemaCase> kCases = {
      {R"({"type": "object"})",
       {"{}", R"({"a":1})", R"({ "a": [true, null], "b": {"c": "d\u00e9\ud83d\ude00"} })", "{\n  \"a\": -1.5e3\n}"},
       {"[]", "1", "{", R"({"a"})", R"({"a":1,})", R"({a:1})", R"({"a":01})", R"({"a":"\ud83d"})",
        R"({"a":"\ud83d\u0041"})", " {}", "{} "}},
      {"{}",
       {"1", "null", "[]", "\"x\"", "[1, [2]]", "-0", "0.5", "1E-2"},
       {"", "nul", "01", "1.", ".5", "+1", "[1 2]", "1e999"}},
      {"true", {"{}", "true"}, {"tru"}},
      {R"({"type": "null"})", {"null"}, {"0", ""}},
      {R"({"type": "boolean"})", {"true", "false"}, {"True", "1"}},
      {R"({"type": "integer"})", {"0", "-7", "123456789012345"}, {"1.0", "01", "1e3", "-", "1234567890123456"}},
      {R"({"type": "number"})", {"0", "-7.25", "1e10", "3.14E-2"}, {"1.", "--1", "1e", "\"1\""}},
      {R"({"type": ["string", "null"], "maxLength": 2})",
       {"null", "\"\"", "\"日本\"", "\"\\n\\u0041\"", R"("\ud83d\ude00x")"},
       {"\"abc\"", "1"}},
      {R"({"type": "string", "minLength": 2, "maxLength": 3})", {"\"ab\"", "\"😀éx\""}, {"\"a\"", "\"abcd\""}},
      {R"({"type": "string", "minLength": 2})", {"\"ab\"", "\"abcdef\""}, {"\"a\""}},
      {R"({"enum": ["red", 1, null, {"a": [1.5, "x"]}, "q\"é"]})",
       {"\"red\"", "1", "null", R"({"a":[1.5,"x"]})", "\"q\\\"é\""},
       {"red", "\"blue\"", "2", "{\"a\":[]}"}},
      {R"({"type": "string", "enum": ["a", 1]})", {"\"a\""}, {"1"}},
      {R"({"const": 5})", {"5"}, {"6", "5.0"}},
      {R"({"type": "object", "properties": {"b": {"type": "integer"}, "a": {"type": "boolean"}}, "required": ["b"], "additionalProperties": false})",
       {R"({"b":1})", R"({"b":1,"a":true})", R"({ "b": 1, "a": true })"},
       {"{}", R"({"a":true,"b":1})", R"({"a":true})", R"({"b":1,"c":2})", R"({"b":1,"b":2})"}},
      {R"({"properties": {"a": {}, "b": {}, "c": {}}, "additionalProperties": false})",
       {"{}", R"({"a":1})", R"({"b":1})", R"({"c":1})", R"({"a":1,"c":2})", R"({"b":1,"c":2})",
        R"({"a":1,"b":2,"c":3})"},
       {R"({,"a":1})", R"({"a":1"b":1})", R"({"c":1,"a":1})", "[]"}},
      {R"({"type": "object", "properties": {"ab": {"type": "integer"}, "日": {}}, "required": ["ab"], "additionalProperties": {"type": "string"}})",
       {R"({"ab":1})", R"({"ab":1,"日":null,"a":"x","abc":"","":"y","日本":"z"})"},
       {R"({"ab":1,"x":1})", R"({"ab":1,"ab":"x"})", R"({"ab":1,"日":null,"日":"x"})", R"({"ab":"x"})"}},
      {R"({"type": "object", "additionalProperties": {"type": "integer"}})",
       {"{}", R"({"x":1,"y\n":2})"},
       {R"({"x":"y"})"}},
      {R"({"type": "object", "required": ["x"]})", {R"({"x":null})"}, {"{}", R"({"y":1})"}},
      {R"({"type": "object", "additionalProperties": false})", {"{}"}, {R"({"x":1})", "{ }"}},
      {R"({"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3})",
       {"[1]", "[1,2]", "[ 1, 2, 3 ]"},
       {"[]", "[1,2,3,4]", "[\"a\"]", "[1,]", "[,1]"}},
      {R"({"type": "array", "maxItems": 0})", {"[]"}, {"[1]"}},
      {R"({"type": "array", "minItems": 2})", {"[1,2]", "[[],{},null]"}, {"[1]", "[]"}},
      {R"({"type": "array", "items": false})", {"[]"}, {"[1]"}},
      {R"({"prefixItems": [{"type": "integer"}, {"type": "string"}]})",
       {"[1,\"a\"]"},
       {"[1]", "[]", "[1,\"a\",2]", "[\"a\",1]"}},
      {R"({"prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 1, "items": {"type": "null"}})",
       {"[1]", "[1,\"a\"]", "[1,\"a\",null,null]"},
       {"[]", "[1,null]"}},
      {R"({"items": [{"type": "integer"}], "additionalItems": {"type": "null"}, "maxItems": 2})",
       {"[1]", "[1,null]"},
       {"[1,null,null]", "[1,1]", "[]"}},
      {R"({"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "string"}}]})",
       {"1", "[\"a\"]"},
       {"[1]", "\"a\""}},
      {R"({"oneOf": [{"const": "a"}, {"const": "b"}]})", {"\"a\"", "\"b\""}, {"\"c\""}},
      {R"({"oneOf": [{"type": "object", "properties": {"kind": {"const": "a"}, "x": {"type": "integer"}}, "required": ["kind", "x"]},
            {"type": "object", "properties": {"kind": {"enum": ["b", "c"]}}, "required": ["kind"]}, {"type": "null"}]})",
       {R"({"kind":"a","x":1})", R"({"kind":"b"})", "null"},
       {R"({"kind":"a"})", R"({"kind":"d"})", "1", "\"a\""}},
      {R"({"type": "object", "properties": {"v": {}}, "required": ["v"],
           "oneOf": [{"properties": {"v": {"$ref": "#/$defs/s"}}}, {"properties": {"v": {"type": ["integer", "null"]}}}],
           "$defs": {"s": {"type": "string"}}})",
       {R"({"v":"a"})", R"({"v":1})"},
       {R"({"v":true})", "{}"}},
      {R"({"oneOf": [{"enum": [1, "a"]}, {"type": ["string", "boolean"], "enum": ["b", 1, true]}]})",
       {"1", "\"a\"", "\"b\"", "true"},
       {"\"c\"", "2"}},
      {R"({"allOf": [{"enum": [1, 2, {"a": 1}]}, {"enum": [{"a": 1}, 2.0, 3]}]})",
       {"2", R"({"a":1})"},
       {"1", "3", "2.0"}},
      {R"({"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"properties": {"b": {"type": "string"}}, "required": ["b"]}]})",
       {R"({"a":1,"b":"x"})"},
       {R"({"a":1})", R"({"b":"x"})"}},
      {R"({"allOf": [{"type": "integer", "minimum": 3}, {"type": "number", "maximum": 5}]})",
       {"3", "4", "5"},
       {"2", "6", "3.5"}},
      {R"({"allOf": [{"properties": {"a": {"type": ["integer", "string"]}}}, {"properties": {"a": {"type": ["string", "null"]}}, "required": ["a"], "type": "object"}]})",
       {R"({"a":"x"})"},
       {R"({"a":1})", R"({"a":null})"}},
      {R"({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]})",
       {R"({"a":1})", R"({"b":1})", R"({"a":1,"b":2})"},
       {"{}"}},
      {R"({"allOf": [{"enum": ["a", "b"]}, {"enum": ["b", "c"]}]})", {"\"b\""}, {"\"a\"", "\"c\""}},
      {R"({"allOf": [{"properties": {"a": {"type": "integer"}}, "additionalProperties": false}, {"properties": {"a": {}, "b": {}}, "type": "object"}]})",
       {"{}", R"({"a":1})"},
       {R"({"b":1})"}},
      {R"({"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "properties": {"v": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}}, "required": ["v", "next"]}}})",
       {R"({"v":1,"next":null})", R"({"v":1,"next":{"v":2,"next":null}})"},
       {R"({"v":1})", R"({"v":1,"next":{}})"}},
      {R"({"type": "array", "items": {"$ref": "#"}})", {"[]", "[[],[[]]]"}, {"[1]"}},
      {R"({"definitions": {"a/b~c": {"type": "null"}}, "properties": {"x": {"$ref": "#/definitions/a~1b~0c", "description": "y"}}, "required": ["x"]})",
       {R"({"x":null})"},
       {R"({"x":1})"}},
      {R"({"$ref": "#/$defs/a%20b", "$defs": {"a b": {"type": "boolean"}}})", {"true"}, {"1"}},
      {R"({"$defs": {"s": {"type": "string"}}, "$ref": "#/$defs/s", "maxLength": 1})", {"\"a\""}, {"\"ab\"", "1"}},
      {R"({"type": "string", "pattern": "^[a-c]+\\d{2}$"})",
       {"\"a12\"", "\"abc00\""},
       {"\"12\"", "\"a1\"", "\"xa12\"", "\"a123\""}},
      {R"({"type": "string", "pattern": "b"})", {"\"b\"", "\"abc\"", "\"é\\nb\""}, {"\"\"", "\"ac\""}},
      {R"({"pattern": "^(?:x|yz?)(\\.[^\"a]){0,2}$"})",
       {"\"x\"", "\"yz.b\"", "\"y.\\\\..\""},
       {"\"x.a\"", "\"x.\\\"\"", "\"z\""}},
      {R"({"pattern": "^a|b$"})", {"\"a\"", "\"ab\"", "\"xb\"", "\"ax\""}, {"\"xa\"", "\"bx\""}},
      {R"({"pattern": "^\\w+\\s\\S$"})", {"\"ab c\"", "\"_\\t-\""}, {"\"ab  c\"", "\" c\""}},
      {R"({"format": "date"})",
       {"\"2024-02-29\"", "\"1999-12-31\""},
       {"\"2023-02-29\"", "\"2024-13-01\"", "\"2024-04-31\"", "\"1900-02-29\"", "\"24-01-01\""}},
      {R"({"format": "time"})", {"\"23:59:59Z\"", "\"00:00:00.125+09:00\""}, {"\"24:00:00Z\"", "\"12:00\""}},
      {R"({"format": "date-time"})", {"\"2024-02-29T12:00:00Z\""}, {"\"2024-02-29 12:00:00Z\"", "\"2024-02-29\""}},
      {R"({"format": "uuid"})", {"\"123e4567-e89b-12d3-a456-426614174000\""}, {"\"123e4567e89b12d3a456426614174000\""}},
      {R"({"format": "ipv4"})", {"\"0.255.19.200\""}, {"\"256.1.1.1\"", "\"1.1.1\"", "\"01.1.1.1\""}},
      {R"({"format": "email"})", {"\"a.b@example.org\""}, {"\"a@b\"", "\"@example.org\""}},
      {R"({"format": "duration"})", {"\"P1Y2M3DT4H5M6S\"", "\"PT1H\"", "\"P2W\""}, {"\"P\"", "\"PT\"", "\"1Y\""}},
      {R"({"type": "integer", "minimum": -3, "exclusiveMaximum": 12})",
       {"-3", "-1", "0", "9", "11"},
       {"-4", "12", "100", "-30"}},
      {R"({"type": "integer", "exclusiveMinimum": 99})", {"100", "101", "99999"}, {"99", "9", "-100"}},
      {R"({"type": "integer", "minimum": 1.5, "maximum": 3.5})", {"2", "3"}, {"1", "4"}},
      {R"({"type": "integer", "maximum": -10})", {"-10", "-11", "-1000"}, {"-9", "0", "10"}},
      {R"({"type": "number", "minimum": 0, "maximum": 1})",
       {"0", "0.5", "1", "1.0", "0.999"},
       {"1.01", "-0.5", "2", "1e0"}},
      {R"({"type": "number", "exclusiveMinimum": -2.5, "exclusiveMaximum": 10.25})",
       {"-2.4", "-2", "0", "10", "10.2", "10.249"},
       {"-2.5", "-3", "10.25", "10.3", "11", "-2.50"}},
      {R"({"title": "t", "description": "d", "default": 1, "examples": [], "$schema": "s", "$id": "i", "$comment": "c", "type": "null", "uniqueItems": false})",
       {"null"},
       {"1"}},
  };
  return kCases;
}

TEST_CASE("JSON schemas: texts that they take and do not take") {
  for (const SchemaCase& one : schema_cases()) {
    CAPTURE(one.schema);
    const Grammar grammar = parse_json_schema(one.schema);
    for (const bool expected : {true, false}) {
      for (const std::string& text : expected ? one.yes : one.no) {
        CAPTURE(text);
        CHECK(takes(grammar, text) == expected);
        if (one.schema.find("format") != std::string::npos) continue;  // slow
        Earley earley(grammar);
        CHECK((earley.push(text) && earley.complete()) == expected);
      }
    }
  }
}

TEST_CASE("JSON schemas: what is not understood is named with its place") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{", "schema: not well-formed JSON"},
      {"[]", "schema: #: expected a schema: an object, true or false"},
      {"false", "schema: #: no value is valid by it"},
      {R"({"type": "float"})", "schema: #/type: expected one of null, boolean, integer, number, string, array, object"},
      {R"({"type": ["string", 1]})", "schema: #/type/1: expected one of"},
      {R"({"properties": {"a/b": {"multipleOf": 2}}})",
       "schema: #/properties/a~1b/multipleOf: heed does not hold texts to this keyword"},
      {R"({"not": {}})", "schema: #/not: heed does not hold texts"},
      {R"({"type": "array", "uniqueItems": true})", "schema: #/uniqueItems: heed does not hold"},
      {R"({"if": {}})", "schema: #/if: "},
      {R"({"patternProperties": {}})", "schema: #/patternProperties: "},
      {R"({"minProperties": 1})", "schema: #/minProperties: "},
      {R"({"contains": {}})", "schema: #/contains: "},
      {R"({"wibble": 1})", "schema: #/wibble: "},
      {R"({"format": "iri"})", "schema: #/format: heed does not know this format; it knows date, time"},
      {R"x({"pattern": "(?=a)"})x",
       "schema: #/pattern: the pattern, at byte 2: looking ahead or behind is not possible here"},
      {R"x({"pattern": "(a)\\1"})x", "schema: #/pattern: the pattern, at byte 3: heed does not know this escape"},
      {R"({"pattern": "a\\b"})", "at byte 1: heed does not know this escape"},
      {R"({"pattern": "a$b"})", "'$' can stand at the end of the pattern only"},
      {R"x({"pattern": "(^a)"})x", "'^' can stand at the beginning of the pattern only"},
      {R"x({"pattern": "a)"})x", "this ')' ends no group"},
      {R"x({"pattern": "(a"})x", "a group does not end with ')'"},
      {R"({"pattern": "[a"})", "a class does not end with ']'"},
      {R"({"pattern": "[b-a]"})", "this is no range of characters"},
      {R"({"pattern": "*"})", "nothing stands before this repetition"},
      {R"({"pattern": "a{3,1}"})", "bounds that go backwards"},
      {R"({"pattern": "a", "minLength": 1})", "heed can hold a string to one of 'pattern', 'format', and lengths"},
      {R"({"$ref": "http://x/y"})", "schema: #/$ref: 'http://x/y' leads out of the schema"},
      {R"({"$ref": "#/$defs/a"})", "schema: #/$ref: there is nothing at '#/$defs/a'"},
      {R"({"$ref": "#"})", "references lead back to themselves"},
      {R"({"anyOf": [{"$ref": "#"}, {"type": "null"}]})", "references lead back to themselves, or nest too deep"},
      {R"({"anyOf": []})", "schema: #/anyOf: expected an array that is not empty"},
      {R"({"oneOf": [{"type": "integer"}, {"type": "number"}]})",
       "schema: #/oneOf: a value may be valid by both 0 and 1 of its alternatives"},
      {R"({"oneOf": [{"type": "null"}, {"enum": ["a", "b"]}, {"enum": ["c", "b"]}]})",
       "schema: #/oneOf: a value may be valid by both 1 and 2 of"},
      {R"({"oneOf": [{"enum": ["a"]}, {"type": "string"}]})", "valid by both 0 and 1 of"},
      {R"({"oneOf": [{"type": "string"}, {"required": ["a"]}]})", "valid by both 0 and 1 of"},
      {R"({"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]})", "valid by both 0 and 1 of"},
      {R"({"type": "object", "oneOf": [{"properties": {"k": {"const": 1}}}, {"properties": {"k": {"const": 2}}}]})",
       "valid by both 0 and 1 of"},  // {} is
      {R"({"properties": {"a": {"$id": "http://x/y", "type": "null"}}})",
       "schema: #/properties/a/$id: it is an identifier inside the schema, which changes where '$ref' leads"},
      {R"({"$ref": "#/$defs/a/items", "$defs": {"a": {"$id": "x", "items": {"type": "null"}}}})",
       "schema: #/$ref: it leads through an '$id'"},
      {R"({"enum": []})", "schema: #/enum: expected an array that is not empty"},
      {R"({"enum": ["a"], "minLength": 2})",
       "heed cannot hold the values of 'enum' or 'const' to other keywords on string"},
      {R"({"type": "integer", "enum": ["a"]})", "schema: #: no value is valid by it"},
      {R"({"type": "integer", "minimum": 5, "maximum": 4})", "schema: #: no value is valid by it"},
      {R"({"type": "number", "minimum": 0.5, "exclusiveMaximum": 0.5})", "schema: #: no value is valid by it"},
      {R"({"type": "integer", "minimum": "1"})", "schema: #/minimum: expected a number"},
      {R"({"minLength": -1})", "schema: #/minLength: expected an integer from 0 to 65536"},
      {R"({"minLength": 1.5})", "schema: #/minLength: expected an integer"},
      {R"({"type": "string", "minLength": 5, "maxLength": 4})", "schema: #: no value is valid by it"},
      {R"({"allOf": [{"type": "string"}, {"type": "null"}]})", "schema: #: no value is valid by it"},
      {R"({"properties": {"a": false}, "required": ["a"]})", "schema: #: no value is valid by it"},
      {R"({"type": "object", "required": ["a"], "additionalProperties": false})", "schema: #: no value is valid by it"},
      {R"({"properties": {"a": {"allOf": [{"pattern": "a"}, {"pattern": "b"}]}}})",
       "heed cannot hold a string to two keywords 'pattern' at a time"},
      {R"({"properties": 1})", "schema: #/properties: expected an object"},
      {R"({"required": "a"})", "schema: #/required: expected an array of up to 2000 names"},
      {R"({"items": 3})", "schema: #/items: expected a schema: an object, true or false"},
      {R"({"$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "required": ["n"]}}, "$ref": "#/$defs/n"})",
       "has no text that ends"},
      {R"({"enum": [1], "const": 1})", "one of both is enough"},
      {R"({"additionalItems": {}})", "it belongs to a list of schemas in 'items', which is not there"},
  };
  for (const auto& one : cases) {
    const auto& schema = one.first;
    const auto& expected = one.second;
    CAPTURE(schema);
    std::string found;
    try {
      compile(parse_json_schema(schema));
    } catch (const Error& error) {
      found = error.what();
    }
    CAPTURE(found);
    CHECK(found.find(expected) != std::string::npos);
  }
  // Alternatives of alternatives.
  std::string product = R"({"allOf": [)";
  for (int i = 0; i < 12; ++i)
    product += R"({"anyOf": [{"required": ["a)" + std::to_string(i) + R"("]}, {"required": ["b)" + std::to_string(i) +
               R"("]}]},)";
  CHECK_THROWS_WITH_AS(parse_json_schema(product + "true]}"), doctest::Contains("more than 256 alternatives"), Error);
}

/// What a schema is refused with, and the processor's seconds until then.
std::pair<std::string, double> refusal(const std::string& schema) {
  const std::clock_t begin = std::clock();
  std::string message = "nothing";
  try {
    parse_json_schema(schema);
  } catch (const Error& error) {
    message = error.what();
  }
  return {message, static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC};
}

TEST_CASE("hostile JSON schemas are refused before they take long or much") {
  const auto expect = [](const std::string& what, const std::string& schema, const std::string& expected) {
    const auto found = refusal(schema);
    MESSAGE(what << ": " << schema.size() << " bytes, " << found.second << " s");
    CAPTURE(what);
    CAPTURE(found.first);
    CHECK(found.first.find(expected) != std::string::npos);
    CHECK(found.second < 1.5 * HEED_SLOWNESS);
  };
  // Each is a schema of its own for a property that says something besides.
  const auto referring = [](int count, const std::string& target) {
    std::string schema = R"({"$defs": {"a": )" + target + R"(}, "properties": {)";
    for (int i = 0; i < count; ++i) {
      schema +=
          (i > 0 ? "," : "") + std::string("\"p") + std::to_string(i) + R"(": {"$ref": "#/$defs/a", "minItems": 0})";
    }
    return schema + "}}";
  };
  const std::string too_large = "it becomes more than 524288 parts of a grammar";
  Random random(3);
  std::string names;
  for (int i = 0; i < 1000; ++i) {
    std::string name;
    for (int k = 0; k < 126; ++k) name += static_cast<char>('a' + grammar_test::below(random, 26));
    names += (i > 0 ? ",\"" : "\"") + name + "\": {}";
  }
  expect("long names",
         referring(40, R"({"type": "object", "properties": {)" + names + R"(}, "additionalProperties": true})"),
         too_large);
  expect("a long pattern", referring(256, R"({"pattern": ")" + std::string(8000, '.') + R"("})"), too_large);
  expect("a long constant", referring(2000, R"({"const": ")" + std::string(200'000, 'x') + R"("})"),
         "the schema has more than 524288 parts");
  std::string left, right, any, doubled;
  for (int i = 0; i < 40'000; ++i) {
    left += (i > 0 ? "," : "") + std::to_string(i);
    right += (i > 0 ? "," : "") + std::to_string(i + 40'000);
  }
  expect("long enums", R"({"allOf": [{"enum": [)" + left + R"(]}, {"enum": [)" + right + "]}]}",
         "no value is valid by it");
  for (int i = 0; i < 200; ++i) any += (i > 0 ? "," : "") + std::string(R"({"$ref": "#/$defs/b"})");
  for (int i = 0; i < 200; ++i) doubled += (i > 0 ? "," : "") + std::string(R"({"minLength": 1})");
  for (const char* keyword : {"anyOf", "oneOf"}) {
    expect("alternatives in alternatives",
           R"({"$defs": {"b": {"anyOf": [)" + doubled + "]}}, \"" + keyword + "\": [" + any + "]}",
           "there are more than 256 alternatives in all");
  }
}

TEST_CASE("ranges of numbers are exactly those") {
  const auto check = [](const Expression& expression, const std::string& written, bool expected) {
    CAPTURE(written);
    CHECK(takes({{{"root", expression}}, 0}, written) == expected);
  };
  Random random(11);
  for (int i = 0; i < 30; ++i) {
    const auto least = static_cast<std::int64_t>(grammar_test::below(random, 3000)) - 1500;
    const auto most = least + static_cast<std::int64_t>(grammar_test::below(random, i % 2 == 0 ? 40 : 3000));
    CAPTURE(least);
    CAPTURE(most);
    const Expression range = *integers_between(least, most);
    for (const std::int64_t value :
         {least - 1, least, least + 1, (least + most) / 2, most - 1, most, most + 1, -least, least * 10}) {
      check(range, std::to_string(value), value >= least && value <= most);
    }
  }
  const std::vector<std::string> numbers = {"-100",  "-12.5", "-12.25", "-12", "-1.05", "-1",   "-0.75", "-0.5",
                                            "-0.05", "0",     "0.05",   "0.5", "0.505", "0.75", "1",     "1.05",
                                            "1.5",   "9.99",  "10",     "12",  "12.25", "12.5", "100"};
  for (std::size_t low = 0; low < numbers.size(); ++low) {
    for (std::size_t high = low; high < numbers.size(); ++high) {
      for (const bool exclusive : {false, true}) {
        CAPTURE(numbers[low]);
        CAPTURE(numbers[high]);
        CAPTURE(exclusive);
        const auto range = numbers_between(Bound{numbers[low], exclusive}, Bound{numbers[high], exclusive});
        REQUIRE(range.has_value() == (low < high || !exclusive));
        if (!range || (low + high) % (4 * HEED_SLOWNESS) != 0) continue;
        const auto matcher = grammar_test::matcher_of({{{"root", *range}}, 0}, many_marks());
        for (std::size_t i = 0; i < numbers.size(); ++i) {
          Matcher::Place place(*matcher);
          const bool inside = exclusive ? i > low && i < high : i >= low && i <= high;
          const bool taken = matcher->accept(place, numbers[i]) && matcher->complete(place);
          CAPTURE(numbers[i]);
          CHECK(taken == inside);
        }
      }
    }
  }
}

/// A text made of tokens that may come, by chance; nothing where it does not end in time.
std::optional<std::string> random_text(const std::shared_ptr<Matcher>& matcher, const Tokenizer& tokenizer,
                                       unsigned seed) {
  Constrained constrained(matcher, {0});
  Random random(seed);
  std::string text;
  for (int step = 0; step < 400; ++step) {
    const std::vector<TokenId> allowed = constrained.tokens();
    TokenId next = allowed[grammar_test::below(random, allowed.size())];
    // An end now and then; what closes something more often, the longer it becomes.
    if (allowed.front() == 0 && grammar_test::below(random, 3) == 0) next = 0;
    for (int i = 0; i < step / 10; ++i) {
      const TokenId other = allowed[grammar_test::below(random, allowed.size())];
      const std::string piece = tokenizer.piece(other);
      if (other == 0 || piece.find_first_of("\"}]") != std::string::npos) next = other;
      if (piece.find_first_of("{[") == std::string::npos &&
          tokenizer.piece(next).find_first_of("{[") != std::string::npos)
        next = other;
    }
    constrained.accept(next);
    if (next == 0) return text;
    text += tokenizer.piece(next);
  }
  return {};
}

TEST_CASE("random texts under a schema are valid by Python's jsonschema") {
  const TemporaryFolder folder;
  const auto file = folder.path() / "texts.json";
  nlohmann::json cases = nlohmann::json::array();
  std::size_t texts = 0;
  for (const SchemaCase& one : schema_cases()) {
    const auto matcher = grammar_test::matcher_of(parse_json_schema(one.schema), many_marks());
    nlohmann::json made = one.yes;
    for (unsigned seed = 0; seed < 12 / HEED_SLOWNESS + 1; ++seed) {
      if (const auto text = random_text(matcher, many_marks(), seed)) {
        made.push_back(*text);
        ++texts;
      }
    }
    cases.push_back({{"schema", one.schema}, {"texts", made}});
  }
  MESSAGE(texts << " random texts");
  CHECK(texts > 200 / HEED_SLOWNESS);
  std::ofstream(file) << cases.dump();
  if (std::system("python3 -c 'import jsonschema' 2>/dev/null") != 0) {
    MESSAGE("SKIPPED: schemas: Python has no jsonschema (Debian: python3-jsonschema)");
    return;
  }
  const std::string script = std::string(HEED_SOURCE_DIR) + "/tests/unit/grammar/validate.py";
  CHECK(std::system(("python3 '" + script + "' '" + file.string() + "'").c_str()) == 0);
}

}  // namespace
}  // namespace heed::grammar
