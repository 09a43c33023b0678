#include "tools/progress.h"

#include <fmt/format.h>

#include "tools/output.h"

namespace heed::tools {
namespace {

constexpr std::chrono::milliseconds kInterval(100);
constexpr const char* kEraseLine = "\r\x1b[K";

}  // namespace

Progress::Progress(std::string label)
    : label_(std::move(label)), shown_(error_is_terminal()), next_(std::chrono::steady_clock::now() + kInterval) {}

Progress::~Progress() { hide(); }

void Progress::hide() {
  if (drawn_) write_error(kEraseLine);
  drawn_ = false;
}

void Progress::update(std::uint64_t done, std::uint64_t total) {
  if (!shown_ || total == 0) return;
  const auto now = std::chrono::steady_clock::now();
  if (now < next_) return;
  next_ = now + kInterval;
  const double percent = 100.0 * static_cast<double>(done) / static_cast<double>(total);
  write_error(fmt::format("{}{} {:.0f} %", kEraseLine, label_, percent));
  drawn_ = true;
}

}  // namespace heed::tools
