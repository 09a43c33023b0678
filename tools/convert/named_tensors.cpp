#include "tools/convert/named_tensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>

#include "heed/error.h"
#include "tools/convert/json_text.h"
#include "tools/convert/text.h"

namespace heed::convert {

NamedTensors::NamedTensors(std::vector<SourceTensor> tensors, const nlohmann::json* names,
                           std::set<std::string> words) {
  for (SourceTensor& tensor : tensors) {
    const std::string name = tensor.name;
    if (!tensors_.emplace(name, std::move(tensor)).second) {
      throw Error(fmt::format("tensor '{}' is there twice", name));
    }
  }
  if (names == nullptr) return;
  if (!names->is_object()) throw Error("config.json: 'names' is not an object");
  for (const auto& [word, name] : names->items()) {
    if (!words.contains(word)) {
      throw Error(fmt::format("config.json: 'names' has {}; it can name: {}", in_quotes(word), fmt::join(words, ", ")));
    }
    if (!name.is_string()) {
      throw Error(fmt::format("config.json: 'names' says {} of {}; expected what the names of its tensors begin with",
                              shown(name), in_quotes(word)));
    }
    names_[word] = name.get<std::string>();
  }
}

const SourceTensor* NamedTensors::find(const std::string& in_file) const {
  const auto found = tensors_.find(in_file);
  return found == tensors_.end() ? nullptr : &found->second;
}

std::string NamedTensors::prefix(const std::string& word, const std::vector<std::string>& usual,
                                 const std::string& probe) const {
  if (const auto told = names_.find(word); told != names_.end()) return told->second;
  std::vector<std::string> there;
  std::ranges::copy_if(usual, std::back_inserter(there),
                       [&](const std::string& name) { return tensors_.contains(name + probe); });
  if (there.size() > 1) {
    throw Error(
        fmt::format("tensors '{}{}' and '{}{}' could both be the {}; say which in config.json: \"names\": "
                    "{{\"{}\": \"{}\"}}",
                    there[0], probe, there[1], probe, word, word, there[0]));
  }
  return there.empty() ? usual.front() : there.front();
}

void NamedTensors::give(const std::string& in_file, const std::string& name, Checkpoint& checkpoint) {
  known_.add(in_file, name);
  const auto found = tensors_.find(in_file);
  if (found == tensors_.end()) return;
  SourceTensor tensor = std::move(found->second);
  tensors_.erase(found);
  tensor.in_file = in_file;
  tensor.name = name;
  checkpoint.tensors.push_back(std::move(tensor));
}

SourceTensor NamedTensors::take(const std::string& in_file) {
  const auto found = tensors_.find(in_file);
  if (found == tensors_.end()) throw Error(fmt::format("tensor '{}' is missing", in_file));
  SourceTensor tensor = std::move(found->second);
  tensors_.erase(found);
  return tensor;
}

void NamedTensors::finish(Checkpoint& checkpoint) const {
  if (!tensors_.empty()) {
    const auto& [name, tensor] = *tensors_.begin();
    throw Error(
        fmt::format("tensor '{}' {} has no place in a model of this configuration", name, to_string(tensor.shape)));
  }
  checkpoint.name_in_file = [names = std::make_shared<NameTable>(known_)](const std::string& name) {
    return names->in_file(name);
  };
}

}  // namespace heed::convert
