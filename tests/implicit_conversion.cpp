// Loses half of a number without a cast: a build that checks conversions ends it with a message (tests/CMakeLists.txt).
#include <cstdint>
#include <cstdio>

int main(int count, char**) {
  const std::int64_t size = (std::int64_t{1} << 32) + count;
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshorten-64-to-32"
  const std::uint32_t lost = size;
  std::printf("%u\n", static_cast<unsigned>(lost));
}
