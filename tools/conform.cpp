// heed conform: does every kernel compute the right thing on this device?
#include "tests/op_cases/conform.h"

#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "heed/error.h"
#include "tests/op_cases/op_case.h"
#include "tools/output.h"
#include "tools/program.h"
#include "tools/progress.h"

namespace heed::tools {
namespace {

using op_cases::ConformRow;

struct ConformArguments {
  std::string device;
  std::string op;
  int repeats = 3;
  bool json = false;
};

struct Verdict {
  int cases = 0;
  int failures = 0;
};

Verdict verdict_of(const std::vector<ConformRow>& rows) {
  Verdict verdict;
  for (const ConformRow& row : rows) {
    verdict.cases += row.cases;
    verdict.failures += row.failures;
  }
  return verdict;
}

// One page: whoever wants every failure asks for JSON.
constexpr int kShownFailures = 20;

std::string as_text(const std::vector<ConformRow>& rows, const DeviceInfo& device, int repeats) {
  Table table({Table::Align::Left, Table::Align::Left, Table::Align::Right, Table::Align::Right, Table::Align::Right,
               Table::Align::Left});
  table.add({"op", "variant", "cases", "failed", "worst error", ""});
  for (const ConformRow& row : rows) {
    table.add({row.op, row.variant, std::to_string(row.cases), std::to_string(row.failures),
               fmt::format("{:.1e}", row.worst_error), row.failures == 0 ? "ok" : "FAILED"});
  }
  std::string text = table.text();
  int shown = 0;
  int left = 0;
  for (const ConformRow& row : rows) {
    for (const std::string& message : row.messages) {
      if (shown == 0) text += "\n";
      if (shown++ < kShownFailures) {
        text += fmt::format("{} [{}] {}\n", row.op, row.variant, message);
      } else {
        ++left;
      }
    }
  }
  if (left > 0) text += fmt::format("and {} more; --json lists all\n", left);
  const Verdict verdict = verdict_of(rows);
  text += fmt::format("\n{}, {}\n", device.name, device.driver);
  text += verdict.failures == 0
              ? fmt::format("conforms: all {} cases agree with the double-precision reference, {} times each\n",
                            verdict.cases, repeats)
              : fmt::format("DOES NOT CONFORM: {} of {} cases differ from the double-precision reference\n",
                            verdict.failures, verdict.cases);
  return text;
}

std::string as_json(const std::vector<ConformRow>& rows, const DeviceInfo& device, int repeats) {
  const Verdict verdict = verdict_of(rows);
  nlohmann::json json = {{"device", device.name},
                         {"driver", device.driver},
                         {"type", device.type},
                         {"uuid", device.uuid},
                         {"api_version", device.api_version},
                         {"heed_version", kVersion},
                         {"repeats", repeats},
                         {"cases", verdict.cases},
                         {"failures", verdict.failures},
                         {"conforms", verdict.failures == 0},
                         {"rows", nlohmann::json::array()}};
  for (const ConformRow& row : rows) {
    // JSON has no infinity: null stands for an output that was no number.
    const nlohmann::json worst = std::isfinite(row.worst_error) ? nlohmann::json(row.worst_error) : nlohmann::json();
    json["rows"].push_back({{"op", row.op},
                            {"variant", row.variant},
                            {"cases", row.cases},
                            {"failures", row.failures},
                            {"worst_error", worst},
                            {"messages", row.messages}});
  }
  return json_text(json, 2) + "\n";
}

int run_conform(const ConformArguments& arguments) {
  const Device device = open_device(arguments.device);
  std::vector<ConformRow> rows;
  const auto wanted = [&](std::string_view op, std::string_view case_name) {
    return fmt::format("{} {}", op, case_name).find(arguments.op) != std::string::npos;
  };
  {
    Progress progress("testing");
    rows = op_cases::conform(
        device.gpu(), wanted, op_cases::Extent::Whole, arguments.repeats, [&](const op_cases::ConformProgress& at) {
          progress.update(static_cast<std::uint64_t>(at.done), static_cast<std::uint64_t>(at.total));
        });
  }
  if (rows.empty()) {
    std::string known;
    for (const op_cases::CaseFamily& family : op_cases::all_families()) {
      known += (known.empty() ? "" : ", ") + std::string(family.name);
    }
    throw Error(fmt::format("no case has '{}' in its name; there are cases of {}", arguments.op, known));
  }
  write_output(arguments.json ? as_json(rows, device.info(), arguments.repeats)
                              : as_text(rows, device.info(), arguments.repeats));
  return verdict_of(rows).failures == 0 ? 0 : kExitError;
}

}  // namespace

void add_conform(Program& program) {
  CLI::App* verb =
      program.app.add_subcommand("conform", "Test every kernel on a device against a double-precision reference");
  verb->footer(
      "Errors are relative to the largest element of a tensor. Exit code 1 when a case fails.\n"
      "Example:\n  heed conform --op linear --repeats 10");
  auto arguments = std::make_shared<ConformArguments>();
  add_device_option(*verb, arguments->device);
  verb->add_option("--op", arguments->op, "Only cases with this in their name")->type_name("NAME");
  verb->add_option("--repeats", arguments->repeats, "Run each case this often; all runs must give the same bits")
      ->capture_default_str()
      ->transform(integers(1, 1000000))
      ->type_name("N");
  verb->add_flag("--json", arguments->json, "Print JSON, to attach to a bug report");
  verb->callback([&program, arguments] { program.run = [arguments] { return run_conform(*arguments); }; });
}

}  // namespace heed::tools
