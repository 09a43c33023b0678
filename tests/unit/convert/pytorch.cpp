// Files of torch.save against what PyTorch says is in them: tests/golden/pytorch, made by tests/golden/make_pytorch.py.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "graph/shape.h"
#include "heed/error.h"
#include "tests/unit/convert/sample_files.h"
#include "tools/convert/convert.h"
#include "tools/convert/pickle.h"
#include "tools/convert/state_file.h"

namespace heed::convert {
namespace {

using namespace convert_test;
using namespace std::string_literals;
namespace fs = std::filesystem;

fs::path pytorch_folder() { return golden_folder().parent_path() / "pytorch"; }

State read(const std::string& bytes) { return read_state(SourceFile::from_bytes("test.pth", bytes)); }

const StateEntry& entry(const State& state, const std::string& name) {
  const auto found = std::ranges::find(state.entries, name, &StateEntry::name);
  REQUIRE_MESSAGE(found != state.entries.end(), name);
  return *found;
}

TEST_CASE("torch.save: tensors of every layout are those that PyTorch saved, in both formats") {
  const auto expected = nlohmann::json::parse(read_whole(pytorch_folder() / "expected.json"));
  std::size_t read_files = 0;
  for (const auto& [file, listed] : expected.items()) {
    const std::string shown_file = file;
    CAPTURE(shown_file);
    if (listed.is_null()) continue;
    const nlohmann::json& tensors = listed.is_string() ? expected[listed.get<std::string>()] : listed;
    ++read_files;
    const State state = read_state(pytorch_folder() / file);
    CHECK(state.entries.size() == tensors.size());
    for (const auto& [name, tensor] : tensors.items()) {
      const std::string shown_name = name;
      CAPTURE(shown_name);
      const StateEntry& found = entry(state, name);
      CHECK(nlohmann::json(found.shape) == tensor["shape"]);
      if (found.type == "I64" || found.type == "BOOL") {
        CHECK(contains(error_of([&] { found.tensor(); }), "is of type " + found.type));
        continue;
      }
      const SourceTensor source = found.tensor();
      CHECK(source.read().size() == byte_size(source.dtype, source.shape));
      const std::vector<float> values = tensor_values(source);
      REQUIRE(values.size() == tensor["values"].size());
      for (std::size_t i = 0; i < values.size(); ++i) CHECK(values[i] == tensor["values"][i].get<float>());
    }
  }
  CHECK(read_files == 9);
}

TEST_CASE("torch.save: what is passed over is named, and what is rounded") {
  const auto notes_of = [](const char* file) {
    return fmt::format("{}", fmt::join(read_state(pytorch_folder() / file).notes, "\n"));
  };
  CHECK(notes_of("model.pth").empty());
  CHECK(contains(notes_of("checkpoint.pt"), R"("epoch", "loss", "optimizer_state_dict")"));
  CHECK(contains(notes_of("parts.pt"), R"("epoch", "name", "best")"));
  CHECK(contains(notes_of("state.pth"), "1 tensors of type F64 are rounded"));
}

TEST_CASE("torch.save: code is refused by its name, with advice") {
  const auto complaint = [](const char* file) { return error_of([&] { read_state(pytorch_folder() / file); }); };
  CHECK(contains(complaint("module.pt"),
                 R"(holds code, which heed does not run: "__main__.Model", perhaps of a whole model; save)"));
  CHECK(contains(complaint("numpy.pt"), "multiarray.scalar\""));
  CHECK(contains(complaint("quantised.pt"), "torch._utils._rebuild_qtensor\""));
  CHECK(contains(complaint("tensor.pt"), "holds a tensor; expected a dict of tensors by name"));
  CHECK(contains(complaint("script.pt"), "is a TorchScript archive"));
}

std::string pickle_problem(const std::string& body) {
  const auto file = SourceFile::from_bytes("test.pkl", "\x80\x02" + body);
  return error_of([&] {
    SourceCursor cursor(*file);
    Pickle::read(cursor);
  });
}

TEST_CASE("pickle: hostile and damaged ones are refused") {
  struct Case {
    std::string body;
    const char* message;
  };
  const Case cases[] = {
      {"cos\nsystem\n(X\x02\0\0\0lstR."s, "holds code, which heed does not run: \"os.system\""},
      {"c__builtin__\neval\n.", "\"__builtin__.eval\""},
      {"\x8c\x08"
       "builtins\x8c\x04"
       "exec\x93.",
       "\"builtins.exec\""},
      {"(ios\nsystem\n.", "opcode 0x69"},
      {"}ccollections\nOrderedDict\n)\x81}X\x04\0\0\0evilNsb."s, "an unknown attribute"},
      {"ccollections\nOrderedDict\n(NtR.", "has arguments that are not"},
      {"ctorch._utils\n_rebuild_tensor_v2\n)R.", "has arguments that are not"},
      {"(X\x07\0\0\0storageNNNNtQ."s, "a storage has no type"},
      {"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0"
       "0X\x03\0\0\0cpuK\x01tQK\0K\x01\x85K\x01\x85\x89}}X\x03\0\0\0neg\x88stR."s,
       "a negative or conjugate view"},
      {"N", "ends at byte"},
      {".", "the stack is empty"},
      {"t.", "there is no mark"},
      {"h\x05.", "is recalled that was not kept"},
      {"Na.", "the stack is empty"},
      {"NNa.", "is appended to what is no list"},
      {"}NNs(Nu.", "a key has no value"},
      {"(0.", "the stack is empty"},
      {"X\xff\xff\xff\x7f.", "claims 2147483647 bytes"},
      {"\x8a\x11" + std::string(17, 'x') + ".", "more than 64 bits"},
      {std::string(5000, 'c') + ".", "a name without end"},
  };
  for (const Case& test : cases) {
    CAPTURE(test.message);
    const std::string message = pickle_problem(test.body);
    CHECK_MESSAGE(contains(message, test.message), message);
  }
  const auto file = SourceFile::from_bytes("test.pkl", "\x80\x09N.");
  SourceCursor cursor(*file);
  CHECK(contains(error_of([&] { Pickle::read(cursor); }), "is not a pickle of protocol 2 to 5"));
}

/// state_legacy.pth with one text of it replaced by another.
std::string changed(const std::string& from, const std::string& to) {
  std::string bytes = read_whole(pytorch_folder() / "state_legacy.pth");
  const std::size_t at = bytes.find(from);
  REQUIRE(at != std::string::npos);
  return bytes.replace(at, from.size(), to);
}

TEST_CASE("torch.save: tensors that do not fit their storage, and big-endian files, are refused") {
  // (3, 5) with strides (5, 1): BININT1 3, BININT1 5, TUPLE2.
  CHECK(contains(error_of([&] { read(changed("K\x03K\x05\x86", "K\x03K\x06\x86")); }),
                 "reaches beyond its storage of 15"));
  CHECK(contains(error_of([&] { read(changed("K\x05K\x01\x86", "K\x06K\x01\x86")); }),
                 "reaches beyond its storage of 15"));
  CHECK(contains(error_of([&] { read(changed("little_endianq\x02\x88", "little_endianq\x02\x89")); }), "big-endian"));
  CHECK(contains(error_of([&] { read(changed("torch\nHalfStorage", "torch\nLongStorage")); }), "test.pth: "));
  CHECK(contains(error_of([&] { read(read_whole(pytorch_folder() / "state_legacy.pth") + "x"); }), "goes on behind"));
  CHECK(contains(error_of([&] { read("\x80\x02}q\x01."s + std::string(16, ' ')); }), "not one of torch.save"));
}

TEST_CASE("a truncated or damaged file of torch.save gives an error or tensors, never a crash") {
  for (const char* name : {"state.pth", "state_legacy.pth", "checkpoint.pt"}) {
    const std::string good = read_whole(pytorch_folder() / name);
    for (std::size_t size = 0; size < good.size(); size += 29) {
      CHECK(!error_of([&] { read(good.substr(0, size)); }).empty());
    }
    const std::size_t step = good.size() > 6000 ? 31 : 7;
    for (std::size_t bit = 0; bit < good.size() * 8; bit += step * HEED_SLOWNESS) {
      std::string bytes = good;
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
      error_of([&] {
        for (const StateEntry& found : read(bytes).entries) error_of([&] { found.tensor().read(); });
      });
    }
  }
}

TEST_CASE("safetensors give the same entries through read_state") {
  const State state = read(safetensors(tiny_gpt2_tensors()));
  CHECK(state.entries.size() == tiny_gpt2_tensors().size());
  CHECK(state.notes.empty());
  for (const SafetensorsItem& item : tiny_gpt2_tensors()) {
    CHECK(
        f32_values(entry(state, item.name).tensor().read()) ==
        f32_values(std::vector<std::byte>(reinterpret_cast<const std::byte*>(item.bytes.data()),
                                          reinterpret_cast<const std::byte*>(item.bytes.data()) + item.bytes.size())));
  }
}

}  // namespace
}  // namespace heed::convert
