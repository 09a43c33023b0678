// Files of torch.save: a pickle that describes tensors, and the storages that hold their elements.
//
// Since PyTorch 1.6 it is a zip archive NAME/ with data.pkl, data/KEY for each storage, and byteorder; before, a row of
// pickles (a magic number, the protocol's version, what system wrote it, the description, the keys of the storages),
// and behind them each storage as its number of elements and these.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "graph/shape.h"
#include "heed/error.h"
#include "tools/convert/pickle.h"
#include "tools/convert/state_file.h"
#include "tools/convert/text.h"
#include "tools/convert/zip_file.h"

namespace heed::convert {

namespace {

constexpr std::uint64_t kMaxPickleBytes = 256 << 20;
constexpr std::string_view kLegacyStart("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);

/// `size` bytes of a storage from `offset`.
using StorageReader =
    std::function<std::vector<std::byte>(const std::string& key, std::uint64_t offset, std::uint64_t size)>;

/// What the tensors of a file have in common.
struct PytorchFile {
  std::string name;
  Pickle pickle;
  StorageReader read;
};

[[noreturn]] void fail_in(const std::string& name, const std::string& message) {
  throw Error(fmt::format("{}: {}", name, message));
}

std::shared_ptr<const PytorchFile> open_zip(const std::shared_ptr<const SourceFile>& file) {
  const auto zip = std::make_shared<const ZipFile>(file);
  std::string folder;
  std::size_t found = 0;
  for (const std::string& entry : zip->entries()) {
    if (entry.ends_with("/constants.pkl")) {
      fail_in(file->name(),
              "is a TorchScript archive, which holds code; save the tensors alone, with torch.save(model.state_dict(), "
              "path)");
    }
    if (!entry.ends_with("/data.pkl")) continue;
    folder = entry.substr(0, entry.size() - std::string_view("data.pkl").size());
    ++found;
  }
  if (found != 1) fail_in(file->name(), "is a zip archive, but not one of torch.save: it has no data.pkl, or several");
  const auto text = [&](const std::string& entry, std::uint64_t limit) {
    const std::uint64_t size = zip->size(entry).value_or(UINT64_MAX);
    if (size > limit) fail_in(file->name(), fmt::format("{} is too large, or has no size", in_quotes(entry)));
    const std::vector<std::byte> bytes = zip->read(entry, 0, size);
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  // Files of PyTorch before 2.1 do not have it; few big-endian machines ran that.
  if (zip->size(folder + "byteorder") && text(folder + "byteorder", 64) != "little") {
    fail_in(file->name(), "holds big-endian numbers; load it and save it on a little-endian machine");
  }
  const auto pickle_file = SourceFile::from_bytes(file->name(), text(folder + "data.pkl", kMaxPickleBytes));
  SourceCursor cursor(*pickle_file);
  auto opened = std::make_shared<PytorchFile>(PytorchFile{file->name(), Pickle::read(cursor), nullptr});
  for (Pickle::Index i = 0; i < opened->pickle.size(); ++i) {
    const auto* storage = std::get_if<Pickle::Storage>(&opened->pickle.at(i));
    if (storage == nullptr) continue;
    const std::uint64_t expected = storage->elements * storage_element_bytes(storage->type);
    const std::optional<std::uint64_t> size = zip->size(folder + "data/" + storage->key);
    if (size != expected) {
      fail_in(file->name(),
              fmt::format("storage {} has {} bytes; expected {} elements of {}, {} bytes", in_quotes(storage->key),
                          size ? fmt::to_string(*size) : "no", storage->elements, storage->type, expected));
    }
  }
  opened->read = [zip, folder](const std::string& key, std::uint64_t offset, std::uint64_t size) {
    return zip->read(folder + "data/" + key, offset, size);
  };
  return opened;
}

/// The value of an entry of a dict whose keys are texts; nullptr when it is not there.
const Pickle::Value* entry_of(const Pickle& pickle, const Pickle::Dict& dict, std::string_view name) {
  for (const auto& [key, value] : dict.items) {
    const std::string* text = pickle.text(key);
    if (text != nullptr && *text == name) return &pickle.at(value);
  }
  return nullptr;
}

std::shared_ptr<const PytorchFile> open_legacy(const std::shared_ptr<const SourceFile>& file) {
  SourceCursor cursor(*file, kLegacyStart.size());
  const Pickle version = Pickle::read(cursor);
  const auto* number = std::get_if<std::int64_t>(&version.root());
  if (number == nullptr || *number != 1001)
    fail_in(file->name(), "is of an unknown version of PyTorch's legacy format");
  const Pickle system = Pickle::read(cursor);
  const auto* facts = std::get_if<Pickle::Dict>(&system.root());
  const Pickle::Value* little = facts == nullptr ? nullptr : entry_of(system, *facts, "little_endian");
  if (little == nullptr || !std::holds_alternative<bool>(*little)) fail_in(file->name(), "does not say its byte order");
  if (!std::get<bool>(*little)) fail_in(file->name(), "holds big-endian numbers; save it on a little-endian machine");
  auto opened = std::make_shared<PytorchFile>(PytorchFile{file->name(), Pickle::read(cursor), nullptr});
  const Pickle key_list = Pickle::read(cursor);
  const auto* keys = std::get_if<Pickle::Sequence>(&key_list.root());
  if (keys == nullptr) fail_in(file->name(), "does not list its storages");

  std::map<std::string, const Pickle::Storage*> storages;
  for (Pickle::Index i = 0; i < opened->pickle.size(); ++i) {
    const auto* storage = std::get_if<Pickle::Storage>(&opened->pickle.at(i));
    if (storage == nullptr) continue;
    const auto [known, added] = storages.emplace(storage->key, storage);
    if (!added && (known->second->type != storage->type || known->second->elements != storage->elements)) {
      fail_in(file->name(), fmt::format("storage {} has two sizes", in_quotes(storage->key)));
    }
  }
  std::map<std::string, std::uint64_t> offsets;
  for (const Pickle::Index item : keys->items) {
    const std::string* key = key_list.text(item);
    const auto storage = key == nullptr ? storages.end() : storages.find(*key);
    if (storage == storages.end()) fail_in(file->name(), "lists a storage that no tensor has");
    const auto elements = cursor.read<std::uint64_t>("a storage's size");
    if (elements != storage->second->elements) {
      fail_in(file->name(), fmt::format("storage {} has {} elements; expected {}", in_quotes(*key), elements,
                                        storage->second->elements));
    }
    const std::uint64_t bytes = elements * storage_element_bytes(storage->second->type);
    cursor.check_count("a storage", bytes, 1);
    if (!offsets.emplace(*key, cursor.offset()).second) fail_in(file->name(), "lists a storage twice");
    cursor = SourceCursor(*file, cursor.offset() + bytes);
  }
  if (offsets.size() != storages.size()) fail_in(file->name(), "lacks a storage that a tensor has");
  if (cursor.remaining() != 0) fail_in(file->name(), "goes on behind its last storage");
  opened->read = [file, offsets](const std::string& key, std::uint64_t offset, std::uint64_t size) {
    return file->read_bytes(offsets.at(key) + offset, size);
  };
  return opened;
}

/// Holds a tensor's sizes and strides against its storage. Returns its number of elements.
std::int64_t check_tensor(const PytorchFile& file, const std::string& name, const Pickle::Tensor& tensor) {
  const auto fail = [&](const std::string& message) {
    fail_in(file.name, fmt::format("tensor {} {}", in_quotes(name), message));
  };
  const auto& storage = std::get<Pickle::Storage>(file.pickle.at(tensor.storage));
  if (tensor.sizes.size() > kMaxRank)
    fail(fmt::format("has {} dimensions; expected at most {}", tensor.sizes.size(), kMaxRank));
  for (const std::int64_t size : tensor.sizes) {
    if (size < 0 || size > kMaxElements) fail(fmt::format("has a size of {}", size));
  }
  const std::int64_t elements = element_count(tensor.sizes);
  std::int64_t last = tensor.offset;
  bool fits = tensor.offset >= 0 && tensor.offset <= kMaxElements;
  for (std::size_t i = 0; i < tensor.sizes.size() && fits && elements > 0; ++i) {
    fits = tensor.strides[i] >= 0 && tensor.strides[i] <= kMaxElements;
    // Below 2^40 times 2^40 nothing would overflow a double; what is far too large need not be exact.
    const double step = static_cast<double>(tensor.sizes[i] - 1) * static_cast<double>(tensor.strides[i]);
    fits = fits && step <= static_cast<double>(kMaxElements);
    if (fits) last += (tensor.sizes[i] - 1) * tensor.strides[i];
  }
  if (!fits || (elements > 0 && static_cast<std::uint64_t>(last) >= storage.elements)) {
    fail(fmt::format("of shape {} reaches beyond its storage of {} elements", to_string(tensor.sizes),
                     storage.elements));
  }
  // One that repeats elements (expand) would otherwise be as large as it likes.
  constexpr std::uint64_t kMaxRepeated = 1 << 24;
  if (static_cast<std::uint64_t>(elements) > std::max(storage.elements, kMaxRepeated)) {
    fail(fmt::format("of shape {} repeats a storage of {} elements; save its .contiguous()", to_string(tensor.sizes),
                     storage.elements));
  }
  return elements;
}

bool is_contiguous(const Pickle::Tensor& tensor) {
  std::int64_t expected = 1;
  for (std::size_t i = tensor.sizes.size(); i > 0; --i) {
    if (tensor.sizes[i - 1] != 1 && tensor.strides[i - 1] != expected) return false;
    expected *= tensor.sizes[i - 1];
  }
  return true;
}

/// The tensor's elements, dense; it has been checked, and has `elements` of them.
std::vector<std::byte> read_elements(const PytorchFile& file, const Pickle::Tensor& tensor, std::int64_t elements) {
  const auto& storage = std::get<Pickle::Storage>(file.pickle.at(tensor.storage));
  const std::uint64_t width = storage_element_bytes(storage.type);
  const auto first = static_cast<std::uint64_t>(tensor.offset);
  const auto count = static_cast<std::uint64_t>(elements);
  if (count == 0) return {};
  if (is_contiguous(tensor)) return file.read(storage.key, first * width, count * width);
  const std::vector<std::byte> from = file.read(storage.key, 0, storage.elements * width);
  std::vector<std::byte> to(count * width);
  std::vector<std::int64_t> at(tensor.sizes.size());
  for (std::uint64_t i = 0; i < count; ++i) {
    std::int64_t place = tensor.offset;
    for (std::size_t d = 0; d < at.size(); ++d) place += at[d] * tensor.strides[d];
    std::memcpy(&to[i * width], &from[static_cast<std::uint64_t>(place) * width], width);
    for (std::size_t d = at.size(); d > 0; --d) {
      if (++at[d - 1] < tensor.sizes[d - 1]) break;
      at[d - 1] = 0;
    }
  }
  return to;
}

std::vector<std::byte> rounded_to_f32(const std::vector<std::byte>& doubles) {
  std::vector<std::byte> floats(doubles.size() / 2);
  for (std::size_t i = 0; i < doubles.size() / sizeof(double); ++i) {
    double value = 0;
    std::memcpy(&value, &doubles[i * sizeof value], sizeof value);
    const auto rounded = static_cast<float>(value);
    std::memcpy(&floats[i * sizeof rounded], &rounded, sizeof rounded);
  }
  return floats;
}

SourceTensor pytorch_tensor(const std::shared_ptr<const PytorchFile>& file, const std::string& name,
                            const Pickle::Tensor& tensor, std::int64_t elements) {
  const std::string& type = std::get<Pickle::Storage>(file->pickle.at(tensor.storage)).type;
  const bool wide = type == "F64";
  if (!wide && type != "F32" && type != "F16" && type != "BF16") {
    fail_in(file->name, fmt::format("tensor '{}' is of type {}; heed reads F32, F16, BF16 and F64", name, type));
  }
  const DType dtype = type == "F16" ? DType::F16 : type == "BF16" ? DType::BF16 : DType::F32;
  return {name, dtype, tensor.sizes, [file, tensor, elements, wide] {
            std::vector<std::byte> bytes = read_elements(*file, tensor, elements);
            return wide ? rounded_to_f32(bytes) : bytes;
          }};
}

/// Goes through nested dicts and lists and gathers the tensors.
class StateCollector {
 public:
  explicit StateCollector(std::shared_ptr<const PytorchFile> file) : file_(std::move(file)) {}

  State collect() {
    const Pickle& pickle = file_->pickle;
    const auto* dict = std::get_if<Pickle::Dict>(&pickle.root());
    if (dict == nullptr) {
      fail_in(file_->name,
              fmt::format("holds {}; expected a dict of tensors by name: torch.save(model.state_dict(), path)",
                          Pickle::kind(pickle.root())));
    }
    if (const auto whole = state_among_others(*dict)) {
      for (const auto& [key, value] : dict->items) {
        if (key_of(key) != whole->first) pass_over(key_of(key));
      }
      add_all("", pickle.at(whole->second), 0);
    } else {
      for (const auto& [key, value] : dict->items) {
        const std::string name = key_of(key);
        const Pickle::Value& found = pickle.at(value);
        const std::size_t before = state_.entries.size();
        if (!is_of_training(name) || std::holds_alternative<Pickle::Tensor>(found)) add_all(name, found, 0);
        if (state_.entries.size() == before) pass_over(name);
      }
    }
    if (state_.entries.empty()) fail_in(file_->name, "holds no tensors");
    finish();
    return std::move(state_);
  }

 private:
  std::string key_of(Pickle::Index key) const {
    if (const std::string* text = file_->pickle.text(key)) return *text;
    if (const auto* number = std::get_if<std::int64_t>(&file_->pickle.at(key))) return fmt::to_string(*number);
    fail_in(file_->name,
            fmt::format("has a dict with {} for a key; expected texts", Pickle::kind(file_->pickle.at(key))));
  }

  /// The entry of a checkpoint that is the model's state, by the names that people give it.
  std::optional<std::pair<std::string, Pickle::Index>> state_among_others(const Pickle::Dict& dict) const {
    std::optional<std::pair<std::string, Pickle::Index>> found;
    for (const auto& [key, value] : dict.items) {
      const std::string name = key_of(key);
      constexpr std::array<std::string_view, 4> kNames = {"model_state_dict", "state_dict", "model", "net"};
      const bool fits = std::ranges::find(kNames, name) != kNames.end() &&
                        std::holds_alternative<Pickle::Dict>(file_->pickle.at(value));
      if (!fits) continue;
      if (found) {
        fail_in(file_->name, fmt::format("holds both '{}' and '{}', either of which could be the model; save one",
                                         found->first, name));
      }
      found = {name, value};
    }
    return found;
  }

  static bool is_of_training(std::string_view name) {
    return name.find("optim") != std::string_view::npos || name.find("scheduler") != std::string_view::npos ||
           name.find("scaler") != std::string_view::npos || name.find("rng_state") != std::string_view::npos;
  }

  void pass_over(const std::string& name) { passed_over_.push_back(name); }

  void add_all(const std::string& name, const Pickle::Value& value, int depth) {
    constexpr int kMaxDepth = 64;
    constexpr std::size_t kMaxVisits = 1 << 24;
    if (depth > kMaxDepth || ++visits_ > kMaxVisits) {
      fail_in(file_->name, "nests its dicts too deeply, or mentions one too often");
    }
    const auto inner = [&](const std::string& key) { return name.empty() ? key : name + '.' + key; };
    if (const auto* tensor = std::get_if<Pickle::Tensor>(&value)) {
      add_tensor(name, *tensor);
    } else if (const auto* dict = std::get_if<Pickle::Dict>(&value)) {
      for (const auto& [key, item] : dict->items) add_inner(inner(key_of(key)), item, depth);
    } else if (const auto* list = std::get_if<Pickle::Sequence>(&value)) {
      for (std::size_t i = 0; i < list->items.size(); ++i) add_inner(inner(fmt::to_string(i)), list->items[i], depth);
    }
  }
  void add_inner(const std::string& name, Pickle::Index item, int depth) {
    const Pickle::Value& value = file_->pickle.at(item);
    const bool holds_more = std::holds_alternative<Pickle::Tensor>(value) ||
                            std::holds_alternative<Pickle::Dict>(value) ||
                            std::holds_alternative<Pickle::Sequence>(value);
    if (holds_more) return add_all(name, value, depth + 1);
    pass_over(name);
  }

  void add_tensor(const std::string& name, const Pickle::Tensor& tensor) {
    if (!is_plain_name(name))
      fail_in(file_->name, fmt::format("tensor {} has a name that is not plain", in_quotes(name)));
    const std::int64_t elements = check_tensor(*file_, name, tensor);
    const std::string& type = std::get<Pickle::Storage>(file_->pickle.at(tensor.storage)).type;
    if (!names_.insert(name).second) fail_in(file_->name, fmt::format("has the tensor '{}' twice", name));
    if (type == "F64") ++rounded_;
    state_.entries.push_back({name, type, tensor.sizes, [file = file_, name, tensor, elements] {
                                return pytorch_tensor(file, name, tensor, elements);
                              }});
  }

  void finish() {
    if (!passed_over_.empty()) {
      constexpr std::size_t kShown = 8;
      std::string names;
      for (std::size_t i = 0; i < std::min(kShown, passed_over_.size()); ++i) {
        names += (i == 0 ? "" : ", ") + in_quotes(passed_over_[i]);
      }
      if (passed_over_.size() > kShown) names += fmt::format(" and {} more", passed_over_.size() - kShown);
      state_.notes.push_back(
          fmt::format("of {} these were passed over, since they are no part of a model: {}", file_->name, names));
    }
    if (rounded_ > 0) state_.notes.push_back(fmt::format("{} tensors of type F64 are rounded to f32", rounded_));
  }

  std::shared_ptr<const PytorchFile> file_;
  State state_;
  std::set<std::string> names_;
  std::vector<std::string> passed_over_;
  std::size_t rounded_ = 0;
  std::size_t visits_ = 0;
};

std::string start_of(const SourceFile& file) {
  return file.read_text(0, std::min<std::uint64_t>(file.size(), kLegacyStart.size()));
}

}  // namespace

bool is_pytorch(const SourceFile& file) {
  const std::string start = start_of(file);
  return start.starts_with("PK\x03\x04") || (start.size() > 1 && start[0] == '\x80' && start[1] >= 2 && start[1] <= 5 &&
                                             start.size() > 8 && start[8] != '{');
}

State read_pytorch(const std::shared_ptr<const SourceFile>& file) {
  const std::string start = start_of(*file);
  if (start.starts_with("PK")) return StateCollector(open_zip(file)).collect();
  if (start != kLegacyStart) {
    fail_in(file->name(), "is a pickle, but not one of torch.save; load it and save its tensors with torch.save");
  }
  return StateCollector(open_legacy(file)).collect();
}

}  // namespace heed::convert
