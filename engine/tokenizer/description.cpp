#include "tokenizer/description.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "heed/error.h"
#include "tokenizer/utf8.h"

namespace heed {
namespace {

using Json = nlohmann::json;

constexpr int kVersion = 2;
constexpr int kVersionOfOtherPatterns = 1;  // the same but for `splits`, which were for another library
constexpr std::size_t kMaxPieces = 1 << 24;
constexpr std::size_t kMaxPieceBytes = 1024;  // bounds the work of looking up every way to cut a piece in two
constexpr std::size_t kMaxTemplateIds = 16;
constexpr std::size_t kMaxSplits = 16;
constexpr std::size_t kMaxSplitBytes = 16384;

constexpr std::array<const char*, 2> kAlphabets = {"characters", "bytes"};
constexpr std::array<const char*, 3> kMergings = {"none", "scores", "ranks"};
constexpr std::array<const char*, 3> kPrefixes = {"never", "first", "always"};

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

template <typename... Arguments>
[[noreturn]] void fail(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  throw Error("tokenizer.json: " + fmt::format(format, std::forward<Arguments>(arguments)...) +
              "; convert the model again");
}

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

bool is_byte_piece(const std::string& piece) {
  const auto is_hexadecimal = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
  };
  return piece.size() == 6 && piece.starts_with("<0x") && is_hexadecimal(piece[3]) && is_hexadecimal(piece[4]) &&
         piece[5] == '>';
}

void check_ids(const std::vector<TokenId>& ids, const char* field, std::size_t pieces, std::size_t most) {
  if (ids.size() > most) fail("'{}' holds {} ids, expected at most {}", field, ids.size(), most);
  for (const TokenId id : ids) {
    if (id < 0 || static_cast<std::size_t>(id) >= pieces) {
      fail("'{}' holds the id {}, but there are {} pieces", field, id, pieces);
    }
  }
}

}  // namespace

std::optional<TokenId> TokenizerDescription::unknown() const {
  const auto found = std::find(kinds.begin(), kinds.end(), PieceKind::Unknown);
  if (found == kinds.end()) return std::nullopt;
  return static_cast<TokenId>(found - kinds.begin());
}

void TokenizerDescription::pad(std::size_t size) {
  if (size > kMaxPieces) fail("a vocabulary of {} pieces is asked for, expected at most {}", size, kMaxPieces);
  if (size <= pieces.size()) return;
  pieces.resize(size);
  kinds.resize(size, PieceKind::Unused);
  if (merging == Merging::Scores) scores.resize(size);
}

void TokenizerDescription::validate() const {
  if (pieces.empty() || pieces.size() > kMaxPieces) fail("{} pieces, expected 1 to {}", pieces.size(), kMaxPieces);
  if (kinds.size() != pieces.size()) fail("{} kinds for {} pieces", kinds.size(), pieces.size());
  bool has_unknown = false;
  for (std::size_t id = 0; id < pieces.size(); ++id) {
    const std::string& piece = pieces[id];
    if (piece.size() > kMaxPieceBytes) {
      fail("piece {} has {} bytes, expected at most {}", id, piece.size(), kMaxPieceBytes);
    }
    if (find_invalid_utf8(piece) != piece.size()) fail("piece {} is not valid UTF-8", id);
    if (kinds[id] == PieceKind::Byte && !is_byte_piece(piece)) {
      fail("byte piece {} is '{}', expected the form <0x0A>", id, piece);
    }
    if (kinds[id] == PieceKind::UserDefined && piece.empty()) fail("user-defined piece {} is empty", id);
    if (kinds[id] == PieceKind::Unknown) {
      if (has_unknown) fail("piece {} is a second unknown piece, expected at most one", id);
      has_unknown = true;
    }
  }
  const std::size_t expected_scores = merging == Merging::Scores ? pieces.size() : 0;
  if (scores.size() != expected_scores) {
    fail("{} scores, expected {} with merging by {}", scores.size(), expected_scores,
         kMergings[static_cast<std::size_t>(merging)]);
  }
  if (!std::all_of(scores.begin(), scores.end(), [](float score) { return std::isfinite(score); })) {
    fail("a score is not finite");
  }
  if (merging != Merging::Ranks && !merges.empty()) {
    fail("{} merges with merging by {}, expected none", merges.size(), kMergings[static_cast<std::size_t>(merging)]);
  }
  if (merges.size() > std::numeric_limits<std::uint32_t>::max()) fail("{} merges are too many", merges.size());
  for (const auto& [left, right] : merges) check_ids({left, right}, "merges", pieces.size(), 2);
  if (splits.size() > kMaxSplits) fail("{} splits, expected at most {}", splits.size(), kMaxSplits);
  for (const std::string& split : splits) {
    if (split.empty() || split.size() > kMaxSplitBytes || find_invalid_utf8(split) != split.size()) {
      fail("a split is empty, longer than {} bytes or not valid UTF-8", kMaxSplitBytes);
    }
  }
  check_ids(before, "before", pieces.size(), kMaxTemplateIds);
  check_ids(after, "after", pieces.size(), kMaxTemplateIds);
  check_ids(end, "end", pieces.size(), pieces.size());
}

std::string TokenizerDescription::to_json() const {
  validate();
  Json json = {{"version", kVersion}, {"pieces", pieces}};
  if (const auto id = unknown()) json["unknown"] = *id;
  for (const NamedKind& listed : kListedKinds) {
    std::vector<TokenId> ids;
    for (std::size_t id = 0; id < kinds.size(); ++id) {
      if (kinds[id] == listed.kind) ids.push_back(static_cast<TokenId>(id));
    }
    if (!ids.empty()) json[listed.field] = ids;
  }
  json["alphabet"] = kAlphabets[static_cast<std::size_t>(alphabet)];
  json["merging"] = kMergings[static_cast<std::size_t>(merging)];
  if (merging == Merging::Scores) json["scores"] = scores;
  if (merging == Merging::Ranks) json["merges"] = merges;
  json["whole_pieces_first"] = whole_pieces_first;
  json["fuse_unknown"] = fuse_unknown;
  json["escape_spaces"] = escape_spaces;
  json["prefix"] = kPrefixes[static_cast<std::size_t>(prefix)];
  json["prefix_unless_space"] = prefix_unless_space;
  json["strip_prefix"] = strip_prefix;
  json["match_normalized"] = match_normalized;
  if (!splits.empty()) json["splits"] = splits;
  json["before"] = before;
  json["after"] = after;
  json["end"] = end;
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
  for (const auto& [field, value] : json.items()) {
    if (std::find(kFields.begin(), kFields.end(), field) == kFields.end()) {
      throw Error("tokenizer.json: field " +
                  Json(field.substr(0, 40)).dump(-1, ' ', false, Json::error_handler_t::replace) +
                  " is not known; it needs a newer heed");
    }
  }
  const Json version = json.value("version", Json());
  if (version == kVersionOfOtherPatterns) {
    if (json.contains("splits")) fail("version 1 holds 'splits', whose patterns this heed would read in another way");
  } else if (version != kVersion) {
    throw Error(fmt::format("tokenizer.json: its version is not {}; it needs another heed", kVersion));
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
  description.alphabet = static_cast<Alphabet>(read_choice(json, "alphabet", kAlphabets));
  description.merging = static_cast<Merging>(read_choice(json, "merging", kMergings));
  if (json.contains("scores") != (description.merging == Merging::Scores)) fail("'scores' and 'merging' disagree");
  if (json.contains("scores")) {
    for (const Json& score : array_of(json["scores"], "scores")) {
      if (!score.is_number()) fail("'scores' holds {}, expected numbers", score.type_name());
      const double value = score.get<double>();
      if (std::abs(value) > std::numeric_limits<float>::max()) fail("the score {} is out of range", value);
      description.scores.push_back(static_cast<float>(value));
    }
  }
  if (json.contains("merges") != (description.merging == Merging::Ranks)) fail("'merges' and 'merging' disagree");
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
  description.prefix = static_cast<Prefix>(read_choice(json, "prefix", kPrefixes));
  description.prefix_unless_space = read_flag(json, "prefix_unless_space");
  description.strip_prefix = read_flag(json, "strip_prefix");
  description.match_normalized = read_flag(json, "match_normalized");
  if (json.contains("splits")) description.splits = read_strings(json["splits"], "splits");
  description.before = read_ids(json, "before", count);
  description.after = read_ids(json, "after", count);
  description.end = read_ids(json, "end", count);
  description.validate();
  return description;
}

}  // namespace heed
