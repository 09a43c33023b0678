// Kinds of weight, by which Tuning has its choices for products.
#include "plan/product_tuning.h"

#include <doctest/doctest.h>

#include <set>

#include "graph/quantised.h"
#include "plan/device_caps.h"

namespace heed {

TEST_CASE("every type that a weight may have is of one kind") {
  using enum WeightKind;
  CHECK(weight_kind(DType::F32) == Floats);
  CHECK(weight_kind(DType::F16) == Halves);
  CHECK(weight_kind(DType::BF16) == Halves);
  CHECK(weight_kind(DType::Q8_0) == Bytes);
  for (const DType type : {DType::Q4_0, DType::Q4_1, DType::Q5_0, DType::Q5_1, DType::IQ4_NL}) {
    CHECK(weight_kind(type) == Nibbles);
  }
  for (const DType type : {DType::Q2_K, DType::Q3_K, DType::Q4_K, DType::Q5_K, DType::Q6_K}) {
    CHECK(weight_kind(type) == KQuants);
  }
  for (const QuantisedType& type : quantised_types()) {
    CHECK(weight_kind(type.dtype) != Floats);
    CHECK(weight_kind(type.dtype) != Halves);
  }
  std::set<std::string_view> names;
  for (const WeightKind kind : kWeightKinds) names.insert(weight_kind_name(kind));
  CHECK(names.size() == kWeightKinds.size());
  CHECK(!names.contains(""));
}

TEST_CASE("a choice is one kind's, or every kind's") {
  Tuning tuning;
  CHECK(!tuning.any(&ProductTuning::pairs));
  tuning.of(DType::Q5_1).pairs = true;
  CHECK(tuning.any(&ProductTuning::pairs));
  CHECK(tuning.of(DType::Q4_0).pairs);
  for (const DType type : {DType::F32, DType::F16, DType::Q8_0, DType::Q4_K}) CHECK(!tuning.of(type).pairs);
  tuning.set(&ProductTuning::tile, 64);
  for (const WeightKind kind : kWeightKinds) CHECK(tuning.of(kind).tile == 64);
  CHECK(!(tuning == Tuning()));
}

}  // namespace heed
