#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "heed/device.h"
#include "plan/device_caps.h"
#include "tests/op_cases/conform.h"
#include "tests/op_cases/probes.h"

namespace heed::tools {

/// All that `heed conform` found out on a device.
struct ConformReport {
  DeviceInfo device;
  DeviceCaps caps;
  bool compile_only = false;
  std::string runs_nothing;  // why the device runs nothing at all; empty: it does
  double seconds = 0.0;
  int repeats = 0;
  std::string selection;  // what of the cases was asked for; empty: all
  bool turns_off = true;  // kernels that fail, where the verdict allows it
  std::vector<op_cases::Probe> probes;
  std::vector<op_cases::ConformRow> rows;
  op_cases::Verdict verdict;

  bool fine() const;  // exit code 0
};

/// One page: a line for each op, what failed, the probes, the verdict.
std::string conform_text(const ConformReport& report);
/// Everything, to attach to a bug report.
nlohmann::json conform_json(const ConformReport& report);
/// The same as a page of HTML that needs nothing else, for screens of any width.
std::string conform_html(const ConformReport& report);

}  // namespace heed::tools
