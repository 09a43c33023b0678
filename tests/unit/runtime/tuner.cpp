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
  tuning.lanes = 32;
  tuning.row_lanes = 128;
  tuning.query_lanes = true;
  tuning.key_shuffle = true;
  // Of each kind of weight others.
  tuning.products = {{{.lane_rows = true, .lanes = 8, .rows = 16, .max_groups = 256, .x_rows = 8, .x_products = 512},
                      {.lanes = 32, .pairs = true, .tile = 64, .tile_groups = 128, .cooperative = true},
                      {.lanes = 64, .rows = 2, .shuffle_rows = true, .tile = 128, .dot_groups = 1024},
                      {.lanes = 128, .rows = 8, .max_groups = 64, .tile = 32, .dot_groups = 256},
                      {.max_groups = 16, .tile_groups = 512, .dot_groups = 4096}}};
  tuning.attention_groups = 640;
  tuning.query_tile = 32;
  tuning.cooperative_attention = true;
  tuning.sample_groups = 256;
  tuning.one_pass_convs = 1;
  tuning.conv_sums = 128;
  tuning.conv_shuffle = true;
  tuning.flops_pace = 1000;
  tuning.bytes_pace = 60;
  tuning.conv_tile = 64;
  tuning.conv_groups = 256;
  tuning.conv_cooperative = true;
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
  // No word may be anything, that of the version included.
  for (std::size_t word = 0; word < good.size() / 4; ++word) {
    CAPTURE(word);
    std::vector<std::byte> bad = good;
    set_word(bad, word, UINT32_MAX);
    CHECK(!tuning_from_bytes(bad, caps).has_value());
  }
  const auto believed = [&](auto member, auto value) {
    Tuning tuning = some_tuning();
    if constexpr (requires { tuning.*member; }) {
      tuning.*member = value;
    } else {
      tuning.of(DType::Q4_0).*member = value;
    }
    return tuning_from_bytes(tuning_to_bytes(tuning), caps).has_value();
  };
  CHECK(believed(&Tuning::lanes, 128u));
  for (const std::uint32_t lanes : {0u, 129u}) {
    CHECK(!believed(&Tuning::lanes, lanes));
    CHECK(!believed(&Tuning::row_lanes, lanes));
    CHECK(!believed(&ProductTuning::lanes, lanes));
  }
  CHECK(!believed(&ProductTuning::rows, 0u));
  CHECK(!believed(&ProductTuning::rows, 17u));
  CHECK(!believed(&ProductTuning::max_groups, 0u));
  CHECK(!believed(&ProductTuning::max_groups, caps.max_workgroup_count[0] + 1));
  CHECK(!believed(&ProductTuning::x_rows, 0u));
  CHECK(!believed(&ProductTuning::x_products, 0u));
  CHECK(!believed(&ProductTuning::tile, 33u));
  CHECK(!believed(&Tuning::conv_tile, 48u));
  CHECK(!believed(&Tuning::flops_pace, 0u));
  CHECK(!believed(&Tuning::bytes_pace, 0u));
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
    CHECK(default_tuning(caps).conv_tile > 0);
  }
  caps.type = DeviceType::Cpu;
  CHECK(default_tuning(caps).attention_groups == 0);
  CHECK(default_tuning(caps).query_tile == 0);
  CHECK(default_tuning(caps).sample_groups == 0);
  CHECK(default_tuning(caps).one_pass_convs == 0);
  CHECK(default_tuning(caps).conv_tile == 0);
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
