#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "file/header.h"
#include "file/model_file.h"
#include "graph/graph.h"
#include "tests/temporary_folder.h"

namespace heed::testing {

/// A graph, tensors of odd, aligned and no size, and two embedded files, one of them empty.
ModelHeader sample_header();
std::vector<EmbeddedFile> sample_files();
/// Bytes that depend on the tensor's name and on the place, delivered in uneven pieces.
std::vector<std::byte> sample_bytes(const TensorInfo& tensor);
TensorSource sample_source();

/// The sample as it stands in a file.
std::vector<std::byte> sample_file();
/// The JSON header of such a file.
std::string header_of(const std::vector<std::byte>& file);
/// A file with this JSON header and the checksum and padding that belong to it, so that what lies behind is reached,
/// and `data_bytes` zeros for tensors and embedded files.
std::vector<std::byte> sealed(std::string_view header, std::size_t data_bytes);

std::vector<std::byte> contents(const std::filesystem::path& path);
void write_contents(const std::filesystem::path& path, std::span<const std::byte> bytes);

/// Opens a file in memory and reads all of its tensors and embedded files.
void read_everything(std::vector<std::byte> bytes);
/// The message of the Error that read_everything() throws; "" when it throws none.
std::string error_of(std::vector<std::byte> bytes);

}  // namespace heed::testing
