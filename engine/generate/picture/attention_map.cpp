#include "generate/picture/attention_map.h"

#include <fmt/format.h>

#include "heed/error.h"

namespace heed {

std::vector<AttentionMap> split_maps(const Role& role, const Shape& shape, std::span<const float> all,
                                     std::size_t count, const std::string& where) {
  const auto fail = [&](const char* expected) {
    throw Error(fmt::format("{}: output '{}' of role '{}' is {}, expected {}", where, role.name, role.kind,
                            to_string(shape), expected));
  };
  const bool of_each_place = role.kind == "attention";
  const std::size_t rank = shape.size();
  AttentionMap map{role.name, role.width, role.height, of_each_place, {}};
  const std::int64_t places = role.width * role.height;
  if (rank < 3 || rank > 4 || shape[0] != static_cast<std::int64_t>(count)) {
    fail(of_each_place ? "[batch, n, n] or [batch, heads, n, n]" : "[batch, 1, height, width]");
  }
  if (of_each_place) {
    if (shape[rank - 1] != places || shape[rank - 2] != places) fail("n to be the places of 'size'");
  } else {
    if (rank == 4 && shape[1] != 1) fail("one channel");
    map.height = shape[rank - 2];
    map.width = shape[rank - 1];
    if (map.height == 0 || map.width == 0) fail("at least one place");
  }
  const std::size_t heads = rank == 4 ? static_cast<std::size_t>(shape[1]) : 1;
  const auto n = static_cast<std::size_t>(of_each_place ? places : map.width * map.height);
  const std::size_t elements = of_each_place ? n * n : n;
  std::vector<AttentionMap> maps(count, map);
  for (std::size_t picture = 0; picture < count; ++picture) {
    std::vector<float>& values = maps[picture].values;
    values.assign(elements, 0.0f);
    for (std::size_t head = 0; head < heads; ++head) {
      const auto from = all.subspan((picture * heads + head) * elements, elements);
      for (std::size_t i = 0; i < elements; ++i) {
        const std::size_t to = role.sums_over_rows ? i % n * n + i / n : i;
        values[to] += from[i] / static_cast<float>(heads);
      }
    }
  }
  return maps;
}

}  // namespace heed
