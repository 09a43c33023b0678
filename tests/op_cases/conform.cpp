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

/// What has run so far.
struct Seen {
  std::set<std::string> modules;
  std::set<std::pair<std::string, std::string>> algorithms;  // variant, or "" for all of them; shaders in their order
};

/// Whether a plan has a shader module or, within `variant`, a sequence of shaders that has not run; it is noted as run.
bool brings_something_new(const Plan& plan, const std::string& variant, Seen& seen) {
  std::string shaders;
  bool found = false;
  for (const Dispatch& dispatch : plan.dispatches) {
    shaders += dispatch.shader + ";";  // a weight cut into pieces gives a sequence of its own
    found |= seen.modules.insert(dispatch.module_key()).second;
  }
  return seen.algorithms.emplace(variant, shaders).second || found;
}

std::vector<Variant> variants_with_tuned(const Gpu& gpu) {
  std::vector<Variant> variants = variants_of(gpu.caps());
  variants.push_back({"as tuned", gpu.caps(), gpu.tuning()});
  // First, for it runs all cases: reading memory as the device does it for people.
  const auto first = std::ranges::find_if(
      variants, [&](const Variant& variant) { return variant.tuning.texel == gpu.tuning().texel; });
  std::rotate(variants.begin(), first, first + 1);
  return variants;
}

}  // namespace

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
    Bounds bounds;
    std::map<std::string, std::pair<std::size_t, std::size_t>> signatures;  // row and failure, from 1; 0: none
    for (const Variant& variant : variants) {
      const std::string id = case_id(op, op_case.name, variant.name);
      if (!options.id.empty() && id != options.id) continue;
      if (!options.variant.empty() && variant.name != options.variant) continue;
      CaseResult result;
      std::set<std::string> modules;
      std::set<std::string> pipelines;
      bool repeated = false;
      std::pair<std::size_t, std::size_t>* planned = nullptr;
      try {
        Plan plan = plan_case(op_case, variant);
        const auto [same, first] = signatures.try_emplace(signature(plan));
        planned = &same->second;
        if (!first) {
          const auto [row, failure] = same->second;
          if (failure > 0) rows[row].failed[failure - 1].also.push_back(variant.name);
          continue;
        }
        const bool fresh = brings_something_new(plan, options.extent == Extent::Modules ? "" : variant.name, seen);
        const bool always = options.extent == Extent::Whole || !options.id.empty() ||
                            (options.extent == Extent::Brief && &variant == &variants.front());
        if (!always && !fresh) continue;
        for (const Dispatch& dispatch : plan.dispatches) {
          modules.insert(dispatch.module_key());
          pipelines.insert(pipeline_name(dispatch));
        }
        if (options.edit) options.edit(plan);
        if (options.compile_only) {
          gpu.compile(plan);
          result.passed = true;
        } else {
          if (!data) {
            data = make_case_data(op_case);
            bounds = bounds_of(op_case, *data);
          }
          Repeats repeats{options.repeats, options.repeats, 0.0};
          if (fresh || !options.id.empty()) {
            for (const std::string& module : modules) {
              const auto [known, added] = racy.try_emplace(module);
              if (added) known->second = is_racy(module);
              repeated |= known->second;
            }
            if (repeated) repeats = {options.repeats, options.racy_repeats, options.racy_seconds};
          }
          result = run_case(gpu, *data, bounds, std::move(plan), repeats);
        }
      } catch (const DeviceLost&) {
        throw;
      } catch (const Error& error) {
        result.message = error.what();
        result.worst_error = std::numeric_limits<double>::infinity();
      }
      const auto [at, added] = row_of.try_emplace({op, variant.name}, rows.size());
      if (added) rows.emplace_back().op = op;
      ConformRow& row = rows[at->second];
      row.variant = variant.name;
      ++row.cases;
      row.modules.merge(modules);
      row.worst_error = std::max(row.worst_error, result.worst_error);
      if (repeated) ++(result.runs >= options.racy_repeats ? row.repeated : row.repeated_less);
      if (result.nothing) {
        ++row.nothing;
      } else if (result.passed) {
        row.pipelines.merge(pipelines);
      } else {
        ++row.failures;
        row.failed.push_back({id, op_case.name, result.message, std::move(pipelines), {}});
        if (planned != nullptr) *planned = {at->second, row.failed.size()};
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
  for (const ConformRow& row : rows) {
    for (const ConformFailure& failure : row.failed) {
      std::set<std::string> suspects;
      std::ranges::set_difference(failure.pipelines, passed, std::inserter(suspects, suspects.end()));
      verdict.pipelines.merge(suspects.empty() ? std::set(failure.pipelines) : suspects);
    }
  }
  if (verdict.failures == 0) return verdict;
  // With these everything runs; the others only make it faster.
  const bool something_is_left =
      std::ranges::any_of(std::initializer_list<const char*>{"storage", "texel", "no subgroups", "texel, no subgroups"},
                          [&](const char* plain) { return !verdict.variants.contains(plain); });
  verdict.outcome = something_is_left && verdict.passed > 0 ? Outcome::ConformsWithout : Outcome::DoesNotConform;
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
