// cases pool: every kind over one to three dimensions, padding, windows that hang over the edge, whole images.
#include <fmt/format.h>

#include <algorithm>

#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

using Sizes = std::vector<std::int64_t>;

OpCase pool(const std::string& op, const Sizes& x, const Sizes& kernel, Attributes attributes, bool indices = false,
            DType type = DType::F32) {
  GraphBuilder b("pool");
  std::string name = fmt::format("{} {} {}", op, to_string(x), to_string(kernel));
  for (const auto& [key, value] : attributes) {
    if (const auto* list = std::get_if<Sizes>(&value)) name += fmt::format(" {} {}", key, to_string(*list));
    if (const auto* number = std::get_if<std::int64_t>(&value)) name += fmt::format(" {} {}", key, *number);
    if (const auto* text = std::get_if<std::string>(&value)) name += fmt::format(" {}", *text);
  }
  attributes.set("kernel", kernel);
  const ValueId in = b.input("x", type, SymbolicShape(x.begin(), x.end()));
  const std::vector<ValueId> y = b.add_many(op, "p", {in}, attributes, indices ? 2 : 1);
  b.output(y[0], "y");
  if (indices) {
    b.output(y[1], "indices");
    name += ", indices";
  }
  if (type != DType::F32) name += fmt::format(", {}", dtype_name(type));
  OpCase c{name, std::move(b).finish(), {}, {}};
  if (type != DType::F32) {
    std::int64_t count = 1;
    for (const std::int64_t size : x) count *= size;
    for (std::int64_t i = 0; i < count; ++i) {
      c.values["x"].push_back(static_cast<double>(i * 37 % 101 - (type == DType::U8 ? 0 : 60)));
    }
  }
  return c;
}

}  // namespace

std::vector<OpCase> cases_pool() {
  std::vector<OpCase> cases;
  const Attribute one = std::int64_t{1};
  for (const std::string op : {"max_pool", "average_pool", "lp_pool"}) {
    const auto add = [&](const Sizes& x, const Sizes& kernel, const Attributes& attributes) {
      cases.push_back(pool(op, x, kernel, attributes));
    };
    add({1, 1, 1}, {1}, {});
    add({2, 3, 40}, {3}, {{"strides", Sizes{2}}, {"pads", Sizes{1, 2}}});
    add({1, 3, 9, 7}, {2, 3}, {});
    add({0, 3, 9, 7}, {2, 3}, {});
    add({2, 0, 9, 7}, {2, 3}, {});
    add({1, 2, 10, 11}, {3, 3}, {{"strides", Sizes{2, 3}}, {"pads", Sizes{1, 0, 2, 1}}});
    add({1, 2, 10, 11}, {3, 4}, {{"strides", Sizes{2, 3}}, {"ceil_mode", one}});
    add({1, 2, 5, 5}, {2, 2}, {{"strides", Sizes{3, 3}}, {"pads", Sizes{1, 1, 1, 1}}, {"ceil_mode", one}});
    add({1, 2, 4, 4}, {1, 1}, {{"strides", Sizes{2, 3}}, {"ceil_mode", one}});
    add({1, 2, 10, 11}, {3, 4}, {{"strides", Sizes{2, 3}}, {"auto_pad", "same_upper"}});
    add({1, 2, 10, 11}, {3, 4}, {{"strides", Sizes{2, 2}}, {"auto_pad", "same_lower"}});
    add({1, 2, 10, 11}, {3, 4}, {{"dilations", Sizes{2, 3}}, {"auto_pad", "valid"}});
    add({1, 2, 10, 11}, {3, 3}, {{"dilations", Sizes{3, 2}}, {"pads", Sizes{4, 1, 2, 5}}});
    add({1, 2, 5, 6, 7}, {2, 3, 2}, {{"strides", Sizes{1, 2, 3}}, {"pads", Sizes{1, 0, 1, 1, 2, 0}}});
    add({1, 3, 30, 31}, {30, 31}, {});
    add({1, 2, 300, 301}, {300, 301}, {{"pads", Sizes{1, 1, 0, 1}}});
    add({1, 70, 64, 65}, {2, 2}, {{"strides", Sizes{2, 2}}});
  }
  for (const Attributes& attributes :
       {Attributes{{"pads", Sizes{1, 0, 2, 1}}}, Attributes{{"pads", Sizes{1, 1, 1, 1}}, {"ceil_mode", one}},
        Attributes{{"pads", Sizes{2, 2, 2, 2}}, {"dilations", Sizes{2, 2}}}, Attributes{{"auto_pad", "same_upper"}}}) {
    Attributes all = attributes;
    all.set("count_include_pad", one);
    all.set("strides", Sizes{3, 2});
    cases.push_back(pool("average_pool", {1, 2, 8, 7}, {3, 3}, all));
  }
  for (const std::int64_t p : {1, 3, 5}) cases.push_back(pool("lp_pool", {1, 2, 6, 7}, {3, 3}, {{"p", p}}));
  cases.push_back(pool("lp_pool", {1, 2, 40, 40}, {30, 30}, {{"p", std::int64_t{3}}}));
  for (const std::int64_t order : {0, 1}) {
    cases.push_back(pool("max_pool", {2, 3, 6, 7}, {3, 2},
                         {{"strides", Sizes{2, 2}}, {"pads", Sizes{1, 1, 1, 0}}, {"storage_order", order}}, true));
    cases.push_back(pool("max_pool", {2, 2, 4, 5, 6}, {2, 2, 3}, {{"storage_order", order}}, true));
    cases.push_back(pool("max_pool", {1, 2, 30, 40}, {30, 39}, {{"storage_order", order}}, true));
  }
  // More workgroups than one dimension of the smallest device has.
  cases.push_back(pool("max_pool", {1, 1, 4194306}, {2}, {}));
  cases.push_back(pool("max_pool", {1, 1, 4, 4}, {2, 2}, {}, true));
  cases.back().name += ", equal elements";
  cases.back().values["x"] = std::vector<double>(16, -3.0);
  cases.push_back(pool("max_pool", {1, 1, 30, 30}, {30, 30}, {}, true));
  cases.back().name += ", equal elements";
  cases.back().values["x"] = std::vector<double>(900, -3.0);
  // Nothing but -infinity in and around a window; and NaN, infinities and denormals each in some windows alone.
  std::vector<double> holes;
  for (int i = 0; i < 2 * 9 * 11; ++i) holes.push_back(static_cast<double>(i * 37 % 23) - 11.0);
  const std::vector<double> special = {kNotANumber, kInfinity, -kInfinity, kLargest, kLeastDenormal, -0.0, kNotANumber};
  for (std::size_t i = 0; i < special.size(); ++i) holes[i * 29] = special[i];
  for (const char* kind : {"max_pool with indices", "max_pool", "average_pool", "lp_pool"}) {
    const std::string op = std::string(kind).substr(0, std::string(kind).find(' '));
    const bool indices = kind != op;
    const Attributes attributes = {{"pads", Sizes{1, 1, 1, 1}}, {"strides", Sizes{2, 2}}};
    cases.push_back(pool(op, {1, 2, 9, 11}, {3, 3}, attributes, indices));
    cases.back().name += ", special values";
    cases.back().values["x"] = holes;
    std::vector<double>& x = cases.back().values["x"];
    if (op == "lp_pool") std::ranges::replace(x, kLargest, 5.0);  // its square is more than float holds
    cases.push_back(pool(op, {1, 2, 3, 3}, {3, 3}, attributes, indices));
    cases.back().name += ", -infinity everywhere";
    cases.back().values["x"] = std::vector<double>(18, -kInfinity);
    cases.push_back(pool(op, {1, 2, 30, 30}, {30, 30}, {}, indices));  // a workgroup a window
    cases.back().name += ", NaN twice in the second window";
    cases.back().values["x"] = std::vector<double>(1800, 0.5);
    cases.back().values["x"][1000] = cases.back().values["x"][1700] = kNotANumber;
  }
  for (const DType type : {DType::U8, DType::I8, DType::I32}) {
    cases.push_back(pool("max_pool", {1, 2, 7, 8}, {3, 3}, {{"pads", Sizes{1, 1, 1, 1}}}, true, type));
  }
  return cases;
}

}  // namespace heed::op_cases
