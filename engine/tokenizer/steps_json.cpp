#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>

#include "tokenizer/description_parts.h"
#include "tokenizer/text_steps.h"

namespace heed::description_parts {

namespace {

using Json = nlohmann::json;

constexpr std::array kTextKinds = {"nfc",   "nfd",     "nfkc",    "nfkd", "lower_case", "charsmap", "space_ideographs",
                                   "strip", "replace", "prepend", "split"};
constexpr std::array kMatches = {"isolated", "removed", "contiguous", "with_previous", "with_next"};
constexpr std::array kDecodeKinds = {"replace",    "bytes",         "join",     "strip",
                                     "drop_first", "space_between", "contract", "word_ends"};

template <typename Enum, std::size_t kCount>
Enum choice(const Json& value, const std::array<const char*, kCount>& names, const char* what) {
  for (std::size_t i = 0; value.is_string() && i < kCount; ++i) {
    if (value.get_ref<const std::string&>() == names[i]) return static_cast<Enum>(i);
  }
  fail("{} is none of {}", what, fmt::join(names, ", "));
}

// The members of one step; each is asked for once, and what is left over is not known.
class Members {
 public:
  explicit Members(const Json& json) : json_(json) {
    if (!json.is_object()) fail("a step is {}, expected an object", json.type_name());
  }
  std::string text(const char* key) {
    const Json* value = take(key);
    if (value == nullptr) return {};
    if (!value->is_string()) fail("'{}' of a step is {}, expected a string", key, value->type_name());
    return value->get<std::string>();
  }
  bool flag(const char* key) {
    const Json* value = take(key);
    if (value == nullptr) return false;
    if (!value->is_boolean()) fail("'{}' of a step is {}, expected true or false", key, value->type_name());
    return value->get<bool>();
  }
  std::uint32_t number(const char* key) {
    const Json* value = take(key);
    if (value == nullptr) return 0;
    if (!value->is_number_unsigned() || value->get<std::uint64_t>() > std::numeric_limits<std::uint32_t>::max()) {
      fail("'{}' of a step is {}, expected a number of 32 bits", key, value->dump());
    }
    return value->get<std::uint32_t>();
  }
  const Json* take(const char* key) {
    const auto found = json_.find(key);
    if (found == json_.end()) return nullptr;
    ++taken_;
    return &*found;
  }
  void refuse_others() const {
    if (taken_ != json_.size()) fail("a step has a member that is not known or not for it");
  }

 private:
  const Json& json_;
  std::size_t taken_ = 0;
};

Json json_of(const TextStep& step) {
  using Kind = TextStep::Kind;
  Json json = {{"do", kTextKinds[static_cast<std::size_t>(step.kind)]}};
  if (!step.find.empty()) json[step.is_regex ? "pattern" : "find"] = step.find;
  if (step.kind == Kind::Replace || step.kind == Kind::Prepend) json["text"] = step.text;
  if (step.left) json["left"] = true;
  if (step.right) json["right"] = true;
  if (step.unless_there) json["unless_there"] = true;
  if (step.first_only) json["first_only"] = true;
  if (step.longest) json["longest"] = true;
  if (step.kind == Kind::Split) json["matches"] = kMatches[static_cast<std::size_t>(step.matches)];
  if (step.inverted) json["inverted"] = true;
  return json;
}

TextStep read_text_step(const Json& json) {
  using Kind = TextStep::Kind;
  Members members(json);
  TextStep step;
  const Json* kind = members.take("do");
  step.kind = choice<Kind>(kind == nullptr ? Json() : *kind, kTextKinds, "'do' of a step");
  if (step.kind == Kind::Replace || step.kind == Kind::Split) {
    step.is_regex = json.contains("pattern");
    step.find = members.text(step.is_regex ? "pattern" : "find");
  }
  if (step.kind == Kind::Replace || step.kind == Kind::Prepend) step.text = members.text("text");
  if (step.kind == Kind::Strip) {
    step.left = members.flag("left");
    step.right = members.flag("right");
  }
  if (step.kind == Kind::Prepend) {
    step.unless_there = members.flag("unless_there");
    step.first_only = members.flag("first_only");
  }
  if (step.kind == Kind::Charsmap) step.longest = members.flag("longest");
  if (step.kind == Kind::Split) {
    const Json* matches = members.take("matches");
    step.matches = choice<TextStep::Matches>(matches == nullptr ? Json() : *matches, kMatches, "'matches' of a split");
    step.inverted = members.flag("inverted");
  }
  members.refuse_others();
  return step;
}

Json json_of(const DecodeStep& step) {
  Json json = {{"do", kDecodeKinds[static_cast<std::size_t>(step.kind)]}};
  if (!step.find.empty()) json["find"] = step.find;
  if (!step.text.empty()) json["text"] = step.text;
  if (step.left != 0) json["left"] = step.left;
  if (step.right != 0) json["right"] = step.right;
  return json;
}

DecodeStep read_decode_step(const Json& json) {
  using Kind = DecodeStep::Kind;
  Members members(json);
  DecodeStep step;
  const Json* kind = members.take("do");
  step.kind = choice<Kind>(kind == nullptr ? Json() : *kind, kDecodeKinds, "'do' of a step of 'decode'");
  const bool finds = step.kind == Kind::Replace || step.kind == Kind::DropFirst || step.kind == Kind::SpaceBetween ||
                     step.kind == Kind::WordEnds;
  if (finds) step.find = members.text("find");
  if (step.kind == Kind::Replace || step.kind == Kind::Strip) step.text = members.text("text");
  if (step.kind == Kind::Strip) {
    step.left = members.number("left");
    step.right = members.number("right");
  }
  members.refuse_others();
  return step;
}

template <typename Step, typename Read>
std::vector<Step> read_list(Members& members, const char* key, const Read& read) {
  std::vector<Step> steps;
  const Json* list = members.take(key);
  if (list == nullptr) return steps;
  if (!list->is_array()) fail("'{}' of 'steps' is {}, expected an array", key, list->type_name());
  for (const Json& step : *list) steps.push_back(read(step));
  return steps;
}

}  // namespace

Json json_of_steps(const Steps& steps) {
  Json json = Json::object();
  for (const TextStep& step : steps.normalize) json["normalize"].push_back(json_of(step));
  for (const TextStep& step : steps.cut) json["cut"].push_back(json_of(step));
  for (const DecodeStep& step : steps.decode) json["decode"].push_back(json_of(step));
  return json;
}

Steps read_steps(const Json& json) {
  Members members(json);
  Steps steps;
  steps.normalize = read_list<TextStep>(members, "normalize", read_text_step);
  steps.cut = read_list<TextStep>(members, "cut", read_text_step);
  steps.decode = read_list<DecodeStep>(members, "decode", read_decode_step);
  members.refuse_others();
  return steps;
}

}  // namespace heed::description_parts
