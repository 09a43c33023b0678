// heed conform: does every kernel compute the right thing on this device?
#include "tests/op_cases/conform.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <span>

#include "file/output_file.h"
#include "heed/error.h"
#include "tests/op_cases/op_case.h"
#include "tests/op_cases/probes.h"
#include "tests/op_cases/run_case.h"
#include "tools/conform_report.h"
#include "tools/output.h"
#include "tools/program.h"
#include "tools/progress.h"

namespace heed::tools {
namespace {

struct ConformArguments {
  DeviceArguments device;
  std::string op;
  std::string variant;
  std::string id;
  int repeats = 2;
  bool quick = false;
  bool quarantine = true;
  bool compile_only = false;
  bool probe_watchdog = false;
  bool list = false;
  bool json = false;
  std::vector<std::string> reports;
};

// More is not tried: a driver for the CPU would make the whole machine swap.
constexpr std::uint64_t kMostProbedBytes = std::uint64_t{4} << 30;
constexpr double kWatchdogSeconds = 15.0;

/// Before anything has run: a file that cannot be written, or of no kind, should not cost a quarter of an hour. Leaves
/// what is there as it is, since the run may be interrupted.
void check_report_name(const std::string& name) {
  if (!name.ends_with(".json") && !name.ends_with(".html")) {
    throw Error(fmt::format("--report '{}' ends in neither .json nor .html", name));
  }
  const OutputFile can_be_made(name);
}

void write_report(const std::string& name, const ConformReport& report) {
  const std::string text = name.ends_with(".json") ? json_text(conform_json(report), 2) + "\n" : conform_html(report);
  OutputFile file(name);
  file.append(std::as_bytes(std::span(text)));
  file.commit();
}

/// Writes all reports, and the result to standard output even where a report cannot be written; then throws the first
/// error.
void write_results(const ConformArguments& arguments, const ConformReport& report) {
  std::string failed;
  for (const std::string& name : arguments.reports) {
    try {
      write_report(name, report);
    } catch (const Error& error) {
      if (failed.empty()) failed = error.what();
    }
  }
  write_output(arguments.json ? json_text(conform_json(report), 2) + "\n" : conform_text(report));
  if (!failed.empty()) throw Error(failed);
}

std::string selection_of(const ConformArguments& arguments) {
  std::string text;
  const auto add = [&](const std::string& what) { text += (text.empty() ? "" : ", ") + what; };
  if (!arguments.op.empty()) add(fmt::format("cases with '{}' in their name", arguments.op));
  if (!arguments.variant.empty()) add(fmt::format("variant '{}'", arguments.variant));
  if (!arguments.id.empty()) add("case " + arguments.id);
  if (arguments.quick) add("one case for each sequence of kernels");
  if (arguments.repeats == 1) add("one run of a case");
  return text;
}

/// The variants of kernels that --variant can name on this device.
std::vector<std::string> variant_names(const Gpu& gpu) {
  std::vector<std::string> names;
  for (const op_cases::Variant& variant : op_cases::variants_of(gpu.caps())) names.push_back(variant.name);
  names.emplace_back("as tuned");
  return names;
}

/// And the families of cases that --op finds, most by the name of an op.
std::vector<std::string_view> family_names() {
  std::vector<std::string_view> names;
  for (const op_cases::CaseFamily& family : op_cases::all_families()) names.push_back(family.name);
  return names;
}

[[noreturn]] void fail_without_rows(const ConformArguments& arguments, const Gpu& gpu) {
  if (!arguments.id.empty()) {
    throw Error(fmt::format("no case has the ID '{}' on this device; failures and --json name them", arguments.id));
  }
  if (!arguments.variant.empty()) {
    throw Error(fmt::format("no case runs in variant '{}'; there are {}", arguments.variant,
                            fmt::join(variant_names(gpu), "; ")));
  }
  throw Error(fmt::format("no case has '{}' in its name; there are cases of {}", arguments.op,
                          fmt::join(family_names(), ", ")));
}

/// Turns off what failed where the verdict rests on plainer kernels that passed, and on again what was off and passed.
/// Says so.
void act_on(const ConformReport& report, Gpu& gpu) {
  // Only a whole run can say that a kernel is right: the case that showed its fault may be any of them.
  std::set<std::string> mended;
  if (report.selection.empty()) {
    for (const op_cases::ConformRow& row : report.rows) mended.insert(row.modules.begin(), row.modules.end());
    for (const op_cases::ConformRow& row : report.rows) {
      for (const op_cases::ConformFailure& failure : row.failed) {
        for (const std::string& pipeline : failure.pipelines) mended.erase(op_cases::module_of(pipeline));
      }
    }
    std::erase_if(mended, [&](const std::string& module) { return !gpu.quarantine().contains(module); });
  }
  gpu.release_from_quarantine(mended);
  for (const std::string& module : mended) write_error(fmt::format("{} passed every case and is on again\n", module));
  for (const op_cases::ConformRow& row : report.rows) {
    for (const op_cases::ConformFailure& failure : row.failed) {
      for (const std::string& pipeline : failure.pipelines) {
        const std::string module = op_cases::module_of(pipeline);
        if (!report.verdict.modules.contains(module) || gpu.quarantine().contains(module)) continue;
        gpu.put_into_quarantine({{module, fmt::format("heed conform: {}: {}", failure.case_name, failure.message)}});
        write_error(
            fmt::format("{} is off from now on: it ran in cases that fail, and the kernels of variant '{}' pass; "
                        "'heed devices' lists what is off\n",
                        module, report.verdict.plain));
      }
    }
  }
}

int run_conform(const ConformArguments& arguments) {
  for (const std::string& name : arguments.reports) check_report_name(name);
  const auto start = std::chrono::steady_clock::now();
  ConformReport report;
  report.compile_only = arguments.compile_only;
  report.repeats = arguments.repeats;
  report.selection = selection_of(arguments);
  report.turns_off = arguments.quarantine;
  // Without the tuner, which would be the first to find that nothing runs.
  std::optional<Device> device(std::in_place, arguments.device.name, DeviceOptions{.compile_only = true});
  if (arguments.list) {
    write_output(fmt::format("--op\n  {}\n--variant\n  {}\n", fmt::join(family_names(), "\n  "),
                             fmt::join(variant_names(device->gpu()), "\n  ")));
    return 0;
  }
  report.device = device->info();
  report.caps = device->gpu().caps();
  if (!arguments.compile_only) report.runs_nothing = op_cases::why_nothing_runs(device->gpu());
  if (report.runs_nothing.empty()) {
    if (!arguments.compile_only) {
      device.reset();
      device.emplace(open_device(arguments.device));
      if (arguments.id.empty()) {
        report.probes = op_cases::probe(device->gpu(), std::min(kMostProbedBytes, device->info().memory / 2));
      }
    }
    // What is off is judged again.
    device->gpu().set_broken_modules({});
    op_cases::ConformOptions options;
    options.wanted = [&](std::string_view op, std::string_view case_name) {
      return fmt::format("{} {}", op, case_name).find(arguments.op) != std::string::npos;
    };
    options.variant = arguments.variant;
    options.id = arguments.id;
    options.repeats = arguments.repeats;
    options.racy_repeats = std::max(op_cases::kRacyRepeats, arguments.repeats);
    options.compile_only = arguments.compile_only;
    if (arguments.quick) {
      options.extent = op_cases::Extent::Modules;
      options.racy_seconds = 0.02;
    }
    {
      Progress progress(arguments.compile_only ? "compiling" : "testing");
      options.progress = [&](const op_cases::ConformProgress& at) {
        progress.update(static_cast<std::uint64_t>(at.done), static_cast<std::uint64_t>(at.total));
      };
      report.rows = op_cases::conform(device->gpu(), options);
    }
    if (report.rows.empty()) fail_without_rows(arguments, device->gpu());
    if (arguments.probe_watchdog && !arguments.compile_only) {
      report.probes.push_back(op_cases::probe_watchdog(device->gpu(), kWatchdogSeconds));
    }
  }
  report.verdict = op_cases::verdict_of(report.rows);
  if (!arguments.compile_only && arguments.quarantine && report.runs_nothing.empty()) act_on(report, device->gpu());
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  write_results(arguments, report);
  return report.fine() ? 0 : kExitError;
}

}  // namespace

void add_conform(Program& program) {
  CLI::App* verb =
      program.app.add_subcommand("conform", "Test every kernel on a device against a double-precision reference");
  verb->footer(
      "Errors are in units of what float arithmetic may be off by for that element. On a CPU's driver --quick takes\n"
      "one or two minutes, the whole up to half an hour, and --probe-watchdog another minute. Kernels that fail\n"
      "are off from then on where plainer ones passed; only a whole run turns them on again. Exit code 1 when\n"
      "anything fails.\n"
      "Examples:\n  heed conform --quick --report report.html\n  heed conform --op linear --variant 'no subgroups'");
  auto arguments = std::make_shared<ConformArguments>();
  add_device_option(*verb, arguments->device);
  verb->add_option("--op", arguments->op, "Only cases with this in their name")->type_name("NAME");
  verb->add_option("--variant", arguments->variant, "Only this variant of the kernels")->type_name("NAME");
  verb->add_option("--case", arguments->id, "Only the case with this ID, which every failure names")->type_name("ID");
  verb->add_option(
          "--repeats", arguments->repeats,
          "Run each case this often, kinds of kernels that share memory 50 times; all runs must give the same bits")
      ->capture_default_str()
      ->transform(integers(1, 1000000))
      ->type_name("N");
  verb->add_flag("--list", arguments->list, "Print what --op and --variant can name on this device, and run nothing");
  verb->add_flag("--quick", arguments->quick, "One case for each sequence of kernels");
  verb->add_flag(
      "!--no-quarantine", arguments->quarantine,
      "Leave kernels that fail on, and those that are off as they are; otherwise plans go around what failed");
  verb->add_flag("--compile-only", arguments->compile_only, "Plan and compile everything, run nothing");
  verb->add_flag("--probe-watchdog", arguments->probe_watchdog,
                 "Also find the longest submission that survives; may reset the device");
  verb->add_flag("--json", arguments->json, "Print JSON, to attach to a bug report");
  verb->add_option("--report", arguments->reports, "Also write all of it to this file, .json or .html; can be repeated")
      ->type_name("FILE")
      ->allow_extra_args(false);
  verb->callback([&program, arguments] { program.run = [arguments] { return run_conform(*arguments); }; });
}

}  // namespace heed::tools
