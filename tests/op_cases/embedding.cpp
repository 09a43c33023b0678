// cases embedding: every type of table, ids at both ends, a scale.
#include <fmt/format.h>

#include "graph/integer.h"
#include "tests/op_cases/op_case.h"
#include "tests/op_cases/special_values.h"

namespace heed::op_cases {
namespace {

OpCase embedding(DType dtype, std::int64_t vocabulary, std::int64_t width, std::vector<double> ids, double scale) {
  const std::int64_t block = dtype_info(dtype).block_elements;
  width = ceil_div(width, block) * block;
  GraphBuilder b("embedding");
  const auto tokens = static_cast<std::int64_t>(ids.size());
  const ValueId id = b.input("ids", DType::I32, {tokens});
  Attributes attributes;
  if (scale != 1.0) attributes.set("scale", scale);
  b.output(b.add("embedding", "embed", {id, b.weight("table", dtype, {vocabulary, width})}, attributes), "y");
  return {fmt::format("{} {} of [{}, {}]{}", dtype_name(dtype), tokens, vocabulary, width,
                      scale == 1.0 ? "" : fmt::format(", scale {}", scale)),
          std::move(b).finish(),
          {},
          {{"ids", std::move(ids)}}};
}

}  // namespace

std::vector<OpCase> cases_embedding() {
  std::vector<OpCase> cases;
  for (const DType dtype : matrix_types()) {
    cases.push_back(embedding(dtype, 50, 64, {0}, 1.0));
    cases.push_back(embedding(dtype, 50, 96, {49, 0, 7, 7, 31, 32, 33}, 1.0));
    cases.push_back(embedding(dtype, 49, 32, {1, 3, 48, 47, 16, 17, 0}, 1.0));
    cases.push_back(embedding(dtype, 33, 288, {32, 1, 5}, 16.97056274847714));
    // Larger than 64 KiB, so that small bindings cut the table.
    cases.push_back(embedding(dtype, 4097, 64, {4096, 0, 2048, 1023, 1024, 4095, 1, 255, 256}, 0.5));
  }
  for (const DType dtype : {DType::F32, DType::F16, DType::BF16}) {
    for (const std::int64_t width : {1, 3, 5, 44}) cases.push_back(embedding(dtype, 9, width, {8, 0, 4, 7}, 1.0));
  }
  for (const DType dtype : {DType::F32, DType::F16, DType::BF16}) {
    cases.push_back(embedding(dtype, 5, 23, {4, 0, 2}, 1.0));
    cases.back().name += ", special values";
    std::vector<double>& table = cases.back().values["table"];
    // Denormals of f16 and what it can hold; a denormal of f32 may be read as zero, which is nothing to tell from it.
    for (int i = 0; i < 5 * 23; ++i) table.push_back(i % 7 == 0 ? (i - 50) * 0x1p-24 : i % 5 - 2.0);
    table[3] = kInfinity;
    table[4 * 23 + 22] = -kInfinity;
    table[2 * 23] = kNotANumber;
    table[23 - 1] = 65504.0;
  }
  cases.push_back(embedding(DType::F32, 9, 8, {}, 1.0));
  cases.push_back(embedding(DType::F32, 1, 4, {0, 0, 0}, -2.0));
  {
    // Ids of two dimensions, and more workgroups than one dimension of "small limits" holds.
    GraphBuilder b("embedding");
    const ValueId ids = b.input("ids", DType::I32, {2, 40});
    b.output(b.add("embedding", "embed", {ids, b.weight("table", DType::F16, {7, 16})}), "y");
    std::vector<double> values;
    for (int i = 0; i < 80; ++i) values.push_back(i % 7);
    cases.push_back({"f16 ids [2, 40]", std::move(b).finish(), {}, {{"ids", values}}});
  }
  return cases;
}

}  // namespace heed::op_cases
