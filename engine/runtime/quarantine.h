#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>

namespace heed {

/// Shader modules that gave wrong results on one device with one version of its driver, by key (shader_table.h), with
/// the reason in a line. Kept as JSON in the cache folder, so that people can read it; deleting the file forgets it.
using Quarantine = std::map<std::string, std::string>;

/// What the file `name` of the cache folder says about modules of this build; a module whose code has changed since is
/// judged afresh. A file that is damaged or was not written by heed counts as empty; `note` is then set to a line that
/// says so.
Quarantine read_quarantine(std::string_view name, std::string& note);

/// Adds modules to what the file holds by now, takes others out of it, and removes it where nothing is left: another
/// process may have changed it meanwhile. A folder that cannot be written is no error: then the quarantine holds for
/// this process alone.
void change_quarantine(std::string_view name, const Quarantine& added, const std::set<std::string>& released);

/// Where the file lies, for messages; empty when nothing is kept.
std::filesystem::path quarantine_path(std::string_view name);

/// Of the code of all shader modules of this build.
std::uint64_t shaders_checksum();
/// Of which modules are off.
std::uint64_t quarantine_checksum(const Quarantine& quarantine);

}  // namespace heed
