#pragma once

#include <string>
#include <vector>

namespace heed {

class CrashMark;
class Gpu;

struct SelfTest {
  std::vector<std::string> notes;  // lines for the user: what is off now, and what could not be judged
  /// False where something went wrong that turning kernels off does not mend: it must be told again next time.
  bool conclusive = true;
};

/// Runs small graphs through the kernels that plans on this device use most (products with weights of every type,
/// attention with a cache, norms, convolutions, sampling, ...) and compares them with the reference in double
/// (runtime/verify.h). A kernel is put into quarantine on `gpu` only where the results are right without it. A second
/// or two on a CPU driver, most of it the driver's compiler. `mark` remembers which graph is at work.
///
/// Throws DeviceLost; other errors become notes.
SelfTest self_test(Gpu& gpu, CrashMark& mark);

}  // namespace heed
