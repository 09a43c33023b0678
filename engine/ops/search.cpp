#include "ops/search.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

#include "ops/op.h"

namespace heed::ops {

bool SearchOptions::ends_with(std::int64_t token) const {
  return std::find(ends, ends + end_count, token) != ends + end_count;
}

void check_search_options(const InferContext& c, std::size_t input, std::int64_t lists, std::string_view of) {
  c.expect_rank(input, 1, "options");
  const std::int64_t forced = c.input(input).shape[0] - static_cast<std::int64_t>(kFirstForced);
  if (forced < 0 || forced % lists != 0) {
    c.fail(fmt::format("options are {}, expected {} and as many for each of {} {}", to_string(c.input(input).shape),
                       kFirstForced, lists, of));
  }
}

SearchOptions search_options(const std::vector<double>& words) {
  std::array<std::uint32_t, kFirstForced> bits{};
  for (std::size_t i = 0; i < bits.size(); ++i) {
    bits[i] = static_cast<std::uint32_t>(static_cast<std::int64_t>(words[i]));
  }
  return std::bit_cast<SearchOptions>(bits);
}

std::int64_t forced_token(const SearchOptions& options, const std::vector<double>& words, std::int64_t list,
                          std::int64_t made) {
  if (made < options.forced) {
    const double token = words[kFirstForced + static_cast<std::size_t>(list * options.forced + made)];
    if (token >= 0.0) return static_cast<std::int64_t>(token);
  }
  return made + 1 == options.max_tokens ? options.forced_last : -1;
}

}  // namespace heed::ops
