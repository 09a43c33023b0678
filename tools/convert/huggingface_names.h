#pragma once

#include <string_view>

#include "tools/convert/huggingface_config.h"

/// What the families of huggingface_families.cpp call their tensors: those of a layer, the others, and buffers that
/// transformers computes itself.
namespace heed::convert {

inline constexpr TensorName kQkv[] = {
    {"self_attn.q_proj", "attn_q"}, {"self_attn.k_proj", "attn_k"}, {"self_attn.v_proj", "attn_v"}};

inline constexpr TensorName kLlamaLayer[] = {{"input_layernorm", "attn_norm"},
                                             kQkv[0],
                                             kQkv[1],
                                             kQkv[2],
                                             {"self_attn.o_proj", "attn_output"},
                                             {"post_attention_layernorm", "ffn_norm"},
                                             {"mlp.gate_proj", "ffn_gate"},
                                             {"mlp.up_proj", "ffn_up"},
                                             {"mlp.down_proj", "ffn_down"}};
inline constexpr TensorName kNormedQueriesLayer[] = {{"input_layernorm", "attn_norm"},
                                                     kQkv[0],
                                                     kQkv[1],
                                                     kQkv[2],
                                                     {"self_attn.q_norm", "attn_q_norm"},
                                                     {"self_attn.k_norm", "attn_k_norm"},
                                                     {"self_attn.o_proj", "attn_output"},
                                                     {"post_attention_layernorm", "ffn_norm"},
                                                     {"mlp.gate_proj", "ffn_gate"},
                                                     {"mlp.up_proj", "ffn_up"},
                                                     {"mlp.down_proj", "ffn_down"}};
inline constexpr TensorName kNormsOnBothSidesLayer[] = {{"input_layernorm", "attn_norm"},
                                                        kQkv[0],
                                                        kQkv[1],
                                                        kQkv[2],
                                                        {"self_attn.q_norm", "attn_q_norm"},
                                                        {"self_attn.k_norm", "attn_k_norm"},
                                                        {"self_attn.o_proj", "attn_output"},
                                                        {"post_attention_layernorm", "post_attention_norm"},
                                                        {"pre_feedforward_layernorm", "ffn_norm"},
                                                        {"post_feedforward_layernorm", "post_ffw_norm"},
                                                        {"mlp.gate_proj", "ffn_gate"},
                                                        {"mlp.up_proj", "ffn_up"},
                                                        {"mlp.down_proj", "ffn_down"}};
inline constexpr TensorName kOlmo2Layer[] = {kQkv[0],
                                             kQkv[1],
                                             kQkv[2],
                                             {"self_attn.q_norm", "attn_q_norm"},
                                             {"self_attn.k_norm", "attn_k_norm"},
                                             {"self_attn.o_proj", "attn_output"},
                                             {"post_attention_layernorm", "post_attention_norm"},
                                             {"post_feedforward_layernorm", "post_ffw_norm"},
                                             {"mlp.gate_proj", "ffn_gate"},
                                             {"mlp.up_proj", "ffn_up"},
                                             {"mlp.down_proj", "ffn_down"}};
inline constexpr TensorName kPhiLayer[] = {{"input_layernorm", "attn_norm"},
                                           kQkv[0],
                                           kQkv[1],
                                           kQkv[2],
                                           {"self_attn.q_layernorm", "attn_q_norm"},
                                           {"self_attn.k_layernorm", "attn_k_norm"},
                                           {"self_attn.dense", "attn_output"},
                                           {"mlp.fc1", "ffn_up"},
                                           {"mlp.fc2", "ffn_down"}};
inline constexpr TensorName kPhi3Layer[] = {{"input_layernorm", "attn_norm"},
                                            {"self_attn.qkv_proj", "attn_qkv", Packing::Three},
                                            {"self_attn.o_proj", "attn_output"},
                                            {"post_attention_layernorm", "ffn_norm"},
                                            {"mlp.gate_up_proj", "ffn_gate_up", Packing::GateUp},
                                            {"mlp.down_proj", "ffn_down"}};
inline constexpr TensorName kStarcoder2Layer[] = {{"input_layernorm", "attn_norm"},
                                                  kQkv[0],
                                                  kQkv[1],
                                                  kQkv[2],
                                                  {"self_attn.o_proj", "attn_output"},
                                                  {"post_attention_layernorm", "ffn_norm"},
                                                  {"mlp.c_fc", "ffn_up"},
                                                  {"mlp.c_proj", "ffn_down"}};
inline constexpr TensorName kGpt2Layer[] = {{"ln_1", "attn_norm"},
                                            {"attn.c_attn", "attn_qkv", Packing::TransposedThree},
                                            {"attn.c_proj", "attn_output", Packing::Transposed},
                                            {"ln_2", "ffn_norm"},
                                            {"mlp.c_fc", "ffn_up", Packing::Transposed},
                                            {"mlp.c_proj", "ffn_down", Packing::Transposed}};
inline constexpr TensorName kGptJLayer[] = {
    {"ln_1", "attn_norm"},     {"attn.q_proj", "attn_q"},        {"attn.k_proj", "attn_k"},
    {"attn.v_proj", "attn_v"}, {"attn.out_proj", "attn_output"}, {"mlp.fc_in", "ffn_up"},
    {"mlp.fc_out", "ffn_down"}};
inline constexpr TensorName kGptNeoxLayer[] = {
    {"input_layernorm", "attn_norm"},   {"attention.query_key_value", "attn_qkv", Packing::ThreeByGroup},
    {"attention.dense", "attn_output"}, {"post_attention_layernorm", "ffn_norm"},
    {"mlp.dense_h_to_4h", "ffn_up"},    {"mlp.dense_4h_to_h", "ffn_down"}};
inline constexpr TensorName kFalconLayer[] = {{"input_layernorm", "attn_norm"},
                                              {"ln_attn", "attn_norm"},
                                              {"ln_mlp", "ffn_norm"},
                                              {"self_attention.query_key_value", "attn_qkv", Packing::ThreeByGroup},
                                              {"self_attention.dense", "attn_output"},
                                              {"post_attention_layernorm", "ffn_norm"},
                                              {"mlp.dense_h_to_4h", "ffn_up"},
                                              {"mlp.dense_4h_to_h", "ffn_down"}};
inline constexpr TensorName kOptLayer[] = {{"self_attn_layer_norm", "attn_norm"},
                                           kQkv[0],
                                           kQkv[1],
                                           kQkv[2],
                                           {"self_attn.out_proj", "attn_output"},
                                           {"final_layer_norm", "ffn_norm"},
                                           {"fc1", "ffn_up"},
                                           {"fc2", "ffn_down"}};

inline constexpr TensorName kOlmoLayer[] = {kQkv[0],
                                            kQkv[1],
                                            kQkv[2],
                                            {"self_attn.o_proj", "attn_output"},
                                            {"mlp.gate_proj", "ffn_gate"},
                                            {"mlp.up_proj", "ffn_up"},
                                            {"mlp.down_proj", "ffn_down"}};
inline constexpr TensorName kOlmoOuter[] = {{"embed_tokens", "token_embd"}, {"lm_head", "output"}};
inline constexpr TensorName kGptBigCodeLayer[] = {
    {"ln_1", "attn_norm"},          {"attn.c_attn", "attn_qkv", Packing::ThreeByGroup},
    {"attn.c_proj", "attn_output"}, {"ln_2", "ffn_norm"},
    {"mlp.c_fc", "ffn_up"},         {"mlp.c_proj", "ffn_down"}};
inline constexpr TensorName kMptLayer[] = {{"norm_1", "attn_norm"},          {"attn.Wqkv", "attn_qkv", Packing::Three},
                                           {"attn.out_proj", "attn_output"}, {"norm_2", "ffn_norm"},
                                           {"ffn.up_proj", "ffn_up"},        {"ffn.down_proj", "ffn_down"}};
inline constexpr TensorName kMptOuter[] = {{"wte", "token_embd"}, {"norm_f", "output_norm"}, {"lm_head", "output"}};
inline constexpr TensorName kGlmLayer[] = {{"input_layernorm", "attn_norm"},
                                           kQkv[0],
                                           kQkv[1],
                                           kQkv[2],
                                           {"self_attn.o_proj", "attn_output"},
                                           {"post_attention_layernorm", "ffn_norm"},
                                           {"post_self_attn_layernorm", "post_attention_norm"},
                                           {"post_mlp_layernorm", "post_ffw_norm"},
                                           {"mlp.gate_up_proj", "ffn_gate_up", Packing::GateUp},
                                           {"mlp.down_proj", "ffn_down"}};

// Experts one by one, as files have them, and stacked, as transformers 5 has them in memory.
inline constexpr TensorName kMixtralLayer[] = {{"input_layernorm", "attn_norm"},
                                               kQkv[0],
                                               kQkv[1],
                                               kQkv[2],
                                               {"self_attn.o_proj", "attn_output"},
                                               {"post_attention_layernorm", "ffn_norm"},
                                               {"block_sparse_moe.gate", "ffn_gate_inp"},
                                               {"block_sparse_moe.experts.*.w1", "ffn_gate_exps", Packing::Expert},
                                               {"block_sparse_moe.experts.*.w3", "ffn_up_exps", Packing::Expert},
                                               {"block_sparse_moe.experts.*.w2", "ffn_down_exps", Packing::Expert},
                                               {"mlp.gate", "ffn_gate_inp"},
                                               {"mlp.experts.gate_up_proj", "ffn_gate_up_exps", Packing::ExpertsGateUp},
                                               {"mlp.experts.down_proj", "ffn_down_exps", Packing::Experts}};
inline constexpr TensorName kPhimoeLayer[] = {{"input_layernorm", "attn_norm"},
                                              kQkv[0],
                                              kQkv[1],
                                              kQkv[2],
                                              {"self_attn.o_proj", "attn_output"},
                                              {"post_attention_layernorm", "ffn_norm"},
                                              {"block_sparse_moe.gate", "ffn_gate_inp"},
                                              {"block_sparse_moe.experts.*.w1", "ffn_gate_exps", Packing::Expert},
                                              {"block_sparse_moe.experts.*.w3", "ffn_up_exps", Packing::Expert},
                                              {"block_sparse_moe.experts.*.w2", "ffn_down_exps", Packing::Expert},
                                              {"mlp.router", "ffn_gate_inp"},
                                              {"mlp.experts.gate_up_proj", "ffn_gate_up_exps", Packing::ExpertsGateUp},
                                              {"mlp.experts.down_proj", "ffn_down_exps", Packing::Experts}};
inline constexpr TensorName kQwenMoeLayer[] = {{"input_layernorm", "attn_norm"},
                                               kQkv[0],
                                               kQkv[1],
                                               kQkv[2],
                                               {"self_attn.q_norm", "attn_q_norm"},
                                               {"self_attn.k_norm", "attn_k_norm"},
                                               {"self_attn.o_proj", "attn_output"},
                                               {"post_attention_layernorm", "ffn_norm"},
                                               {"mlp.gate_proj", "ffn_gate"},
                                               {"mlp.up_proj", "ffn_up"},
                                               {"mlp.down_proj", "ffn_down"},
                                               {"mlp.gate", "ffn_gate_inp"},
                                               {"mlp.experts.*.gate_proj", "ffn_gate_exps", Packing::Expert},
                                               {"mlp.experts.*.up_proj", "ffn_up_exps", Packing::Expert},
                                               {"mlp.experts.*.down_proj", "ffn_down_exps", Packing::Expert},
                                               {"mlp.experts.gate_up_proj", "ffn_gate_up_exps", Packing::ExpertsGateUp},
                                               {"mlp.experts.down_proj", "ffn_down_exps", Packing::Experts},
                                               {"mlp.shared_expert.gate_proj", "ffn_gate_shexp"},
                                               {"mlp.shared_expert.up_proj", "ffn_up_shexp"},
                                               {"mlp.shared_expert.down_proj", "ffn_down_shexp"},
                                               {"mlp.shared_expert_gate", "ffn_gate_inp_shexp"}};
inline constexpr TensorName kGraniteMoeLayer[] = {
    {"input_layernorm", "attn_norm"},
    kQkv[0],
    kQkv[1],
    kQkv[2],
    {"self_attn.o_proj", "attn_output"},
    {"post_attention_layernorm", "ffn_norm"},
    {"block_sparse_moe.router.layer", "ffn_gate_inp"},
    {"block_sparse_moe.input_linear", "ffn_gate_up_exps", Packing::ExpertsGateUp},
    {"block_sparse_moe.output_linear", "ffn_down_exps", Packing::Experts},
    {"shared_mlp.input_linear", "ffn_gate_up_shexp", Packing::SharedGateUp},
    {"shared_mlp.output_linear", "ffn_down_shexp"}};

inline constexpr TensorName kLlamaOuter[] = {
    {"embed_tokens", "token_embd"}, {"norm", "output_norm"}, {"lm_head", "output"}};
inline constexpr TensorName kPhiOuter[] = {
    {"embed_tokens", "token_embd"}, {"final_layernorm", "output_norm"}, {"lm_head", "output"}};
inline constexpr TensorName kGpt2Outer[] = {
    {"wte", "token_embd"}, {"wpe", "position_embd"}, {"ln_f", "output_norm"}, {"lm_head", "output"}};
inline constexpr TensorName kGptNeoxOuter[] = {
    {"embed_in", "token_embd"}, {"final_layer_norm", "output_norm"}, {"embed_out", "output"}};
inline constexpr TensorName kBloomOuter[] = {{"word_embeddings", "token_embd"},
                                             {"word_embeddings_layernorm", "token_embd_norm"},
                                             {"ln_f", "output_norm"},
                                             {"lm_head", "output"}};
inline constexpr TensorName kOptOuter[] = {{"embed_tokens", "token_embd"},      {"embed_positions", "position_embd"},
                                           {"project_in", "token_embd_in"},     {"project_out", "token_embd_out"},
                                           {"final_layer_norm", "output_norm"}, {"lm_head", "output"}};

inline constexpr std::string_view kRotaryBuffers[] = {"self_attn.rotary_emb.inv_freq"};
inline constexpr std::string_view kFalconBuffers[] = {"self_attention.rotary_emb.inv_freq"};
inline constexpr std::string_view kMaskBuffers[] = {"attn.bias", "attn.masked_bias"};
inline constexpr std::string_view kGptNeoxBuffers[] = {"attention.bias", "attention.masked_bias",
                                                       "attention.rotary_emb.inv_freq"};

}  // namespace heed::convert
