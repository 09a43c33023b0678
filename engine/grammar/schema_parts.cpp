#include "grammar/schema_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <iterator>
#include <tuple>
#include <unordered_map>

#include "heed/error.h"

namespace heed::grammar {
namespace {

constexpr int kMostSchemaDepth = 64;  // of references and alternatives in each other
constexpr std::size_t kMostAlternatives = 256;
constexpr std::size_t kMostExpanded = std::size_t{1} << 19;  // schemas, properties, values, as often as they are read
constexpr std::uint32_t kMostCount = 1 << 16;
constexpr std::size_t kMostProperties = 2000;
constexpr std::size_t kMostPrefixItems = 256;
constexpr std::size_t kLongestPointer = 300;
constexpr std::string_view kNestedId = "an identifier inside the schema, which changes where '$ref' leads";

constexpr std::array<std::pair<std::string_view, std::uint32_t>, 7> kTypes = {{{"null", kNullBit},
                                                                               {"boolean", kBooleanBit},
                                                                               {"integer", kIntegerBit},
                                                                               {"number", kIntegerBit | kNumberBit},
                                                                               {"string", kStringBit},
                                                                               {"array", kArrayBit},
                                                                               {"object", kObjectBit}}};

// What says nothing about which values there are.
constexpr std::array<std::string_view, 17> kAnnotations = {
    "title",      "description", "default",   "examples",        "example",         "$schema",
    "$id",        "id",          "$comment",  "$anchor",         "$defs",           "definitions",
    "deprecated", "readOnly",    "writeOnly", "contentEncoding", "contentMediaType"};

std::uint32_t read_count(const SchemaJson& json, const std::string& pointer) {
  const bool whole = json.is_number() && json.get<double>() == std::floor(json.get<double>());
  if (!whole || json.get<double>() < 0 || json.get<double>() > kMostCount) {
    fail_at(pointer, fmt::format("expected an integer from 0 to {}", kMostCount));
  }
  return static_cast<std::uint32_t>(json.get<double>());
}

const std::string& read_text(const SchemaJson& json, const std::string& pointer) {
  if (!json.is_string()) fail_at(pointer, "expected a string");
  return json.get_ref<const std::string&>();
}

std::string read_decimal(const SchemaJson& json, const std::string& pointer) {
  if (!json.is_number()) fail_at(pointer, "expected a number");
  if (json.is_number_unsigned()) return std::to_string(json.get<std::uint64_t>());
  if (json.is_number_integer()) return std::to_string(json.get<std::int64_t>());
  const double value = json.get<double>();
  std::array<char, 512> buffer;
  const auto [end, error] =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed);
  if (error != std::errc() || std::abs(value) > 1e18 || (value != 0 && std::abs(value) < 1e-15)) {
    fail_at(pointer, "heed takes bounds of up to 18 digits before the point and 15 behind it");
  }
  return std::string(buffer.data(), end);
}

void tighten(std::optional<Bound>& bound, const std::optional<Bound>& other, int sign) {
  if (!other) return;
  if (!bound) {
    bound = other;
    return;
  }
  const int order = sign * compare_decimals(other->decimal, bound->decimal);
  if (order > 0 || (order == 0 && other->exclusive)) bound = other;
}

void append_new(Schemas& schemas, const Schemas& more) {
  for (const SchemaPlace& place : more) {
    if (std::ranges::none_of(schemas, [&](const SchemaPlace& known) { return known.json == place.json; })) {
      schemas.push_back(place);
    }
  }
}

// Both hold. Nothing where they cannot.
std::optional<FlatSchema> both(FlatSchema left, const FlatSchema& right) {
  const std::optional<Schemas> additional_before = left.additional, items_before = left.items;
  left.kinds &= right.kinds;
  left.typed = left.typed || right.typed;
  left.hinted |= right.hinted;
  if (left.kinds == 0) return {};
  if (left.values && right.values) {
    const ValueSet theirs(right.values->begin(), right.values->end());
    std::erase_if(*left.values, [&](const SchemaJson* value) { return !theirs.contains(value); });
    if (left.values->empty()) return {};
  } else if (right.values) {
    left.values = right.values;
    left.values_size = right.values_size;
  }

  const std::unordered_map<std::string_view, std::size_t> in_right = property_indices(right);
  std::set<std::string> in_left;
  for (auto& [name, schemas] : left.properties) {
    in_left.insert(name);
    if (const auto known = in_right.find(name); known != in_right.end()) {
      append_new(schemas, right.properties[known->second].second);
    } else if (right.additional) {
      append_new(schemas, *right.additional);
    }
  }
  for (const auto& [name, schemas] : right.properties) {
    if (in_left.contains(name)) continue;
    left.properties.emplace_back(name, schemas);
    if (additional_before) append_new(left.properties.back().second, *additional_before);
  }
  left.required.insert(right.required.begin(), right.required.end());
  if (right.additional) {
    if (!left.additional) left.additional.emplace();
    append_new(*left.additional, *right.additional);
  }

  for (std::size_t i = 0; i < std::max(left.prefix.size(), right.prefix.size()); ++i) {
    const std::optional<Schemas> from_right = i < right.prefix.size() ? std::optional(right.prefix[i]) : right.items;
    if (i == left.prefix.size()) left.prefix.push_back(items_before.value_or(Schemas()));
    if (from_right) append_new(left.prefix[i], *from_right);
  }
  if (right.items) {
    if (!left.items) left.items.emplace();
    append_new(*left.items, *right.items);
  }
  left.min_items = std::max(left.min_items, right.min_items);
  if (right.max_items) left.max_items = std::min(left.max_items.value_or(*right.max_items), *right.max_items);

  left.min_length = std::max(left.min_length, right.min_length);
  if (right.max_length) left.max_length = std::min(left.max_length.value_or(*right.max_length), *right.max_length);
  for (const auto& [mine, theirs, name] :
       {std::tuple(&left.pattern, &right.pattern, "pattern"), std::tuple(&left.format, &right.format, "format")}) {
    if (*mine && *theirs && *mine != *theirs) {
      fail_at(right.pointer, fmt::format("heed cannot hold a string to two keywords '{}' at a time; the other is at {}",
                                         name, left.pointer));
    }
    if (*theirs) *mine = *theirs;
  }
  tighten(left.least, right.least, 1);
  tighten(left.most, right.most, -1);
  return left;
}

}  // namespace

void fail_at(std::string_view pointer, std::string_view message) {
  const std::string shown =
      nlohmann::json(pointer.substr(0, kLongestPointer)).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  throw Error(fmt::format("schema: {}: {}", shown.substr(1, shown.size() - 2), message));
}

std::string pointer_to(const std::string& pointer, std::string_view key) {
  std::string made = pointer + "/";
  for (const char c : key) {
    if (made.size() > kLongestPointer) break;
    if (c == '~') {
      made += "~0";
    } else if (c == '/') {
      made += "~1";
    } else {
      made += c;
    }
  }
  // Each of many names in a long one would hold it again.
  if (made.size() > kLongestPointer) made.resize(kLongestPointer);
  return made;
}

std::uint32_t read_type(const SchemaJson& name, const std::string& pointer) {
  if (name.is_string()) {
    for (const auto& [type, bits] : kTypes) {
      if (type == name.get_ref<const std::string&>()) return bits;
    }
  }
  fail_at(pointer, "expected one of null, boolean, integer, number, string, array, object");
}

std::unordered_map<std::string_view, std::size_t> property_indices(const FlatSchema& schema) {
  std::unordered_map<std::string_view, std::size_t> indices;
  for (std::size_t i = 0; i < schema.properties.size(); ++i) indices.emplace(schema.properties[i].first, i);
  return indices;
}

std::size_t size_of(const FlatSchema& schema) {
  std::size_t size = 1 + schema.required.size() + schema.prefix.size() + schema.values_size;
  for (const auto& [name, schemas] : schema.properties) size += 1 + schemas.size();
  for (const Schemas& schemas : schema.prefix) size += schemas.size();
  return size;
}

SchemaPlace SchemaReader::resolve(const SchemaJson& reference, const std::string& pointer) const {
  const std::string& target = read_text(reference, pointer);
  if (target != "#" && !target.starts_with("#/")) {
    fail_at(pointer, fmt::format("'{}' leads out of the schema; heed follows '#' and '#/...'",
                                 target.substr(0, kLongestPointer)));
  }
  std::string plain;  // without %XX
  for (std::size_t i = 0; i < target.size(); ++i) {
    unsigned value = 0;
    const char* const digits = target.data() + i + 1;
    if (target[i] == '%' && i + 2 < target.size() && std::from_chars(digits, digits + 2, value, 16).ptr == digits + 2) {
      plain += static_cast<char>(value);
      i += 2;
    } else {
      plain += target[i];
    }
  }
  const SchemaJson* at = &root_;
  for (std::size_t begin = 1; begin < plain.size();) {
    const std::size_t end = std::min(plain.find('/', begin + 1), plain.size());
    std::string key;
    for (std::size_t i = begin + 1; i < end; ++i) {
      const bool escaped = plain[i] == '~' && i + 1 < end && (plain[i + 1] == '0' || plain[i + 1] == '1');
      key += escaped ? (plain[++i] == '0' ? '~' : '/') : plain[i];
    }
    const SchemaJson* next = nullptr;
    if (at->is_object() && at->contains(key)) {
      next = &at->at(key);
    } else if (at->is_array()) {
      std::size_t index = 0;
      const auto [stop, error] = std::from_chars(key.data(), key.data() + key.size(), index);
      if (error == std::errc() && stop == key.data() + key.size() && index < at->size()) next = &(*at)[index];
    }
    if (next == nullptr) {
      fail_at(pointer, fmt::format("there is nothing at '{}'", target.substr(0, kLongestPointer)));
    }
    if (next->is_object() && next->contains("$id") && next->at("$id").is_string()) {
      fail_at(pointer, fmt::format("it leads through an '$id', {}; leave that out", kNestedId));
    }
    at = next;
    begin = end;
  }
  if (plain.size() > kLongestPointer) plain.resize(kLongestPointer);
  return {at, plain};
}

FlatSchema SchemaReader::read_keywords(const SchemaPlace& place) const {
  FlatSchema flat;
  flat.pointer = place.pointer;
  const auto list_of = [](const SchemaJson& value, const std::string& where) {
    if (!value.is_array() || value.empty()) fail_at(where, "expected an array that is not empty");
    Schemas schemas;
    for (std::size_t i = 0; i < value.size(); ++i) schemas.push_back({&value[i], fmt::format("{}/{}", where, i)});
    return schemas;
  };
  for (const auto& [key, value] : place.json->items()) {
    const std::string where = pointer_to(place.pointer, key);
    const std::string_view name = key;
    const auto is_one_of = [&](auto... names) { return ((name == names) || ...); };
    if (name == "$id" && place.json != &root_) fail_at(where, fmt::format("it is {}; leave it out", kNestedId));
    if (std::ranges::find(kAnnotations, name) != kAnnotations.end()) continue;
    if (is_one_of("$ref", "allOf", "anyOf", "oneOf")) continue;  // expand() reads them
    if (is_one_of("properties", "required", "additionalProperties")) flat.hinted |= kObjectBit;
    if (is_one_of("items", "prefixItems", "additionalItems", "minItems", "maxItems")) flat.hinted |= kArrayBit;
    if (is_one_of("minLength", "maxLength", "pattern", "format")) flat.hinted |= kStringBit;
    if (is_one_of("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")) {
      flat.hinted |= kNumberBit | kIntegerBit;
    }
    if (name == "type") {
      flat.typed = true;
      flat.kinds = 0;
      if (value.is_array()) {
        for (std::size_t i = 0; i < value.size(); ++i) {
          flat.kinds |= read_type(value[i], fmt::format("{}/{}", where, i));
        }
        if (value.empty()) fail_at(where, "expected a type or several");
      } else {
        flat.kinds = read_type(value, where);
      }
    } else if (name == "enum") {
      if (!value.is_array() || value.empty()) fail_at(where, "expected an array that is not empty");
      if (flat.values) fail_at(where, "stands beside 'const'; one of both is enough");
      flat.values.emplace();
      for (const SchemaJson& one : value) flat.values->push_back(&one);
    } else if (name == "const") {
      if (flat.values) fail_at(where, "stands beside 'enum'; one of both is enough");
      flat.values = std::vector{&value};
    } else if (name == "properties") {
      if (!value.is_object()) fail_at(where, "expected an object");
      if (value.size() > kMostProperties) {
        fail_at(where, fmt::format("{} properties; heed takes up to {}", value.size(), kMostProperties));
      }
      for (const auto& [property, schema] : value.items()) {
        flat.properties.emplace_back(property, Schemas{{&schema, pointer_to(where, property)}});
      }
    } else if (name == "required") {
      if (!value.is_array() || value.size() > kMostProperties) {
        fail_at(where, fmt::format("expected an array of up to {} names", kMostProperties));
      }
      for (const SchemaJson& property : value) flat.required.insert(read_text(property, where));
    } else if (name == "additionalProperties") {
      flat.additional = Schemas{{&value, where}};
    } else if (name == "prefixItems" || (name == "items" && value.is_array())) {
      if (!flat.prefix.empty()) fail_at(where, "the first items are given twice");
      if (value.size() > kMostPrefixItems) {
        fail_at(where, fmt::format("{} first items; heed takes up to {}", value.size(), kMostPrefixItems));
      }
      for (const SchemaPlace& item : list_of(value, where)) flat.prefix.push_back({item});
    } else if (is_one_of("items", "additionalItems")) {
      if (name == "additionalItems" && !(place.json->contains("items") && place.json->at("items").is_array())) {
        fail_at(where, "it belongs to a list of schemas in 'items', which is not there");
      }
      flat.items = Schemas{{&value, where}};
    } else if (name == "minItems") {
      flat.min_items = read_count(value, where);
    } else if (name == "maxItems") {
      flat.max_items = read_count(value, where);
    } else if (name == "minLength") {
      flat.min_length = read_count(value, where);
    } else if (name == "maxLength") {
      flat.max_length = read_count(value, where);
    } else if (name == "pattern") {
      flat.pattern = read_text(value, where);
    } else if (name == "format") {
      flat.format = read_text(value, where);
    } else if (is_one_of("minimum", "exclusiveMinimum")) {
      tighten(flat.least, Bound{read_decimal(value, where), name != "minimum"}, 1);
    } else if (is_one_of("maximum", "exclusiveMaximum")) {
      tighten(flat.most, Bound{read_decimal(value, where), name != "maximum"}, -1);
    } else if (name == "uniqueItems" && value == false) {
      continue;
    } else {
      fail_at(where, "heed does not hold texts to this keyword; leave it out");
    }
  }
  if (flat.values) {
    constexpr std::size_t kBytes = 16;  // of a value, that count as one more
    for (const SchemaJson* one : *flat.values) flat.values_size += 1 + one->dump().size() / kBytes;
  }
  return flat;
}

void SchemaReader::count(std::size_t parts, const std::string& pointer) {
  expanded_ += parts;
  if (expanded_ > kMostExpanded) {
    fail_at(pointer,
            fmt::format("the schema has more than {} parts, those of references and alternatives counted each time",
                        kMostExpanded));
  }
}

std::vector<FlatSchema> SchemaReader::cross(const std::vector<FlatSchema>& left, const std::vector<FlatSchema>& right,
                                            const std::string& pointer) {
  std::vector<FlatSchema> made;
  for (const FlatSchema& one : left) {
    for (const FlatSchema& other : right) {
      count(size_of(one) + size_of(other), pointer);
      if (std::optional<FlatSchema> joined = both(one, other)) made.push_back(std::move(*joined));
      if (made.size() > kMostAlternatives) {
        fail_at(pointer, fmt::format("there are more than {} alternatives in all", kMostAlternatives));
      }
    }
  }
  return made;
}

std::vector<FlatSchema> SchemaReader::expand(const SchemaPlace& place, int depth) {
  if (depth > kMostSchemaDepth) fail_at(place.pointer, "references lead back to themselves, or nest too deep");
  count(1, place.pointer);
  const SchemaJson& json = *place.json;
  if (json.is_boolean()) {
    FlatSchema all;
    all.pointer = place.pointer;
    return json.get<bool>() ? std::vector<FlatSchema>{all} : std::vector<FlatSchema>{};
  }
  if (!json.is_object()) fail_at(place.pointer, "expected a schema: an object, true or false");
  std::vector<FlatSchema> made{read_keywords(place)};
  if (const auto reference = json.find("$ref"); reference != json.end()) {
    const SchemaPlace target = resolve(*reference, pointer_to(place.pointer, "$ref"));
    made = cross(made, expand(target, depth + 1), place.pointer);
  }
  for (const std::string_view name : {"allOf", "anyOf", "oneOf"}) {
    const auto found = json.find(name);
    if (found == json.end()) continue;
    const std::string where = pointer_to(place.pointer, name);
    if (!found->is_array() || found->empty()) fail_at(where, "expected an array that is not empty");
    std::vector<FlatSchema> any;
    std::vector<std::vector<FlatSchema>> apart;
    std::size_t alternatives = 0;
    for (std::size_t i = 0; i < found->size(); ++i) {
      std::vector<FlatSchema> part = expand({&(*found)[i], fmt::format("{}/{}", where, i)}, depth + 1);
      if (name == "allOf") {
        made = cross(made, part, where);
        continue;
      }
      alternatives += part.size();
      if (alternatives > kMostAlternatives) {
        fail_at(where, fmt::format("there are more than {} alternatives in all", kMostAlternatives));
      }
      if (name == "oneOf") {
        apart.push_back(cross(made, part, where));
      } else {
        any.insert(any.end(), std::make_move_iterator(part.begin()), std::make_move_iterator(part.end()));
      }
    }
    if (name == "anyOf") made = cross(made, any, where);
    if (name != "oneOf") continue;
    expect_apart(apart, where);
    made.clear();
    for (std::vector<FlatSchema>& part : apart) {
      made.insert(made.end(), std::make_move_iterator(part.begin()), std::make_move_iterator(part.end()));
    }
    if (made.size() > kMostAlternatives) {
      fail_at(where, fmt::format("there are more than {} alternatives in all", kMostAlternatives));
    }
  }
  return made;
}

std::vector<FlatSchema> SchemaReader::alternatives(const Schemas& schemas) {
  std::vector<FlatSchema> made(1);
  made.front().pointer = schemas.empty() ? "#" : schemas.front().pointer;
  for (const SchemaPlace& place : schemas) made = cross(made, expand(place, 0), place.pointer);
  for (FlatSchema& flat : made) {
    if (!schemas.empty()) flat.pointer = schemas.front().pointer;
  }
  return made;
}

}  // namespace heed::grammar
