#include "tests/op_cases/conform.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <set>

#include "heed/error.h"
#include "runtime/shader_code.h"
#include "tests/op_cases/run_case.h"

namespace heed::op_cases {
namespace {

/// Equal for plans that run the same kernels on the same pieces.
std::string signature(const Plan& plan) {
  std::string text;
  for (const Dispatch& dispatch : plan.dispatches) {
    text += fmt::format("{} {} {};", pipeline_name(dispatch), fmt::join(dispatch.push_constants, ","),
                        fmt::join(dispatch.groups, ","));
  }
  return text;
}

/// What has run so far, but for kernels of cases without an element to compute, which prove nothing of them.
struct Seen {
  std::set<std::string> modules;
  std::set<std::pair<std::string, std::string>> algorithms;  // variant, or "" for all of them; shaders in their order
};

/// What a plan may be the first to run.
struct Kernels {
  std::set<std::string> modules;
  std::set<std::string> pipelines;
  std::pair<std::string, std::string> algorithm;  // as in Seen

  Kernels() = default;
  Kernels(const Plan& plan, std::string variant) : algorithm(std::move(variant), "") {
    std::string before;
    std::set<std::string> steps;
    for (const Dispatch& dispatch : plan.dispatches) {
      modules.insert(dispatch.module_key());
      pipelines.insert(pipeline_name(dispatch));
      // What is cut into pieces gives a sequence of its own, but how many pieces does not; so do workgroups that are
      // spread over x and y.
      std::string step = dispatch.shader + (dispatch.groups[1] > 1 ? "/folded;" : ";");
      if (steps.insert(before + step).second) algorithm.second += step;
      before = std::move(step);
    }
  }
  bool is_new(const Seen& seen) const {
    return !seen.algorithms.contains(algorithm) || !std::ranges::includes(seen.modules, modules);
  }
  void note(Seen& seen) const {
    seen.modules.insert(modules.begin(), modules.end());
    seen.algorithms.insert(algorithm);
  }
};

/// How a plan went, if it ran at all; others of the same signature need not run.
struct Ran {
  std::size_t row = 0;
  std::size_t failure = 0;  // from 1; 0: none
  bool passed = false;
  std::set<std::string> pipelines;  // where it passed
};

std::vector<Variant> variants_with_tuned(const Gpu& gpu) {
  std::vector<Variant> variants = variants_of(gpu.caps());
  variants.push_back({"as tuned", gpu.caps(), gpu.tuning()});
  // First, for it runs all cases: reading memory as the device does it for people.
  const auto first = std::ranges::find_if(
      variants, [&](const Variant& variant) { return variant.tuning.texel == gpu.tuning().texel; });
  std::rotate(variants.begin(), first, first + 1);
  return variants;
}

/// What passed in one of the plain variants, there or where another variant plans the same.
struct PlainResult {
  int cases = 0;
  std::set<std::string> ops;
  std::set<std::string> modules;
};

PlainResult result_of_plain(const std::vector<ConformRow>& rows, const std::string& variant) {
  PlainResult result;
  const auto add = [&](const ConformRow& row, int cases, const std::set<std::string>& pipelines) {
    if (cases == 0) return;
    result.cases += cases;
    result.ops.insert(row.op);
    for (const std::string& pipeline : pipelines) result.modules.insert(module_of(pipeline));
  };
  for (const ConformRow& row : rows) {
    if (row.variant == variant) add(row, row.passed(), row.pipelines);
    const auto same = row.same.find(variant);
    if (same != row.same.end()) add(row, same->second.cases, same->second.pipelines);
  }
  return result;
}

}  // namespace

std::string module_of(std::string_view pipeline) { return std::string(pipeline.substr(0, pipeline.find(','))); }

std::string pipeline_name(const Dispatch& dispatch) {
  std::string name = dispatch.module_key();
  for (const std::uint32_t word : dispatch.specialization) name += fmt::format(",{}", word);
  return name;
}

std::string case_id(std::string_view op, std::string_view case_name, std::string_view variant) {
  std::uint64_t value = 0xcbf29ce484222325u;  // FNV-1a
  for (const char c : fmt::format("{}/{}/{}", op, case_name, variant)) {
    value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  }
  return fmt::format("{:010x}", value >> 24);
}

bool is_racy(std::string_view module_key) {
  const std::span<const std::uint32_t> words = shader_code(module_key).words;
  for (std::size_t at = 5; at < words.size();) {  // the header is five words
    const std::uint32_t op = words[at] & 0xffffu;
    // OpControlBarrier, OpMemoryBarrier, OpAtomic*, OpGroupNonUniform*
    if (op == 224 || (op >= 225 && op <= 242) || (op >= 333 && op <= 366)) return true;
    at += std::max(1u, words[at] >> 16);
  }
  return false;
}

std::vector<ConformRow> conform(Gpu& gpu, const ConformOptions& options) {
  struct Selected {
    std::string_view op;
    OpCase op_case;
  };
  const std::vector<Variant> variants = variants_with_tuned(gpu);
  const auto has_id = [&](std::string_view op, std::string_view name) {
    return options.id.empty() || std::ranges::any_of(variants, [&](const Variant& variant) {
             return case_id(op, name, variant.name) == options.id;
           });
  };
  std::vector<Selected> selected;
  for (const CaseFamily& family : all_families()) {
    for (OpCase& op_case : family.cases()) {
      if (options.wanted && !options.wanted(family.name, op_case.name)) continue;
      if (has_id(family.name, op_case.name)) selected.push_back({family.name, std::move(op_case)});
    }
  }

  std::vector<ConformRow> rows;
  std::map<std::pair<std::string_view, std::string>, std::size_t> row_of;
  std::map<std::string, bool> racy;
  Seen seen;
  for (std::size_t i = 0; i < selected.size(); ++i) {
    const auto& [op, op_case] = selected[i];
    if (options.progress) {
      options.progress({op, op_case.name, static_cast<int>(i), static_cast<int>(selected.size())});
    }
    std::optional<CaseData> data;
    std::map<bool, Bounds> bounds;  // of plans that make bytes, and others
    std::map<std::string, Ran> signatures;
    for (const Variant& variant : variants) {
      const std::string id = case_id(op, op_case.name, variant.name);
      if (!options.id.empty() && id != options.id) continue;
      if (!options.variant.empty() && variant.name != options.variant) continue;
      CaseResult result;
      Kernels kernels;
      bool repeated = false;
      Ran* ran = nullptr;
      try {
        Plan plan = plan_case(op_case, variant);
        const auto [same, first] = signatures.try_emplace(signature(plan));
        ran = &same->second;
        if (!first) {
          if (ran->failure > 0) rows[ran->row].failed[ran->failure - 1].also.push_back(variant.name);
          if (ran->passed) {
            ConformRow::Same& as_well = rows[ran->row].same[variant.name];
            ++as_well.cases;
            as_well.pipelines.insert(ran->pipelines.begin(), ran->pipelines.end());
          }
          continue;
        }
        kernels = Kernels(plan, options.extent == Extent::Modules ? "" : variant.name);
        const bool fresh = kernels.is_new(seen);
        const bool always = options.extent == Extent::Whole || !options.id.empty() ||
                            (options.extent == Extent::Brief && &variant == &variants.front());
        if (!always && !fresh) continue;
        if (options.edit) options.edit(plan);
        if (options.compile_only) {
          gpu.compile(plan);
          result.passed = true;
        } else {
          if (!data) data = make_case_data(op_case);
          const bool bytes = makes_bytes(plan);
          if (!bounds.contains(bytes)) bounds[bytes] = bounds_of(op_case, *data, bytes);
          Repeats repeats{options.repeats, options.repeats, 0.0};
          if (fresh || !options.id.empty()) {
            for (const std::string& module : kernels.modules) {
              const auto [known, added] = racy.try_emplace(module);
              if (added) known->second = is_racy(module);
              repeated |= known->second;
            }
            if (repeated) repeats = {options.repeats, options.racy_repeats, options.racy_seconds};
          }
          result = run_case(gpu, *data, bounds.at(bytes), std::move(plan), repeats);
        }
      } catch (const DeviceLost& lost) {
        // Nothing else can be run, but this is what somebody must know.
        throw DeviceLost(fmt::format("{}, variant '{}', --case {}: {}", op_case.name, variant.name, id, lost.what()));
      } catch (const Error& error) {
        result.message = error.what();
        result.worst_error = std::numeric_limits<double>::infinity();
      }
      const auto [at, added] = row_of.try_emplace({op, variant.name}, rows.size());
      if (added) rows.emplace_back().op = op;
      ConformRow& row = rows[at->second];
      row.variant = variant.name;
      ++row.cases;
      row.worst_error = std::max(row.worst_error, result.worst_error);
      if (repeated) ++(result.runs >= options.racy_repeats ? row.repeated : row.repeated_less);
      if (ran != nullptr) ran->row = at->second;
      if (!result.nothing || kernels.modules.empty()) kernels.note(seen);
      if (result.nothing) {
        ++row.nothing;
        continue;
      }
      if (result.passed) {
        if (ran != nullptr) {
          ran->passed = true;
          ran->pipelines = kernels.pipelines;
        }
        row.modules.merge(kernels.modules);
        row.pipelines.merge(kernels.pipelines);
      } else {
        ++row.failures;
        row.failed.push_back({id, op_case.name, result.message, std::move(kernels.pipelines), {}});
        if (ran != nullptr) ran->failure = row.failed.size();
      }
    }
  }
  return rows;
}

Verdict verdict_of(const std::vector<ConformRow>& rows) {
  Verdict verdict;
  std::set<std::string> passed;
  for (const ConformRow& row : rows) {
    verdict.cases += row.cases;
    verdict.nothing += row.nothing;
    verdict.failures += row.failures;
    verdict.passed += row.passed();
    passed.insert(row.pipelines.begin(), row.pipelines.end());
    for (const ConformFailure& failure : row.failed) {
      verdict.variants.insert(row.variant);
      verdict.variants.insert(failure.also.begin(), failure.also.end());
    }
  }
  if (verdict.failures == 0) return verdict;
  verdict.outcome = Outcome::DoesNotConform;
  std::vector<std::set<std::string>> suspects;  // modules, of each case that failed
  std::set<std::string> failing_ops;
  for (const ConformRow& row : rows) {
    for (const ConformFailure& failure : row.failed) {
      std::set<std::string> pipelines;
      std::ranges::set_difference(failure.pipelines, passed, std::inserter(pipelines, pipelines.end()));
      if (pipelines.empty()) pipelines = failure.pipelines;
      std::set<std::string>& modules = suspects.emplace_back();
      for (const std::string& pipeline : pipelines) modules.insert(module_of(pipeline));
      verdict.pipelines.merge(pipelines);
      failing_ops.insert(row.op);
    }
  }
  if (std::ranges::any_of(suspects, &std::set<std::string>::empty)) {
    verdict.why_none = "a case fails before it runs any kernel";
    return verdict;
  }
  verdict.why_none = "the plainest kernels were not run";
  for (const char* const plain : {"storage", "texel", "no subgroups", "texel, no subgroups"}) {
    const PlainResult result = result_of_plain(rows, plain);
    if (result.cases == 0 && !verdict.variants.contains(plain)) continue;
    if (verdict.variants.contains(plain)) {
      verdict.why_none = "the plainest kernels fail too";
      continue;
    }
    if (!std::ranges::includes(result.ops, failing_ops)) {
      std::vector<std::string> missing;
      std::ranges::set_difference(failing_ops, result.ops, std::back_inserter(missing));
      verdict.why_none = fmt::format("the plainest kernels of {} were not run", fmt::join(missing, ", "));
      continue;
    }
    std::set<std::string> off;
    const bool each_has_one = std::ranges::all_of(suspects, [&](const std::set<std::string>& of_case) {
      const std::size_t before = off.size();
      std::ranges::set_difference(of_case, result.modules, std::inserter(off, off.end()));
      return off.size() > before || std::ranges::any_of(of_case, [&](const auto& key) { return off.contains(key); });
    });
    if (!each_has_one) {
      verdict.why_none = "what fails are kernels that the plainest variants need too";
      continue;
    }
    verdict.outcome = Outcome::ConformsWithout;
    verdict.why_none.clear();
    verdict.plain = plain;
    verdict.plain_passed = result.cases;
    verdict.modules = std::move(off);
    break;
  }
  return verdict;
}

std::set<std::string> planned_modules(const Gpu& gpu) {
  std::set<std::string> modules;
  const std::vector<Variant> variants = variants_with_tuned(gpu);
  for (const CaseFamily& family : all_families()) {
    for (const OpCase& op_case : family.cases()) {
      for (const Variant& variant : variants) {
        for (const Dispatch& dispatch : plan_case(op_case, variant).dispatches) modules.insert(dispatch.module_key());
      }
    }
  }
  return modules;
}

}  // namespace heed::op_cases
