#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>

namespace heed::convert {

/// Hands out the keys of a JSON object, such as a config.json, and remembers which were asked for. Null counts as
/// absent: transformers writes it for options that are not used. Every getter throws Error naming file and key where
/// the value is of another type or out of range. `config` must outlive it.
class ConfigReader {
 public:
  ConfigReader(const nlohmann::json& config, std::string where);

  [[noreturn]] void fail(const char* key, const std::string& expected) const;
  /// Two values of which one must be wrong.
  [[noreturn]] void contradict(const std::string& first, const std::string& second) const;

  bool has(const char* key) const { return config_.contains(key); }
  /// nullptr where it is absent.
  const nlohmann::json* find(const char* key);
  std::optional<std::int64_t> find_size(const char* key);
  std::int64_t size(const char* key);
  std::optional<double> find_positive(const char* key);
  double positive(const char* key);
  bool boolean(const char* key, bool otherwise);
  std::optional<std::string> find_text(const char* key);
  /// The activation in heed's name.
  std::string activation(const char* key, const char* otherwise);
  /// A token's id; nothing where it is absent. Throws Error unless it is below `vocabulary`.
  std::optional<std::int32_t> find_token(const char* key, std::int64_t vocabulary);
  /// One id, a list of ids or null; each once.
  std::vector<std::int32_t> tokens(const char* key, std::int64_t vocabulary);
  /// Keys that heed knows with one value only.
  void expect(const char* key, const nlohmann::json& value);
  /// For keys that are known and change nothing.
  void skip(const char* key) { read_.insert(key); }

  /// Throws Error naming the first key that was not asked for; `harmless_too` excepts those of Hugging Face's configs
  /// that change nothing of what a model computes.
  void refuse_unread(bool harmless_too = true) const;
  const std::string& where() const { return where_; }

 private:
  const nlohmann::json& config_;
  std::string where_;
  std::set<std::string, std::less<>> read_;
};

}  // namespace heed::convert
