#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <stdexcept>

#include "heed/error.h"
#include "tests/unit/file/sample_model.h"

namespace heed {
namespace {

using namespace heed::testing;
using Names = std::vector<std::string>;

const std::string_view kOldText = "what was there before";

void write_old(const std::filesystem::path& path) { write_contents(path, std::as_bytes(std::span(kOldText))); }

bool is_old(const std::filesystem::path& path) {
  const auto bytes = contents(path);
  return std::equal(bytes.begin(), bytes.end(), std::as_bytes(std::span(kOldText)).begin(),
                    std::as_bytes(std::span(kOldText)).end());
}

ModelHeader one_tensor(std::int64_t bytes) {
  ModelHeader header;
  header.tensors.push_back({"t", DType::U8, {bytes}, 0, 0, 0});
  return header;
}

// Writes over an old file and requires an Error with `part` in its message and the old file as it was, alone.
void check_fails(const ModelHeader& header, const std::vector<EmbeddedFile>& files, const TensorSource& source,
                 const std::string& part) {
  const TemporaryFolder folder;
  write_old(folder.path("a.heed"));
  CHECK_THROWS_WITH_AS(write_model_file(folder.path("a.heed"), header, files, source), doctest::Contains(part.c_str()),
                       Error);
  CHECK(folder.names() == Names{"a.heed"});
  CHECK(is_old(folder.path("a.heed")));
}

}  // namespace

TEST_CASE("an existing file is replaced") {
  const TemporaryFolder folder;
  write_old(folder.path("a.heed"));
  write_model_file(folder.path("a.heed"), sample_header(), sample_files(), sample_source());
  CHECK(folder.names() == Names{"a.heed"});
  CHECK_NOTHROW(ModelFile::open(folder.path("a.heed")));
}

TEST_CASE("the new file has the mode that the umask leaves") {
  const TemporaryFolder folder;
  const mode_t before = ::umask(027);
  write_model_file(folder.path("a.heed"), sample_header(), sample_files(), sample_source());
  ::umask(before);
  struct stat status = {};
  REQUIRE(::stat(folder.path("a.heed").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0640);
}

TEST_CASE("a name alone is written into the current folder") {
  const TemporaryFolder folder;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path(""));
  write_model_file("a.heed", sample_header(), sample_files(), sample_source());
  std::filesystem::current_path(before);
  CHECK(folder.names() == Names{"a.heed"});
}

TEST_CASE("a symbolic link stays, and the file behind it is replaced") {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder.path("deep"));
  write_old(folder.path("deep/real.heed"));
  std::filesystem::create_symlink("deep/real.heed", folder.path("link.heed"));
  write_model_file(folder.path("link.heed"), sample_header(), sample_files(), sample_source());
  CHECK(std::filesystem::is_symlink(folder.path("link.heed")));
  CHECK_NOTHROW(ModelFile::open(folder.path("deep/real.heed")));
  std::filesystem::create_symlink("nowhere", folder.path("broken.heed"));
  CHECK_THROWS_WITH_AS(write_model_file(folder.path("broken.heed"), {}, {}, sample_source()),
                       doctest::Contains("leads nowhere"), Error);
}

TEST_CASE("what is not a regular file is left alone") {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder.path("folder"));
  for (const auto& path :
       {folder.path("folder"), folder.path(""), folder.path("folder/"), folder.path("absent/a.heed")}) {
    CAPTURE(path);
    CHECK_THROWS_AS(write_model_file(path, sample_header(), sample_files(), sample_source()), Error);
  }
  REQUIRE(::mkfifo(folder.path("pipe").c_str(), 0600) == 0);
  CHECK_THROWS_WITH_AS(write_model_file(folder.path("pipe"), {}, {}, sample_source()),
                       doctest::Contains("not a regular file"), Error);
  CHECK(folder.names() == Names{"folder", "pipe"});
}

TEST_CASE("what could not be read back is not written") {
  ModelHeader header = sample_header();
  header.tensors[1].name = "embedding";
  check_fails(header, {}, sample_source(), "two tensors are named 'embedding'");
  header = sample_header();
  header.tensors.erase(header.tensors.begin());
  check_fails(header, {}, sample_source(), "needs the tensor 'embedding'");
  header = sample_header();
  header.tensors[0].shape = {-1, 2};
  check_fails(header, {}, sample_source(), "tensor 'embedding': shape [-1, 2] has a negative size");
  header = sample_header();
  header.tensors[1].shape = Shape(9, 1);
  check_fails(header, {}, sample_source(), "tensor 'empty'");
  header = sample_header();
  header.metadata["name"] = "\xff";
  check_fails(header, {}, sample_source(), "UTF-8");
  header = sample_header();
  header.metadata["description"] = std::string(kMaxHeaderBytes, ' ');
  check_fails(header, {}, sample_source(), "heed handles up to");
  header = sample_header();
  header.graphs[0].nodes[0].inputs[0] = 99;
  check_fails(header, {}, sample_source(), "inputs[0]");
  check_fails(sample_header(), {{"a/b", ""}}, sample_source(), "is not a name for an embedded file");
  check_fails(sample_header(), {{"a", ""}, {"a", ""}}, sample_source(), "two embedded files");
}

TEST_CASE("a source that gives too little or too much is refused") {
  const std::vector<std::byte> bytes(101);
  check_fails(
      one_tensor(100), {}, [&](const auto&, const auto& sink) { sink(bytes); }, "its source gives more");
  check_fails(
      one_tensor(102), {}, [&](const auto&, const auto& sink) { sink(bytes); }, "its source gave 101");
  check_fails(
      one_tensor(100), {}, [](const auto&, const auto&) {}, "its source gave 0");
  check_fails(
      one_tensor(101), {},
      [&](const auto&, const auto& sink) {
        sink(bytes);
        sink(std::span(bytes).first(1));
      },
      "its source gives more");
}

TEST_CASE("an exception of the source passes through and leaves nothing behind") {
  const TemporaryFolder folder;
  write_old(folder.path("a.heed"));
  const TensorSource broken = [&](const auto&, const auto& sink) {
    sink(std::vector<std::byte>(1000));
    CHECK(folder.names().size() == 2);
    throw std::logic_error("the checkpoint went away");
  };
  CHECK_THROWS_AS(write_model_file(folder.path("a.heed"), one_tensor(2000), {}, broken), std::logic_error);
  CHECK(folder.names() == Names{"a.heed"});
  CHECK(is_old(folder.path("a.heed")));
}

TEST_CASE("tensors are streamed: their bytes are on the way to the disk while more come") {
  const TemporaryFolder folder;
  constexpr std::int64_t kSize = 16 << 20;
  const std::vector<std::byte> piece(10'000);
  const TensorSource source = [&](const TensorInfo& tensor, const auto& sink) {
    std::uint64_t given = 0;
    while (given < tensor.size) {
      const std::size_t next = std::min<std::uint64_t>(piece.size(), tensor.size - given);
      sink(std::span(piece).first(next));
      given += next;
    }
    REQUIRE(folder.names().size() == 1);
    CHECK(std::filesystem::file_size(folder.path(folder.names()[0])) + (2 << 20) > tensor.size);
  };
  write_model_file(folder.path("a.heed"), one_tensor(kSize), {}, source);
  CHECK_NOTHROW(read_everything(contents(folder.path("a.heed"))));
}

// A limit on the size of files, in a child process, stands for a full disk: both let write() fail half-way.
TEST_CASE("a write that fails half-way is reported, and the old file stays") {
  for (const rlim_t limit : {rlim_t{10}, rlim_t{100'000}, rlim_t{3'000'000}}) {
    CAPTURE(limit);
    const TemporaryFolder folder;
    write_old(folder.path("a.heed"));
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      std::signal(SIGXFSZ, SIG_IGN);
      const rlimit limits = {limit, limit};
      if (::setrlimit(RLIMIT_FSIZE, &limits) != 0) ::_exit(3);
      try {
        const std::vector<std::byte> piece(50'000);
        write_model_file(folder.path("a.heed"), one_tensor(5'000'000), {}, [&](const auto&, const auto& sink) {
          for (int i = 0; i < 100; ++i) sink(piece);
        });
      } catch (const Error& error) {
        ::_exit(std::string(error.what()).find("File too large") != std::string::npos ? 0 : 2);
      }
      ::_exit(1);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    CHECK(folder.names() == Names{"a.heed"});
    CHECK(is_old(folder.path("a.heed")));
  }
}

}  // namespace heed
