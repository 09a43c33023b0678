#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/gpu.h"

namespace heed::op_cases {

/// A case that went wrong.
struct ConformFailure {
  std::string id;  // of case and variant, the same in every run and on every machine: `heed conform --case ID`
  std::string case_name;
  std::string message;
  std::set<std::string> pipelines;  // what it ran, as pipeline_name() names it
  std::vector<std::string> also;    // variants that plan the case in the same way
};

/// How one op (a file of cases) did in one variant of its kernels.
struct ConformRow {
  std::string op;
  std::string variant;
  int cases = 0;    // that this variant plans differently from the variants before it; only those are run
  int nothing = 0;  // of these without an element to compute: planned, recorded, and no proof of anything
  int failures = 0;
  double worst_error = 0.0;  // in units of what is allowed; infinity where something that is not a number differed
  std::vector<ConformFailure> failed;
  std::set<std::string> modules;    // those of cases that passed, by their keys in shader_table.h
  std::set<std::string> pipelines;  // likewise, as pipeline_name() names them
  struct Same {
    int cases = 0;
    std::set<std::string> pipelines;
  };
  std::map<std::string, Same>
      same;               // other variants, with the cases that passed here and that they plan in the same way
  int repeated = 0;       // kinds with shared memory or atomics that ran kRacyRepeats times
  int repeated_less = 0;  // ... and that were too slow for it

  int passed() const { return cases - nothing - failures; }
};

/// A shader module and its specialization constants: "softmax-storage,64,1".
std::string pipeline_name(const Dispatch& dispatch);
/// The key of its module: "softmax-storage".
std::string module_of(std::string_view pipeline);

/// Ten hexadecimal digits.
std::string case_id(std::string_view op, std::string_view case_name, std::string_view variant);

/// Runs of a kind of kernels whose invocations share memory, bit by bit the same each.
inline constexpr int kRacyRepeats = 50;

/// Whether invocations of a module talk to each other: barriers, atomics, or operations of a subgroup.
bool is_racy(std::string_view module_key);

/// How many plans of a case are run. Nearly all the time goes into the driver's compiler, which begins anew for every
/// set of specialization constants.
enum class Extent {
  Whole,    // every plan that differs
  Brief,    // every case in the plainest variant as the device reads memory; in each other variant one case for each
            // sequence of shaders
  Modules,  // one case for each sequence of shaders, whatever the variant; and each module once, as in the others
};

struct ConformProgress {
  std::string_view op;
  std::string_view case_name;
  int done = 0;  // cases
  int total = 0;
};

struct ConformOptions {
  std::function<bool(std::string_view op, std::string_view case_name)> wanted;  // empty: all
  std::string variant;                                                          // only this; empty: all
  std::string id;  // only the case with this ID, whatever `extent` says
  Extent extent = Extent::Whole;
  int repeats = 2;
  int racy_repeats = kRacyRepeats;  // of the first case of each sequence of shaders of a variant, as time allows
  double racy_seconds = 1.0;        // for one such kind
  bool compile_only = false;        // plans, and creates pipelines; runs nothing
  std::function<void(const ConformProgress&)> progress;
  /// Called with each plan before it runs: for tests that plant faults.
  std::function<void(Plan& plan)> edit;
};

/// Runs the op cases on a device in all variants (run_case.h) as far as the options say, and returns a row for each op
/// and variant that had anything to run. All extents run the same shader modules. An Error that planning or running a
/// case throws counts as its failure. Throws DeviceLost naming the case.
std::vector<ConformRow> conform(Gpu& gpu, const ConformOptions& options);

enum class Outcome : std::uint8_t { Conforms, ConformsWithout, DoesNotConform };

/// What rows come to. A device conforms without some kernels where one of the plain variants (storage or texel buffers,
/// with or without subgroup arithmetic) fails nowhere, passed cases of every op that fails in another, and does without
/// at least one suspect kernel of each case that fails. Then everything runs, in kernels that were seen to be right.
struct Verdict {
  Outcome outcome = Outcome::Conforms;
  int cases = 0;
  int passed = 0;
  int nothing = 0;
  int failures = 0;
  std::set<std::string> variants;   // that fail somewhere
  std::set<std::string> pipelines;  // suspects: of failing cases, without those that other cases passed with where that
                                    // leaves any
  std::string plain;                // ConformsWithout: the plain variant that is left
  int plain_passed = 0;             // ... and its cases that passed
  std::set<std::string> modules;    // ... and what it does without: suspects to turn off
  std::string why_none;             // DoesNotConform: why no plain variant is left, as the end of a sentence
};
Verdict verdict_of(const std::vector<ConformRow>& rows);

/// The keys of the shader modules that the plans of all cases in all variants use.
std::set<std::string> planned_modules(const Gpu& gpu);

}  // namespace heed::op_cases
