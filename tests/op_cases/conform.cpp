#include "tests/op_cases/conform.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "heed/error.h"
#include "tests/op_cases/run_case.h"

namespace heed::op_cases {
namespace {

/// Equal for plans that run the same kernels on the same pieces.
std::string signature(const Plan& plan) {
  std::string text;
  for (const Dispatch& dispatch : plan.dispatches) {
    text += fmt::format("{} {} {} {};", dispatch.module_key(), fmt::join(dispatch.specialization, ","),
                        fmt::join(dispatch.push_constants, ","), fmt::join(dispatch.groups, ","));
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

std::vector<ConformRow> conform(Gpu& gpu, const CaseFilter& wanted, Extent extent, int repeats,
                                const std::function<void(const ConformProgress&)>& progress) {
  struct Selected {
    std::string_view op;
    OpCase op_case;
  };
  std::vector<Selected> selected;
  for (const CaseFamily& family : all_families()) {
    for (OpCase& op_case : family.cases()) {
      if (wanted(family.name, op_case.name)) selected.push_back({family.name, std::move(op_case)});
    }
  }

  const std::vector<Variant> variants = variants_with_tuned(gpu);
  std::vector<ConformRow> rows;
  std::map<std::pair<std::string_view, std::string>, std::size_t> row_of;
  Seen seen;
  for (std::size_t i = 0; i < selected.size(); ++i) {
    const auto& [op, op_case] = selected[i];
    if (progress) progress({op, op_case.name, static_cast<int>(i), static_cast<int>(selected.size())});
    const CaseData data = make_case_data(op_case);
    std::set<std::string> signatures;
    for (const Variant& variant : variants) {
      CaseResult result;
      std::set<std::string> modules;
      try {
        Plan plan = plan_case(op_case, variant);
        if (!signatures.insert(signature(plan)).second) continue;
        const bool fresh = brings_something_new(plan, extent == Extent::Modules ? "" : variant.name, seen);
        const bool always = extent == Extent::Whole || (extent == Extent::Brief && &variant == &variants.front());
        if (!always && !fresh) continue;
        for (const Dispatch& dispatch : plan.dispatches) modules.insert(dispatch.module_key());
        result = run_case(gpu, op_case, data, std::move(plan), repeats);
      } catch (const Error& error) {
        result.message = error.what();
        result.worst_error = std::numeric_limits<double>::infinity();
      }
      const auto [at, added] = row_of.try_emplace({op, variant.name}, rows.size());
      if (added) rows.push_back({std::string(op), variant.name, 0, 0, 0.0, {}, {}});
      ConformRow& row = rows[at->second];
      ++row.cases;
      row.modules.merge(modules);
      row.worst_error = std::max(row.worst_error, result.worst_error);
      if (result.passed) continue;
      ++row.failures;
      row.messages.push_back(op_case.name + ": " + result.message);
    }
  }
  return rows;
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
