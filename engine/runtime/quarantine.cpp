#include "runtime/quarantine.h"

#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <system_error>

#include "file/model_file.h"
#include "runtime/cache_folder.h"
#include "runtime/shader_code.h"

namespace heed {
namespace fs = std::filesystem;
namespace {

constexpr std::uintmax_t kLargestFile = std::uintmax_t{1} << 20;

/// The checksum of a module's code in hexadecimal; nothing where this build has no such module.
std::optional<std::string> code_of(const std::string& module) {
  for (const ShaderModuleCode& code : shader_modules()) {
    if (code.key == module) return fmt::format("{:016x}", checksum_of(std::as_bytes(code.words)));
  }
  return std::nullopt;
}

}  // namespace

fs::path quarantine_path(std::string_view name) {
  const std::optional<fs::path> folder = cache_folder();
  return folder ? *folder / name : fs::path();
}

Quarantine read_quarantine(std::string_view name, std::string& note) {
  const fs::path path = quarantine_path(name);
  std::error_code error;
  if (path.empty() || !fs::exists(path, error)) return {};
  Quarantine quarantine;
  try {
    if (fs::file_size(path) > kLargestFile) throw std::runtime_error("too large");
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    const nlohmann::json json = nlohmann::json::parse(text.str());
    for (const auto& [module, entry] : json.at("modules").items()) {
      const std::string reason = entry.at("reason").get<std::string>();
      if (code_of(module) == entry.at("code").get<std::string>()) quarantine.emplace(module, reason);
    }
  } catch (const std::exception&) {
    note = fmt::format("{}: damaged, ignored; every kernel is on and judged again", path.string());
    return {};
  }
  return quarantine;
}

void change_quarantine(std::string_view name, const Quarantine& added, const std::set<std::string>& released) {
  const fs::path path = quarantine_path(name);
  if (path.empty()) return;
  std::string damaged;  // was told when it was read first
  Quarantine quarantine = read_quarantine(name, damaged);
  for (const auto& [module, reason] : added) quarantine[module] = reason;
  for (const std::string& module : released) quarantine.erase(module);
  std::error_code ignored;
  if (quarantine.empty()) {
    fs::remove(path, ignored);
    return;
  }
  fs::create_directories(path.parent_path(), ignored);
  nlohmann::json modules = nlohmann::json::object();
  for (const auto& [module, reason] : quarantine) {
    if (const std::optional<std::string> code = code_of(module))
      modules[module] = {{"reason", reason}, {"code", *code}};
  }
  const fs::path temporary = temporary_beside(path);
  std::ofstream file(temporary, std::ios::binary);
  file << nlohmann::json{{"modules", modules}}.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
  file.close();
  if (file) fs::rename(temporary, path, ignored);
  if (!file || ignored) fs::remove(temporary, ignored);
}

std::uint64_t quarantine_checksum(const Quarantine& quarantine) {
  std::string modules;
  for (const auto& [module, reason] : quarantine) modules += module + ",";
  return checksum_of(std::as_bytes(std::span(modules)));
}

std::uint64_t shaders_checksum() {
  Checksum checksum;
  for (const ShaderModuleCode& code : shader_modules()) {
    checksum.update(std::as_bytes(std::span(code.key)));
    checksum.update(std::as_bytes(code.words));
  }
  return checksum.digest();
}

}  // namespace heed
