#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tools/convert/source_file.h"

namespace heed::convert {

/// What torch.save writes, read as data: no function that a pickle names is ever called. Known are dicts, lists,
/// tuples, numbers, strings, None, and of what has a name collections.OrderedDict, torch.Size, the kinds of storage,
/// and the three functions that put a tensor together; everything else is refused by its name.
class Pickle {
 public:
  /// The place of a value in values(). A pickle may mention one value several times.
  using Index = std::uint32_t;

  struct None {};
  struct Text {
    std::string text;
  };
  /// A tuple or list.
  struct Sequence {
    std::vector<Index> items;
    bool is_tuple = false;
  };
  struct Dict {
    std::vector<std::pair<Index, Index>> items;  // in the order in which they were saved
  };
  /// "torch.FloatStorage", "torch._utils._rebuild_tensor_v2": a name that is known.
  struct Name {
    std::string name;
  };
  /// The elements behind tensors, which lie beside the pickle.
  struct Storage {
    std::string type;        // "F32", "BF16", ... as in safetensors
    std::string key;         // its file's name
    std::uint64_t elements;  // of that type
  };
  /// Sizes and strides count elements. Not yet held against the storage.
  struct Tensor {
    Index storage;
    std::int64_t offset;
    std::vector<std::int64_t> sizes, strides;
  };
  using Value = std::variant<None, bool, std::int64_t, double, Text, Sequence, Dict, Name, Storage, Tensor>;

  /// Reads one pickle; afterwards `cursor` stands behind it. Throws Error, beginning with the file's name, for what is
  /// not known or damaged.
  static Pickle read(SourceCursor& cursor);

  Index size() const { return static_cast<Index>(values_.size()); }
  const Value& at(Index index) const { return values_[index]; }
  const Value& root() const { return values_[root_]; }
  /// A string's text; nullptr for another value.
  const std::string* text(Index index) const;
  /// "a list", "a number": for messages.
  static const char* kind(const Value& value);

 private:
  friend class PickleReader;
  std::vector<Value> values_;
  Index root_ = 0;
};

/// How many bytes an element of a storage has.
std::uint64_t storage_element_bytes(const std::string& type);

}  // namespace heed::convert
