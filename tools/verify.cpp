// heed verify: does a model compute the right thing on this device, and where does it go wrong?
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "tools/output.h"
#include "tools/program.h"
#include "tools/verify_model.h"

namespace heed::tools {
namespace {

std::string describe(const GraphRun& run, const NodeCheck& check) {
  return fmt::format(
      "graph '{}', {}: {} '{}' is the first that goes wrong\n"
      "  inputs   {}\n"
      "  kernels  {}\n"
      "  output   {} {} {}\n"
      "  worst    element {}: expected {:.9g}, got {:.9g}, {:.3g} times what rounding explains\n",
      run.graph, run.what, check.op, check.node, fmt::join(check.inputs, ", "), fmt::join(check.kernels, ", "),
      check.value, dtype_name(check.type.dtype), to_string(check.type.shape), check.worst_element, check.expected,
      check.actual, check.error);
}

nlohmann::json number(double value) { return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(); }

nlohmann::json as_json(const GraphRun& run) {
  nlohmann::json json = {{"graph", run.graph},
                         {"what", run.what},
                         {"cache", cache_type_name(run.cache)},
                         {"values", run.checks.size()},
                         {"worst_error", number(run.worst())},
                         {"first_failure", nullptr}};
  if (const NodeCheck* check = run.first_failure()) {
    json["first_failure"] = {{"node", check->node},
                             {"op", check->op},
                             {"inputs", check->inputs},
                             {"kernels", check->kernels},
                             {"value", check->value},
                             {"shape", check->type.shape},
                             {"worst_element", check->worst_element},
                             {"expected", number(check->expected)},
                             {"actual", number(check->actual)},
                             {"error", number(check->error)}};
  }
  return json;
}

int run_verify(const VerifyArguments& arguments) {
  const VerifiedModel verified = verify_model(arguments);
  const std::vector<GraphRun>& runs = verified.runs;
  for (const GraphRun& run : runs) {
    if (!run.checks.empty()) continue;
    throw Error(
        fmt::format("graph '{}', {}: nothing is computed in these sizes, so nothing can be verified; --bind "
                    "larger ones",
                    run.graph, run.what));
  }
  const bool passed = std::ranges::all_of(runs, [](const GraphRun& run) { return run.first_failure() == nullptr; });
  if (arguments.json) {
    nlohmann::json json = {{"model", arguments.model},         {"device", verified.device.name},
                           {"driver", verified.device.driver}, {"passed", passed},
                           {"left_out", verified.left_out},    {"runs", nlohmann::json::array()}};
    for (const GraphRun& run : runs) json["runs"].push_back(as_json(run));
    write_output(json_text(json, 2) + "\n");
    return passed ? 0 : kExitError;
  }
  std::string text;
  for (const GraphRun& run : runs) {
    if (const NodeCheck* check = run.first_failure()) {
      text += describe(run, *check);
    } else {
      text += fmt::format("graph '{}', {}: all {} values agree, the worst at {:.2f} of what rounding explains\n",
                          run.graph, run.what, run.checks.size(), run.worst());
    }
  }
  if (!verified.left_out.empty()) {
    text += fmt::format("left out, as one graph was asked for: {}\n", fmt::join(verified.left_out, ", "));
  }
  text += fmt::format("{} on {}, {}: {}\n", arguments.model, verified.device.name, verified.device.driver,
                      passed ? "verified" : "WRONG");
  write_output(text);
  return passed ? 0 : kExitError;
}

}  // namespace

void add_verify(Program& program) {
  CLI::App* verb = program.app.add_subcommand(
      "verify", "Compare a model on a device with a double-precision reference, node by node");
  verb->footer(
      "Runs every graph of the file once, with random inputs where none are given (integers: 0) and small sizes, and\n"
      "compares each value that the device makes with what the reference makes of the same operands. Of a text model,\n"
      "a prompt, a step that takes the best token, and one that draws. Prints the first node beyond what rounding\n"
      "explains; exit code 1 then.\n"
      "Examples:\n"
      "  heed verify stories.heed --prompt \"Once upon a time\"\n"
      "  heed verify rfdn.heed --bind height=32 --bind width=32");
  auto arguments = std::make_shared<VerifyArguments>();
  verb->add_option("MODEL", arguments->model, "A .heed file")->required();
  verb->add_option("--graph", arguments->graph, "Only this graph (default: all)")->type_name("NAME");
  CLI::Option* inputs =
      verb->add_option("--input", arguments->inputs, "An input of the graph and its array; repeatable")
          ->type_name("NAME=FILE.npy")
          ->allow_extra_args(false);
  CLI::Option* binds = verb->add_option("--bind", arguments->binds, "The size of a named dimension; repeatable")
                           ->type_name("DIM=N")
                           ->allow_extra_args(false);
  CLI::Option* prompt =
      verb->add_option("--prompt", arguments->prompt, "What a text model reads; 24 tokens at most are used")
          ->capture_default_str()
          ->type_name("TEXT");
  CLI::Option* tokens =
      verb->add_option("--tokens", arguments->tokens, "Token ids instead of a prompt, all of which are used: 1,15,27")
          ->type_name("IDS")
          ->excludes(prompt);
  verb->add_option("--seed", arguments->seed, "Of the random inputs")
      ->capture_default_str()
      ->transform(integers(0, UINT64_MAX))
      ->type_name("SEED");
  verb->add_option("--slack", arguments->slack, "Allow so many times what rounding explains")
      ->capture_default_str()
      ->check(CLI::Range(1.0, 1e6))
      ->type_name("X");
  add_cache_option(*verb, arguments->cache);
  add_device_option(*verb, arguments->device);
  verb->add_flag("--json", arguments->json, "Print JSON");
  verb->callback([&program, arguments, inputs, binds, prompt, tokens] {
    arguments->has_prompt = prompt->count() > 0;
    arguments->has_tokens = tokens->count() > 0;
    arguments->inputs = inputs->results();
    arguments->binds = binds->results();
    program.run = [arguments] { return run_verify(*arguments); };
  });
}

}  // namespace heed::tools
