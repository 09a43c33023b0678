// Mixtures of experts of Hugging Face: stacks made of single matrices, stacks as they come, and what is refused.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>

#include "tests/unit/convert/changed_folder.h"

namespace heed::convert {
namespace {

using namespace convert_test;
namespace fs = std::filesystem;

fs::path golden_model(const std::string& name) { return golden_folder() / name; }

const SourceTensor& tensor_of(const Checkpoint& checkpoint, const std::string& name) {
  const auto found = std::ranges::find(checkpoint.tensors, name, &SourceTensor::name);
  REQUIRE_MESSAGE(found != checkpoint.tensors.end(), name);
  return *found;
}

std::string bytes_of_tensor(const Checkpoint& checkpoint, const std::string& name) {
  const std::vector<std::byte> bytes = tensor_of(checkpoint, name).read();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

constexpr const char* kStacks[] = {"ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"};

}  // namespace

TEST_CASE("experts: matrices of single experts are stacked in the order of their numbers") {
  ChangedFolder folder(golden_model("mixtral"));
  std::ranges::reverse(folder.items);
  const Checkpoint checkpoint = folder.read();
  const std::pair<const char*, const char*> names[] = {
      {"ffn_gate_exps", "w1"}, {"ffn_down_exps", "w2"}, {"ffn_up_exps", "w3"}};
  for (const auto& [to, from] : names) {
    std::string expected;
    for (int expert = 0; expert < 5; ++expert) {
      expected += folder.item(fmt::format("model.layers.1.block_sparse_moe.experts.{}.{}.weight", expert, from)).bytes;
    }
    const std::string name = fmt::format("blk.1.{}.weight", to);
    CHECK(bytes_of_tensor(checkpoint, name) == expected);
    CHECK(tensor_of(checkpoint, name).shape == (from[1] == '2' ? Shape{5, 32, 48} : Shape{5, 48, 32}));
  }
}

TEST_CASE("experts: stacks as transformers 5 has them in memory are the same model") {
  ChangedFolder as_it_is(golden_model("mixtral"));
  const Checkpoint expected = as_it_is.read();
  ChangedFolder folder(golden_model("mixtral"));
  for (int layer = 0; layer < 2; ++layer) {
    const std::string from = fmt::format("model.layers.{}.block_sparse_moe.", layer);
    const std::string to = fmt::format("model.layers.{}.mlp.", layer);
    std::string both, down;
    for (int expert = 0; expert < 5; ++expert) {
      const auto bytes = [&](const char* name) {
        return folder.item(fmt::format("{}experts.{}.{}.weight", from, expert, name)).bytes;
      };
      both += bytes("w1") + bytes("w3");
      down += bytes("w2");
      for (const char* name : {"w1", "w2", "w3"})
        folder.remove(fmt::format("{}experts.{}.{}.weight", from, expert, name));
    }
    folder.items.push_back({to + "experts.gate_up_proj", "BF16", {5, 96, 32}, both});
    folder.items.push_back({to + "experts.down_proj", "BF16", {5, 32, 48}, down});
    folder.rename(from + "gate.weight", to + "gate.weight");
  }
  const Checkpoint stacked = folder.read();
  for (int layer = 0; layer < 2; ++layer) {
    for (const char* stack : kStacks) {
      const std::string name = fmt::format("blk.{}.{}.weight", layer, stack);
      CHECK(bytes_of_tensor(stacked, name) == bytes_of_tensor(expected, name));
      CHECK(tensor_of(stacked, name).shape == tensor_of(expected, name).shape);
    }
  }
  folder.items[folder.items.size() - 2].shape = {5, 48, 64};
  CHECK(contains(folder.complaint(),
                 "tensor 'model.layers.1.mlp.experts.gate_up_proj' has shape [5, 48, 64], but "
                 "config.json implies [5, 96, 32]"));
}

TEST_CASE("experts: all but routers take the type that is asked for") {
  ChangedFolder folder(golden_model("qwen2_moe"));
  Checkpoint checkpoint = folder.read();
  const ModelHeader header = make_header(checkpoint, DType::Q8_0);
  const auto type_of = [&](const std::string& name) {
    const Graph& graph = header.graphs.front();
    return graph.value(graph.find("blk.1." + name + ".weight")).dtype;
  };
  CHECK(type_of("ffn_gate_inp") == DType::F32);
  CHECK(type_of("ffn_gate_inp_shexp") == DType::F32);
  CHECK(type_of("ffn_gate_exps") == DType::Q8_0);
  CHECK(type_of("ffn_up_exps") == DType::Q8_0);
  CHECK(type_of("ffn_up_shexp") == DType::Q8_0);
  CHECK(type_of("ffn_down_exps") == DType::F32);  // rows of 20, which are no whole blocks
}

TEST_CASE("experts: what a config leaves out is what transformers takes then") {
  ChangedFolder mixtral(golden_model("mixtral"));
  mixtral.config.erase("rope_parameters");
  mixtral.read();
  CHECK(mixtral.header.metadata.at("parameters").at("rope_base") == 1e6);
  ChangedFolder granite(golden_model("granitemoe"));
  granite.config["shared_intermediate_size"] = 0;
  granite.read();
  CHECK(granite.header.metadata.at("parameters").value("shared_expert_width", 0) == 0);
}

TEST_CASE("experts: a SparseMixer's threshold and its rope's factors") {
  ChangedFolder folder(golden_model("phimoe"));
  const auto parameters = [&] {
    folder.read();
    return folder.header.metadata.at("parameters");
  };
  CHECK(parameters().at("expert_threshold") == 0.6);
  CHECK(parameters().at("rope_scale") == 1.2);
  folder.config.erase("router_jitter_noise");
  CHECK(parameters().at("expert_softmax") == "near");
  CHECK(parameters().at("expert_threshold") == 0.02);
  // As it was published, by transformers 4.
  folder.config["architectures"] = {"PhiMoEForCausalLM"};
  folder.config["rope_scaling"] = folder.config["rope_parameters"];
  folder.config["rope_scaling"]["type"] = "longrope";
  folder.config["rope_theta"] = 10000.0;
  for (const char* key : {"rope_type", "rope_theta"}) folder.config["rope_scaling"].erase(key);
  folder.config.erase("rope_parameters");
  folder.config.update({{"hidden_dropout", 0.0}, {"input_jitter_noise", 0.01}, {"sliding_window", 64}});
  CHECK(parameters().at("rope_scale") == 1.2);

  const auto complaint = [](const auto& change) {
    ChangedFolder changed(golden_model("phimoe"));
    change(changed);
    return changed.complaint();
  };
  CHECK(contains(complaint([](ChangedFolder& f) { f.config["num_experts_per_tok"] = 3; }), "SparseMixer"));
  CHECK(contains(complaint([](ChangedFolder& f) { f.config["router_jitter_noise"] = -1; }), "'router_jitter_noise'"));
  CHECK(
      contains(complaint([](ChangedFolder& f) { f.config["rope_parameters"].erase("long_mscale"); }), "'long_mscale'"));
  CHECK(contains(complaint([](ChangedFolder& f) { f.config["lm_head_bias"] = false; }),
                 "'lm_head.bias' exists, but config.json says the output has none"));
  CHECK(contains(complaint([](ChangedFolder& f) { f.remove("lm_head.bias"); }), "'lm_head.bias' is missing"));
  CHECK(contains(complaint([](ChangedFolder& f) { f.remove("model.norm.bias"); }), "'model.norm.bias' is missing"));
}

TEST_CASE("experts: what is missing, too much or of another kind is named") {
  const std::string third = "model.layers.1.block_sparse_moe.experts.3.w3.weight";
  const auto complaint = [](const auto& change) {
    ChangedFolder folder(golden_model("mixtral"));
    change(folder);
    return folder.complaint();
  };
  CHECK(contains(complaint([&](ChangedFolder& f) { f.remove(third); }),
                 "tensor 'model.layers.1.block_sparse_moe.experts.*.w3.weight' of expert 3 is missing"));
  CHECK(contains(
      complaint([&](ChangedFolder& f) { f.rename(third, "model.layers.1.block_sparse_moe.experts.5.w3.weight"); }),
      "'model.layers.1.block_sparse_moe.experts.5.w3.weight' is not expected: config.json says there are 5"));
  CHECK(contains(complaint([&](ChangedFolder& f) {
                   f.item(third).shape = {32, 48};
                 }),
                 "experts.3.w3.weight' is bf16 [32, 48], but"));
  CHECK(contains(
      complaint([&](ChangedFolder& f) { f.rename(third, "model.layers.1.block_sparse_moe.experts.03.w3.weight"); }),
      "experts.03.w3.weight' is not known"));
  CHECK(contains(complaint([&](ChangedFolder& f) {
                   f.items.push_back({"model.layers.1.block_sparse_moe.experts.0.w3.bias", "F32", {1}, f32_bytes({1})});
                 }),
                 "experts.0.w3.bias' is not expected"));
  CHECK(contains(complaint([&](ChangedFolder& f) { f.remove("model.layers.0.block_sparse_moe.gate.weight"); }),
                 "tensor 'model.layers.0.block_sparse_moe.gate.weight' is missing"));
  CHECK(contains(complaint([](ChangedFolder& f) { f.config["num_experts_per_tok"] = 6; }), "'num_experts_per_tok'"));
  CHECK(contains(complaint([](ChangedFolder& f) { f.config["num_local_experts"] = 4; }), "experts.4."));
  CHECK(contains(complaint([](ChangedFolder& f) { f.config["num_local_experts"] = 1 << 30; }), "is missing"));

  ChangedFolder olmoe(golden_model("olmoe"));
  olmoe.config["clip_qkv"] = 8.0;
  CHECK(contains(olmoe.complaint(), "'clip_qkv'"));
  ChangedFolder qwen(golden_model("qwen3_moe"));
  qwen.config["mlp_only_layers"] = "1";
  CHECK(contains(qwen.complaint(), "'mlp_only_layers'"));
  qwen.config["mlp_only_layers"] = {0};  // another one than the tensors are for
  CHECK(contains(qwen.complaint(), "model.layers.0.mlp.gate_proj.weight"));
}

}  // namespace heed::convert
