#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "file/header.h"
#include "file/model_file.h"
#include "heed/error.h"

namespace heed {
namespace {

static_assert(std::endian::native == std::endian::little, "the preamble is stored little-endian and read in place");

constexpr std::uint64_t kLargestRead = std::uint64_t{1} << 30;  // Linux reads at most 2 GiB in one call

std::string quoted(const std::filesystem::path& path) { return fmt::format("'{}'", path.string()); }

template <typename T>
T load(const std::array<std::byte, kPreambleBytes>& from, std::size_t offset) {
  T value;
  std::memcpy(&value, from.data() + offset, sizeof value);
  return value;
}

bool all_zero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

ModelFile ModelFile::open(const std::filesystem::path& path) {
  ModelFile file;
  file.path_ = path;
  // Without O_NONBLOCK, opening a named pipe would wait for somebody to write to it.
  file.descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file.descriptor_ < 0)
    throw Error(fmt::format("cannot open {}: {}", quoted(path), std::generic_category().message(errno)));
  struct stat status = {};
  if (::fstat(file.descriptor_, &status) != 0) {
    throw Error(fmt::format("cannot examine {}: {}", quoted(path), std::generic_category().message(errno)));
  }
  if (!S_ISREG(status.st_mode)) throw Error(fmt::format("cannot open {}: it is not a regular file", quoted(path)));
  file.size_ = static_cast<std::uint64_t>(status.st_size);
  file.parse();
  return file;
}

ModelFile ModelFile::open_bytes(std::vector<std::byte> bytes, const std::filesystem::path& name) {
  ModelFile file;
  file.path_ = name;
  file.memory_ = std::move(bytes);
  file.size_ = file.memory_.size();
  file.parse();
  return file;
}

ModelFile::ModelFile(ModelFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      memory_(std::move(other.memory_)),
      size_(std::exchange(other.size_, 0)),
      header_(std::move(other.header_)),
      files_(std::move(other.files_)),
      tensor_index_(std::move(other.tensor_index_)) {}

ModelFile& ModelFile::operator=(ModelFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(memory_, other.memory_);
  std::swap(size_, other.size_);
  std::swap(header_, other.header_);
  std::swap(files_, other.files_);
  std::swap(tensor_index_, other.tensor_index_);
  return *this;
}

ModelFile::~ModelFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void ModelFile::parse() {
  const std::string where = quoted(path_);
  std::array<std::byte, kPreambleBytes> start = {};
  const std::size_t present = std::min<std::uint64_t>(size_, start.size());
  read_at(0, std::span(start).first(present));
  if (present < kMagic.size() || std::memcmp(start.data(), kMagic.data(), kMagic.size()) != 0) {
    throw Error(
        fmt::format("{} is not a .heed file: it does not begin with \"{}\"; convert checkpoints of other formats "
                    "with `heed convert`",
                    where, kMagic));
  }
  if (present < kPreambleBytes) {
    throw Error(fmt::format("{}: truncated: {} bytes, and the preamble alone has {}", where, size_, kPreambleBytes));
  }
  const auto version = load<std::uint32_t>(start, 4);
  if (version != kFormatVersion) {
    throw Error(
        fmt::format("{}: format version {}, but this heed reads version {}; use the heed that fits or convert the "
                    "checkpoint again",
                    where, version, kFormatVersion));
  }
  const auto length = load<std::uint64_t>(start, 8);
  if (length > kMaxHeaderBytes) {
    throw Error(fmt::format("{}: a header of {} bytes; heed handles up to {}", where, length, kMaxHeaderBytes));
  }
  const std::uint64_t begin = data_begin(length);
  if (begin > size_) {
    throw Error(fmt::format("{}: truncated: {} bytes, but the header alone reaches to {}", where, size_, begin));
  }

  std::string text(length, '\0');
  read_at(kPreambleBytes, std::as_writable_bytes(std::span(text)));
  Checksum checksum;
  checksum.update(std::span(start).first(kChecksummedPreambleBytes));
  checksum.update(std::as_bytes(std::span(text)));
  const auto expected = load<std::uint64_t>(start, kChecksummedPreambleBytes);
  if (checksum.digest() != expected) {
    throw Error(
        fmt::format("{}: the header is damaged: checksum {:016x}, expected {:016x}; fetch or convert the file again",
                    where, checksum.digest(), expected));
  }
  std::array<std::byte, kTensorAlignment> padding;
  const std::span<std::byte> gap = std::span(padding).first(begin - kPreambleBytes - length);
  read_at(kPreambleBytes + length, gap);
  if (!all_zero(gap))
    throw Error(fmt::format("{}: the padding behind the header is not zero; the file is damaged", where));

  ParsedHeader parsed = parse_header(text, size_ - begin, where);
  header_ = std::move(parsed.model);
  files_ = std::move(parsed.files);
  for (std::size_t i = 0; i < header_.tensors.size(); ++i) {
    header_.tensors[i].offset += begin;
    tensor_index_.emplace(header_.tensors[i].name, i);
  }
  for (FileInfo& file : files_) file.offset += begin;
}

void ModelFile::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  if (offset > size_ || out.size() > size_ - offset) {
    throw Error(
        fmt::format("{}: cannot read {} bytes at {}: the file has {}", quoted(path_), out.size(), offset, size_));
  }
  if (descriptor_ < 0) {
    std::copy_n(memory_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    return;
  }
  while (!out.empty()) {
    const auto piece = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), kLargestRead));
    const ssize_t got = ::pread(descriptor_, out.data(), piece, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      throw Error(
          fmt::format("cannot read {} at {}: {}", quoted(path_), offset, std::generic_category().message(errno)));
    if (got == 0) {
      throw Error(fmt::format("{} ended at {} although it had {} bytes when it was opened; it was changed meanwhile",
                              quoted(path_), offset, size_));
    }
    offset += static_cast<std::uint64_t>(got);
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

const Graph& ModelFile::graph(std::string_view name) const {
  std::string known;
  for (const Graph& graph : header_.graphs) {
    if (graph.name == name) return graph;
    known += fmt::format("{}'{}'", known.empty() ? "" : ", ", graph.name);
  }
  throw Error(fmt::format("{} has no graph '{}'; it has {}", quoted(path_), name, known.empty() ? "none" : known));
}

const TensorInfo* ModelFile::find_tensor(std::string_view name) const {
  const auto found = tensor_index_.find(name);
  return found == tensor_index_.end() ? nullptr : &header_.tensors[found->second];
}

void ModelFile::read(const TensorInfo& tensor, std::uint64_t begin, std::span<std::byte> out) const {
  if (begin > tensor.size || out.size() > tensor.size - begin) {
    throw Error(fmt::format("{}: cannot read {} bytes at {} of tensor '{}', which has {}", quoted(path_), out.size(),
                            begin, tensor.name, tensor.size));
  }
  read_at(tensor.offset + begin, out);
}

// Also looks at the padding behind the entry, so that no byte of the file escapes.
void ModelFile::check_entry(std::string_view kind, std::string_view name, std::uint64_t end,
                            std::span<const std::byte> bytes, std::uint64_t expected) const {
  Checksum checksum;
  checksum.update(bytes);
  if (checksum.digest() != expected) {
    throw Error(
        fmt::format("{}: {} '{}' is damaged: checksum {:016x}, expected {:016x}; fetch or convert the file again",
                    quoted(path_), kind, name, checksum.digest(), expected));
  }
  std::array<std::byte, kTensorAlignment> padding;
  const std::span<std::byte> gap = std::span(padding).first(std::min(align_up(end), size_) - end);
  read_at(end, gap);
  if (!all_zero(gap)) {
    throw Error(
        fmt::format("{}: the padding behind {} '{}' is not zero; the file is damaged", quoted(path_), kind, name));
  }
}

std::vector<std::byte> ModelFile::read_all(const TensorInfo& tensor) const {
  if (tensor.offset > size_ || tensor.size > size_ - tensor.offset) {
    throw Error(fmt::format("{}: tensor '{}' is not of this file", quoted(path_), tensor.name));
  }
  std::vector<std::byte> bytes(tensor.size);
  read_at(tensor.offset, bytes);
  check_entry("tensor", tensor.name, tensor.offset + tensor.size, bytes, tensor.checksum);
  return bytes;
}

const FileInfo* ModelFile::find_file(std::string_view name) const {
  const auto found =
      std::find_if(files_.begin(), files_.end(), [&](const FileInfo& file) { return file.name == name; });
  return found == files_.end() ? nullptr : &*found;
}

bool ModelFile::has_file(std::string_view name) const { return find_file(name) != nullptr; }

std::string ModelFile::read_file(std::string_view name) const {
  const FileInfo* file = find_file(name);
  if (file == nullptr) throw Error(fmt::format("{} has no embedded file '{}'", quoted(path_), name));
  std::string content(file->size, '\0');
  read_at(file->offset, std::as_writable_bytes(std::span(content)));
  check_entry("embedded file", file->name, file->offset + file->size, std::as_bytes(std::span(content)),
              file->checksum);
  return content;
}

std::vector<std::string> ModelFile::file_names() const {
  std::vector<std::string> names;
  for (const FileInfo& file : files_) names.push_back(file.name);
  return names;
}

}  // namespace heed
