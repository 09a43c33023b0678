#pragma once

#include <initializer_list>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "tools/convert/checkpoint.h"
#include "tools/convert/name_table.h"

namespace heed::convert {

/// The tensors of a model that somebody trained with a program of their own, by the names they gave them. Parts of the
/// model have a name that heed knows by itself or that "names" in config.json tells, an object from heed's word for a
/// part to what the names of its tensors begin with.
class NamedTensors {
 public:
  /// Throws Error for a word that is not among `words`, the parts that can be named.
  NamedTensors(std::vector<SourceTensor> tensors, const nlohmann::json* names, std::set<std::string> words);

  const SourceTensor* find(const std::string& in_file) const;
  /// What the names of a part's tensors begin with: as "names" says, else the one of `usual` under which there is a
  /// tensor (`probe` behind it); the first of them where there is none. Throws Error where there are several.
  std::string prefix(const std::string& word, const std::vector<std::string>& usual, const std::string& probe) const;
  /// Moves a tensor into the checkpoint under the recipe's name. Nothing where there is none: the recipe misses it.
  void give(const std::string& in_file, const std::string& name, Checkpoint& checkpoint);
  /// Takes a tensor out. Throws Error where there is none.
  SourceTensor take(const std::string& in_file);
  /// Notes what the file would call a tensor of the recipe.
  void know(const std::string& in_file, const std::string& name) { known_.add(in_file, name); }
  /// Throws Error naming a tensor that is left; otherwise tells the checkpoint the names in the file.
  void finish(Checkpoint& checkpoint) const;

 private:
  std::map<std::string, SourceTensor> tensors_;
  std::map<std::string, std::string> names_;
  NameTable known_;
};

/// "weight" and "bias" of a linear layer or norm.
inline constexpr const char* kParts[] = {"weight", "bias"};

}  // namespace heed::convert
