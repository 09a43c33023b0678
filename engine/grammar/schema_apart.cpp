// Which alternatives of oneOf are told apart.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "grammar/schema_parts.h"

namespace heed::grammar {

std::uint32_t kind_of(const SchemaJson& value) {
  if (value.is_null()) return kNullBit;
  if (value.is_boolean()) return kBooleanBit;
  if (value.is_string()) return kStringBit;
  if (value.is_array()) return kArrayBit;
  if (value.is_object()) return kObjectBit;
  return value.get<double>() == std::floor(value.get<double>()) ? kIntegerBit : kNumberBit;
}

FlatSchema SchemaReader::tag_of(const Schemas& schemas) const {
  constexpr int kMostReferences = 16;
  FlatSchema tag;
  for (SchemaPlace place : schemas) {
    for (int i = 0; i < kMostReferences; ++i) {
      if (*place.json == false) tag.kinds = 0;
      if (!place.json->is_object()) break;
      if (const auto type = place.json->find("type"); type != place.json->end()) {
        std::uint32_t kinds = 0;
        for (const SchemaJson& one : type->is_array() ? *type : SchemaJson::array({*type})) {
          kinds |= read_type(one, pointer_to(place.pointer, "type"));
        }
        tag.kinds &= kinds;
      }
      const auto hold_to = [&](std::vector<const SchemaJson*> values) {
        if (!tag.values) {
          tag.values = std::move(values);
          return;
        }
        const ValueSet theirs(values.begin(), values.end());
        std::erase_if(*tag.values, [&](const SchemaJson* value) { return !theirs.contains(value); });
      };
      if (const auto value = place.json->find("const"); value != place.json->end()) hold_to({&*value});
      if (const auto list = place.json->find("enum"); list != place.json->end() && list->is_array()) {
        std::vector<const SchemaJson*> values;
        for (const SchemaJson& value : *list) values.push_back(&value);
        hold_to(std::move(values));
      }
      const auto reference = place.json->find("$ref");
      if (reference == place.json->end()) break;
      place = resolve(*reference, pointer_to(place.pointer, "$ref"));
    }
  }
  return tag;
}

// No value that is made of one is valid by the other.
bool SchemaReader::are_apart(const FlatSchema& left, const FlatSchema& right) const {
  const auto made_kinds = [](const FlatSchema& flat) {  // where no type is said, those whose keywords there are
    return flat.typed || flat.values || flat.hinted == 0 ? flat.kinds : flat.kinds & flat.hinted;
  };
  const auto values_apart = [](const FlatSchema& one, const FlatSchema& other) {
    ValueSet theirs;
    if (other.values) theirs.insert(other.values->begin(), other.values->end());
    return std::ranges::none_of(*one.values, [&](const SchemaJson* value) {
      const bool both_kinds = (kind_of(*value) & one.kinds & other.kinds) != 0;
      return both_kinds && (!other.values || theirs.contains(value));
    });
  };
  const std::uint32_t common = (made_kinds(left) & right.kinds) | (left.kinds & made_kinds(right));
  if (common == 0) return true;
  if (left.values && values_apart(left, right)) return true;
  if (right.values && values_apart(right, left)) return true;
  if (common != kObjectBit) return false;
  const std::unordered_map<std::string_view, std::size_t> in_right = property_indices(right);
  for (const auto& [name, schemas] : left.properties) {
    if (!left.required.contains(name) || !right.required.contains(name)) continue;
    const auto other = in_right.find(name);
    if (other == in_right.end()) continue;
    const FlatSchema one_tag = tag_of(schemas), other_tag = tag_of(right.properties[other->second].second);
    if ((one_tag.kinds & other_tag.kinds) == 0 || (one_tag.values && values_apart(one_tag, other_tag)) ||
        (other_tag.values && values_apart(other_tag, one_tag))) {
      return true;
    }
  }
  return false;
}

void SchemaReader::expect_apart(std::vector<std::vector<FlatSchema>>& alternatives, const std::string& pointer) {
  for (std::size_t i = 0; i < alternatives.size(); ++i) {
    for (std::size_t j = i + 1; j < alternatives.size(); ++j) {
      for (const FlatSchema& one : alternatives[i]) {
        for (const FlatSchema& other : alternatives[j]) {
          count(1 + (size_of(one) + size_of(other)) / 8, pointer);
          if (are_apart(one, other)) continue;
          fail_at(pointer,
                  fmt::format("a value may be valid by both {} and {} of its alternatives, counted from 0; heed "
                              "tells them apart by 'type', 'const' and 'enum', of the value or of a property "
                              "that both require; say those, or use 'anyOf'",
                              i, j));
        }
      }
    }
  }
  for (std::vector<FlatSchema>& part : alternatives) {
    for (FlatSchema& flat : part) {  // what is made stays what was looked at, whatever keywords come besides
      if (flat.typed || flat.values || flat.hinted == 0) continue;
      flat.kinds &= flat.hinted;
      flat.typed = true;
    }
  }
}

}  // namespace heed::grammar
