// tokenizer.model: the protobuf message ModelProto of sentencepiece_model.proto.
//
// The library's interface shows neither the kind of model nor its normalization nor user-defined pieces, all of which
// decide about the ids, so the message is read here. The tests compare the result with the library's. Encoding is
// heed's own too: Debian 12's library exports the symbols of an old protobuf, which does not get along with the one
// that the ONNX reader needs in the same process; and ids should not depend on which version of a library is installed.
#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "heed/error.h"
#include "tools/convert/hf_tokenizer.h"
#include "tools/convert/text.h"
#include "tools/convert/tokenizer_config.h"

namespace heed::convert {

namespace {

/// The fields of one protobuf message in the wire format (protobuf.dev/programming-guides/encoding), bounds checked.
class Message {
 public:
  struct Field {
    std::uint64_t number = 0;
    std::uint64_t value = 0;  // varint, or the bits of a fixed-size value
    std::string_view bytes;   // of a string, bytes or message
    bool is_bytes = false;
  };

  Message(const std::string& name, std::string_view bytes) : name_(name), rest_(bytes) {}

  bool next(Field& field) {
    if (rest_.empty()) return false;
    const std::uint64_t tag = varint();
    field = {tag >> 3, 0, {}, false};
    switch (tag & 7) {
      case 0:
        field.value = varint();
        break;
      case 1:
        field.value = fixed(8);
        break;
      case 2:
        field.bytes = take(varint());
        field.is_bytes = true;
        break;
      case 5:
        field.value = fixed(4);
        break;
      default:
        fail();
    }
    return true;
  }

 private:
  [[noreturn]] void fail() const { throw Error(fmt::format("{}: is not a SentencePiece model, or damaged", name_)); }

  std::string_view take(std::uint64_t size) {
    if (size > rest_.size()) fail();
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<std::uint8_t>(take(1)[0]);
      value |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    fail();
  }
  std::uint64_t fixed(std::size_t size) {
    std::uint64_t value = 0;
    const std::string_view bytes = take(size);
    std::memcpy(&value, bytes.data(), size);
    return value;
  }

  const std::string& name_;
  std::string_view rest_;
};

constexpr std::uint64_t kWordModel = 3;

struct Specification {
  std::uint64_t model_type = 1;  // UNIGRAM, the default of the format
  bool byte_fallback = false;
  bool suffix = false;  // treat_whitespace_as_suffix
  TokenId bos = 1, eos = 2;
  std::string_view charsmap;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
};

class SentencePieceModel {
 public:
  SentencePieceModel(const std::string& name, std::int64_t vocabulary) : name_(name), vocabulary_(vocabulary) {}

  TokenizerDescription read(std::string_view model) {
    Message message(name_, model);
    for (Message::Field field; message.next(field);) {
      if (field.number == 1) read_piece(field.bytes);
      if (field.number == 2) read_trainer(field.bytes);
      if (field.number == 3) read_normalizer(field.bytes);
      if (field.number == 5) read_denormalizer(field.bytes);
    }
    if (description_.pieces.empty()) fail("holds no pieces; it is not a SentencePiece model, or damaged");
    check();
    if (!specification_.byte_fallback) {
      for (PieceKind& kind : description_.kinds) {
        if (kind == PieceKind::Byte) fail("has byte pieces but no byte_fallback");
      }
    }
    using Merging = TokenizerDescription::Merging;
    constexpr Merging kMergings[] = {Merging::Unigram, Merging::Scores, Merging::None, Merging::None};
    description_.merging = kMergings[specification_.model_type - 1];
    if (description_.merging == Merging::None) description_.scores.clear();
    description_.charsmap = specification_.charsmap;
    description_.trim_spaces = specification_.remove_extra_whitespaces;
    description_.strip_each = specification_.remove_extra_whitespaces;
    description_.escape_spaces = true;
    description_.match_normalized = true;
    description_.fuse_unknown = true;
    if (specification_.add_dummy_prefix) {
      description_.prefix = TokenizerDescription::Prefix::First;
      description_.strip_prefix = true;
    }
    return std::move(description_);
  }

  const Specification& specification() const { return specification_; }

 private:
  [[noreturn]] void fail(const std::string& message) const { throw Error(fmt::format("{}: {}", name_, message)); }

  void read_piece(std::string_view bytes) {
    std::string piece;
    float score = 0;
    std::uint64_t type = 1;
    Message message(name_, bytes);
    for (Message::Field field; message.next(field);) {
      if (field.number == 1) piece = field.bytes;
      if (field.number == 2) score = std::bit_cast<float>(static_cast<std::uint32_t>(field.value));
      if (field.number == 3) type = field.value;
    }
    constexpr PieceKind kKinds[] = {PieceKind::Normal,      PieceKind::Unknown, PieceKind::Control,
                                    PieceKind::UserDefined, PieceKind::Unused,  PieceKind::Byte};
    if (type < 1 || type > 6) fail(fmt::format("piece {} is of type {}; expected 1 to 6", in_quotes(piece), type));
    if (description_.pieces.size() >= static_cast<std::size_t>(vocabulary_)) {
      fail(fmt::format("has more pieces than the model's embedding has rows, {}", vocabulary_));
    }
    description_.pieces.push_back(std::move(piece));
    description_.kinds.push_back(kKinds[type - 1]);
    if (!std::isfinite(score)) fail(fmt::format("piece {} has a score that is not finite", in_quotes(piece)));
    description_.scores.push_back(score);
  }

  void read_trainer(std::string_view bytes) {
    Message message(name_, bytes);
    for (Message::Field field; message.next(field);) {
      if (field.number == 3) specification_.model_type = field.value;
      if (field.number == 24) specification_.suffix = field.value != 0;
      if (field.number == 35) specification_.byte_fallback = field.value != 0;
      // -1 means that there is none.
      if (field.number == 41) specification_.bos = static_cast<TokenId>(static_cast<std::uint32_t>(field.value));
      if (field.number == 42) specification_.eos = static_cast<TokenId>(static_cast<std::uint32_t>(field.value));
    }
  }

  void read_normalizer(std::string_view bytes) {
    Message message(name_, bytes);
    for (Message::Field field; message.next(field);) {
      if (field.number == 2) specification_.charsmap = field.bytes;
      if (field.number == 3) specification_.add_dummy_prefix = field.value != 0;
      if (field.number == 4) specification_.remove_extra_whitespaces = field.value != 0;
      if (field.number == 5) specification_.escape_whitespaces = field.value != 0;
    }
  }

  void read_denormalizer(std::string_view bytes) {
    Message message(name_, bytes);
    for (Message::Field field; message.next(field);) {
      if (field.number == 2 && !field.bytes.empty()) fail("has denormalization rules, which heed does not support");
    }
  }

  void check() const {
    if (specification_.model_type < 1 || specification_.model_type > 4 || specification_.model_type == kWordModel) {
      fail(fmt::format("is a SentencePiece model of type {}; heed reads unigram, BPE and char",
                       specification_.model_type == kWordModel ? "word" : "unknown"));
    }
    if (!specification_.escape_whitespaces) fail("has no escape_whitespaces, which heed does not support");
    if (specification_.suffix) fail("has treat_whitespace_as_suffix, which heed does not support");
  }

  const std::string& name_;
  std::int64_t vocabulary_;
  TokenizerDescription description_;
  Specification specification_;
};

}  // namespace

TokenizerDescription read_sentencepiece(const std::string& name, std::string_view model,
                                        const nlohmann::json& tokenizer_config, std::int64_t vocabulary) {
  SentencePieceModel reader(name, vocabulary);
  TokenizerDescription description = reader.read(model);
  refuse_added_tokens(tokenizer_config, "tokenizer.model", description);
  const auto add = [&](TokenId id, const char* key, bool otherwise, std::vector<TokenId>& to) {
    if (!tokenizer_config_flag(tokenizer_config, key, otherwise)) return;
    if (id < 0 || static_cast<std::size_t>(id) >= description.pieces.size()) {
      throw Error(fmt::format("{}: has no token for {}", name, key));
    }
    to.push_back(id);
  };
  add(reader.specification().bos, "add_bos_token", true, description.before);
  add(reader.specification().eos, "add_eos_token", false, description.after);
  return description;
}

}  // namespace heed::convert
