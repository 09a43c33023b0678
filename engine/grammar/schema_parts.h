#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "grammar/number_ranges.h"

namespace heed::grammar {

using SchemaJson = nlohmann::ordered_json;  // properties come in the order in which they stand

/// Throws Error naming the place in a schema, as a JSON pointer.
[[noreturn]] void fail_at(std::string_view pointer, std::string_view message);

/// A schema where it stands.
struct SchemaPlace {
  const SchemaJson* json = nullptr;
  std::string pointer;  // "#/properties/name"
};
/// Schemas that all hold.
using Schemas = std::vector<SchemaPlace>;

/// Kinds of values, as bits.
enum KindBits : std::uint32_t {
  kNullBit = 1,
  kBooleanBit = 2,
  kIntegerBit = 4,
  kNumberBit = 8,  // those that are no integers
  kStringBit = 16,
  kArrayBit = 32,
  kObjectBit = 64,
  kAllBits = 127,
};

/// What a schema says where it has no alternatives: the keywords of one object, or of several that all hold.
struct FlatSchema {
  std::string pointer;  // for messages
  std::uint32_t kinds = kAllBits;
  bool typed = false;                                    // by the keyword "type"
  std::uint32_t hinted = 0;                              // kinds whose keywords it has
  std::optional<std::vector<const SchemaJson*>> values;  // of the document
  std::size_t values_size = 0;                           // what they count as

  std::vector<std::pair<std::string, Schemas>> properties;
  std::set<std::string> required;
  std::optional<Schemas> additional;

  std::vector<Schemas> prefix;
  std::optional<Schemas> items;
  std::uint32_t min_items = 0;
  std::optional<std::uint32_t> max_items;

  std::uint32_t min_length = 0;
  std::optional<std::uint32_t> max_length;
  std::optional<std::string> pattern;
  std::optional<std::string> format;

  std::optional<Bound> least, most;
};

/// Reads the schemas of a document.
class SchemaReader {
 public:
  /// `root` must outlive it.
  explicit SchemaReader(const SchemaJson& root) : root_(root) {}

  /// The alternatives that there are for a value which all of these schemas hold for; none where nothing can be one.
  /// References are followed. Throws Error naming what is not understood.
  std::vector<FlatSchema> alternatives(const Schemas& schemas);
  /// Where a "$ref" leads.
  SchemaPlace resolve(const SchemaJson& reference, const std::string& pointer) const;

 private:
  std::vector<FlatSchema> expand(const SchemaPlace& place, int depth);
  std::vector<FlatSchema> cross(const std::vector<FlatSchema>& left, const std::vector<FlatSchema>& right,
                                const std::string& pointer);
  void count(std::size_t parts, const std::string& pointer);
  /// Throws Error where a value that is made of one of oneOf's alternatives may be valid by another too.
  void expect_apart(std::vector<std::vector<FlatSchema>>& alternatives, const std::string& pointer);
  bool are_apart(const FlatSchema& left, const FlatSchema& right) const;
  /// Kinds and values, as far as these schemas say them themselves.
  FlatSchema tag_of(const Schemas& schemas) const;
  FlatSchema read_keywords(const SchemaPlace& place) const;

  const SchemaJson& root_;
  std::size_t expanded_ = 0;
};

struct LessValue {
  bool operator()(const SchemaJson* left, const SchemaJson* right) const { return *left < *right; }
};
using ValueSet = std::set<const SchemaJson*, LessValue>;

/// Where each property stands in the list.
std::unordered_map<std::string_view, std::size_t> property_indices(const FlatSchema& schema);
/// What it counts as.
std::size_t size_of(const FlatSchema& schema);
/// The bits of a name in "type".
std::uint32_t read_type(const SchemaJson& name, const std::string& pointer);
/// Of a value: one of KindBits.
std::uint32_t kind_of(const SchemaJson& value);
/// The pointer of what stands under a key; the beginning of it, where it is long.
std::string pointer_to(const std::string& pointer, std::string_view key);

}  // namespace heed::grammar
