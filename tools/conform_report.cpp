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

/// Names of probes that found what heed does not expect.
std::vector<std::string> failed_probes(const ConformReport& report) {
  std::vector<std::string> names;
  for (const op_cases::Probe& probe : report.probes) {
    if (!probe.fine) names.push_back(probe.name);
  }
  return names;
}

/// Whether all that is wrong are kernels that heed does without.
bool works_without(const ConformReport& report) {
  return !report.compile_only && report.runs_nothing.empty() && report.verdict.outcome == Outcome::ConformsWithout &&
         failed_probes(report).empty();
}

std::string verdict_line(const ConformReport& report) {
  const op_cases::Verdict& verdict = report.verdict;
  if (!report.runs_nothing.empty()) return "DOES NOT CONFORM: the driver runs nothing: " + report.runs_nothing;
  const std::string only = report.selection.empty() ? "" : fmt::format("; only {}", report.selection);
  if (report.compile_only) {
    return verdict.failures == 0
               ? fmt::format("compiles: {} plans, nothing was run{}", verdict.cases, only)
               : fmt::format("DOES NOT COMPILE: {} of {} plans fail{}", verdict.failures, verdict.cases, only);
  }
  const std::vector<std::string> wrong = failed_probes(report);
  const std::string nothing = verdict.nothing > 0 ? fmt::format(", {} have nothing to compute", verdict.nothing) : "";
  switch (verdict.outcome) {
    case Outcome::Conforms:
      if (!wrong.empty()) {
        return fmt::format(
            "DOES NOT CONFORM: the device does not do what its driver reports ({}); {} of {} cases agree{}",
            fmt::join(wrong, ", "), verdict.passed, verdict.cases, only);
      }
      if (verdict.passed == 0) {
        return fmt::format("nothing was compared: {} of {} cases have nothing to compute{}", verdict.nothing,
                           verdict.cases, only);
      }
      return fmt::format("conforms: {} of {} cases agree with the double-precision reference{}{}", verdict.passed,
                         verdict.cases, nothing, only);
    case Outcome::ConformsWithout:
      return fmt::format(
          "conforms with {} variants off ({}): {} of {} cases fail, none of {} with the plainest kernels "
          "({}){}{}",
          verdict.variants.size(), fmt::join(verdict.variants, "; "), verdict.failures, verdict.cases,
          verdict.plain_passed, verdict.plain,
          report.turns_off ? "" : "; nothing was turned off, as --no-quarantine says",
          (wrong.empty()
               ? ""
               : fmt::format("; but the device does not do what its driver reports ({})", fmt::join(wrong, ", "))) +
              only);
    case Outcome::DoesNotConform:
      break;
  }
  return fmt::format("DOES NOT CONFORM: {} of {} cases fail, and {}{}", verdict.failures, verdict.cases,
                     verdict.why_none, only);
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
  text += fmt::format("{}, {}; {:.0f} s\n", report.device.name, report.device.driver, report.seconds);
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
                         {"variants_failing", verdict.variants},
                         {"plain_variant", verdict.plain},
                         {"kernels_off", report.turns_off ? verdict.modules : std::set<std::string>()},
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

namespace {

/// Pieces of a page.
class Page {
 public:
  explicit Page(const std::string& title) {
    html_ = fmt::format(R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{}</title>
<style>
body{{font:16px/1.45 system-ui,sans-serif;margin:0 auto;padding:1em;max-width:60em;overflow-wrap:anywhere;
  color:#111;background:#fff}}
.verdict{{padding:.7em;border-radius:.4em;font-weight:bold;color:#fff;background:#176b32}}
.verdict.partly{{background:#7a5200}} .verdict.bad{{background:#a11}}
table{{border-collapse:collapse;width:100%}}
td,th{{padding:.25em .4em;border-bottom:1px solid #8886;text-align:left;vertical-align:top;overflow-wrap:normal}}
td:first-child,th:first-child{{padding-left:0}}
td:last-child,th:last-child{{padding-right:0}}
td:last-child{{overflow-wrap:anywhere}}
td.n,th.n{{text-align:right;font-variant-numeric:tabular-nums;overflow-wrap:normal}}
.bad td{{color:#a11;font-weight:bold}}
li{{margin:.6em 0}} summary{{cursor:pointer;font-weight:bold;padding:.3em 0}} ul{{padding-left:1.2em;margin:0}}
code{{font-size:.9em;background:#8882;padding:.1em .3em;border-radius:.2em}}
@media(max-width:30em){{body{{padding:.6em}}table{{font-size:.85em}}td,th{{padding:.25em}}}}
@media(prefers-color-scheme:dark){{body{{background:#111;color:#eee}}.bad td{{color:#f99}}}}
</style></head><body>
)",
                        escaped(title));
  }
  void heading(const std::string& text) { html_ += fmt::format("<h2>{}</h2>\n", escaped(text)); }
  void paragraph(const std::string& text, const std::string& css_class = "") {
    html_ +=
        fmt::format("<p{}>{}</p>\n", css_class.empty() ? "" : fmt::format(" class=\"{}\"", css_class), escaped(text));
  }
  /// A table with `numbers` columns aligned right behind the first; without headings where these are empty.
  void begin_table(const std::vector<std::string>& headings, bool numbers = false) {
    numbers_ = numbers;
    html_ += "<table>\n";
    if (!headings.empty()) cells(headings, "th", "");
  }
  void row(const std::vector<std::string>& values, bool bad = false) {
    cells(values, "td", bad ? " class=\"bad\"" : "");
  }
  void end_table() { html_ += "</table>\n"; }
  void raw(const std::string& html) { html_ += html; }
  std::string finish() && { return std::move(html_) + "</body></html>\n"; }

 private:
  void cells(const std::vector<std::string>& values, const char* tag, const char* attributes) {
    html_ += fmt::format("<tr{}>", attributes);
    for (std::size_t i = 0; i < values.size(); ++i) {
      html_ += fmt::format("<{}{}>{}</{}>", tag, numbers_ && i > 0 ? " class=\"n\"" : "", escaped(values[i]), tag);
    }
    html_ += "</tr>\n";
  }

  std::string html_;
  bool numbers_ = false;
};

/// What the verdict means to somebody who wants to use heed, and what to do.
std::string meaning_of(const ConformReport& report) {
  const op_cases::Verdict& verdict = report.verdict;
  const char* const other_way =
      "Try a newer driver, or another device (heed devices lists them), and attach this file to a report.";
  if (!report.runs_nothing.empty()) return fmt::format("Nothing can be computed on this device. {}", other_way);
  if (report.compile_only) {
    return verdict.failures == 0
               ? "Every kernel compiles. Whether they compute the right thing was not tried."
               : fmt::format("Models that need these kernels do not run on this driver. {}", other_way);
  }
  if (works_without(report)) {
    return fmt::format(
        "{} Results are right, and may come slower. A newer driver may mend it; attach this file to a report.",
        report.turns_off
            ? fmt::format("heed computes with other kernels from now on: {} are off.", fmt::join(verdict.modules, ", "))
            : fmt::format("Without --no-quarantine heed computes with other kernels: {} would be off.",
                          fmt::join(verdict.modules, ", ")));
  }
  if (!report.fine()) return fmt::format("Results of models may be wrong on this device. {}", other_way);
  if (verdict.passed == 0) return "";
  return report.selection.empty() ? "Every kernel that heed may choose on this device computes what it should."
                                  : "What was run computes what it should; the other kernels were not tried.";
}

/// Failures by op, those of an op folded away where they would fill the page.
void add_failures(const ConformReport& report, Page& page) {
  std::map<std::string, std::string> items;
  for (const ConformRow& row : report.rows) {
    for (const ConformFailure& failure : row.failed) {
      const std::string also =
          failure.also.empty()
              ? ""
              : fmt::format("<br>the same in: {}", escaped(fmt::format("{}", fmt::join(failure.also, "; "))));
      items[row.op] +=
          fmt::format("<li>{} [{}]: {}{}<br><code>heed conform --case {}</code></li>\n", escaped(failure.case_name),
                      escaped(row.variant), escaped(failure.message), also, failure.id);
    }
  }
  const bool folded = report.verdict.failures > static_cast<int>(kShownFailures);
  const std::map<std::string, OfOp> ops = by_op(report);
  for (const auto& [op, list] : items) {
    page.raw(fmt::format("<details{}><summary>{}: {} of {} cases fail</summary>\n<ul>\n{}</ul></details>\n",
                         folded ? "" : " open", escaped(op), ops.at(op).failures, ops.at(op).cases, list));
  }
}

}  // namespace

std::string conform_html(const ConformReport& report) {
  Page page("heed conform: " + report.device.name);
  page.raw("<h1>heed conform</h1>\n");
  page.paragraph(verdict_line(report), report.fine()           ? "verdict"
                                       : works_without(report) ? "verdict partly"
                                                               : "verdict bad");
  page.paragraph(fmt::format("{}, {}", report.device.name, report.device.driver));
  const std::string meaning = meaning_of(report);
  if (!meaning.empty()) page.paragraph(meaning);
  if (report.verdict.failures > 0) {
    page.heading("What failed");
    add_failures(report, page);
  }
  if (!report.probes.empty()) {
    page.heading("Tried out");
    page.begin_table({"", "reported", "found"});
    for (const op_cases::Probe& probe : report.probes) {
      page.row({probe.name, probe.reported, probe.found + (probe.fine ? "" : " (wrong)")}, !probe.fine);
    }
    page.end_table();
  }
  if (!report.rows.empty()) {
    page.heading("Ops");
    if (!report.compile_only) page.paragraph("The worst error is in units of what is allowed: up to 1 is right.");
    std::vector<std::string> headings = {"op", "cases", report.compile_only ? "compiled" : "passed", "failed"};
    if (!report.compile_only) headings.emplace_back("worst error");
    page.begin_table(headings, true);
    for (const auto& [name, op] : by_op(report)) {
      std::vector<std::string> cells = {name, std::to_string(op.cases), std::to_string(op.passed),
                                        std::to_string(op.failures)};
      if (!report.compile_only) cells.push_back(worst_text(op.worst));
      page.row(cells, op.failures > 0);
    }
    page.end_table();
  }
  page.heading("Device");
  page.begin_table({});
  page.row({"device", report.device.name});
  page.row({"driver", report.device.driver});
  page.row({"type", report.device.type});
  page.row({"Vulkan", report.device.api_version});
  page.row({"UUID", report.device.uuid});
  page.row({"memory", format_bytes(report.device.memory)});
  page.row({"heed", kVersion});
  page.row({"time", fmt::format("{:.0f} s", report.seconds)});
  if (!report.selection.empty()) page.row({"only", report.selection});
  page.end_table();
  page.heading("Limits");
  page.begin_table({});
  const nlohmann::json limits = limits_json(report.caps);
  for (const auto& [name, value] : limits.items()) page.row({name, json_text(value)});
  page.end_table();
  return std::move(page).finish();
}

}  // namespace heed::tools
