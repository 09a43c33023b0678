// cases resize: every mode and coordinate mode, larger and smaller, one to four dimensions at a time.
#include <fmt/format.h>

#include "tests/op_cases/op_case.h"

namespace heed::op_cases {
namespace {

using Sizes = std::vector<std::int64_t>;

ValueId reals(GraphBuilder& b, const std::string& name, const std::vector<double>& values) {
  return b.add("constant", name, {},
               {{"dtype", "f32"}, {"shape", Shape{static_cast<std::int64_t>(values.size())}}, {"values", values}});
}

struct Resize {
  Sizes x;
  std::vector<double> scales = {};
  Sizes sizes = {};
  Attributes attributes = {};
  std::vector<double> roi = {};
  DType type = DType::F32;
};

OpCase make(const Resize& r) {
  GraphBuilder b("resize");
  std::vector<ValueId> inputs = {b.input("x", r.type, SymbolicShape(r.x.begin(), r.x.end()))};
  inputs.push_back(r.roi.empty() ? kNoValue : reals(b, "roi", r.roi));
  inputs.push_back(r.scales.empty() ? kNoValue : reals(b, "scales", r.scales));
  if (!r.sizes.empty()) inputs.push_back(b.integers("sizes", r.sizes));
  b.output(b.add("resize", "r", inputs, r.attributes), "y");
  std::string name = to_string(r.x);
  for (const double scale : r.scales) name += fmt::format(" x{}", scale);
  if (!r.sizes.empty()) name += fmt::format(" to {}", to_string(r.sizes));
  for (const auto& [key, value] : r.attributes) {
    if (const auto* number = std::get_if<std::int64_t>(&value)) name += fmt::format(" {} {}", key, *number);
    if (const auto* real = std::get_if<double>(&value)) name += fmt::format(" {} {}", key, *real);
    if (const auto* text = std::get_if<std::string>(&value)) name += fmt::format(" {}", *text);
  }
  if (r.type != DType::F32) name += fmt::format(", {}", dtype_name(r.type));
  OpCase c{name, std::move(b).finish(), {}, {}};
  if (r.type != DType::F32) {
    std::int64_t count = 1;
    for (const std::int64_t size : r.x) count *= size;
    for (std::int64_t i = 0; i < count; ++i) c.values["x"].push_back(static_cast<double>(i % 120));
  }
  return c;
}

}  // namespace

std::vector<OpCase> cases_resize() {
  std::vector<OpCase> cases;
  const auto add = [&](Resize r) { cases.push_back(make(r)); };
  const Attribute one = std::int64_t{1};
  for (const std::string mode : {"nearest", "linear", "cubic"}) {
    for (const std::string coordinates :
         {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"}) {
      const Attributes a = {{"mode", mode}, {"coordinate_mode", coordinates}};
      add({{1, 2, 5, 7}, {1.0, 1.0, 2.0, 1.7}, {}, a});
      add({{1, 1, 9, 8}, {1.0, 1.0, 0.6, 0.5}, {}, a});
      add({{2, 7}, {}, {2, 1}, a});
    }
    add({{1, 1, 6, 7},
         {},
         {1, 1, 5, 9},
         {{"mode", mode}, {"coordinate_mode", "tf_crop_and_resize"}, {"extrapolation_value", 7.5}},
         {0, 0, 0.3, -0.2, 1, 1, 0.9, 1.3}});
    add({{3}, {}, {8}, {{"mode", mode}}});
    add({{1}, {}, {4}, {{"mode", mode}}});
    add({{4, 5, 3}, {}, {6, 5, 4}, {{"mode", mode}}});
    add({{4, 5}, {}, {4, 5}, {{"mode", mode}}});
    add({{0, 5}, {}, {0, 7}, {{"mode", mode}}});
    add({{3, 5}, {}, {0, 7}, {{"mode", mode}}});
    add({{1, 3, 40, 41}, {}, {1, 3, 90, 85}, {{"mode", mode}}});
    add({{2, 4, 6, 5}, {}, {9, 8}, {{"mode", mode}, {"axes", Sizes{-1, 1}}}});
    for (const std::string policy : {"not_larger", "not_smaller"}) {
      add({{2, 6, 5}, {}, {9, 6}, {{"mode", mode}, {"axes", Sizes{1, 2}}, {"keep_aspect_ratio_policy", policy}}});
    }
    if (mode == "nearest") continue;
    add({{1, 1, 9, 8}, {1.0, 1.0, 0.6, 0.3}, {}, {{"mode", mode}, {"antialias", one}}});
    add({{1, 1, 9, 8}, {1.0, 1.0, 0.6, 1.5}, {}, {{"mode", mode}, {"antialias", one}, {"exclude_outside", one}}});
    add({{1, 1, 9, 8}, {1.0, 1.0, 1.6, 0.7}, {}, {{"mode", mode}, {"exclude_outside", one}}});
  }
  add({{1, 1, 4, 4}, {1.0, 1.0, 2.5, 2.5}, {}, {{"mode", "cubic"}, {"cubic_coeff_a", -0.5}, {"exclude_outside", one}}});
  for (const std::string nearest : {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"}) {
    for (const std::string coordinates : {"half_pixel", "asymmetric"}) {
      add({{8, 6}, {0.5, 2.0}, {}, {{"nearest_mode", nearest}, {"coordinate_mode", coordinates}}});
    }
  }
  add({{1, 1, 3, 4}, {}, {1, 1, 6, 8}, {}, {}, DType::U8});
  return cases;
}

}  // namespace heed::op_cases
