#include "grammar/json_schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "grammar/json_texts.h"
#include "grammar/schema_parts.h"
#include "grammar/string_pattern.h"
#include "graph/json_field.h"
#include "heed/error.h"

namespace heed::grammar {
namespace {

constexpr std::size_t kMostSchemaRules = 1 << 15;

class SchemaCompiler {
 public:
  explicit SchemaCompiler(const SchemaJson& root) : root_(root), reader_(root), texts_(grammar_, budget_) {}

  Grammar compile() {
    const std::optional<Expression> whole = rule_of({{&root_, "#"}});
    if (!whole) fail_at("#", "no value is valid by it");
    grammar_.root = whole->rule;
    while (!waiting_.empty()) {
      const Waiting next = std::move(waiting_.back());
      waiting_.pop_back();
      std::vector<Expression> parts;
      for (const FlatSchema& flat : next.alternatives) {
        try {
          if (std::optional<Expression> part = values_of(flat)) parts.push_back(std::move(*part));
        } catch (const BudgetSpent& error) {
          fail_at(next.pointer, error.what());
        }
      }
      if (parts.empty()) fail_at(next.pointer, "no value is valid by it");
      grammar_.rules[next.rule].body = choice(std::move(parts));
    }
    return std::move(grammar_);
  }

 private:
  struct Waiting {
    std::uint32_t rule;
    std::string pointer;
    std::vector<FlatSchema> alternatives;
  };

  /// The schema that one leads to which says nothing but "$ref".
  SchemaPlace follow(SchemaPlace place) const {
    constexpr int kMostReferences = 64;
    for (int i = 0; i < kMostReferences; ++i) {
      const auto says = [&](std::string_view key) { return place.json->contains(key); };
      if (!place.json->is_object() || !says("$ref")) return place;
      for (const auto& [key, value] : place.json->items()) {
        if (key != "$ref" && key != "title" && key != "description" && key != "default") return place;
      }
      place = reader_.resolve(place.json->at("$ref"), pointer_to(place.pointer, "$ref"));
    }
    fail_at(place.pointer, "references lead back to themselves");
  }

  /// The rule of values that all of the schemas hold for; nothing where there are none.
  std::optional<Expression> rule_of(Schemas schemas) {
    std::vector<const SchemaJson*> key;
    for (SchemaPlace& place : schemas) {
      place = follow(place);
      key.push_back(place.json);
    }
    if (const auto known = rules_.find(key); known != rules_.end()) return rule(known->second);
    std::vector<FlatSchema> alternatives = reader_.alternatives(schemas);
    if (alternatives.empty()) return {};
    if (grammar_.rules.size() >= kMostSchemaRules) {
      fail_at(schemas.empty() ? "#" : schemas.front().pointer,
              fmt::format("the schema becomes more than {} rules", kMostSchemaRules));
    }
    const auto number = static_cast<std::uint32_t>(grammar_.rules.size());
    const std::string pointer = schemas.empty() ? "#" : schemas.front().pointer;
    grammar_.rules.push_back({pointer, {}});
    rules_.emplace(std::move(key), number);
    waiting_.push_back({number, pointer, std::move(alternatives)});
    return rule(number);
  }

  std::optional<Expression> values_of(const FlatSchema& flat) {
    std::uint32_t kinds = flat.kinds;
    if (!flat.typed && !flat.values && flat.hinted != 0) kinds &= flat.hinted;
    if (flat.values) return enumerated(flat, kinds);
    if (kinds == kAllBits && flat.hinted == 0) return texts_.value();
    std::vector<Expression> parts;
    const auto add = [&](std::optional<Expression> part) {
      if (!part) return;
      budget_.take(1);
      parts.push_back(std::move(*part));
    };
    if (kinds & kObjectBit) add(object(flat));
    if (kinds & kArrayBit) add(array(flat));
    if (kinds & kStringBit) add(string(flat));
    if (kinds & kNumberBit) {
      add(counted(flat.least || flat.most ? numbers_between(flat.least, flat.most) : texts_.number()));
    } else if (kinds & kIntegerBit) {
      add(counted(integer(flat)));
    }
    if (kinds & kBooleanBit) add(choice({text("true"), text("false")}));
    if (kinds & kNullBit) add(text("null"));
    if (parts.empty()) return {};
    return choice(std::move(parts));
  }

  std::optional<Expression> counted(std::optional<Expression> made) {
    if (made) budget_.take(*made);
    return made;
  }

  std::optional<Expression> enumerated(const FlatSchema& flat, std::uint32_t kinds) {
    std::vector<Expression> parts;
    for (const SchemaJson* each : *flat.values) {
      const SchemaJson& value = *each;
      const std::uint32_t kind = kind_of(value);
      if ((kind & kinds) == 0) continue;
      if (kind & flat.hinted) {
        fail_at(flat.pointer, fmt::format("heed cannot hold the values of 'enum' or 'const' to other keywords on {}; "
                                          "leave out the values that they forbid, and the keywords",
                                          value.type_name()));
      }
      parts.push_back(text(value.dump()));
      budget_.take(parts.back());
    }
    if (parts.empty()) return {};
    return choice(std::move(parts));
  }

  std::optional<Expression> integer(const FlatSchema& flat) {
    if (!flat.least && !flat.most) return texts_.integer();
    const auto whole = [&](const std::optional<Bound>& bound, int inwards) -> std::optional<std::int64_t> {
      if (!bound) return {};
      const double near = std::stod(bound->decimal);
      if (std::abs(near) > 9e18) fail_at(flat.pointer, "a bound of an integer is beyond 9e18");
      const std::size_t point = bound->decimal.find('.');
      const bool exact = point == std::string::npos;
      std::int64_t value = std::stoll(bound->decimal.substr(0, point));  // towards 0
      if (exact) return bound->exclusive ? value + inwards : value;
      const bool is_whole = bound->decimal.find_first_not_of('0', point + 1) == std::string::npos;
      if (is_whole) return bound->exclusive ? value + inwards : value;
      const bool negative = bound->decimal.starts_with('-');
      if (inwards > 0 && !negative) ++value;
      if (inwards < 0 && negative) --value;
      return value;
    };
    return integers_between(whole(flat.least, 1), whole(flat.most, -1));
  }

  std::optional<Expression> string(const FlatSchema& flat) {
    const bool bounded = flat.min_length > 0 || flat.max_length;
    if ((flat.pattern && flat.format) || ((flat.pattern || flat.format) && bounded)) {
      fail_at(flat.pointer,
              "heed can hold a string to one of 'pattern', 'format', and lengths, not to several at a time");
    }
    std::optional<std::string_view> pattern = flat.pattern;
    if (flat.format) {
      pattern = pattern_of_format(*flat.format);
      if (!pattern) {
        fail_at(pointer_to(flat.pointer, "format"),
                fmt::format("heed does not know this format; it knows {}, and others can be a 'pattern'", kFormats));
      }
    }
    if (pattern) {
      try {
        return sequence_of(text("\""), parse_pattern(*pattern, budget_), text("\""));
      } catch (const Error& error) {
        fail_at(pointer_to(flat.pointer, "pattern"), error.what());
      }
    }
    if (!bounded) return texts_.string();
    if (flat.max_length && *flat.max_length < flat.min_length) return {};
    return sequence({text("\""), repeat(texts_.character(), flat.min_length, flat.max_length), text("\"")});
  }

  std::optional<Expression> array(const FlatSchema& flat) {
    std::vector<std::optional<Expression>> first;
    for (const Schemas& item : flat.prefix) first.push_back(rule_of(item));
    std::optional<Expression> rest;
    if (flat.items || flat.prefix.empty()) rest = rule_of(flat.items.value_or(Schemas()));
    std::uint32_t least = flat.min_items;
    if (!flat.prefix.empty() && least == 0) {  // a tuple is whole where nothing else is said
      least = static_cast<std::uint32_t>(first.size());
      if (flat.max_items) least = std::min(least, *flat.max_items);
    }
    std::optional<std::uint32_t> most = flat.max_items;
    // An item that no value is valid for ends the array.
    std::uint32_t hole = 0;
    while (hole < first.size() && first[hole]) ++hole;
    if (hole < first.size() || !rest) most = std::min(most.value_or(hole), hole);
    if (most && *most < least) return {};
    // From the last to the first: what may come behind each.
    const auto comma = [&](Expression item) { return sequence_of(text(","), texts_.space(), std::move(item)); };
    const auto count = static_cast<std::uint32_t>(first.size());
    Expression tail;
    if (rest && (!most || *most > count)) {
      const std::uint32_t at_least = least > count ? least - count : 0;
      std::optional<std::uint32_t> at_most;
      if (most) at_most = *most - count;
      if (count > 0) {
        tail = repeat(comma(*rest), at_least, at_most);
      } else {
        if (at_most) --*at_most;
        tail = sequence({*rest, repeat(comma(*rest), at_least > 0 ? at_least - 1 : 0, at_most)});
      }
    }
    for (std::uint32_t i = std::min(count, most.value_or(count)); i-- > 0;) {
      budget_.take(6);
      Expression here = sequence_of(i == 0 ? *first[i] : comma(*first[i]), std::move(tail));
      tail = i > 0 && i >= least ? optional(std::move(here)) : std::move(here);
    }
    std::vector<Expression> parts;
    if (!most || *most > 0) parts.push_back(sequence_of(texts_.space(), std::move(tail), texts_.space(), text("]")));
    if (least == 0) parts.push_back(text("]"));
    return sequence_of(text("["), choice(std::move(parts)));
  }

  struct Property {
    Expression pair;
    bool required = false;
  };

  std::optional<Expression> object(const FlatSchema& flat) {
    std::vector<std::pair<std::string, Schemas>> named = flat.properties;
    std::set<std::string_view> known;
    for (const auto& [name, schemas] : flat.properties) known.insert(name);
    for (const std::string& name : flat.required) {
      if (known.contains(name)) continue;
      named.emplace_back(name, flat.additional.value_or(Schemas()));
    }
    std::vector<Property> properties;
    std::vector<std::string> names;
    for (const auto& [name, schemas] : named) {
      names.push_back(name);
      const bool required = flat.required.contains(name);
      std::optional<Expression> value = rule_of(schemas);
      if (!value && required) return {};
      if (!value) continue;
      properties.push_back({texts_.pair(text(SchemaJson(name).dump()), std::move(*value)), required});
      constexpr std::size_t kRules = 14;  // what members() makes of each
      budget_.take(kRules);
      budget_.take(properties.back().pair);
    }
    std::optional<Expression> other;
    if (flat.additional || named.empty()) {
      if (const std::optional<Expression> value = rule_of(flat.additional.value_or(Schemas()))) {
        try {
          other = texts_.pair(texts_.other_key(names), *value);
        } catch (const BudgetSpent&) {
          throw;
        } catch (const Error& error) {
          fail_at(flat.pointer, error.what());
        }
      }
    }
    return members(flat.pointer, properties, other);
  }

  /// Properties in their order, those that are not required or not, then others.
  Expression members(const std::string& pointer, std::vector<Property>& properties, std::optional<Expression>& other) {
    const auto new_rule = [&](Expression body) {
      if (grammar_.rules.size() >= kMostSchemaRules) {
        fail_at(pointer, fmt::format("the schema becomes more than {} rules", kMostSchemaRules));
      }
      grammar_.rules.push_back({pointer, std::move(body)});
      return rule(static_cast<std::uint32_t>(grammar_.rules.size() - 1));
    };
    Expression more = new_rule(sequence({texts_.space(), text("}")}));  // what may come where a property stands before
    std::optional<Expression> begin;                                    // and where none does
    if (other) {
      const Expression pair = new_rule(std::move(*other));
      more = new_rule(sequence({repeat(sequence({text(","), texts_.space(), pair}), 0, {}), more}));
      begin = new_rule(sequence({pair, more}));
    }
    bool has_required = false;
    for (std::size_t i = properties.size(); i-- > 0;) {
      const Expression pair = new_rule(std::move(properties[i].pair));
      std::vector<Expression> first{sequence({pair, more})};
      std::vector<Expression> next{sequence({text(","), texts_.space(), pair, more})};
      if (!properties[i].required) {
        if (begin) first.push_back(*begin);
        next.push_back(more);
      }
      has_required = has_required || properties[i].required;
      begin = new_rule(choice(std::move(first)));
      more = new_rule(choice(std::move(next)));
    }
    std::vector<Expression> parts;
    if (begin) parts.push_back(sequence({texts_.space(), *begin}));
    if (!has_required) parts.push_back(text("}"));
    return sequence({text("{"), choice(std::move(parts))});
  }

  const SchemaJson& root_;
  Grammar grammar_;
  ExpressionBudget budget_;
  SchemaReader reader_;
  JsonTexts texts_;
  std::map<std::vector<const SchemaJson*>, std::uint32_t> rules_;
  std::vector<Waiting> waiting_;
};

}  // namespace

Grammar parse_json_schema(std::string_view schema) {
  parse_json(schema, "schema");  // within its limits
  const SchemaJson root = SchemaJson::parse(schema);
  return SchemaCompiler(root).compile();
}

}  // namespace heed::grammar
