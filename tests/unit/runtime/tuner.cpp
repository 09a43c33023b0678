// The tuner's verdict in the cache folder: what was kept is found again, and nothing else is believed.
#include "runtime/tuner.h"

#include <doctest/doctest.h>

#include <cstring>

namespace heed {
namespace {

Tuning some_tuning() {
  Tuning tuning;
  tuning.texel = true;
  tuning.same_storage = true;
  tuning.lane_rows = true;
  tuning.lanes = 8;
  tuning.row_lanes = 128;
  tuning.rows = 16;
  tuning.max_groups = 256;
  tuning.pairs = true;
  tuning.x_rows = 8;
  tuning.x_products = 512;
  tuning.shuffle_rows = true;
  tuning.tile = 64;
  tuning.tile_groups = 128;
  tuning.cooperative = true;
  tuning.attention_groups = 640;
  tuning.query_tile = 32;
  tuning.sample_groups = 256;
  tuning.one_pass_convs = 1;
  tuning.conv_sums = 128;
  tuning.flops_pace = 1000;
  tuning.bytes_pace = 60;
  return tuning;
}

void set_word(std::vector<std::byte>& bytes, std::size_t word, std::uint32_t value) {
  REQUIRE((word + 1) * 4 <= bytes.size());
  std::memcpy(bytes.data() + word * 4, &value, 4);
}

}  // namespace

TEST_CASE("a verdict is found again as it was") {
  const DeviceCaps caps;
  CHECK(tuning_from_bytes(tuning_to_bytes(some_tuning()), caps) == some_tuning());
  CHECK(tuning_from_bytes(tuning_to_bytes(default_tuning(caps)), caps) == default_tuning(caps));
}

TEST_CASE("bytes that are no verdict, or one this device cannot follow, are not believed") {
  const DeviceCaps caps;
  const std::vector<std::byte> good = tuning_to_bytes(some_tuning());
  for (std::size_t size = 0; size < good.size(); ++size) {
    CHECK(!tuning_from_bytes(std::span(good).first(size), caps).has_value());
  }
  std::vector<std::byte> longer = good;
  longer.push_back(std::byte{0});
  CHECK(!tuning_from_bytes(longer, caps).has_value());
  // Word 0 is the version of the kernels, 4 the lanes, 5 the rows, 6 the workgroups, 9 those of attention, 10 of a
  // draw, 11 the lanes of a row, 12 the rows of x, 13 how convolutions are run, 14 the rows of a
  // tile of attention, 15 of one of products, 16 the workgroups of those, 19 and 20 how fast the device is, 21 the
  // products at a time.
  for (const auto& change :
       {std::pair{0u, 0u}, {0u, 8u},      {4u, 0u},  {4u, 129u},     {5u, 0u},  {5u, 17u},   {6u, 0u},    {6u, 65536u},
        {9u, 65537u},      {10u, 65537u}, {12u, 0u}, {12u, 9u},      {11u, 0u}, {11u, 129u}, {13u, 3u},   {14u, 65537u},
        {15u, 33u},        {16u, 65537u}, {19u, 0u}, {19u, 100001u}, {20u, 0u}, {21u, 0u},   {21u, 4097u}}) {
    std::vector<std::byte> bad = good;
    set_word(bad, change.first, change.second);
    CAPTURE(change.first);
    CAPTURE(change.second);
    CHECK(!tuning_from_bytes(bad, caps).has_value());
  }
  DeviceCaps without_texels = caps;
  without_texels.max_texel_buffer_elements = 0;
  CHECK(!tuning_from_bytes(good, without_texels).has_value());
}

TEST_CASE("a GPU that nobody measured shares heads and sequences among workgroups, a CPU driver does not") {
  DeviceCaps caps;
  for (const DeviceType type : {DeviceType::Discrete, DeviceType::Integrated, DeviceType::Virtual}) {
    caps.type = type;
    CHECK(default_tuning(caps).attention_groups >= 128);
    CHECK(default_tuning(caps).query_tile > 0);
    CHECK(default_tuning(caps).sample_groups >= 128);
    CHECK(default_tuning(caps).one_pass_convs == 2);
  }
  caps.type = DeviceType::Cpu;
  CHECK(default_tuning(caps).attention_groups == 0);
  CHECK(default_tuning(caps).query_tile == 0);
  CHECK(default_tuning(caps).sample_groups == 0);
  CHECK(default_tuning(caps).one_pass_convs == 0);
}

TEST_CASE("the default fits the weakest device") {
  DeviceCaps caps;
  caps.max_workgroup_invocations = 4;
  caps.max_workgroup_size = {4, 4, 4};
  caps.subgroup_size = 32;
  CHECK(default_tuning(caps).lanes == 4);
  CHECK(default_tuning(caps).row_lanes == 4);
  CHECK(!default_tuning(caps).texel);
}

}  // namespace heed
