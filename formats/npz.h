#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace heed {

/// One array of a .npz file.
struct NpzEntry {
  std::string name;            // without .npy
  std::vector<std::byte> npy;  // as npy_bytes() makes it
};

/// Writes arrays as numpy.savez does, through a temporary file; the same arrays give the same bytes. Throws Error when
/// that fails, for no arrays, and for a name that a program which unpacks the file could take for a place outside of
/// its folder.
void write_npz(const std::filesystem::path& path, const std::vector<NpzEntry>& entries);

}  // namespace heed
