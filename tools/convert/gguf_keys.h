#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tools/convert/gguf.h"

namespace heed::convert {

/// Hands out the metadata of a GGUF file that stands under its architecture's name ("llama.block_count") and remembers
/// which of it was asked for. Keys are given without that name. Every getter throws Error naming the key where the
/// value is of another type or out of range. `gguf` must outlive it.
class GgufKeys {
 public:
  GgufKeys(const Gguf& gguf, std::string architecture);

  const std::string& architecture() const { return architecture_; }
  /// The key as it stands in the file.
  std::string full(std::string_view key) const { return architecture_ + "." + std::string(key); }

  std::optional<std::int64_t> find_size(std::string_view key);
  std::int64_t size(std::string_view key);  // throws Error when it is missing, too
  /// One number, or an array of as many as there are layers in which all are equal.
  std::optional<std::int64_t> find_size_of_layers(std::string_view key);
  /// What was written as f32 and meant as decimal is given as meant: 9.999999747378752e-06 is 1e-05.
  std::optional<double> find_real(std::string_view key);
  double positive(std::string_view key);
  double positive(std::string_view key, double otherwise);
  std::optional<bool> find_boolean(std::string_view key);
  const std::string* find_text(std::string_view key);
  /// Integers of an array; nothing where the key is absent or holds no array.
  std::optional<std::vector<std::int64_t>> find_integers(std::string_view key);
  /// For keys that are known and change nothing.
  void skip(std::string_view key) { read_.insert(full(key)); }
  [[noreturn]] void unsupported(std::string_view key, std::string_view expected) const;

  /// Throws Error naming the first key of the file, other than the tokenizer's and those that only describe it and its
  /// making, that was not asked for.
  void refuse_unread() const;

 private:
  std::string asked(std::string_view key);

  const Gguf& gguf_;
  std::string architecture_;
  std::set<std::string, std::less<>> read_;
};

}  // namespace heed::convert
