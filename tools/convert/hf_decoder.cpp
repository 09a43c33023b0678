// The decoder of a tokenizer.json, as the steps it comes to.
#include <fmt/format.h>

#include "heed/error.h"
#include "tools/convert/hf_json.h"
#include "tools/convert/json_text.h"

namespace heed::convert {

namespace {

using Json = nlohmann::json;
using DecodeKind = DecodeStep::Kind;

class DecoderParts {
 public:
  explicit DecoderParts(const HfJson& file) : file_(file) {}

  void read(const Json& part) {
    const std::string kind = file_.type(part, "decoder");
    if (kind == "Replace") {
      replace(part);
    } else if (kind == "ByteFallback") {
      add(DecodeKind::Bytes);
    } else if (kind == "Fuse") {
      add(DecodeKind::Join);
    } else if (kind == "Strip") {
      strip(part);
    } else if (kind == "Metaspace") {
      metaspace(part);
    } else if (kind == "WordPiece") {
      word_piece(part);
    } else if (kind == "BPEDecoder") {
      file_.only_keys(part, kind, {"type", "suffix"});
      const bool says = !file_.member(part, "suffix").is_null();
      add(DecodeKind::WordEnds, says ? file_.text(part, "suffix") : "</w>");
      if (steps_.back().find.empty()) file_.fail("the BPEDecoder has an empty suffix, which heed does not support");
    } else {
      file_.fail(fmt::format("the decoder {} is not supported", shown(part)));
    }
  }

  void add(DecodeKind kind, const std::string& find = "") {
    DecodeStep& step = steps_.emplace_back();
    step.kind = kind;
    step.find = find;
  }

  std::vector<DecodeStep> take() { return std::move(steps_); }

 private:
  void replace(const Json& part) {
    file_.only_keys(part, "Replace", {"type", "pattern", "content"});
    bool is_regex = false;
    std::string find;
    file_.read_pattern(part, find, is_regex);
    if (is_regex) file_.fail(fmt::format("the decoder {} with a regular expression is not supported", shown(part)));
    add(DecodeKind::Replace, find);
    steps_.back().text = file_.text(part, "content");
  }

  void strip(const Json& part) {
    file_.only_keys(part, "Strip", {"type", "content", "start", "stop"});
    add(DecodeKind::Strip);
    DecodeStep& step = steps_.back();
    step.text = file_.text(part, "content");
    if (step.text.empty()) file_.fail("the decoder Strip has an empty content");
    step.left = count(part, "start");
    step.right = count(part, "stop");
  }

  std::uint32_t count(const Json& part, const char* key) const {
    const std::uint64_t value = natural(file_.member(part, key)).value_or(UINT64_MAX);
    if (value > 1 << 20) {
      file_.fail(fmt::format("'{}' of the decoder Strip is {}; expected a count", key, shown(file_.member(part, key))));
    }
    return static_cast<std::uint32_t>(value);
  }

  void metaspace(const Json& part) {
    file_.only_keys(part, "Metaspace",
                    {"type", "replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep"});
    const std::string replacement = file_.text(part, "replacement");
    if (replacement.empty()) file_.fail("the decoder Metaspace has an empty replacement");
    const bool prepends = file_.member(part, "prepend_scheme").is_null()
                              ? file_.flag(part, "add_prefix_space", true)
                              : file_.text(part, "prepend_scheme") != "never";
    if (prepends) add(DecodeKind::DropFirst, replacement);
    add(DecodeKind::Replace, replacement);
    steps_.back().text = " ";
  }

  void word_piece(const Json& part) {
    file_.only_keys(part, "WordPiece", {"type", "prefix", "cleanup"});
    const std::string prefix = file_.member(part, "prefix").is_null() ? "##" : file_.text(part, "prefix");
    // Every token goes on with the word before it then.
    if (!prefix.empty()) add(DecodeKind::SpaceBetween, prefix);
    if (file_.flag(part, "cleanup", true)) add(DecodeKind::Contract);
  }

  const HfJson& file_;
  std::vector<DecodeStep> steps_;
};

}  // namespace

std::vector<DecodeStep> read_hf_decoder(const HfJson& file, const Json& decoder, bool by_byte) {
  std::vector<Json> parts = file.steps(decoder, "decoder", "decoders");
  DecoderParts read(file);
  if (by_byte) {
    if (parts.empty() || file.type(parts.front(), "decoder") != "ByteLevel") {
      file.fail(fmt::format("the decoder is {}; ByteLevel is expected first", shown(decoder)));
    }
    parts.erase(parts.begin());
    if (!parts.empty()) read.add(DecodeKind::Join);
  } else if (decoder.is_null()) {
    read.add(DecodeKind::SpaceBetween);
  }
  for (const Json& part : parts) read.read(part);
  return read.take();
}

}  // namespace heed::convert
