// Normalizers and pre-tokenizers of a tokenizer.json, as the steps they come to.
#include <fmt/format.h>

#include "heed/error.h"
#include "tokenizer/base64.h"
#include "tools/convert/hf_json.h"
#include "tools/convert/json_text.h"
#include "tools/convert/split_patterns.h"
#include "tools/convert/text.h"

namespace heed::convert {

namespace {

using Json = nlohmann::json;
using TextKind = TextStep::Kind;
using Matches = TextStep::Matches;

TextStep of_kind(TextKind kind) {
  TextStep step;
  step.kind = kind;
  return step;
}
TextStep replace(std::string_view pattern, std::string_view by) {
  TextStep step = of_kind(TextKind::Replace);
  step.find = pattern;
  step.is_regex = true;
  step.text = by;
  return step;
}
TextStep split(std::string_view pattern, Matches matches, bool inverted = false) {
  TextStep step = of_kind(TextKind::Split);
  step.find = pattern;
  step.is_regex = true;
  step.matches = matches;
  step.inverted = inverted;
  return step;
}

// Character classes of the library's own code, written as patterns.
constexpr std::string_view kMark = R"(\p{M})";
constexpr std::string_view kMarkWithoutWidth = R"(\p{Mn})";
constexpr std::string_view kWhiteSpaceCharacter = R"(\p{White_Space})";
constexpr std::string_view kPunctuationMark = R"([!-/:-@\[-`{-~\p{P}])";
constexpr std::string_view kWordOrMarks =  // Rust's \w+|[^\w\s]+
    R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D}\p{White_Space}]+)";
constexpr std::string_view kNoBertText = R"((?![\t\n\r])[\x{FFFD}\p{Cc}\p{Cf}\p{Co}])";
constexpr std::string_view kNoNmtText = R"([\x{01}-\x{08}\x{0B}\x{0E}-\x{1F}\x{7F}\x{8F}\x{9F}])";
constexpr std::string_view kNmtSpace = R"([\t\n\f\r\x{1680}\x{200B}-\x{200F}\x{2028}\x{2029}\x{2581}\x{FEFF}\x{FFFD}])";

class TextParts {
 public:
  explicit TextParts(const HfJson& file) : file_(file) {}

  void normalizer(const Json& part) {
    const std::string kind = file_.type(part, "normalizer");
    auto& steps = text_.normalize;
    if (kind == "NFC" || kind == "NFD" || kind == "NFKC" || kind == "NFKD" || kind == "Lowercase" || kind == "Nmt" ||
        kind == "StripAccents") {
      file_.only_keys(part, kind, {"type"});
    }
    if (kind == "NFC") {
      steps.push_back(of_kind(TextKind::Nfc));
    } else if (kind == "NFD") {
      steps.push_back(of_kind(TextKind::Nfd));
    } else if (kind == "NFKC") {
      steps.push_back(of_kind(TextKind::Nfkc));
    } else if (kind == "NFKD") {
      steps.push_back(of_kind(TextKind::Nfkd));
    } else if (kind == "Lowercase") {
      steps.push_back(of_kind(TextKind::Lower));
    } else if (kind == "StripAccents") {
      steps.push_back(replace(kMark, ""));
    } else if (kind == "Nmt") {
      steps.push_back(replace(kNoNmtText, ""));
      steps.push_back(replace(kNmtSpace, " "));
    } else if (kind == "Strip") {
      strip(part);
    } else if (kind == "Prepend") {
      prepend(part);
    } else if (kind == "Replace") {
      file_.only_keys(part, kind, {"type", "pattern", "content"});
      TextStep& step = steps.emplace_back(of_kind(TextKind::Replace));
      file_.read_pattern(part, step.find, step.is_regex);
      step.text = file_.text(part, "content");
    } else if (kind == "Precompiled") {
      precompiled(part);
    } else if (kind == "BertNormalizer") {
      bert_normalizer(part);
    } else {
      file_.fail(fmt::format("the normalizer {} is not supported", shown(part)));
    }
  }

  void pre_tokenizer(const Json& part, bool is_last) {
    const std::string kind = file_.type(part, "pre_tokenizer");
    auto& steps = text_.cut;
    if (kind == "Whitespace" || kind == "WhitespaceSplit" || kind == "BertPreTokenizer") {
      file_.only_keys(part, kind, {"type"});
    }
    if (kind == "ByteLevel") {
      byte_level(part, is_last);
    } else if (kind == "Split") {
      file_.only_keys(part, kind, {"type", "pattern", "behavior", "invert"});
      TextStep& step =
          steps.emplace_back(split("", matches(file_.text(part, "behavior")), file_.flag(part, "invert", false)));
      file_.read_pattern(part, step.find, step.is_regex);
    } else if (kind == "Metaspace") {
      metaspace(part);
    } else if (kind == "Digits") {
      file_.only_keys(part, kind, {"type", "individual_digits"});
      const bool each = file_.flag(part, "individual_digits", false);
      steps.push_back(split(R"(\p{N})", each ? Matches::Isolated : Matches::Contiguous));
    } else if (kind == "Punctuation") {
      file_.only_keys(part, kind, {"type", "behavior"});
      const bool says = !file_.member(part, "behavior").is_null();
      steps.push_back(split(kPunctuationMark, says ? matches(file_.text(part, "behavior")) : Matches::Isolated));
    } else if (kind == "Whitespace") {
      steps.push_back(split(kWordOrMarks, Matches::Removed, true));
    } else if (kind == "WhitespaceSplit") {
      steps.push_back(split(kWhiteSpaceCharacter, Matches::Removed));
    } else if (kind == "BertPreTokenizer") {
      steps.push_back(split(kWhiteSpaceCharacter, Matches::Removed));
      steps.push_back(split(kPunctuationMark, Matches::Isolated));
    } else if (kind == "CharDelimiterSplit") {
      file_.only_keys(part, kind, {"type", "delimiter"});
      TextStep& step = steps.emplace_back(split(file_.text(part, "delimiter"), Matches::Removed));
      step.is_regex = false;
      if (step.find.empty()) file_.fail("the CharDelimiterSplit has an empty delimiter");
    } else {
      file_.fail(fmt::format("the pre-tokenizer {} is not supported", shown(part)));
    }
  }

  HfText take() { return std::move(text_); }

 private:
  Matches matches(const std::string& behavior) const {
    if (behavior == "Isolated") return Matches::Isolated;
    if (behavior == "Removed") return Matches::Removed;
    if (behavior == "Contiguous") return Matches::Contiguous;
    if (behavior == "MergedWithPrevious") return Matches::WithPrevious;
    if (behavior == "MergedWithNext") return Matches::WithNext;
    file_.fail(fmt::format("the behavior {} of a split is not supported", in_quotes(behavior)));
  }

  void strip(const Json& part) {
    file_.only_keys(part, "Strip", {"type", "strip_left", "strip_right"});
    TextStep& step = text_.normalize.emplace_back(of_kind(TextKind::Strip));
    step.left = file_.flag(part, "strip_left", true);
    step.right = file_.flag(part, "strip_right", true);
  }

  void prepend(const Json& part) {
    file_.only_keys(part, "Prepend", {"type", "prepend"});
    const std::string text = file_.text(part, "prepend");
    if (!text.empty()) text_.normalize.emplace_back(of_kind(TextKind::Prepend)).text = text;
  }

  void precompiled(const Json& part) {
    file_.only_keys(part, "Precompiled", {"type", "precompiled_charsmap"});
    const std::string rules = file_.text(part, "precompiled_charsmap");
    auto bytes = from_base64(rules);
    if (!bytes) file_.fail("the precompiled_charsmap is not base64");
    if (bytes->empty()) return;
    if (!text_.charsmap.empty() && text_.charsmap != *bytes) {
      file_.fail("two Precompiled normalizers with different rules are not supported");
    }
    text_.charsmap = std::move(*bytes);
    text_.normalize.push_back(of_kind(TextKind::Charsmap));
  }

  void bert_normalizer(const Json& part) {
    file_.only_keys(part, "BertNormalizer",
                    {"type", "clean_text", "handle_chinese_chars", "strip_accents", "lowercase"});
    const bool lower = file_.flag(part, "lowercase", true);
    auto& steps = text_.normalize;
    if (file_.flag(part, "clean_text", true)) {
      steps.push_back(replace(kNoBertText, ""));
      steps.push_back(replace(kWhiteSpaceCharacter, " "));
    }
    if (file_.flag(part, "handle_chinese_chars", true)) steps.push_back(of_kind(TextKind::SpaceIdeographs));
    if (file_.flag(part, "strip_accents", lower)) {
      steps.push_back(of_kind(TextKind::Nfd));
      steps.push_back(replace(kMarkWithoutWidth, ""));
    }
    if (lower) steps.push_back(of_kind(TextKind::Lower));
  }

  void metaspace(const Json& part) {
    file_.only_keys(part, "Metaspace",
                    {"type", "replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep"});
    const std::string replacement = file_.text(part, "replacement");
    if (replacement.empty()) file_.fail("the Metaspace has an empty replacement");
    // Older files have add_prefix_space alone.
    const bool prepends = file_.flag(part, "add_prefix_space", true);
    const std::string scheme = file_.member(part, "prepend_scheme").is_null() ? (prepends ? "always" : "never")
                                                                              : file_.text(part, "prepend_scheme");
    if (scheme != "always" && scheme != "first" && scheme != "never") {
      file_.fail(fmt::format("Metaspace's prepend_scheme is {}; expected always, first or never", in_quotes(scheme)));
    }
    TextStep spaces = replace(" ", replacement);
    spaces.is_regex = false;
    text_.cut.push_back(spaces);
    if (scheme != "never") {
      TextStep& step = text_.cut.emplace_back(of_kind(TextKind::Prepend));
      step.text = replacement;
      step.unless_there = true;
      step.first_only = scheme == "first";
    }
    if (!file_.flag(part, "split", true)) return;
    TextStep words = split(replacement, Matches::WithNext);
    words.is_regex = false;
    text_.cut.push_back(words);
  }

  void byte_level(const Json& part, bool is_last) {
    file_.only_keys(part, "ByteLevel", {"type", "add_prefix_space", "trim_offsets", "use_regex"});
    if (!is_last) file_.fail("a ByteLevel before another pre-tokenizer is not supported");
    if (file_.flag(part, "add_prefix_space", true)) {
      TextStep& step = text_.cut.emplace_back(of_kind(TextKind::Prepend));
      step.text = " ";
      step.unless_there = true;
    }
    if (file_.flag(part, "use_regex", true)) text_.cut.push_back(split(kGpt2Split, Matches::Isolated));
    text_.by_byte = true;
  }

  const HfJson& file_;
  HfText text_;
};

}  // namespace

HfText read_hf_text(const HfJson& file, const Json& normalizer, const Json& pre_tokenizer) {
  TextParts parts(file);
  for (const Json& part : file.steps(normalizer, "normalizer", "normalizers")) parts.normalizer(part);
  const std::vector<Json> cutting = file.steps(pre_tokenizer, "pre_tokenizer", "pretokenizers");
  for (std::size_t i = 0; i < cutting.size(); ++i) parts.pre_tokenizer(cutting[i], i + 1 == cutting.size());
  return parts.take();
}

}  // namespace heed::convert
