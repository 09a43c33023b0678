#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace heed {

/// Remembers in the cache folder what a process is trying on a device, so that the next one knows when this one did not
/// survive it: a kernel may hang, reset the GPU, or take the program down. What did so three times is not tried again,
/// nor what lost the device once. Where several processes try at once only one keeps marks; without a cache folder none
/// does. Used by one thread.
class CrashMark {
 public:
  /// `build`: marks of another one are forgotten.
  CrashMark(std::string_view name, std::uint64_t build);
  ~CrashMark();  // what is being tried then counts as a crash
  CrashMark(const CrashMark&) = delete;
  CrashMark& operator=(const CrashMark&) = delete;

  /// Before something is tried; false when it must not be.
  bool begin(const std::string& what);
  /// After it, whether its results were right or not.
  void survived(const std::string& what);
  /// It cost the device; no second time.
  void lost(const std::string& what);

  /// What is not tried any more.
  std::vector<std::string> given_up() const;
  /// The same as a number, for verdicts that hold as long as nothing else is tried.
  std::uint64_t checksum() const;
  /// The file that says so; deleting it forgets it.
  const std::filesystem::path& path() const { return path_; }

 private:
  bool open_file(int flags);
  void keep(bool trying = false);
  void tries(bool now) const;

  std::uint64_t build_;
  std::filesystem::path path_;          // empty: no marks are kept
  int file_ = -1;                       // locked; -1 where there is none yet
  bool taken_ = false;                  // another process keeps marks
  std::map<std::string, int> crashes_;  // by what was tried; what is being tried counts already
};

/// For signal handlers of programs that a person stops: what is being tried is not to blame. Safe to call in one.
void take_back_marks() noexcept;

}  // namespace heed
