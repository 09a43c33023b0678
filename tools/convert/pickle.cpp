#include "tools/convert/pickle.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "graph/shape.h"
#include "heed/error.h"
#include "tools/convert/text.h"

namespace heed::convert {
namespace {

struct StorageType {
  std::string_view name;  // in Python
  std::string_view type;
  std::uint64_t bytes;
};
constexpr auto kStorageTypes = std::to_array<StorageType>({{"torch.FloatStorage", "F32", 4},
                                                           {"torch.HalfStorage", "F16", 2},
                                                           {"torch.BFloat16Storage", "BF16", 2},
                                                           {"torch.DoubleStorage", "F64", 8},
                                                           {"torch.LongStorage", "I64", 8},
                                                           {"torch.IntStorage", "I32", 4},
                                                           {"torch.ShortStorage", "I16", 2},
                                                           {"torch.CharStorage", "I8", 1},
                                                           {"torch.ByteStorage", "U8", 1},
                                                           {"torch.BoolStorage", "BOOL", 1}});
constexpr std::string_view kRebuildTensor = "torch._utils._rebuild_tensor";
constexpr std::string_view kRebuildTensor2 = "torch._utils._rebuild_tensor_v2";
constexpr std::string_view kRebuildParameter = "torch._utils._rebuild_parameter";
constexpr std::string_view kOrderedDict = "collections.OrderedDict";
constexpr std::string_view kSize = "torch.Size";

constexpr std::uint64_t kMaxValues = 1 << 26;
constexpr std::uint64_t kMaxTextBytes = 1 << 24;

bool is_known_name(const std::string& name) {
  constexpr std::array kOthers = {kRebuildTensor, kRebuildTensor2, kRebuildParameter, kOrderedDict, kSize};
  return std::ranges::find(kOthers, name) != kOthers.end() ||
         std::ranges::find(kStorageTypes, name, &StorageType::name) != kStorageTypes.end();
}

}  // namespace

std::uint64_t storage_element_bytes(const std::string& type) {
  return std::ranges::find(kStorageTypes, type, &StorageType::type)->bytes;
}

const std::string* Pickle::text(Index index) const {
  const auto* text = std::get_if<Text>(&values_[index]);
  return text == nullptr ? nullptr : &text->text;
}

const char* Pickle::kind(const Value& value) {
  constexpr const char* kKinds[] = {"None",      "a truth value", "an integer", "a number",
                                    "a text",    "a list",        "a dict",     "the name of a class or function",
                                    "a storage", "a tensor"};
  return kKinds[value.index()];
}

// The machine of Lib/pickletools.py in Python, as far as torch.save's protocols 2 to 5 need it.
class PickleReader {
 public:
  explicit PickleReader(SourceCursor& cursor) : cursor_(cursor) {}

  Pickle read() {
    if (byte() != 0x80 || byte() > 5) fail("is not a pickle of protocol 2 to 5");
    while (step()) {
    }
    return std::move(pickle_);
  }

 private:
  using Index = Pickle::Index;
  using Value = Pickle::Value;

  [[noreturn]] void fail(const std::string& message) const {
    throw Error(fmt::format("{}: {}", cursor_.file().name(), message));
  }
  [[noreturn]] void damaged(const char* what) const {
    fail(fmt::format("the pickle is damaged: {} before byte {}", what, cursor_.offset()));
  }
  [[noreturn]] void refuse(const std::string& name) const {
    const bool is_module = name.starts_with("torch.nn.") || name.starts_with("__main__.");
    fail(
        fmt::format("holds code, which heed does not run: {}{}; save the tensors alone, with "
                    "torch.save(model.state_dict(), path), or as safetensors",
                    in_quotes(name), is_module ? ", perhaps of a whole model" : ""));
  }

  // Reading bytes.
  std::uint8_t byte() { return cursor_.read<std::uint8_t>("a pickle"); }
  template <typename T>
  T number() {
    return cursor_.read<T>("a pickle");
  }
  std::string bytes(std::uint64_t size) {
    if (size > kMaxTextBytes) fail(fmt::format("a text of the pickle claims {} bytes", size));
    return cursor_.text("a text of a pickle", size);
  }
  std::string line() {
    std::string text;
    for (char c = static_cast<char>(byte()); c != '\n'; c = static_cast<char>(byte())) {
      text += c;
      if (text.size() > 4096) damaged("a name without end");
    }
    return text;
  }

  // The stack.
  void push(Index index) { stack_.push_back(index); }
  void add(Value value) {
    if (pickle_.values_.size() >= kMaxValues) fail("the pickle has too many values");
    pickle_.values_.push_back(std::move(value));
    push(static_cast<Index>(pickle_.values_.size() - 1));
  }
  Index pop() {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) damaged("the stack is empty");
    const Index index = stack_.back();
    stack_.pop_back();
    return index;
  }
  Index top() {
    const Index index = pop();
    push(index);
    return index;
  }
  std::vector<Index> pop_to_mark() {
    if (marks_.empty()) damaged("there is no mark");
    std::vector<Index> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  template <typename T>
  T& as(Index index, const char* what) {
    T* value = std::get_if<T>(&pickle_.values_[index]);
    if (value == nullptr) damaged(what);
    return *value;
  }
  void memoize(std::uint64_t key) { memo_[key] = top(); }
  void recall(std::uint64_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) damaged("a value is recalled that was not kept");
    push(found->second);
  }

  void add_name(const std::string& module, const std::string& name) {
    const std::string whole = module + "." + name;
    if (!is_known_name(whole)) refuse(whole);
    add(Pickle::Name{whole});
  }

  void add_tuple(std::size_t size) {
    Pickle::Sequence tuple{std::vector<Index>(size), true};
    for (std::size_t i = size; i > 0; --i) tuple.items[i - 1] = pop();
    add(std::move(tuple));
  }

  void add_long(std::uint64_t size) {
    std::string digits = bytes(size);
    if (digits.size() > 16) fail("a number of the pickle has more than 64 bits");
    const bool negative = !digits.empty() && (digits.back() & 0x80) != 0;
    digits.resize(16, negative ? '\xFF' : '\0');
    std::uint64_t value = 0;
    for (std::size_t i = 8; i > 0; --i) value = value << 8 | static_cast<std::uint8_t>(digits[i - 1]);
    const bool fits =
        std::all_of(digits.begin() + 8, digits.end(), [&](char c) { return c == (negative ? '\xFF' : '\0'); }) &&
        (value >> 63 != 0) == negative;
    // Larger ones occur (the magic number of the legacy format, seeds); no tensor needs one.
    add(fits ? Value(static_cast<std::int64_t>(value)) : Value(Pickle::None{}));
  }

  void append(Index list, const std::vector<Index>& items) {
    auto& sequence = as<Pickle::Sequence>(list, "something is appended to what is no list");
    if (sequence.is_tuple) damaged("something is appended to a tuple");
    sequence.items.insert(sequence.items.end(), items.begin(), items.end());
  }
  void set_items(Index dict, const std::vector<Index>& items) {
    if (items.size() % 2 != 0) damaged("a key has no value");
    auto& entries = as<Pickle::Dict>(dict, "an item is set in what is no dict").items;
    for (std::size_t i = 0; i < items.size(); i += 2) entries.emplace_back(items[i], items[i + 1]);
  }

  std::int64_t integer(Index index) { return as<std::int64_t>(index, "a number is expected"); }
  std::vector<std::int64_t> integers(Index index) {
    std::vector<std::int64_t> numbers;
    for (const Index item : as<Pickle::Sequence>(index, "sizes are expected").items) numbers.push_back(integer(item));
    return numbers;
  }

  // ('storage', type, key, device, elements), and in the legacy format a view of it, which is None.
  void add_storage() {
    const std::vector<Index> id = as<Pickle::Sequence>(pop(), "a storage is expected").items;
    if (id.size() != 5 && id.size() != 6) damaged("a storage is expected");
    if (as<Pickle::Text>(id[0], "a storage is expected").text != "storage") damaged("a storage is expected");
    const std::string name = as<Pickle::Name>(id[1], "a storage has no type").name;
    const auto* type = std::ranges::find(kStorageTypes, name, &StorageType::name);
    if (type == kStorageTypes.end()) damaged("a storage has no type");
    const std::int64_t elements = integer(id[4]);
    if (elements < 0 || elements > kMaxElements) damaged("a storage has an impossible size");
    if (id.size() == 6 && !std::holds_alternative<Pickle::None>(pickle_.values_[id[5]])) {
      fail("holds a view of a storage, as versions before 0.4 wrote it; load and save it with a newer PyTorch");
    }
    add(Pickle::Storage{std::string(type->type), as<Pickle::Text>(id[2], "a storage has no key").text,
                        static_cast<std::uint64_t>(elements)});
  }

  // What a known name makes of its arguments.
  void reduce() {
    const std::vector<Index> arguments = as<Pickle::Sequence>(pop(), "arguments are expected").items;
    const std::string name = as<Pickle::Name>(pop(), "something is called that has no name").name;
    if (name == kOrderedDict && arguments.empty()) return add(Pickle::Dict{});
    if (name == kSize && arguments.size() == 1) return push(arguments[0]);
    if (name == kRebuildParameter && arguments.size() == 3) {
      as<Pickle::Tensor>(arguments[0], "a parameter is no tensor");
      return push(arguments[0]);
    }
    const bool rebuilds = (name == kRebuildTensor && arguments.size() == 4) ||
                          (name == kRebuildTensor2 && (arguments.size() == 6 || arguments.size() == 7));
    if (!rebuilds) damaged("a known name has arguments that are not");
    as<Pickle::Storage>(arguments[0], "a tensor has no storage");
    if (arguments.size() == 7 && !std::holds_alternative<Pickle::None>(pickle_.values_[arguments[6]]) &&
        !as<Pickle::Dict>(arguments[6], "a tensor has marks that are no dict").items.empty()) {
      fail(
          "holds a tensor that is a negative or conjugate view of another; save it with .resolve_neg() and "
          ".resolve_conj()");
    }
    Pickle::Tensor tensor{arguments[0], integer(arguments[1]), integers(arguments[2]), integers(arguments[3])};
    if (tensor.sizes.size() != tensor.strides.size()) damaged("a tensor has not as many strides as sizes");
    add(std::move(tensor));
  }

  // An OrderedDict's attributes: a state_dict has `_metadata`, versions of its layers.
  void build() {
    const Index state = pop();
    const auto& attributes = as<Pickle::Dict>(state, "an object has attributes that are no dict").items;
    if (!std::holds_alternative<Pickle::Dict>(pickle_.values_[top()])) damaged("attributes of what has none");
    for (const auto& [key, value] : attributes) {
      if (as<Pickle::Text>(key, "an attribute has no name").text != "_metadata") damaged("an unknown attribute");
    }
  }

  bool step();

  SourceCursor& cursor_;
  Pickle pickle_;
  std::vector<Index> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint64_t, Index> memo_;
};

bool PickleReader::step() {
  const std::uint8_t code = byte();
  // clang-format off
  switch (code) {
    case 0x80: byte(); return true;                                   // PROTO
    case 0x95: number<std::uint64_t>(); return true;                  // FRAME
    case '.': pickle_.root_ = pop(); return false;                    // STOP
    case '(': marks_.push_back(stack_.size()); return true;           // MARK
    case '0': pop(); return true;                                     // POP
    case 'N': add(Pickle::None{}); return true;                       // NONE
    case 0x88: add(true); return true;                                // NEWTRUE
    case 0x89: add(false); return true;                               // NEWFALSE
    case 'J': add(std::int64_t{number<std::int32_t>()}); return true;   // BININT
    case 'K': add(std::int64_t{byte()}); return true;                 // BININT1
    case 'M': add(std::int64_t{number<std::uint16_t>()}); return true;  // BININT2
    case 0x8a: add_long(byte()); return true;                         // LONG1
    case 0x8b: add_long(number<std::uint32_t>()); return true;        // LONG4
    case 'G': {                                                       // BINFLOAT, big-endian
      std::uint64_t bits = 0;
      for (int i = 0; i < 8; ++i) bits = bits << 8 | byte();
      add(std::bit_cast<double>(bits));
      return true;
    }
    case 'X': case 'T': case 'B': add(Pickle::Text{bytes(number<std::uint32_t>())}); return true;  // BINUNICODE, BINSTRING, BINBYTES
    case 0x8c: case 'U': case 'C': add(Pickle::Text{bytes(byte())}); return true;                  // SHORT_...
    case 0x8d: case 0x8e: add(Pickle::Text{bytes(number<std::uint64_t>())}); return true;          // BINUNICODE8, BINBYTES8
    case '}': add(Pickle::Dict{}); return true;                       // EMPTY_DICT
    case ']': add(Pickle::Sequence{}); return true;                   // EMPTY_LIST
    case ')': add_tuple(0); return true;                              // EMPTY_TUPLE
    case 0x85: add_tuple(1); return true;                             // TUPLE1
    case 0x86: add_tuple(2); return true;                             // TUPLE2
    case 0x87: add_tuple(3); return true;                             // TUPLE3
    case 't': add(Pickle::Sequence{pop_to_mark(), true}); return true;  // TUPLE
    case 'l': add(Pickle::Sequence{pop_to_mark(), false}); return true;  // LIST
    case 'q': memoize(byte()); return true;                           // BINPUT
    case 'r': memoize(number<std::uint32_t>()); return true;          // LONG_BINPUT
    case 0x94: memoize(memo_.size()); return true;                    // MEMOIZE
    case 'h': recall(byte()); return true;                            // BINGET
    case 'j': recall(number<std::uint32_t>()); return true;           // LONG_BINGET
    case 'a': {                                                       // APPEND
      const Index item = pop();
      append(top(), {item});
      return true;
    }
    case 'e': {                                                       // APPENDS
      const std::vector<Index> items = pop_to_mark();
      append(top(), items);
      return true;
    }
    case 's': {                                                       // SETITEM
      const Index value = pop();
      const Index key = pop();
      set_items(top(), {key, value});
      return true;
    }
    case 'u': {                                                       // SETITEMS
      const std::vector<Index> items = pop_to_mark();
      set_items(top(), items);
      return true;
    }
    case 'c': {                                                       // GLOBAL
      const std::string module = line();
      add_name(module, line());
      return true;
    }
    case 0x93: {                                                      // STACK_GLOBAL
      const std::string name = as<Pickle::Text>(pop(), "a name is expected").text;
      add_name(as<Pickle::Text>(pop(), "a name is expected").text, name);
      return true;
    }
    case 'Q': add_storage(); return true;                             // BINPERSID
    case 'R': reduce(); return true;                                  // REDUCE
    case 0x81: reduce(); return true;                                 // NEWOBJ
    case 'b': build(); return true;                                   // BUILD
    default: fail(fmt::format("the pickle has the opcode 0x{:02X} before byte {}, which torch.save of tensors does not write",
                                  code, cursor_.offset()));
  }
  // clang-format on
}

Pickle Pickle::read(SourceCursor& cursor) { return PickleReader(cursor).read(); }

}  // namespace heed::convert
