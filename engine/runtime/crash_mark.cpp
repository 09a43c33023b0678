#include "runtime/crash_mark.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <optional>
#include <span>
#include <sstream>
#include <system_error>

#include "runtime/cache_folder.h"

namespace heed {
namespace {

constexpr int kMostCrashes = 3;  // two may have been a person's doing

// The locked file while something is tried, for a signal handler, which can reach nothing but a global.
std::atomic<int> file_in_use = -1;
static_assert(std::atomic<int>::is_always_lock_free);

}  // namespace

CrashMark::CrashMark(std::string_view name, std::uint64_t build) : build_(build) {
  const std::optional<std::filesystem::path> folder = cache_folder();
  if (!folder) return;
  path_ = *folder / name;
  open_file(O_RDWR | O_CLOEXEC);
  // The first line is the build, each other one a count and a name; what is none of these is not ours and forgotten.
  std::ifstream text(path_);
  std::string line;
  if (!std::getline(text, line) || line != fmt::format("{:016x}", build_)) return;
  while (std::getline(text, line)) {
    std::istringstream words(line);
    int count = 0;
    std::string what;
    if (words >> count >> std::ws && std::getline(words, what) && count > 0) crashes_[what] = count;
  }
}

CrashMark::~CrashMark() {
  tries(false);
  if (file_ != -1) ::close(file_);
}

void CrashMark::tries(bool now) const { file_in_use = now ? file_ : -1; }

void take_back_marks() noexcept {
  const int file = file_in_use;
  if (file == -1) return;
  // Nothing can be done about a failure; a cast alone does not say so where the C library's checks are on.
  [[maybe_unused]] const int failed = ::ftruncate(file, 0);
}

bool CrashMark::open_file(int flags) {
  file_ = ::open(path_.c_str(), flags, 0644);
  if (file_ == -1) return false;
  if (::flock(file_, LOCK_EX | LOCK_NB) == 0) return true;
  // Another process tries the same right now. It may end at any time, but the file is its own.
  ::close(file_);
  file_ = -1;
  taken_ = true;
  return false;
}

bool CrashMark::begin(const std::string& what) {
  int& crashes = crashes_[what];
  if (crashes >= kMostCrashes) return false;
  ++crashes;
  keep(true);
  return true;
}

void CrashMark::survived(const std::string& what) {
  tries(false);
  crashes_.erase(what);
  keep();
}

void CrashMark::lost(const std::string& what) {
  tries(false);
  crashes_[what] = kMostCrashes;
  keep();
}

std::vector<std::string> CrashMark::given_up() const {
  std::vector<std::string> names;
  for (const auto& [what, crashes] : crashes_) {
    if (crashes >= kMostCrashes) names.push_back(what);
  }
  return names;
}

std::uint64_t CrashMark::checksum() const {
  std::string names;
  for (const std::string& what : given_up()) names += what + ",";
  return checksum_of(std::as_bytes(std::span(names)));
}

void CrashMark::keep(bool trying) {
  if (path_.empty() || taken_) return;
  std::error_code ignored;
  if (crashes_.empty()) {
    if (file_ == -1) return;
    std::filesystem::remove(path_, ignored);
    ::close(file_);
    file_ = -1;
    return;
  }
  std::filesystem::create_directories(path_.parent_path(), ignored);
  if (file_ == -1 && !open_file(O_RDWR | O_CREAT | O_CLOEXEC)) return;
  std::string text = fmt::format("{:016x}\n", build_);
  for (const auto& [what, crashes] : crashes_) text += fmt::format("{} {}\n", crashes, what);
  // Before it is written, for that takes its time: a signal in the meantime takes it back.
  if (trying) tries(true);
  // In place, as the lock is on the file; onto the disk, as a hanging GPU may take the machine with it. A mark that
  // cannot be kept is none.
  if (::ftruncate(file_, 0) != 0 || ::pwrite(file_, text.data(), text.size(), 0) < 0) return;
  ::fsync(file_);
}

}  // namespace heed
