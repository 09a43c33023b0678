#pragma once

#include "generate/submission_length.h"

namespace heed {

/// Whose turn a submission is where some texts go on and prompts of others are to be read: prompts are read for as long
/// as the steps before took, and a piece at least. Many short ones begin at once, and long ones hold nobody up.
class Turns {
 public:
  /// Whether the next submission reads a prompt, where there is one to read; else it is steps of what goes on.
  bool reads(bool any_to_read, bool any_goes) const { return any_to_read && (due_ > 0 || !any_goes); }

  void has_read(double seconds) { due_ -= seconds; }
  void has_stepped(double seconds) { due_ = seconds; }

 private:
  double due_ = kSubmissionSeconds;  // of reading, before the next steps
};

}  // namespace heed
