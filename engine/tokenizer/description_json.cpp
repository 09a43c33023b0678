#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "heed/error.h"
#include "tokenizer/base64.h"
#include "tokenizer/description.h"
#include "tokenizer/description_parts.h"
#include "tokenizer/utf8.h"

namespace heed {

using description_parts::fail;
using description_parts::has_scores;
using description_parts::json_of_steps;
using description_parts::kAlphabets;
using description_parts::kMergings;
using description_parts::kPrefixes;
using description_parts::read_steps;

namespace {

using Json = nlohmann::json;

constexpr int kVersionOfOtherPatterns = 1;  // the same but for `splits`, which were for another library
constexpr int kVersionOfMerging = 2;
constexpr int kVersionWithoutSteps = 3;
constexpr int kVersionOfSteps = 4;
constexpr int kVersion =
    5;  // what is written without what a version brought is of one before (kStepFields, kNewFields)

struct NamedKind {
  const char* field;
  PieceKind kind;
};
constexpr std::array<NamedKind, 4> kListedKinds = {{{"control", PieceKind::Control},
                                                    {"byte", PieceKind::Byte},
                                                    {"user_defined", PieceKind::UserDefined},
                                                    {"unused", PieceKind::Unused}}};

constexpr std::array kFields = {"version",      "pieces",       "unknown",          "control",
                                "byte",         "user_defined", "unused",           "alphabet",
                                "merging",      "scores",       "merges",           "whole_pieces_first",
                                "fuse_unknown", "prefix",       "escape_spaces",    "prefix_unless_space",
                                "strip_prefix", "splits",       "match_normalized", "before",
                                "after",        "end"};

constexpr std::array kNewFields = {
    "double_scores", "charsmap",    "charsmap_by_cluster", "trim_spaces", "squeeze_spaces",
    "strip_left",    "strip_right", "whitespace_words",    "strip_each",  "strip_decoded",
    "segments",      "languages",   "leading_code"};

constexpr std::array kStepFields = {
    "steps",       "show_unknown", "normalized",  "left_space",        "right_space",
    "whole_words", "apart",        "word_suffix", "continuing_prefix", "most_characters"};

struct FlagList {
  const char* field;
  std::vector<TokenId> TokenizerDescription::*ids;
};
constexpr std::array<FlagList, 5> kFlagLists = {{{"normalized", &TokenizerDescription::normalized},
                                                 {"left_space", &TokenizerDescription::left_space},
                                                 {"right_space", &TokenizerDescription::right_space},
                                                 {"whole_words", &TokenizerDescription::whole_words},
                                                 {"apart", &TokenizerDescription::apart}}};

struct NewFlag {
  const char* field;
  bool TokenizerDescription::*flag;
};
constexpr std::array<NewFlag, 11> kNewFlags = {{{"double_scores", &TokenizerDescription::double_scores},
                                                {"charsmap_by_cluster", &TokenizerDescription::charsmap_by_cluster},
                                                {"trim_spaces", &TokenizerDescription::trim_spaces},
                                                {"squeeze_spaces", &TokenizerDescription::squeeze_spaces},
                                                {"strip_left", &TokenizerDescription::strip_left},
                                                {"strip_right", &TokenizerDescription::strip_right},
                                                {"whitespace_words", &TokenizerDescription::whitespace_words},
                                                {"strip_each", &TokenizerDescription::strip_each},
                                                {"strip_decoded", &TokenizerDescription::strip_decoded},
                                                {"leading_code", &TokenizerDescription::leading_code},
                                                {"show_unknown", &TokenizerDescription::show_unknown}}};

const Json& array_of(const Json& json, const char* field) {
  if (!json.is_array()) fail("'{}' is {}, expected an array", field, json.type_name());
  return json;
}

TokenId read_id(const Json& json, const char* field, std::size_t pieces) {
  if (!json.is_number_integer()) fail("'{}' holds {}, expected an id", field, json.type_name());
  // An unsigned value beyond the signed range would wrap when read as signed.
  const bool fits = json.is_number_unsigned() ? json.get<std::uint64_t>() < pieces
                                              : json.get<std::int64_t>() >= 0 &&
                                                    static_cast<std::uint64_t>(json.get<std::int64_t>()) < pieces;
  if (!fits) fail("'{}' holds the id {}, but there are {} pieces", field, json.dump(), pieces);
  return json.get<TokenId>();
}

std::vector<TokenId> read_ids(const Json& json, const char* field, std::size_t pieces) {
  std::vector<TokenId> ids;
  if (!json.contains(field)) return ids;
  for (const Json& id : array_of(json[field], field)) ids.push_back(read_id(id, field, pieces));
  return ids;
}

bool read_flag(const Json& json, const char* field) {
  const auto found = json.find(field);
  if (found == json.end()) return false;
  if (!found->is_boolean()) fail("'{}' is {}, expected true or false", field, found->type_name());
  return found->get<bool>();
}

std::string read_text(const Json& json, const char* field) {
  const auto found = json.find(field);
  if (found == json.end()) return {};
  if (!found->is_string()) fail("'{}' is {}, expected a string", field, found->type_name());
  return found->get<std::string>();
}

// The index of the field's value in `names`, 0 when the field is absent.
template <std::size_t kCount>
std::size_t read_choice(const Json& json, const char* field, const std::array<const char*, kCount>& names) {
  const auto found = json.find(field);
  if (found == json.end()) return 0;
  if (found->is_string()) {
    for (std::size_t i = 0; i < kCount; ++i) {
      if (found->get_ref<const std::string&>() == names[i]) return i;
    }
  }
  fail("'{}' has a value that is none of {}", field, fmt::join(names, ", "));
}

std::vector<std::string> read_strings(const Json& json, const char* field) {
  std::vector<std::string> strings;
  strings.reserve(array_of(json, field).size());
  for (const Json& item : json) {
    if (!item.is_string()) fail("'{}' holds {}, expected strings", field, item.type_name());
    strings.push_back(item.get<std::string>());
  }
  return strings;
}

Json json_of(const TokenizerDescription& d) {
  Json json = {{"pieces", d.pieces}};
  if (const auto id = d.unknown()) json["unknown"] = *id;
  for (const NamedKind& listed : kListedKinds) {
    std::vector<TokenId> ids;
    for (std::size_t id = 0; id < d.kinds.size(); ++id) {
      if (d.kinds[id] == listed.kind) ids.push_back(static_cast<TokenId>(id));
    }
    if (!ids.empty()) json[listed.field] = ids;
  }
  json["alphabet"] = kAlphabets[static_cast<std::size_t>(d.alphabet)];
  json["merging"] = kMergings[static_cast<std::size_t>(d.merging)];
  if (has_scores(d)) json["scores"] = d.scores;
  if (d.merging == TokenizerDescription::Merging::Ranks) json["merges"] = d.merges;
  json["whole_pieces_first"] = d.whole_pieces_first;
  json["fuse_unknown"] = d.fuse_unknown;
  json["escape_spaces"] = d.escape_spaces;
  json["prefix"] = kPrefixes[static_cast<std::size_t>(d.prefix)];
  json["prefix_unless_space"] = d.prefix_unless_space;
  json["strip_prefix"] = d.strip_prefix;
  json["match_normalized"] = d.match_normalized;
  if (!d.splits.empty()) json["splits"] = d.splits;
  json["before"] = d.before;
  json["after"] = d.after;
  json["end"] = d.end;
  if (!d.charsmap.empty()) json["charsmap"] = to_base64(d.charsmap);
  for (const NewFlag& flag : kNewFlags) {
    if (d.*flag.flag) json[flag.field] = true;
  }
  for (const FlagList& list : kFlagLists) {
    if (!(d.*list.ids).empty()) json[list.field] = d.*list.ids;
  }
  if (!d.word_suffix.empty()) json["word_suffix"] = d.word_suffix;
  if (!d.continuing_prefix.empty()) json["continuing_prefix"] = d.continuing_prefix;
  if (d.most_characters != 0) json["most_characters"] = d.most_characters;
  if (d.steps) json["steps"] = json_of_steps(*d.steps);
  if (!d.languages.empty()) json["languages"] = d.languages;
  if (d.segments != nullptr) json["segments"] = json_of(*d.segments);
  return json;
}

TokenizerDescription description_of(const Json& json) {
  if (!json.is_object()) fail("is {}, expected an object", json.type_name());
  for (const auto& item : json.items()) {
    const std::string& field = item.key();
    const auto is_in = [&](const auto& fields) { return std::ranges::find(fields, field) != fields.end(); };
    const bool known = is_in(kFields) || is_in(kNewFields) || is_in(kStepFields);
    if (!known) {
      throw Error("tokenizer.json: field " +
                  Json(field.substr(0, 40)).dump(-1, ' ', false, Json::error_handler_t::replace) +
                  " is not known; it needs a newer heed");
    }
  }
  if (!json.contains("pieces")) fail("'pieces' is absent");

  TokenizerDescription description;
  description.pieces = read_strings(json["pieces"], "pieces");
  const std::size_t count = description.pieces.size();
  description.kinds.assign(count, PieceKind::Normal);
  if (json.contains("unknown")) {
    description.kinds[static_cast<std::size_t>(read_id(json["unknown"], "unknown", count))] = PieceKind::Unknown;
  }
  for (const NamedKind& listed : kListedKinds) {
    TokenId previous = -1;
    for (const TokenId id : read_ids(json, listed.field, count)) {
      PieceKind& kind = description.kinds[static_cast<std::size_t>(id)];
      if (id <= previous) fail("'{}' is not ascending at id {}", listed.field, id);
      if (kind != PieceKind::Normal) fail("'{}' holds the id {}, which is in another list", listed.field, id);
      kind = listed.kind;
      previous = id;
    }
  }
  for (const NewFlag& flag : kNewFlags) description.*flag.flag = read_flag(json, flag.field);
  description.alphabet = static_cast<TokenizerDescription::Alphabet>(read_choice(json, "alphabet", kAlphabets));
  description.merging = static_cast<TokenizerDescription::Merging>(read_choice(json, "merging", kMergings));
  if (json.contains("scores") != has_scores(description)) fail("'scores' and 'merging' disagree");
  if (json.contains("scores")) {
    for (const Json& score : array_of(json["scores"], "scores")) {
      if (!score.is_number()) fail("'scores' holds {}, expected numbers", score.type_name());
      const double value = score.get<double>();
      if (std::abs(value) > std::numeric_limits<float>::max()) fail("the score {} is out of range", value);
      description.scores.push_back(description.double_scores ? value : double{static_cast<float>(value)});
    }
  }
  if (json.contains("merges") != (description.merging == TokenizerDescription::Merging::Ranks))
    fail("'merges' and 'merging' disagree");
  if (json.contains("merges")) {
    description.merges.reserve(array_of(json["merges"], "merges").size());
    for (const Json& pair : json["merges"]) {
      if (!pair.is_array() || pair.size() != 2) fail("'merges' holds something that is not a pair of ids");
      description.merges.emplace_back(read_id(pair[0], "merges", count), read_id(pair[1], "merges", count));
    }
  }
  description.whole_pieces_first = read_flag(json, "whole_pieces_first");
  description.fuse_unknown = read_flag(json, "fuse_unknown");
  description.escape_spaces = read_flag(json, "escape_spaces");
  description.prefix = static_cast<TokenizerDescription::Prefix>(read_choice(json, "prefix", kPrefixes));
  description.prefix_unless_space = read_flag(json, "prefix_unless_space");
  description.strip_prefix = read_flag(json, "strip_prefix");
  description.match_normalized = read_flag(json, "match_normalized");
  if (json.contains("splits")) description.splits = read_strings(json["splits"], "splits");
  description.before = read_ids(json, "before", count);
  description.after = read_ids(json, "after", count);
  description.end = read_ids(json, "end", count);
  if (json.contains("charsmap")) {
    const Json& text = json["charsmap"];
    auto bytes = text.is_string() ? from_base64(text.get_ref<const std::string&>()) : std::nullopt;
    if (!bytes || bytes->empty()) fail("'charsmap' is not a string in base64");
    description.charsmap = std::move(*bytes);
  }
  for (const FlagList& list : kFlagLists) description.*list.ids = read_ids(json, list.field, count);
  description.word_suffix = read_text(json, "word_suffix");
  description.continuing_prefix = read_text(json, "continuing_prefix");
  if (json.contains("most_characters")) {
    const Json& most = json["most_characters"];
    if (!most.is_number_unsigned() || most.get<std::uint64_t>() > std::numeric_limits<std::uint32_t>::max()) {
      fail("'most_characters' is {}, expected a number of 32 bits", most.dump());
    }
    description.most_characters = most.get<std::uint32_t>();
  }
  if (json.contains("steps")) description.steps = read_steps(json["steps"]);
  if (json.contains("languages")) {
    const Json& languages = json["languages"];
    if (!languages.is_object()) fail("'languages' is {}, expected an object", languages.type_name());
    for (const auto& [code, id] : languages.items()) description.languages[code] = read_id(id, "languages", count);
  }
  return description;
}

}  // namespace

std::string TokenizerDescription::to_json() const {
  validate();
  Json json = json_of(*this);
  const auto has_any = [&](const auto& fields) {
    return std::ranges::any_of(fields, [&](const char* field) { return json.contains(field); });
  };
  const bool is_new = merging == Merging::Unigram || has_any(kNewFields);
  const auto takes_longest = [](const TextStep& step) { return step.longest; };
  const bool has_longest =
      steps && (std::ranges::any_of(steps->normalize, takes_longest) || std::ranges::any_of(steps->cut, takes_longest));
  json["version"] = has_longest            ? kVersion
                    : has_any(kStepFields) ? kVersionOfSteps
                    : is_new               ? kVersionWithoutSteps
                                           : kVersionOfMerging;
  return json.dump();
}

TokenizerDescription TokenizerDescription::from_json(std::string_view text) {
  Json json;
  try {
    json = Json::parse(text);
  } catch (const Json::parse_error& error) {
    fail("not valid JSON at byte {}", error.byte);
  } catch (const Json::exception& error) {
    fail("not usable JSON: {}", error.what());  // a number that no double can hold
  }
  if (!json.is_object()) fail("is {}, expected an object", json.type_name());
  const Json version = json.value("version", Json());
  if (version == kVersionOfOtherPatterns) {
    if (json.contains("splits")) fail("version 1 holds 'splits', whose patterns this heed would read in another way");
  } else if (version != kVersionOfMerging && version != kVersionWithoutSteps && version != kVersionOfSteps &&
             version != kVersion) {
    throw Error(fmt::format("tokenizer.json: its version is not {}; it needs another heed", kVersion));
  }
  TokenizerDescription description = description_of(json);
  if (json.contains("segments")) {
    description.segments = std::make_shared<TokenizerDescription>(description_of(json["segments"]));
    if (json["segments"].contains("segments")) fail("'segments' has segments of its own");
  }
  description.validate();
  return description;
}

}  // namespace heed
