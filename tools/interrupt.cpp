#include "tools/interrupt.h"

#include <fmt/format.h>

#include <csignal>

#include "tools/output.h"

namespace heed::tools {
namespace {

// A signal handler can reach nothing but a global.
volatile std::sig_atomic_t interrupt_raised = 0;

void raise_flag(int) { interrupt_raised = 1; }

}  // namespace

InterruptFlag::InterruptFlag() {
  interrupt_raised = 0;
  struct sigaction action = {};
  action.sa_handler = raise_flag;
  // Reset, so that the second one has its default effect; restart, so that no library sees EINTR.
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

InterruptFlag::~InterruptFlag() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

bool InterruptFlag::raised() const { return interrupt_raised != 0; }

void say_not_written(const std::string& path) {
  if (!path.empty()) write_error(fmt::format("{}: not written, since the run was stopped before\n", path));
}

}  // namespace heed::tools
