// What can go wrong around the program: it is killed, its caches are damaged or shared, files shrink under it.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <optional>
#include <thread>

#include "file/model_file.h"
#include "formats/picture_file.h"
#include "heed/error.h"
#include "tests/end_to_end/models.h"
#include "tests/end_to_end/process.h"
#include "tests/temporary_folder.h"

namespace heed::end_to_end {
namespace {

namespace fs = std::filesystem;

/// A cache folder that the programs started meanwhile use, empty at first.
class ColdCache {
 public:
  ColdCache() {
    const char* before = std::getenv("HEED_CACHE_DIR");
    if (before != nullptr) before_ = before;
    ::setenv("HEED_CACHE_DIR", folder_.path().c_str(), 1);
  }
  ~ColdCache() {
    if (before_) {
      ::setenv("HEED_CACHE_DIR", before_->c_str(), 1);
    } else {
      ::unsetenv("HEED_CACHE_DIR");
    }
  }
  std::vector<fs::path> files() const {
    std::vector<fs::path> files;
    for (const std::string& name : folder_.names()) files.push_back(folder_.path(name));
    return files;
  }

 private:
  testing::TemporaryFolder folder_;
  std::optional<std::string> before_;
};

std::string whole(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Finished story() { return run_heed({"generate", models().llama(), "Alice", "-n", "12", "--temperature", "0"}); }

/// Starts the program without anything to see of it.
pid_t start_quietly(const std::vector<std::string>& arguments) {
  const char* other = std::getenv("HEED_PROGRAM");
  std::vector<std::string> words = {other == nullptr ? HEED_BUILT_PROGRAM : other};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    const int nowhere = ::open("/dev/null", O_WRONLY);
    ::dup2(nowhere, 1);
    ::dup2(nowhere, 2);
    ::execv(pointers[0], pointers.data());
    ::_exit(127);
  }
  REQUIRE(child > 0);
  return child;
}

}  // namespace

TEST_CASE("faults: a conversion that is killed leaves no half file under the final name, and can be run again") {
  const testing::TemporaryFolder folder;
  const std::string model = folder.path("model.heed").string();
  const std::string source = (fs::path(HEED_SOURCE_DIR) / "models" / "shakespeare").string();
  int killed = 0;
  for (int milliseconds = 0; milliseconds < 120; milliseconds += 6) {
    fs::remove(model);
    const pid_t child = start_quietly({"convert", source, "-o", model});
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    ::kill(child, SIGKILL);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    killed += WIFSIGNALED(status);
    if (fs::exists(model)) CHECK_NOTHROW(ModelFile::open(model));
  }
  CHECK(killed > 0);
  REQUIRE(run_heed({"convert", source, "-o", model}).exit_code == 0);
  CHECK_NOTHROW(ModelFile::open(model));
}

TEST_CASE("faults: stopping the first start lays no blame on the kernels that are being tried; a crash does") {
  const auto mark_of = [](const ColdCache& cache) {
    for (const fs::path& file : cache.files()) {
      if (file.filename().string().starts_with("trying-")) return whole(file);
    }
    return std::string();
  };
  // Until the first kernels are tried, or for a minute.
  const auto stop_at_first_mark = [&](const ColdCache& cache, int signal) {
    const pid_t child = start_quietly({"generate", models().llama(), "Alice", "-n", "1"});
    for (int i = 0; i < 6000 && mark_of(cache).empty(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    const bool tried = !mark_of(cache).empty();
    ::kill(child, signal);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return tried && WIFSIGNALED(status) && WTERMSIG(status) == signal;
  };
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const ColdCache cache;
    CHECK(stop_at_first_mark(cache, signal));
    CHECK(mark_of(cache).empty());
  }
  const ColdCache cache;
  CHECK(stop_at_first_mark(cache, SIGKILL));
  CHECK(mark_of(cache).find(" measuring kernels") != std::string::npos);
  CHECK(story().error.find("note:") == std::string::npos);
  CHECK(mark_of(cache).empty());
}

TEST_CASE("faults: a model that is none is refused before kernels are measured, by every verb in the same words") {
  const testing::TemporaryFolder folder;
  const std::string model = models().llama();
  const std::string missing = folder.path("missing.heed");
  const std::string foreign = folder.path("foreign.heed");
  std::ofstream(foreign) << "a model of another format";
  const std::string picture = folder.path("in.png");
  write_png(picture, Picture{1, 1, 3, {0.0f, 0.5f, 1.0f}});
  const std::string output = folder.path("out.png");
  const ColdCache cache;
  const auto all_say = [&](const std::string& wrong, const std::string& line) {
    const std::vector<std::vector<std::string>> calls = {
        {"generate", wrong, "Alice"},
        {"chat", wrong},
        {"translate", wrong, "may 3 2008"},
        {"draw", wrong, "-o", output},
        {"upscale", picture, "--model", wrong, "-o", output},
        {"sound", wrong, "-o", folder.path("out.wav")},
        {"serve", wrong, "--port", "0"},
        {"serve", model, "other=" + wrong, "--port", "0"},
        {"bench", wrong},
        {"run", wrong, "--outputs", folder.path("out")},
        {"verify", wrong},
    };
    for (const std::vector<std::string>& call : calls) {
      CAPTURE(call.front());
      const Finished finished = run_heed(call);
      CHECK(finished.exit_code == 1);
      CHECK(finished.out.empty());
      CHECK(finished.error == line);
    }
  };
  all_say(missing, "heed: cannot open '" + missing + "': No such file or directory\n");
  all_say(foreign, "heed: '" + foreign +
                       "' is not a .heed file: it does not begin with \"heed\"; convert checkpoints of other formats "
                       "with `heed convert`\n");
  CHECK(cache.files().empty());
}

TEST_CASE("faults: a model for another verb is refused before kernels are measured, and the verb named") {
  const testing::TemporaryFolder folder;
  const std::string text = models().llama();
  const std::string translation = models().dates();
  const std::string picture = folder.path("in.png");
  write_png(picture, Picture{1, 1, 3, {0.0f, 0.5f, 1.0f}});
  const std::string output = folder.path("out.png");
  const ColdCache cache;
  const std::vector<std::pair<std::vector<std::string>, std::string>> calls = {
      {{"generate", translation, "Alice"}, "translation', not text-generation; use 'heed translate'"},
      {{"chat", translation}, "translation', not text-generation; use 'heed translate'"},
      {{"translate", text, "may 3 2008"}, "text-generation', not translation; use 'heed generate' or 'heed chat'"},
      {{"sound", text, "-o", folder.path("out.wav")},
       "text-generation', not sound; use 'heed generate' or 'heed chat'"},
      {{"draw", text, "-o", output}, "text-generation', not draw; use 'heed generate' or 'heed chat'"},
      {{"draw", text, "a coat", "-o", output}, "text-generation', not draw; use 'heed generate' or 'heed chat'"},
      {{"upscale", picture, "--model", translation, "-o", output},
       "translation', not image-to-image; use 'heed translate'"},
  };
  for (const auto& expected : calls) {
    const std::vector<std::string>& call = expected.first;
    const std::string& line = expected.second;
    CAPTURE(call.front());
    const Finished finished = run_heed(call);
    CHECK(finished.exit_code == 1);
    CHECK(finished.out.empty());
    CHECK_MESSAGE(finished.error.find(line) != std::string::npos, finished.error);
    CHECK(std::ranges::count(finished.error, '\n') == 1);
  }
  CHECK(cache.files().empty());
}

TEST_CASE("faults: an output in a folder that is not there is refused before anything is made") {
  const testing::TemporaryFolder folder;
  const std::string picture = folder.path("in.png");
  write_png(picture, Picture{1, 1, 3, {0.0f, 0.5f, 1.0f}});
  const std::string missing = folder.path("none");
  const auto in_it = [&](const char* name) { return missing + "/" + name; };
  const ColdCache cache;
  const std::vector<std::vector<std::string>> calls = {
      {"generate", models().llama(), "Alice", "--attention", in_it("x.html")},
      {"translate", models().dates(), "may 3 2008", "--attention", in_it("x.png")},
      {"translate", models().dates(), "may 3 2008", "--alignments", in_it("x.txt")},
      {"draw", models().dates(), "-o", in_it("x.png")},
      {"upscale", picture, "--model", models().dates(), "-o", in_it("x.png")},
      {"conform", "--quick", "--report", in_it("x.json")},
      {"convert", models().dates(), "-o", in_it("x.heed")},
  };
  for (const std::vector<std::string>& call : calls) {
    CAPTURE(call.front());
    const Finished finished = run_heed(call);
    CHECK(finished.exit_code == 1);
    CHECK(finished.out.empty());
    CHECK_MESSAGE(finished.error.starts_with("heed: cannot write '" + call.back() + "': "), finished.error);
    CHECK(std::ranges::count(finished.error, '\n') == 1);
  }
  CHECK(cache.files().empty());
}

TEST_CASE("faults: damaged caches are ignored with a note, and made anew") {
  const ColdCache cache;
  const Finished expected = story();
  REQUIRE(expected.exit_code == 0);
  REQUIRE(!cache.files().empty());
  for (const fs::path& file : cache.files()) {
    const std::string before = whole(file);
    for (const std::string& content : {std::string(), std::string("x"), before.substr(0, before.size() / 2),
                                       std::string(before.size(), '\xff'), before + "more"}) {
      INFO(file.filename().string(), " of ", content.size(), " bytes");
      std::ofstream(file, std::ios::binary | std::ios::trunc) << content;
      const Finished finished = story();
      CHECK_MESSAGE(finished.exit_code == 0, finished.both());
      CHECK(finished.out == expected.out);
      CHECK_MESSAGE(finished.error.find("note: " + file.string() + ": damaged, ignored") != std::string::npos,
                    finished.error);
      CHECK(whole(file).size() >= 16);
      CHECK(story().error.find("note:") == std::string::npos);
    }
  }
}

TEST_CASE("faults: six programs with one cold cache say the same") {
  const ColdCache cache;
  std::vector<std::future<Finished>> running;
  for (int i = 0; i < 6; ++i) running.push_back(std::async(std::launch::async, story));
  std::vector<std::string> texts;
  for (std::future<Finished>& future : running) {
    const Finished finished = future.get();
    CHECK_MESSAGE(finished.exit_code == 0, finished.both());
    texts.push_back(finished.out);
  }
  CHECK(std::ranges::count(texts, texts.front()) == 6);
  for (const fs::path& file : cache.files()) {
    CHECK_MESSAGE(file.filename().string().find(".tmp") == std::string::npos, file.string());
  }
  CHECK(story().error.find("note:") == std::string::npos);
}

TEST_CASE("faults: a model that shrinks while it is being read is an error") {
  const testing::TemporaryFolder folder;
  const fs::path path = folder.path("model.heed");
  fs::copy_file(models().llama(), path);
  const ModelFile file = ModelFile::open(path);
  fs::resize_file(path, fs::file_size(path) / 2);
  int refused = 0;
  for (const TensorInfo& tensor : file.header().tensors) {
    try {
      file.read_all(tensor);
    } catch (const Error& error) {
      ++refused;
      CHECK_MESSAGE(std::string(error.what()).find(path.string()) != std::string::npos, std::string(error.what()));
    }
  }
  CHECK(refused > 0);
  // And for the program, that opens it only now.
  check_error(run_heed({"generate", path.string(), "Alice", "-n", "1"}), path.string());
}

}  // namespace heed::end_to_end
