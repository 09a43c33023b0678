#include "file/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <system_error>
#include <utility>

#include "heed/error.h"

namespace heed {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;
constexpr std::size_t kLargestWrite = std::size_t{1} << 30;  // Linux writes at most 2 GiB in one call

std::string reason(int error) { return std::generic_category().message(error); }

// The file itself where `path` is a symbolic link to it, so that the link survives.
std::filesystem::path resolve(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_symlink(path, error)) return path;
  const std::filesystem::path target = std::filesystem::canonical(path, error);
  if (error) throw Error(fmt::format("cannot write '{}': the link leads nowhere: {}", path.string(), error.message()));
  return target;
}

}  // namespace

void check_output_path(const std::filesystem::path& output, const std::vector<std::filesystem::path>& read) {
  std::error_code ignored;
  const std::filesystem::path folder = output.parent_path();
  if (!folder.empty() && !std::filesystem::is_directory(folder, ignored)) {
    throw Error(fmt::format("cannot write '{}': there is no folder '{}'", output.string(), folder.string()));
  }
  for (const std::filesystem::path& path : read) {
    if (!std::filesystem::equivalent(path, output, ignored)) continue;
    throw Error(fmt::format("{}: the input would be written over; choose another output", output.string()));
  }
}

OutputFile::OutputFile(const std::filesystem::path& path) : target_(resolve(path)) {
  if (target_.filename().empty()) throw Error(fmt::format("cannot write '{}': it names no file", path.string()));
  struct stat status = {};
  // Renaming over a device such as /dev/null would replace it.
  if (::stat(target_.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    throw Error(fmt::format("cannot write '{}': it is there already and not a regular file", path.string()));
  }
  // A fresh name each time, and O_EXCL: neither other processes nor links that somebody laid out are met.
  static std::atomic<unsigned> counter = 0;
  for (int attempt = 0; attempt < 1000; ++attempt) {
    temporary_ = target_.parent_path() / fmt::format(".heed-{}-{}.part", ::getpid(), counter++);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ >= 0 || errno != EEXIST) break;
  }
  if (descriptor_ < 0) {
    throw Error(
        fmt::format("cannot write '{}': cannot create '{}': {}", path.string(), temporary_.string(), reason(errno)));
  }
  buffer_.reserve(kBufferBytes);
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void OutputFile::fail(int error, std::uint64_t offset) const {
  throw Error(fmt::format("cannot write '{}': {}, after {} bytes", target_.string(), reason(error), offset));
}

void OutputFile::append(std::span<const std::byte> bytes) {
  if (buffer_.size() + bytes.size() > kBufferBytes) flush();
  if (bytes.size() >= kBufferBytes) {
    write_at(position_, bytes);
  } else {
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  }
  position_ += bytes.size();
}

void OutputFile::overwrite(std::uint64_t offset, std::span<const std::byte> bytes) {
  flush();
  write_at(offset, bytes);
}

void OutputFile::flush() {
  write_at(position_ - buffer_.size(), buffer_);
  buffer_.clear();
}

void OutputFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t done =
        ::pwrite(descriptor_, bytes.data(), std::min(bytes.size(), kLargestWrite), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail(errno, offset);
    if (done == 0) fail(EIO, offset);
    offset += static_cast<std::uint64_t>(done);
    bytes = bytes.subspan(static_cast<std::size_t>(done));
  }
}

void OutputFile::commit() {
  flush();
  // Some network file systems report a full disk only here or on closing.
  if (::fsync(descriptor_) != 0) fail(errno, position_);
  if (::close(std::exchange(descriptor_, -1)) != 0) fail(errno, position_);
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail(errno, position_);
  temporary_.clear();

  // The new name reaches the disk with its folder. Should that fail, a crash soon afterwards may bring the old file
  // back, whole: no reason to report a file that is complete as failed.
  const std::filesystem::path folder = target_.has_parent_path() ? target_.parent_path() : ".";
  const int directory = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return;
  ::fsync(directory);
  ::close(directory);
}

}  // namespace heed
