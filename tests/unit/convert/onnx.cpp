#include "tools/convert/onnx.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "heed/error.h"
#include "ops/op.h"
#include "planner/infer.h"
#include "tests/unit/convert/onnx_model.h"
#include "tests/unit/convert/sample_files.h"
#include "tools/convert/convert.h"
#include "tools/convert/onnx_proto.h"

namespace heed::convert {
namespace {

using namespace convert_test;

/// x [batch, 3] -> Relu -> y
ModelFile relu_model() {
  ModelFile file;
  file.input("x", {"batch", "3"});
  file.node("Relu", {"x"}, "y");
  file.output("y");
  return file;
}

}  // namespace

TEST_CASE("onnx: named dimensions stay named, inputs and outputs keep their names") {
  const Checkpoint checkpoint = relu_model().read();
  REQUIRE(checkpoint.graphs.size() == 1);
  const Graph& graph = checkpoint.graphs[0];
  validate(graph, ops::is_op);
  CHECK(graph.value(graph.inputs.at(0)).name == "x");
  CHECK(graph.value(graph.inputs.at(0)).shape == SymbolicShape{"batch", 3});
  CHECK(graph.value(graph.outputs.at(0)).name == "y");
  CHECK(infer_all(graph, {{"batch", 5}}).at(static_cast<std::size_t>(graph.outputs[0])).shape == Shape{5, 3});
}

TEST_CASE("onnx: what reads constants alone is computed, and a matrix on the right becomes a weight") {
  ModelFile file = relu_model();
  file.graph().clear_output();
  std::vector<float> values;
  for (int i = 0; i < 60; ++i) values.push_back(static_cast<float>(i));
  file.tensor("w", {20, 3}, values);
  onnx::NodeProto& transpose = file.node("Transpose", {"w"}, "wt");
  onnx::AttributeProto& perm = *transpose.add_attribute();
  perm.set_name("perm");
  perm.set_type(onnx::AttributeProto::INTS);
  perm.add_ints(1);
  perm.add_ints(0);
  file.node("MatMul", {"y", "wt"}, "z");
  file.output("z");
  const Checkpoint checkpoint = file.read();
  const Graph& graph = checkpoint.graphs[0];
  REQUIRE(graph.nodes.size() == 2);
  CHECK(graph.nodes[1].op == "linear");
  REQUIRE(checkpoint.tensors.size() == 1);
  CHECK(checkpoint.tensors[0].shape == Shape{20, 3});
  CHECK(f32_values(checkpoint.tensors[0].read()) == values);  // transposed twice
}

TEST_CASE("onnx: what is computed in fewer bits than the file says is noted") {
  const auto notes = [](int type, const std::string& op, bool of_size) {
    ModelFile file;
    file.input("x", {"batch", "3"}, type);
    if (of_size) file.node("Shape", {"x"}, "shape");
    const std::string read = of_size ? "shape" : "x";
    file.node(op, {read, read}, "y");
    file.output("y");
    return file.read().notes;
  };
  const std::vector<std::string> none;
  const std::vector<std::string> integers = {
      "integers are computed in 32 bits with a sign, beyond which they wrap around: \"the Mul\""};
  for (const int type : {onnx::TensorProto::INT64, onnx::TensorProto::UINT64, onnx::TensorProto::UINT32}) {
    CHECK(notes(type, "Mul", false) == integers);
    CHECK(notes(type, "Max", false) == none);  // stays within what it reads, which is refused where it does not fit
    CHECK(notes(type, "Mul", true) == none);   // sizes, which are numbers of the plan
    const bool is_signed = type == onnx::TensorProto::INT64;
    CHECK(notes(type, "Sub", false).empty() == is_signed);  // below zero what has no sign wraps around
  }
  CHECK(notes(onnx::TensorProto::INT32, "Mul", false) == none);
  CHECK(notes(onnx::TensorProto::FLOAT, "Mul", false) == none);
  CHECK(notes(onnx::TensorProto::DOUBLE, "Sub", false) ==
        std::vector<std::string>{"f64 is computed in f32: \"the Sub\""});
  CHECK(notes(onnx::TensorProto::DOUBLE, "Less", false) ==
        std::vector<std::string>{"f64 is computed in f32: \"the Less\""});
  CHECK(notes(onnx::TensorProto::DOUBLE, "Max", true) == none);
  const auto cast = [](int from, int to) {
    ModelFile file;
    file.input("x", {"3"}, from);
    set_integer(file.node("Cast", {"x"}, "y"), "to", to);
    file.output("y");
    return file.read().notes;
  };
  const std::vector<std::string> casts = {
      "real numbers become integers of 32 bits with a sign; beyond them what a cast makes is undefined: \"the Cast\""};
  for (const int wide : {onnx::TensorProto::INT64, onnx::TensorProto::UINT64, onnx::TensorProto::UINT32}) {
    CHECK(cast(onnx::TensorProto::FLOAT, wide) == casts);
  }
  CHECK(cast(onnx::TensorProto::FLOAT, onnx::TensorProto::INT32) == none);  // undefined in ONNX too
  CHECK(cast(onnx::TensorProto::INT32, onnx::TensorProto::INT64) == none);
  // A cast that heed adds is none of the file's.
  ModelFile power;
  power.input("x", {"3"}, onnx::TensorProto::INT64);
  power.tensor("exponent", {}, {2.0F});
  power.node("Pow", {"x", "exponent"}, "y");
  power.output("y");
  for (const std::string& note : power.read().notes) CHECK(note.find("cast") == std::string::npos);
}

TEST_CASE(
    "onnx: constants that may be no doubles, or do not fit f32, are refused by name; the ends of their types are not") {
  const auto read = [](int type, const std::function<void(onnx::TensorProto&)>& fill, const std::string& op = "Max") {
    ModelFile file;
    file.input("x", {"1"}, type);
    onnx::TensorProto& constant = *file.graph().add_initializer();
    constant.set_name("k");
    constant.set_data_type(type);
    constant.add_dims(1);
    fill(constant);
    file.node(op, {"x", "k"}, "y");
    file.output("y");
    return file.complaint();
  };
  const auto integer = [&](std::int64_t value) {
    return read(onnx::TensorProto::INT64, [&](onnx::TensorProto& k) { k.add_int64_data(value); });
  };
  for (const std::int64_t value : {std::int64_t{1} << 53, std::int64_t{1} << 60, std::int64_t{1700000000123456768}}) {
    CHECK(integer(value) == "test.onnx: constant \"k\": " + std::to_string(value) +
                                " has more than 53 bits, beyond which heed does not compute");
  }
  for (const std::int64_t value : {(std::int64_t{1} << 53) - 1, INT64_MAX, INT64_MIN}) CHECK(integer(value).empty());
  const auto real = [&](double value) {
    return read(
        onnx::TensorProto::DOUBLE, [&](onnx::TensorProto& k) { k.add_double_data(value); }, "Add");
  };
  CHECK(real(1e39) == "test.onnx: constant \"k\": 1e+39 is too large for 32 bits, in which heed computes f64");
  for (const double value : {1e38, std::numeric_limits<double>::max(), std::numeric_limits<double>::lowest(),
                             std::numeric_limits<double>::infinity()}) {
    CHECK(real(value).empty());
  }
}

TEST_CASE("onnx: what is computed at conversion from integers is refused where it may be no double") {
  ModelFile file;
  file.input("x", {"1"}, onnx::TensorProto::INT64);
  ModelFile::integers(file.graph(), "k", {std::int64_t{1} << 30});
  file.node("Mul", {"k", "k"}, "square");
  file.node("Max", {"x", "square"}, "y");
  file.output("y");
  CHECK(file.complaint().find("constant \"the Mul\": 1152921504606846976 has more than 53 bits") != std::string::npos);
}

TEST_CASE("onnx: products of integers that heed does not compute are refused by the node's name, and so is no output") {
  for (const char* op : {"MatMul", "Einsum"}) {
    ModelFile file;
    file.input("x", {"2", "2"}, onnx::TensorProto::INT64);
    onnx::NodeProto& node = file.node(op, {"x", "x"}, "y");
    if (std::string(op) == "Einsum") {
      onnx::AttributeProto& equation = *node.add_attribute();
      equation.set_name("equation");
      equation.set_type(onnx::AttributeProto::STRING);
      equation.set_s("ij,jk->ik");
    }
    file.output("y");
    CHECK(file.complaint().find("multiplies matrices of i64; heed multiplies those of real numbers") !=
          std::string::npos);
  }
  ModelFile none = relu_model();
  none.graph().clear_output();
  CHECK(none.complaint() == "test.onnx: the model has no outputs");
}

TEST_CASE("onnx: sizes that do not fit are refused where all are known, and noted where one is not") {
  const auto softmax = [](const std::string& rows, std::int64_t axis) {
    ModelFile file;
    file.input("x", {rows, "3"});
    set_integer(file.node("Softmax", {"x"}, "y"), "axis", axis);
    file.output("y");
    return file;
  };
  CHECK(softmax("2", 5).complaint() == "test.onnx: softmax 'the Softmax': axis 5 is outside [2, 3]");
  CHECK(softmax("2", 1).complaint().empty());
  CHECK(softmax("rows", 5).read().notes ==
        std::vector<std::string>{
            "may not run: with \"rows\" = 4096, softmax 'the Softmax': axis 5 is outside [4096, 3]; nor "
            "does it fit with the smaller sizes that were tried"});
  CHECK(softmax("rows", 1).read().notes.empty());
  // Of two dimensions one may have to be as large as the other.
  ModelFile two;
  two.input("a", {"m", "4"});
  two.input("b", {"n", "4"});
  two.node("Add", {"a", "b"}, "y");
  two.output("y");
  CHECK(two.read().notes.empty());
  // A size that alone fits: 77 rows of 2 are 154 numbers.
  ModelFile fixed;
  fixed.input("x", {"rows", "2"});
  ModelFile::integers(fixed.graph(), "shape", {11, 14});
  fixed.node("Reshape", {"x", "shape"}, "y");
  fixed.output("y");
  CHECK(fixed.read().notes.empty());
}

TEST_CASE("onnx: an output that is not what the file says is noted") {
  const auto notes = [](const std::string& rows, const std::vector<std::string>& shape) {
    ModelFile file;
    file.input("x", {rows, "3"});
    file.node("Relu", {"x"}, "y");
    file.output("y", shape);
    return file.read().notes;
  };
  CHECK(notes("2", {"2", "4"}) == std::vector<std::string>{"output \"y\" is [2, 3], and the file says [2, 4]"});
  CHECK(notes("2", {"n", "3", "1"}) == std::vector<std::string>{"output \"y\" is [2, 3], and the file says [n, 3, 1]"});
  CHECK(notes("2", {"n", "3"}).empty());
  CHECK(notes("2", {"-1", "0"}).empty());  // what some exporters do not know
  CHECK(notes("2", {"2", "3"}).empty());
  // Of a dimension that is named in the input alone, as exporters leave the batch that they saw.
  CHECK(notes("batch", {"8", "3"}).empty());
  CHECK(notes("batch", {"8", "4"}) ==
        std::vector<std::string>{"output \"y\" is [1, 3] with \"batch\" = 1, and the file says [8, 4]"});
}

TEST_CASE("onnx: notes name a few nodes and count the others") {
  ModelFile file;
  file.input("x", {"3"}, onnx::TensorProto::INT64);
  for (int i = 0; i < 5; ++i) {
    const std::string number = std::to_string(i);
    file.node("Mul", {i == 0 ? "x" : std::to_string(i - 1), "x"}, number).set_name("node " + number);
  }
  file.output("4");
  REQUIRE(file.read().notes.size() == 1);
  CHECK(file.read().notes[0].ends_with(R"(: "node 0", "node 1", "node 2" and 2 more)"));
}

TEST_CASE("onnx: what heed does not know is refused by the node's name") {
  const auto with = [](const std::function<void(ModelFile&)>& change) {
    ModelFile file = relu_model();
    change(file);
    return file.complaint();
  };
  CHECK(contains(with([](ModelFile& f) { f.node("NonZero", {"y"}, "z"); }),
                 "node \"the NonZero\" (NonZero): heed does not have this operator"));
  CHECK(contains(with([](ModelFile& f) { set_integer(f.node("Relu", {"y"}, "z"), "strange", 1); }),
                 "(Relu): attribute \"strange\" is not known to heed"));
  CHECK(contains(with([](ModelFile& f) { f.node("Relu", {"y"}, "z").set_domain("com.example"); }),
                 "no operators of domain \"com.example\""));
  CHECK(contains(with([](ModelFile& f) { f.model.mutable_opset_import(0)->set_version(99); }), "opset 99; heed reads"));
  CHECK(contains(with([](ModelFile& f) { f.input("s", {"2"}, onnx::TensorProto::STRING); }), "type string"));
  CHECK(contains(
      with([](ModelFile& f) { f.graph().mutable_input(0)->mutable_type()->mutable_tensor_type()->clear_shape(); }),
      "has no shape"));
  CHECK(contains(with([](ModelFile& f) {
                   onnx::NodeProto& node = f.node("If", {"y"}, "z");
                   node.add_attribute()->set_name("then_branch");
                 }),
                 "which branch is taken depends on what the input \"x\" (f32 [batch, 3]) holds"));
  CHECK(contains(with([](ModelFile& f) { f.node("Loop", {"y"}, "z"); }), "(Loop): has no body"));
}

TEST_CASE("onnx: graphs that do not hang together are refused") {
  ModelFile cycle = relu_model();
  cycle.graph().clear_node();
  cycle.node("Add", {"x", "b"}, "a");
  cycle.node("Relu", {"a"}, "b");
  cycle.node("Relu", {"b"}, "y");
  CHECK(contains(cycle.complaint(), "node \"the Add\" (Add): reads \"b\", which no node before it makes"));

  ModelFile missing = relu_model();
  missing.node("Add", {"y", "weight"}, "z");
  CHECK(contains(missing.complaint(), "reads \"weight\""));

  ModelFile no_output = relu_model();
  no_output.output("nothing");
  CHECK(contains(no_output.complaint(), "output \"nothing\": no node makes it"));

  ModelFile twice = relu_model();
  twice.node("Relu", {"x"}, "y");
  CHECK(contains(twice.complaint(), "makes \"y\", which is there already"));
}

TEST_CASE("onnx: tensors whose data is missing, too short, elsewhere or absurd are refused") {
  const auto with = [](const std::function<void(onnx::TensorProto&)>& change) {
    ModelFile file = relu_model();
    change(file.tensor("w", {2, 2}, {1, 2, 3, 4}));
    return file.complaint();
  };
  CHECK(with([](onnx::TensorProto&) {}).empty());
  CHECK(contains(with([](onnx::TensorProto& t) { t.clear_float_data(); }),
                 "tensor \"w\": 0 elements of data, expected 4"));
  CHECK(contains(with([](onnx::TensorProto& t) { t.set_raw_data("abc"); }), "3 bytes of data, expected 16"));
  CHECK(contains(with([](onnx::TensorProto& t) { t.set_dims(0, -2); }), "tensor \"w\": "));
  CHECK(contains(with([](onnx::TensorProto& t) { t.set_dims(0, std::int64_t{1} << 62); }), "tensor \"w\": "));
  const auto external = [&](const std::string& location) {
    return with([&](onnx::TensorProto& t) {
      t.clear_float_data();
      t.set_data_location(onnx::TensorProto::EXTERNAL);
      auto& entry = *t.add_external_data();
      entry.set_key("location");
      entry.set_value(location);
    });
  };
  CHECK(contains(external("../secret"), "not beside the model"));
  CHECK(contains(external("/etc/passwd"), "not beside the model"));
  CHECK(contains(external("not_there.bin"), "not_there.bin"));
}

TEST_CASE("onnx: files cut short or with flipped bits end in an error or in a graph") {
  const std::string good = relu_model().model.SerializeAsString();
  for (std::size_t size = 0; size < good.size(); ++size) {
    const auto file = SourceFile::from_bytes("cut.onnx", good.substr(0, size));
    if (is_onnx(*file)) error_of([&] { read_onnx(file); });
  }
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string flipped = good;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const auto file = SourceFile::from_bytes("flipped.onnx", flipped);
    if (is_onnx(*file)) error_of([&] { read_onnx(file); });
  }
}

/// latent [batch, 4] + table [rows, 4] chosen by label [batch] -> Relu -> image
ModelFile labelled_model(std::int64_t rows) {
  ModelFile file;
  file.input("latent", {"batch", "4"});
  file.input("label", {"batch"}, onnx::TensorProto::INT64);
  file.tensor("table", {rows, 4}, std::vector<float>(static_cast<std::size_t>(rows) * 4));
  file.node("Abs", {"label"}, "known");
  file.node("Gather", {"table", "known"}, "row");
  file.node("Add", {"latent", "row"}, "sum");
  file.node("Relu", {"sum"}, "image");
  file.output("image");
  return file;
}

nlohmann::json description() {
  return nlohmann::json::parse(R"({"name": "n", "task": "draw", "description": "d", "licence": "l",
    "classes": ["a", "b", "c", "d", "e"],
    "roles": {"latent": {"role": "latent"}, "label": {"role": "label", "encoding": "index"},
              "image": {"role": "image", "range": [0, 1]}},
    "schedule": {"predicts": "clean", "steps": 5, "guidance": 2, "guidance_from": 0.1, "guidance_to": 0.2}})");
}

std::string described(const ModelFile& file, const nlohmann::json& how) {
  convert_test::TempFolder folder;
  const auto model = folder.write("model.onnx", file.model.SerializeAsString());
  const auto description = folder.write("how.json", how.dump());
  return error_of([&] { read_described_onnx(model, description); });
}

TEST_CASE("onnx: what a description says and nobody reads is refused by name, at every level") {
  const ModelFile file = labelled_model(5);
  CHECK(described(file, description()) == "");
  const auto with = [&](const char* pointer, const nlohmann::json& value) {
    nlohmann::json how = description();
    how[nlohmann::json::json_pointer(pointer)] = value;
    return described(file, how);
  };
  CHECK(contains(with("/rolls", 1), "the description has \"rolls\", which is not known; known are: name, task,"));
  CHECK(contains(with("/roles/image/rnage", 1), "the role of \"image\" has \"rnage\", which is not known"));
  CHECK(contains(with("/roles/image/encoding", "index"), "the role of \"image\" has \"encoding\""));
  CHECK(contains(with("/roles/label/range", {0, 1}), "the role of \"label\" has \"range\""));
  CHECK(contains(with("/roles/latent/size", {1, 1}), "the role of \"latent\" has \"size\""));
  CHECK(contains(with("/schedule/step", 1), "'schedule' has \"step\", which is not known"));
  CHECK(contains(with("/decode", "decode"), "'decode' is \"decode\", which is no graph of the model"));
  CHECK(contains(with("/graph", 1), "'graph' is 1, which is no graph of the model"));
  convert_test::TempFolder folder;
  const auto model = folder.write("model.onnx", file.model.SerializeAsString());
  const auto twice = folder.write("how.json", R"({"name": "a", "name": "b"})");
  CHECK(contains(error_of([&] { read_described_onnx(model, twice); }), "name"));
}

TEST_CASE("onnx: an input that is an output under the same name is refused as that") {
  ModelFile file;
  file.input("x", {"2"});
  file.node("Relu", {"x"}, "y");
  file.output("y");
  file.output("x");
  CHECK(contains(file.complaint(), "input \"x\": is an output too"));
}

TEST_CASE("onnx: a file that a description reads others in place of is refused") {
  const ModelFile file = labelled_model(5);
  nlohmann::json how = description();
  how["graphs"] = {{"main", "model.onnx"}};
  CHECK(described(file, how) == "");
  how["graphs"] = {{"main", "other.onnx"}};
  CHECK(contains(described(file, how), "model.onnx: is not among the 'graphs' of "));
}

TEST_CASE("onnx: keys that Attention hides stay hidden behind a softcap") {
  ModelFile file(23);
  for (const char* name : {"q", "k", "v"}) file.input(name, {"1", "1", "3", "2"});
  onnx::NodeProto& attention = file.node("Attention", {"q", "k", "v"}, "y");
  set_integer(attention, "is_causal", 1);
  onnx::AttributeProto& softcap = *attention.add_attribute();
  softcap.set_name("softcap");
  softcap.set_type(onnx::AttributeProto::FLOAT);
  softcap.set_f(0.5f);
  file.output("y");
  const Numbers v = {1, 2, -30, 40, 500, -600};
  const Numbers y = run(file.read(), {{"q", {1, 0, 2, 1, 0, 1}}, {"k", {1, 1, 0, 2, 1, 0}}, {"v", v}}).at("y");
  // The first row sees the first key alone, the second the first two: with 3 and 2 as products, by the root of 2.
  CHECK(y[0] == doctest::Approx(1));
  CHECK(y[1] == doctest::Approx(2));
  const double first = std::exp(0.5 * std::tanh(3 / std::sqrt(2.0) / 0.5));
  const double second = std::exp(0.5 * std::tanh(2 / std::sqrt(2.0) / 0.5));
  CHECK(y[2] == doctest::Approx((first * 1 - second * 30) / (first + second)));
  set_integer(attention, "qk_matmul_output_mode", 1);
  CHECK(contains(file.complaint(), "qk_matmul_output_mode 1 with a softcap: versions of ONNX differ"));
}

TEST_CASE("onnx: more names of classes than the graph knows are refused") {
  nlohmann::json how = description();
  CHECK(described(labelled_model(6), how) == "");  // one row for no class
  CHECK(contains(described(labelled_model(4), how),
                 "'classes' has 5 names, but the table 'table' of the label 'label' has 4 rows"));
  how["roles"]["label"]["encoding"] = "one_hot";
  ModelFile columns;
  columns.input("label", {"batch", "4"});
  columns.input("latent", {"batch", "4"});
  columns.node("Add", {"latent", "label"}, "image");
  columns.output("image");
  CHECK(contains(described(columns, how), "'classes' has 5 names, but the label 'label' has 4 columns"));
  how["classes"] = {"a", "b", "c", "d"};
  CHECK(described(columns, how) == "");
}

}  // namespace heed::convert
