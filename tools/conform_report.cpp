// What `heed conform` says: text for a terminal, JSON for scripts, HTML for people.
#include "tools/conform_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "tools/output.h"
#include "tools/program.h"

namespace heed::tools {
namespace {

using op_cases::ConformFailure;
using op_cases::ConformRow;
using op_cases::Outcome;

// One page: whoever wants every failure asks for JSON.
constexpr std::size_t kShownFailures = 12;

/// Rows of one op added up.
struct OfOp {
  int cases = 0;
  int passed = 0;
  int nothing = 0;
  int failures = 0;
  int repeated = 0;
  int repeated_less = 0;
  double worst = 0.0;
};

std::map<std::string, OfOp> by_op(const ConformReport& report) {
  std::map<std::string, OfOp> ops;
  for (const ConformRow& row : report.rows) {
    OfOp& op = ops[row.op];
    op.cases += row.cases;
    op.passed += row.passed();
    op.nothing += row.nothing;
    op.failures += row.failures;
    op.repeated += row.repeated;
    op.repeated_less += row.repeated_less;
    op.worst = std::max(op.worst, row.worst_error);
  }
  return ops;
}

/// JSON has no infinity: null stands for something that was no number, or written where it should not be.
nlohmann::json finite(double number) { return std::isfinite(number) ? nlohmann::json(number) : nlohmann::json(); }

std::string verdict_line(const ConformReport& report) {
  const op_cases::Verdict& verdict = report.verdict;
  if (!report.runs_nothing.empty()) return "DOES NOT CONFORM: the driver runs nothing: " + report.runs_nothing;
  if (report.compile_only) {
    return verdict.failures == 0
               ? fmt::format("compiles: {} plans, nothing was run", verdict.cases)
               : fmt::format("DOES NOT COMPILE: {} of {} plans fail", verdict.failures, verdict.cases);
  }
  const std::string nothing = verdict.nothing > 0 ? fmt::format(", {} have nothing to compute", verdict.nothing) : "";
  switch (verdict.outcome) {
    case Outcome::Conforms:
      return fmt::format("conforms: {} of {} cases agree with the double-precision reference{}", verdict.passed,
                         verdict.cases, nothing);
    case Outcome::ConformsWithout:
      return fmt::format("conforms with {} variants off ({}): {} of {} cases fail, none in the plainest kernels",
                         verdict.variants.size(), fmt::join(verdict.variants, "; "), verdict.failures, verdict.cases);
    case Outcome::DoesNotConform:
      break;
  }
  return fmt::format("DOES NOT CONFORM: {} of {} cases differ from the double-precision reference", verdict.failures,
                     verdict.cases);
}

std::string worst_text(double worst) { return std::isfinite(worst) ? fmt::format("{:.2f}", worst) : "wrong"; }

std::string escaped(const std::string& text) {
  std::string html;
  for (const char c : text) {
    switch (c) {
      case '&':
        html += "&amp;";
        break;
      case '<':
        html += "&lt;";
        break;
      case '>':
        html += "&gt;";
        break;
      case '"':
        html += "&quot;";
        break;
      default:
        html += c;
    }
  }
  return html;
}

/// Limits of the device by the names of DeviceCaps.
nlohmann::json limits_json(const DeviceCaps& caps) { return nlohmann::json::parse(caps_to_json(caps)); }

}  // namespace

bool ConformReport::fine() const {
  return runs_nothing.empty() && verdict.failures == 0 &&
         std::ranges::all_of(probes, [](const op_cases::Probe& probe) { return probe.fine; });
}

std::string conform_text(const ConformReport& report) {
  std::string text;
  if (!report.rows.empty()) {
    Table table({Table::Align::Left, Table::Align::Right, Table::Align::Right, Table::Align::Right, Table::Align::Right,
                 Table::Align::Left});
    table.add({"op", "cases", report.compile_only ? "compiled" : "passed", "failed",
               report.compile_only ? "" : "worst error of the allowed", ""});
    for (const auto& [name, op] : by_op(report)) {
      table.add({name, std::to_string(op.cases), std::to_string(op.passed), std::to_string(op.failures),
                 report.compile_only ? "" : worst_text(op.worst), op.failures == 0 ? "ok" : "FAILED"});
    }
    text += table.text() + "\n";
  }
  std::size_t shown = 0;
  std::size_t left = 0;
  for (const ConformRow& row : report.rows) {
    for (const ConformFailure& failure : row.failed) {
      if (shown++ < kShownFailures) {
        text += fmt::format("{} [{}] {}: {}\n    --case {}\n", row.op, row.variant, failure.case_name, failure.message,
                            failure.id);
      } else {
        ++left;
      }
    }
  }
  if (left > 0) text += fmt::format("and {} more; --json lists all\n", left);
  if (shown > 0) text += "\n";
  for (const op_cases::Probe& probe : report.probes) {
    text += fmt::format("{}: {}{}{}\n", probe.name, probe.found,
                        probe.reported.empty() ? "" : fmt::format(" (reported: {})", probe.reported),
                        probe.fine ? "" : "  WRONG");
  }
  int repeated = 0;
  int repeated_less = 0;
  for (const auto& [name, op] : by_op(report)) {
    repeated += op.repeated;
    repeated_less += op.repeated_less;
  }
  if (repeated + repeated_less > 0) {
    text +=
        fmt::format("kernels with shared memory or atomics: {} kinds run {} times, {} less often as they are slow\n",
                    repeated, op_cases::kRacyRepeats, repeated_less);
  }
  text += fmt::format("{}, {}; {:.0f} s{}\n", report.device.name, report.device.driver, report.seconds,
                      report.selection.empty() ? "" : "; only " + report.selection);
  return text + verdict_line(report) + "\n";
}

nlohmann::json conform_json(const ConformReport& report) {
  const op_cases::Verdict& verdict = report.verdict;
  nlohmann::json json = {{"device", report.device.name},
                         {"driver", report.device.driver},
                         {"type", report.device.type},
                         {"uuid", report.device.uuid},
                         {"api_version", report.device.api_version},
                         {"memory_bytes", report.device.memory},
                         {"limits", limits_json(report.caps)},
                         {"heed_version", kVersion},
                         {"seconds", report.seconds},
                         {"selection", report.selection},
                         {"compile_only", report.compile_only},
                         {"repeats", report.repeats},
                         {"cases", verdict.cases},
                         {"passed", verdict.passed},
                         {"nothing_to_compute", verdict.nothing},
                         {"failures", verdict.failures},
                         {"conforms", report.fine()},
                         {"verdict", verdict_line(report)},
                         {"variants_off", verdict.variants},
                         {"suspect_pipelines", verdict.pipelines},
                         {"probes", nlohmann::json::array()},
                         {"rows", nlohmann::json::array()}};
  for (const op_cases::Probe& probe : report.probes) {
    json["probes"].push_back(
        {{"name", probe.name}, {"reported", probe.reported}, {"found", probe.found}, {"fine", probe.fine}});
  }
  for (const ConformRow& row : report.rows) {
    nlohmann::json failed = nlohmann::json::array();
    for (const ConformFailure& failure : row.failed) {
      failed.push_back({{"id", failure.id},
                        {"case", failure.case_name},
                        {"message", failure.message},
                        {"pipelines", failure.pipelines},
                        {"also_in", failure.also}});
    }
    json["rows"].push_back({{"op", row.op},
                            {"variant", row.variant},
                            {"cases", row.cases},
                            {"passed", row.passed()},
                            {"nothing_to_compute", row.nothing},
                            {"failures", row.failures},
                            {"worst_error", finite(row.worst_error)},
                            {"racy_kinds_repeated", row.repeated},
                            {"racy_kinds_repeated_less", row.repeated_less},
                            {"failed", std::move(failed)}});
  }
  return json;
}

std::string conform_html(const ConformReport& report) {
  const std::string verdict = verdict_line(report);
  std::string html =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>heed conform: " +
      escaped(report.device.name) +
      "</title>\n<style>\n"
      "body{font:16px/1.4 system-ui,sans-serif;margin:0 auto;padding:1em;max-width:60em;overflow-wrap:anywhere}\n"
      ".verdict{padding:.7em;border-radius:.4em;font-weight:bold;color:#fff;background:#176b32}\n"
      ".verdict.bad{background:#a11}.wide{overflow-x:auto}\n"
      "table{border-collapse:collapse;width:100%}td,th{padding:.2em .5em;border-bottom:1px solid "
      "#ccc;text-align:left}\n"
      "td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.bad td{color:#a11;font-weight:bold}\n"
      "code{font-size:.9em}@media(prefers-color-scheme:dark){body{background:#111;color:#eee}.bad td{color:#f77}}\n"
      "</style></head><body>\n<h1>heed conform</h1>\n";
  html += fmt::format("<p class=\"verdict{}\">{}</p>\n", report.fine() ? "" : " bad", escaped(verdict));
  const auto row = [&](const std::string& name, const std::string& value) {
    html += fmt::format("<tr><td>{}</td><td>{}</td></tr>\n", escaped(name), escaped(value));
  };
  html += "<h2>Device</h2>\n<div class=\"wide\"><table>\n";
  row("device", report.device.name);
  row("driver", report.device.driver);
  row("type", report.device.type);
  row("Vulkan", report.device.api_version);
  row("UUID", report.device.uuid);
  row("memory", format_bytes(report.device.memory));
  row("heed", kVersion);
  row("time", fmt::format("{:.0f} s", report.seconds));
  if (!report.selection.empty()) row("only", report.selection);
  html += "</table></div>\n";
  if (!report.probes.empty())
    html += "<h2>Tried out</h2>\n<div class=\"wide\"><table>\n<tr><th></th><th>reported</th><th>found</th></tr>\n";
  for (const op_cases::Probe& probe : report.probes) {
    html += fmt::format("<tr{}><td>{}</td><td>{}</td><td>{}</td></tr>\n", probe.fine ? "" : " class=\"bad\"",
                        escaped(probe.name), escaped(probe.reported), escaped(probe.found));
  }
  if (!report.probes.empty()) html += "</table></div>\n";
  html +=
      "<h2>Ops</h2>\n<div class=\"wide\"><table>\n<tr><th>op</th><th class=\"n\">cases</th><th class=\"n\">passed</th>"
      "<th class=\"n\">failed</th><th class=\"n\">worst error of the allowed</th></tr>\n";
  for (const auto& [name, op] : by_op(report)) {
    html += fmt::format(
        "<tr{}><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td "
        "class=\"n\">{}</td></tr>\n",
        op.failures == 0 ? "" : " class=\"bad\"", escaped(name), op.cases, op.passed, op.failures,
        report.compile_only ? "" : worst_text(op.worst));
  }
  html += "</table></div>\n";
  if (report.verdict.failures > 0) html += "<h2>What failed</h2>\n<ul>\n";
  for (const ConformRow& of : report.rows) {
    for (const ConformFailure& failure : of.failed) {
      html += fmt::format("<li>{} [{}] {}: {}<br><code>heed conform --case {}</code></li>\n", escaped(of.op),
                          escaped(of.variant), escaped(failure.case_name), escaped(failure.message), failure.id);
    }
  }
  if (report.verdict.failures > 0) html += "</ul>\n";
  html += "<h2>Limits</h2>\n<div class=\"wide\"><table>\n";
  const nlohmann::json limits = limits_json(report.caps);
  for (const auto& [name, value] : limits.items()) row(name, value.dump());
  return html + "</table></div>\n</body></html>\n";
}

}  // namespace heed::tools
