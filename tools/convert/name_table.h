#pragma once

#include <map>
#include <string>
#include <string_view>

namespace heed::convert {

/// Which name a tensor of a checkpoint gets in the .heed file, and back, for messages.
class NameTable {
 public:
  void add(std::string in_file, std::string name) {
    originals_.emplace(name, in_file);  // the first is the one that is missed
    names_.emplace(std::move(in_file), std::move(name));
  }
  /// nullptr when it is not known.
  const std::string* find(std::string_view in_file) const {
    const auto found = names_.find(in_file);
    return found == names_.end() ? nullptr : &found->second;
  }
  /// What the file calls, or would call, a tensor of the recipe.
  std::string in_file(const std::string& name) const {
    const auto found = originals_.find(name);
    return found == originals_.end() ? name : found->second;
  }

 private:
  std::map<std::string, std::string, std::less<>> names_;
  std::map<std::string, std::string, std::less<>> originals_;
};

}  // namespace heed::convert
