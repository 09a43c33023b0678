#include "tools/convert/source_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "heed/error.h"

namespace heed::convert {

bool file_exists(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

std::shared_ptr<const SourceFile> SourceFile::open(const std::filesystem::path& path) {
  auto file = std::shared_ptr<SourceFile>(new SourceFile);
  file->name_ = path.string();
  // O_NONBLOCK: opening a named pipe would otherwise wait for a writer before it can be refused.
  file->descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file->descriptor_ < 0) {
    throw Error(fmt::format("{}: cannot be opened: {}", file->name_, std::strerror(errno)));
  }
  struct stat status = {};
  if (::fstat(file->descriptor_, &status) != 0) {
    throw Error(fmt::format("{}: cannot be examined: {}", file->name_, std::strerror(errno)));
  }
  if (!S_ISREG(status.st_mode)) throw Error(fmt::format("{}: is not a regular file", file->name_));
  file->size_ = static_cast<std::uint64_t>(status.st_size);
  return file;
}

std::shared_ptr<const SourceFile> SourceFile::from_bytes(std::string name, std::string bytes) {
  auto file = std::shared_ptr<SourceFile>(new SourceFile);
  file->name_ = std::move(name);
  file->size_ = bytes.size();
  file->bytes_ = std::move(bytes);
  return file;
}

SourceFile::~SourceFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void SourceFile::check_range(std::uint64_t offset, std::uint64_t size) const {
  if (offset > size_ || size > size_ - offset) {
    throw Error(
        fmt::format("{}: {} bytes are expected at offset {}, but the file has only {} bytes; it is truncated or "
                    "damaged",
                    name_, size, offset, size_));
  }
}

void SourceFile::read(std::uint64_t offset, std::span<std::byte> out) const {
  check_range(offset, out.size());
  if (descriptor_ < 0) {
    if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
    return;
  }
  while (!out.empty()) {
    const ssize_t got = ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error(fmt::format("{}: cannot be read at {}: {}", name_, offset, std::strerror(errno)));
    if (got == 0) throw Error(fmt::format("{}: became shorter while it was read", name_));
    offset += static_cast<std::uint64_t>(got);
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

std::vector<std::byte> SourceFile::read_bytes(std::uint64_t offset, std::uint64_t size) const {
  check_range(offset, size);
  std::vector<std::byte> bytes(size);
  read(offset, bytes);
  return bytes;
}

std::string SourceFile::read_text(std::uint64_t offset, std::uint64_t size) const {
  check_range(offset, size);
  std::string text(size, '\0');
  read(offset, std::as_writable_bytes(std::span(text)));
  return text;
}

std::string SourceFile::read_all(std::uint64_t limit) const {
  if (size_ > limit) {
    throw Error(fmt::format("{}: has {} bytes, but a file of this kind has at most {}", name_, size_, limit));
  }
  return read_text(0, size_);
}

void SourceCursor::take(const char* what, std::span<std::byte> out) {
  if (out.size() > remaining()) {
    throw Error(fmt::format("{}: ends at byte {} within {}, which begins at {}; it is truncated or damaged",
                            file_->name(), file_->size(), what, offset_));
  }
  constexpr std::uint64_t kBufferBytes = 64 << 10;
  while (!out.empty()) {
    if (offset_ < buffer_offset_ || offset_ >= buffer_offset_ + buffer_.size()) {
      if (out.size() >= kBufferBytes) {
        file_->read(offset_, out);
        offset_ += out.size();
        return;
      }
      buffer_ = file_->read_bytes(offset_, std::min(kBufferBytes, remaining()));
      buffer_offset_ = offset_;
    }
    const std::uint64_t at = offset_ - buffer_offset_;
    const std::uint64_t size = std::min<std::uint64_t>(out.size(), buffer_.size() - at);
    std::memcpy(out.data(), buffer_.data() + at, size);
    out = out.subspan(size);
    offset_ += size;
  }
}

std::string SourceCursor::text(const char* what, std::uint64_t size) {
  check_count(what, size, 1);
  std::string text(size, '\0');
  take(what, std::as_writable_bytes(std::span(text)));
  return text;
}

void SourceCursor::check_count(const char* what, std::uint64_t count, std::uint64_t item_bytes) const {
  if (count > remaining() / item_bytes) {
    throw Error(fmt::format("{}: {} claims {} items at byte {}, but only {} bytes follow; it is truncated or damaged",
                            file_->name(), what, count, offset_, remaining()));
  }
}

}  // namespace heed::convert
