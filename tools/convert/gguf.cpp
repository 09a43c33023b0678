#include "tools/convert/gguf.h"

#include <fmt/format.h>

#include <bit>
#include <set>

#include "heed/error.h"
#include "tools/convert/text.h"

namespace heed::convert {

namespace {

enum GgufType : std::uint32_t { U8, I8, U16, I16, U32, I32, F32, Bool, String, Array, U64, I64, F64 };

constexpr std::uint64_t kMaxNameBytes = 65535;       // GGUF's own limit for keys
constexpr std::uint64_t kMaxStringBytes = 64 << 20;  // a chat template or an embedded tokenizer.json at most
constexpr std::uint64_t kMaxAlignment = 1 << 20;

class GgufReader {
 public:
  explicit GgufReader(const SourceFile& file) : file_(file), cursor_(file) {}

  Gguf read() {
    if (cursor_.text("the magic", 4) != "GGUF") fail("is not a GGUF file");
    gguf_.version = cursor_.read<std::uint32_t>("the version");
    if (gguf_.version == 0x02000000 || gguf_.version == 0x03000000)
      fail("is a big-endian GGUF file; heed reads little-endian ones");
    if (gguf_.version != 2 && gguf_.version != 3) {
      fail(fmt::format("is GGUF version {}; heed reads versions 2 and 3", gguf_.version));
    }
    const auto tensor_count = cursor_.read<std::uint64_t>("the number of tensors");
    const auto metadata_count = cursor_.read<std::uint64_t>("the number of metadata entries");
    cursor_.check_count("the metadata", metadata_count, 8 + 4 + 1);
    for (std::uint64_t i = 0; i < metadata_count; ++i) read_entry();
    cursor_.check_count("the list of tensors", tensor_count, 8 + 4 + 4 + 8);
    for (std::uint64_t i = 0; i < tensor_count; ++i) read_tensor();
    place_tensors();
    return std::move(gguf_);
  }

 private:
  [[noreturn]] void fail(const std::string& message) const {
    throw Error(fmt::format("{}: {}", file_.name(), message));
  }

  std::string string(const char* what, std::uint64_t limit) {
    const auto size = cursor_.read<std::uint64_t>(what);
    if (size > limit) fail(fmt::format("{} has {} bytes; at most {} are expected", what, size, limit));
    return cursor_.text(what, size);
  }

  void read_entry() {
    std::string key = string("a metadata key", kMaxNameBytes);
    if (!is_plain_name(key)) fail(fmt::format("has a metadata key that is not a plain name: {}", in_quotes(key)));
    const auto type = cursor_.read<std::uint32_t>(key.c_str());
    GgufValue value = type == Array ? read_array(key) : read_scalar(key, type);
    if (!gguf_.metadata.emplace(key, std::move(value)).second) fail(fmt::format("metadata key '{}' occurs twice", key));
  }

  GgufValue read_scalar(const std::string& key, std::uint32_t type) {
    const char* what = key.c_str();
    switch (type) {
      case U8:
        return std::uint64_t{cursor_.read<std::uint8_t>(what)};
      case I8:
        return std::int64_t{cursor_.read<std::int8_t>(what)};
      case U16:
        return std::uint64_t{cursor_.read<std::uint16_t>(what)};
      case I16:
        return std::int64_t{cursor_.read<std::int16_t>(what)};
      case U32:
        return std::uint64_t{cursor_.read<std::uint32_t>(what)};
      case I32:
        return std::int64_t{cursor_.read<std::int32_t>(what)};
      case U64:
        return cursor_.read<std::uint64_t>(what);
      case I64:
        return cursor_.read<std::int64_t>(what);
      case F32:
        return double{cursor_.read<float>(what)};
      case F64:
        return cursor_.read<double>(what);
      case String:
        return string(what, kMaxStringBytes);
      case Bool: {
        const auto byte = cursor_.read<std::uint8_t>(what);
        if (byte > 1) fail(fmt::format("metadata '{}' is a boolean of value {}", key, byte));
        return byte == 1;
      }
      default:
        fail(fmt::format("metadata '{}' has type {}, which GGUF does not define", key, type));
    }
  }

  GgufValue read_array(const std::string& key) {
    const char* what = key.c_str();
    const auto type = cursor_.read<std::uint32_t>(what);
    const auto count = cursor_.read<std::uint64_t>(what);
    if (type == String) {
      cursor_.check_count(what, count, 8);
      std::vector<std::string> strings(count);
      for (std::string& item : strings) item = string(what, kMaxStringBytes);
      return strings;
    }
    // At least one byte an element is in the file, so memory is at most 8 times the file's size.
    cursor_.check_count(what, count, 1);
    if (type == F32 || type == F64) {
      cursor_.check_count(what, count, type == F32 ? 4 : 8);
      std::vector<double> reals(count);
      for (double& item : reals) item = std::get<double>(read_scalar(key, type));
      return reals;
    }
    if (type == Array) fail(fmt::format("metadata '{}' is an array of arrays", key));
    std::vector<std::int64_t> integers(count);
    for (std::int64_t& item : integers) {
      const GgufValue value = read_scalar(key, type);
      if (const auto* u = std::get_if<std::uint64_t>(&value)) {
        if (*u > INT64_MAX) fail(fmt::format("metadata '{}' holds {}, which is too large", key, *u));
        item = static_cast<std::int64_t>(*u);
      } else if (const auto* b = std::get_if<bool>(&value)) {
        item = *b ? 1 : 0;
      } else {
        item = std::get<std::int64_t>(value);
      }
    }
    return integers;
  }

  void read_tensor() {
    GgufTensor tensor;
    tensor.name = string("a tensor's name", kMaxNameBytes);
    if (!is_plain_name(tensor.name)) fail(fmt::format("has a tensor without a plain name: {}", in_quotes(tensor.name)));
    if (!names_.insert(tensor.name).second) fail(fmt::format("tensor '{}' occurs twice", tensor.name));
    const auto rank = cursor_.read<std::uint32_t>("a tensor's rank");
    if (rank < 1 || rank > 4) fail(fmt::format("tensor '{}' has {} dimensions; expected 1 to 4", tensor.name, rank));
    tensor.shape.resize(rank);
    for (std::uint32_t i = 0; i < rank; ++i) {
      const auto size = cursor_.read<std::uint64_t>("a tensor's shape");
      if (size < 1 || size > static_cast<std::uint64_t>(kMaxElements)) {
        fail(fmt::format("tensor '{}' has a dimension of {}", tensor.name, size));
      }
      tensor.shape[rank - 1 - i] = static_cast<std::int64_t>(size);
    }
    element_count(tensor.shape);
    tensor.type = cursor_.read<std::uint32_t>("a tensor's type");
    tensor.offset = cursor_.read<std::uint64_t>("a tensor's offset");
    gguf_.tensors.push_back(std::move(tensor));
  }

  /// Turns offsets within the tensor data into offsets in the file.
  void place_tensors() {
    const auto alignment = static_cast<std::uint64_t>(gguf_.find_size("general.alignment").value_or(32));
    if (!std::has_single_bit(alignment) || alignment > kMaxAlignment) {
      fail(fmt::format("general.alignment is {}; expected a power of two up to {}", alignment, kMaxAlignment));
    }
    const std::uint64_t data = (cursor_.offset() + alignment - 1) / alignment * alignment;
    for (GgufTensor& tensor : gguf_.tensors) {
      if (tensor.offset % alignment != 0) {
        fail(fmt::format("tensor '{}' begins at {} of the tensor data, expected a multiple of {}", tensor.name,
                         tensor.offset, alignment));
      }
      if (data > file_.size() || tensor.offset > file_.size() - data) {
        fail(
            fmt::format("tensor '{}' begins at {} of the tensor data, which begins at {}, but the file has only {} "
                        "bytes; it is truncated: fetch it again",
                        tensor.name, tensor.offset, data, file_.size()));
      }
      tensor.offset += data;
    }
  }

  const SourceFile& file_;
  SourceCursor cursor_;
  Gguf gguf_;
  std::set<std::string> names_;
};

template <typename T>
const T* find_as(const Gguf& gguf, std::string_view key, const char* kind) {
  const auto found = gguf.metadata.find(key);
  if (found == gguf.metadata.end()) return nullptr;
  const T* value = std::get_if<T>(&found->second);
  if (value == nullptr) throw Error(fmt::format("GGUF metadata '{}' is not {}", key, kind));
  return value;
}

}  // namespace

Gguf Gguf::read(const SourceFile& file) { return GgufReader(file).read(); }

const std::string* Gguf::find_text(std::string_view key) const { return find_as<std::string>(*this, key, "a string"); }

const std::vector<std::string>* Gguf::find_texts(std::string_view key) const {
  return find_as<std::vector<std::string>>(*this, key, "an array of strings");
}

std::optional<std::int64_t> Gguf::find_size(std::string_view key) const {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return {};
  std::uint64_t size = 0;
  if (const auto* u = std::get_if<std::uint64_t>(&found->second)) {
    size = *u;
  } else if (const auto* i = std::get_if<std::int64_t>(&found->second)) {
    size = static_cast<std::uint64_t>(*i);  // a negative one becomes too large
  } else {
    throw Error(fmt::format("GGUF metadata '{}' is not an integer", key));
  }
  if (size > INT32_MAX) throw Error(fmt::format("GGUF metadata '{}' is not between 0 and {}", key, INT32_MAX));
  return static_cast<std::int64_t>(size);
}

std::optional<double> Gguf::find_real(std::string_view key) const {
  const auto* value = find_as<double>(*this, key, "a floating-point number");
  return value == nullptr ? std::nullopt : std::optional(*value);
}

std::optional<bool> Gguf::find_boolean(std::string_view key) const {
  const auto* value = find_as<bool>(*this, key, "a boolean");
  return value == nullptr ? std::nullopt : std::optional(*value);
}

std::optional<std::vector<std::int64_t>> Gguf::find_integers(std::string_view key) const {
  const auto* value = find_as<std::vector<std::int64_t>>(*this, key, "an array of integers");
  return value == nullptr ? std::nullopt : std::optional(*value);
}

std::optional<std::vector<double>> Gguf::find_reals(std::string_view key) const {
  const auto* value = find_as<std::vector<double>>(*this, key, "an array of floating-point numbers");
  return value == nullptr ? std::nullopt : std::optional(*value);
}

bool is_gguf(const SourceFile& file) { return file.size() >= 4 && file.read_text(0, 4) == "GGUF"; }

}  // namespace heed::convert
