// Oniguruma has functions with the names of POSIX's. Whoever else in the process calls those must reach the C library.
#include <dlfcn.h>
#include <doctest/doctest.h>
#include <regex.h>

#include <string>

namespace heed {

TEST_CASE("POSIX regular expressions of the process are those of the C library") {
  void* const next = ::dlsym(RTLD_NEXT, "regcomp");  // behind the sanitizers' own
  Dl_info info{};
  REQUIRE(next != nullptr);
  REQUIRE(::dladdr(next, &info) != 0);
  CHECK_MESSAGE(std::string(info.dli_fname).find("libonig") == std::string::npos, std::string(info.dli_fname));

  regex_t expression;
  REQUIRE(::regcomp(&expression, "^he{2}d$", REG_EXTENDED | REG_NOSUB) == 0);
  CHECK(::regexec(&expression, "heed", 0, nullptr, 0) == 0);
  CHECK(::regexec(&expression, "hed", 0, nullptr, 0) == REG_NOMATCH);
  ::regfree(&expression);
}

}  // namespace heed
