#include <fmt/format.h>

#include <array>
#include <utility>

#include "file/header.h"
#include "file/model_file.h"
#include "file/output_file.h"
#include "heed/error.h"

namespace heed {
namespace {

void append_text(OutputFile& output, std::string_view text) { output.append(std::as_bytes(std::span(text))); }

// Zeros up to where the next entry begins.
void pad_to(OutputFile& output, std::uint64_t offset) {
  static constexpr std::array<std::byte, kTensorAlignment> kZeros = {};
  output.append(std::span(kZeros).first(offset - output.position()));
}

// Streams one tensor to the file and returns its checksum.
std::uint64_t append_tensor(OutputFile& output, const TensorInfo& tensor, const TensorSource& source) {
  Checksum checksum;
  std::uint64_t written = 0;
  source(tensor, [&](std::span<const std::byte> bytes) {
    if (bytes.size() > tensor.size - written) {
      throw Error(fmt::format("tensor '{}' ({} {}) has {} bytes, but its source gives more", tensor.name,
                              dtype_name(tensor.dtype), to_string(tensor.shape), tensor.size));
    }
    checksum.update(bytes);
    output.append(bytes);
    written += bytes.size();
  });
  if (written != tensor.size) {
    throw Error(fmt::format("tensor '{}' ({} {}) has {} bytes, but its source gave {}", tensor.name,
                            dtype_name(tensor.dtype), to_string(tensor.shape), tensor.size, written));
  }
  return checksum.digest();
}

std::uint64_t checksum_of(std::string_view content) {
  Checksum checksum;
  checksum.update(std::as_bytes(std::span(content)));
  return checksum.digest();
}

}  // namespace

void write_model_file(const std::filesystem::path& path, ModelHeader header, const std::vector<EmbeddedFile>& files,
                      const TensorSource& source) {
  const std::string where = fmt::format("cannot write '{}'", path.string());
  std::vector<FileInfo> infos;
  for (const EmbeddedFile& file : files)
    infos.push_back({file.name, 0, file.content.size(), checksum_of(file.content)});
  for (TensorInfo& tensor : header.tensors) tensor.checksum = 0;
  std::uint64_t data_bytes = 0;
  std::string text;
  try {
    data_bytes = lay_out(header.tensors, infos);
    text = header_text(header, infos);
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", where, error.what()));
  }
  if (text.size() > kMaxHeaderBytes) {
    throw Error(fmt::format("{}: a header of {} bytes; heed handles up to {}", where, text.size(), kMaxHeaderBytes));
  }
  parse_header(text, data_bytes, where);  // what could not be read back is not written

  const std::uint64_t begin = data_begin(text.size());
  OutputFile output(path);
  append_text(output, preamble(text));
  append_text(output, text);
  pad_to(output, begin);
  for (TensorInfo& tensor : header.tensors) {
    pad_to(output, begin + tensor.offset);
    tensor.checksum = append_tensor(output, tensor, source);
  }
  for (std::size_t i = 0; i < files.size(); ++i) {
    pad_to(output, begin + infos[i].offset);
    append_text(output, files[i].content);
  }
  text = header_text(header, infos);  // of the same length, now with the checksums
  const std::string start = preamble(text) + text;
  output.overwrite(0, std::as_bytes(std::span(start)));
  output.commit();
}

}  // namespace heed
