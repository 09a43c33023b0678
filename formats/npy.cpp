#include "formats/npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <utility>

#include "file/output_file.h"
#include "formats/token_text.h"
#include "graph/convert_dtype.h"
#include "heed/error.h"

namespace heed {
namespace {

static_assert(std::endian::native == std::endian::little, "arrays are copied as they stand in the file");

constexpr std::string_view kNpyMagic = "\x93NUMPY";
constexpr std::size_t kHeaderAlignment = 64;

// "<V2" is how arrays of bfloat16 (ml_dtypes) are written.
constexpr std::pair<std::string_view, DType> kTypes[] = {
    {"<f4", DType::F32},  {"<f8", DType::F64}, {"<i4", DType::I32}, {"<i8", DType::I64}, {"<f2", DType::F16},
    {"|b1", DType::Bool}, {"|u1", DType::U8},  {"|i1", DType::I8},  {"<u2", DType::U16}, {"<i2", DType::I16},
    {"<u4", DType::U32},  {"<u8", DType::U64}, {"<V2", DType::BF16}};

std::string_view code_of(DType type) {
  for (const auto& [code, known] : kTypes) {
    if (known == type && type != DType::BF16) return code;
  }
  return kTypes[0].first;
}

/// Reads the Python dictionary of the header; NumPy writes its three keys in this order, but promises none.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& where) : rest_(text), where_(where) {}

  NpyArray parse() {
    NpyArray array;
    bool seen[3] = {};
    expect('{');
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      std::size_t which = 0;
      if (key == "descr") {
        array.type = element_type(quoted());
      } else if (key == "fortran_order") {
        which = 1;
        if (word() != "False") fail("is in Fortran order; save it in C order");
      } else if (key == "shape") {
        which = 2;
        array.shape = shape();
      } else {
        fail(fmt::format("has an unknown key '{}' in its header", key));
      }
      if (seen[which]) fail(fmt::format("has '{}' twice in its header", key));
      seen[which] = true;
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    if (!seen[0] || !seen[1] || !seen[2]) fail("lacks a type, order or shape in its header");
    return array;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { throw Error(fmt::format("{}: the array {}", where_, what)); }

  void skip_space() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\n')) rest_.remove_prefix(1);
  }
  bool accept(char c) {
    skip_space();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(fmt::format("has a damaged header: '{}' is missing", c));
  }
  std::string quoted() {
    skip_space();
    const char quote = rest_.empty() ? '\0' : rest_.front();
    if (quote != '\'' && quote != '"') fail("has a damaged header, or elements that are no plain numbers");
    const std::size_t end = rest_.find(quote, 1);
    if (end == std::string_view::npos) fail("has a damaged header");
    const std::string text(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return text;
  }
  std::string word() {
    skip_space();
    std::string text;
    while (!rest_.empty() && std::isalpha(static_cast<unsigned char>(rest_.front()))) {
      text += rest_.front();
      rest_.remove_prefix(1);
    }
    return text;
  }
  DType element_type(const std::string& code) const {
    for (const auto& [known, type] : kTypes) {
      if (known == code) return type;
    }
    fail(fmt::format("has elements of type '{}', expected numbers of 8 to 64 bits, little-endian, or booleans", code));
  }
  Shape shape() {
    Shape shape;
    expect('(');
    while (!accept(')')) {
      skip_space();
      std::int64_t size = -1;
      const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), size);
      if (error != std::errc() || size < 0) fail("has a damaged shape");
      rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
      shape.push_back(size);
      if (shape.size() > kMaxRank) fail(fmt::format("has more than {} dimensions", kMaxRank));
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return shape;
  }

  std::string_view rest_;
  const std::string& where_;
};

/// What stands before the elements; `code` is NumPy's for their type.
std::string npy_header(std::string_view code, const Shape& shape) {
  std::string sizes;
  for (const std::int64_t size : shape) sizes += fmt::format("{}, ", size);
  if (shape.size() > 1) sizes.resize(sizes.size() - 2);  // only a single size needs its comma
  if (shape.size() == 1) sizes.pop_back();
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", code, sizes);
  const std::size_t before = kNpyMagic.size() + 4;
  while ((before + header.size() + 1) % kHeaderAlignment != 0) header += ' ';
  header += '\n';
  std::string start(kNpyMagic);
  start += '\1';
  start += '\0';
  start += static_cast<char>(header.size() & 0xff);
  start += static_cast<char>(header.size() >> 8);
  return start + header;
}

std::vector<std::byte> joined(const std::string& header, std::span<const std::byte> data) {
  std::vector<std::byte> bytes(header.size() + data.size());
  std::memcpy(bytes.data(), header.data(), header.size());
  if (!data.empty()) std::memcpy(bytes.data() + header.size(), data.data(), data.size());
  return bytes;
}

template <typename To, typename From>
std::vector<To> elements(const NpyArray& array, const std::string& where) {
  std::vector<From> stored(array.data.size() / sizeof(From));
  if (!stored.empty()) std::memcpy(stored.data(), array.data.data(), array.data.size());
  std::vector<To> made(stored.size());
  for (std::size_t i = 0; i < stored.size(); ++i) {
    bool fits;
    if constexpr (std::is_floating_point_v<To> && std::is_integral_v<From>) {
      fits = true;
    } else if constexpr (std::is_floating_point_v<To>) {
      fits = !std::isfinite(stored[i]) || std::abs(stored[i]) <= static_cast<From>(std::numeric_limits<To>::max());
    } else {
      fits = std::in_range<To>(stored[i]);
    }
    if (!fits) throw Error(fmt::format("{}: element {} is {}, too large for 32 bits", where, i, +stored[i]));
    made[i] = static_cast<To>(stored[i]);
  }
  return made;
}

}  // namespace

std::vector<float> NpyArray::floats(const std::string& where) const {
  if (type == DType::F64) return elements<float, double>(*this, where);
  if (!is_floating(type)) {
    throw Error(fmt::format("{}: the array holds integers, expected real numbers (float32 or float64)", where));
  }
  std::vector<float> values(data.size() / dtype_info(type).block_bytes);
  if (!values.empty()) decode_to_f32(type, data, values.size(), values.data());
  return values;
}

std::vector<std::int32_t> NpyArray::integers(const std::string& where) const {
  switch (type) {
    case DType::I32:
      return elements<std::int32_t, std::int32_t>(*this, where);
    case DType::I64:
      return elements<std::int32_t, std::int64_t>(*this, where);
    case DType::U8:
      return elements<std::int32_t, std::uint8_t>(*this, where);
    case DType::I8:
      return elements<std::int32_t, std::int8_t>(*this, where);
    case DType::U16:
      return elements<std::int32_t, std::uint16_t>(*this, where);
    case DType::I16:
      return elements<std::int32_t, std::int16_t>(*this, where);
    case DType::U32:
      return elements<std::int32_t, std::uint32_t>(*this, where);
    case DType::U64:
      return elements<std::int32_t, std::uint64_t>(*this, where);
    case DType::Bool: {
      std::vector<std::int32_t> values;
      for (const std::byte byte : data) values.push_back(byte != std::byte{0});
      return values;
    }
    default:
      throw Error(fmt::format("{}: the array holds real numbers, expected integers (int32 or int64)", where));
  }
}

std::vector<double> NpyArray::wide_integers(const std::string& where) const {
  if (type == DType::I64) return elements<double, std::int64_t>(*this, where);
  const std::vector<std::int32_t> values = integers(where);
  return {values.begin(), values.end()};
}

NpyArray parse_npy(std::span<const std::byte> bytes, const std::string& where) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with(kNpyMagic) || text.size() < kNpyMagic.size() + 4) {
    throw Error(fmt::format("{}: this is no .npy file", where));
  }
  const auto byte = [&](std::size_t at) { return static_cast<std::size_t>(bytes[at]); };
  const std::size_t version = byte(6);
  if (version < 1 || version > 3) {
    throw Error(fmt::format("{}: version {} of .npy is not known, expected 1 to 3", where, version));
  }
  const std::size_t length_bytes = version == 1 ? 2 : 4;
  std::size_t begin = 8 + length_bytes;
  if (text.size() < begin) throw Error(fmt::format("{}: the file is cut short in its header", where));
  std::size_t length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i) length |= byte(8 + i) << (8 * i);
  if (length > text.size() - begin) throw Error(fmt::format("{}: the file is cut short in its header", where));
  NpyArray array = HeaderParser(text.substr(begin, length), where).parse();
  begin += length;
  const std::uint64_t expected =
      static_cast<std::uint64_t>(element_count(array.shape)) * dtype_info(array.type).block_bytes;
  if (bytes.size() - begin != expected) {
    throw Error(fmt::format("{}: {} bytes of elements, expected {} for {}", where, bytes.size() - begin, expected,
                            to_string(array.shape)));
  }
  array.data.assign(bytes.begin() + static_cast<std::ptrdiff_t>(begin), bytes.end());
  return array;
}

NpyArray read_npy(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  const std::streamoff size = file ? static_cast<std::streamoff>(file.tellg()) : -1;
  // A folder opens, and is as large as the largest number.
  if (size < 0 || !std::filesystem::is_regular_file(path)) {
    throw Error(fmt::format("{}: cannot open: {}", path.string(),
                            std::filesystem::exists(path) ? "not a regular file" : std::strerror(errno)));
  }
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  file.seekg(0);
  if (!file.read(reinterpret_cast<char*>(bytes.data()), size))
    throw Error(fmt::format("{}: cannot read", path.string()));
  return parse_npy(bytes, path.string());
}

std::vector<std::byte> from_words(DType type, std::span<const std::byte> words) {
  const std::size_t count = words.size() / 4;
  const std::size_t size = type == DType::BF16 ? 4 : dtype_info(type).block_bytes;
  std::vector<std::byte> data(count * size);
  if (is_floating(type)) {
    std::vector<float> values(count);
    std::memcpy(values.data(), words.data(), words.size());
    encode_from_f32(type == DType::BF16 ? DType::F32 : type, values, data);
    return data;
  }
  for (std::size_t i = 0; i < count; ++i) {
    std::int32_t word;
    std::memcpy(&word, words.data() + i * 4, 4);
    // Little-endian: the low bytes first, and for the wider types the sign behind them.
    const std::int64_t wide = word;
    std::memcpy(data.data() + i * size, &wide, size);
  }
  return data;
}

void write_npy(const std::filesystem::path& path, DType type, const Shape& shape, std::span<const std::byte> data) {
  const std::string header = npy_header(code_of(type), shape);
  OutputFile file(path);
  file.append(std::as_bytes(std::span(header)));
  file.append(data);
  file.commit();
}

std::vector<std::byte> npy_bytes(DType type, const Shape& shape, std::span<const std::byte> data) {
  return joined(npy_header(code_of(type), shape), data);
}

std::vector<std::byte> npy_texts(const std::vector<std::string>& texts) {
  std::vector<std::u32string> characters;
  std::size_t longest = 1;  // NumPy has no texts of no characters
  for (const std::string& text : texts) {
    characters.push_back(code_points(text));
    longest = std::max(longest, characters.back().size());
  }
  // Each is filled up with zeros.
  std::u32string filled;
  for (std::u32string& text : characters) {
    text.resize(longest);
    filled += text;
  }
  return joined(npy_header(fmt::format("<U{}", longest), {static_cast<std::int64_t>(texts.size())}),
                std::as_bytes(std::span(filled)));
}

}  // namespace heed
