#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace heed::end_to_end {

/// How a run of the program ended.
struct Finished {
  int exit_code = -1;  // -1 when a signal ended it
  int signal = 0;
  std::string out;
  std::string error;  // standard error
  std::string both() const { return "exit code " + std::to_string(exit_code) + "\n" + out + error; }
};

struct RunOptions {
  std::string input = {};             // standard input
  std::string output_file = {};       // where standard output goes instead of Finished::out
  bool close_output_early = false;    // stop reading standard output after the first bytes
  std::uint64_t file_size_limit = 0;  // RLIMIT_FSIZE in bytes; 0 for none
  /// Called with the process id after the first bytes of standard output.
  std::function<void(int)> on_output = {};
};

/// The program to test: HEED_PROGRAM of the environment, where it is not the one this was built with.
const char* program();

/// Runs the `heed` program with these arguments and waits. Fails the test when it takes longer than two minutes.
Finished run_heed(const std::vector<std::string>& arguments, const RunOptions& options = {});

inline bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
/// Lines of a text, without their ends.
std::vector<std::string> lines_of(const std::string& text);

/// Checks what every error promises: exit code 1, nothing on standard output, one line on standard error that begins
/// with "heed: " and holds `part`. Lines that say a CPU driver is used, and that kernels are measured, may precede it.
void check_error(const Finished& finished, const std::string& part);

}  // namespace heed::end_to_end
