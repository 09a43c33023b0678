// Whether a process learns what an earlier one did not survive.
#include "runtime/crash_mark.h"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <fstream>

#include "tests/temporary_folder.h"

namespace heed {
namespace {

struct MarkFolder {
  MarkFolder() { ::setenv("HEED_CACHE_DIR", folder.path("").c_str(), 1); }
  ~MarkFolder() { ::setenv("HEED_CACHE_DIR", "", 1); }
  bool has_file() const { return std::filesystem::exists(folder.path("mark")); }
  testing::TemporaryFolder folder;
};

}  // namespace

TEST_CASE("what ended three processes is not tried again; what was survived, or ended fewer, is") {
  const MarkFolder folder;
  for (const bool allowed : {true, true, true, false, false}) {
    CrashMark mark("mark", 1);
    CHECK(mark.begin("harmless"));
    mark.survived("harmless");
    CHECK(mark.begin("deadly") == allowed);
    CHECK(folder.has_file());
  }
  CHECK(CrashMark("mark", 1).given_up() == std::vector<std::string>{"deadly"});
  CHECK(CrashMark("mark", 2).begin("deadly"));  // other kernels
}

TEST_CASE("what lost the device is not tried a second time") {
  const MarkFolder folder;
  {
    CrashMark mark("mark", 1);
    CHECK(mark.begin("deadly thing"));
    mark.lost("deadly thing");
  }
  CHECK(!CrashMark("mark", 1).begin("deadly thing"));
}

TEST_CASE("marks leave nothing behind where all went well, and take turns") {
  const MarkFolder folder;
  {
    CrashMark mark("mark", 1);
    CHECK(!folder.has_file());
    CHECK(mark.begin("a"));
    // Meanwhile another process does the same.
    CrashMark other("mark", 1);
    CHECK(other.begin("a"));
    other.survived("a");
    CHECK(folder.has_file());
    mark.survived("a");
    CHECK(!folder.has_file());
    CHECK(mark.begin("b"));
    CHECK(folder.has_file());
    mark.survived("b");
  }
  CHECK(!folder.has_file());
}

TEST_CASE("a file of marks that is none is ignored, and without a folder nothing is kept") {
  const MarkFolder folder;
  for (const char* text : {"", "\n\n", "x", "0000000000000001\nx y\n-3 deadly\n", "\xff\xfe"}) {
    std::ofstream(folder.folder.path("mark"), std::ios::binary | std::ios::trunc) << text;
    CHECK(CrashMark("mark", 1).given_up().empty());
  }
  ::setenv("HEED_CACHE_DIR", "", 1);
  for (int i = 0; i < 4; ++i) CHECK(CrashMark("mark", 1).begin("deadly"));
}

}  // namespace heed
