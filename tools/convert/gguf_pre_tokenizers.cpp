// The patterns are those of the models' own tokenizer.json where llama.cpp (llama-vocab.cpp) writes the same in other
// words, else llama.cpp's.
#include "tools/convert/gguf_pre_tokenizers.h"

#include <algorithm>

#include "tools/convert/split_patterns.h"

namespace heed::convert {

namespace {

using Names = const std::string_view[];

constexpr std::string_view kOneDigit = R"(\p{N})";
constexpr std::string_view kThreeDigits = "[0-9][0-9][0-9]";
constexpr std::string_view kQwen2Split =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kBloomSplit = R"( ?[^(\s|.,!?…。，、।۔،)]+)";

constexpr Names kLlama3Names = {"llama-bpe", "llama3",   "llama-v3", "falcon3",     "falcon-h1",
                                "pixtral",   "midm-2.0", "lfm2",     "jina-v5-nano"};
constexpr Names kLlama3LikeNames = {"dbrx", "smaug-bpe", "chatglm-bpe", "glm4"};
constexpr Names kLlama3Splits = {kLlama3Split};
constexpr Names kQwen2Names = {"qwen2",   "deepseek-r1-qwen", "kormo",  "megrez", "stablelm2",
                               "hunyuan", "solar-open",       "grok-2", "f2llmv2"};
constexpr Names kQwen2Splits = {kQwen2Split};
constexpr Names kGpt2Names = {"gpt-2",           "phi-2",    "mpt",     "olmo",   "jais",    "trillion",
                              "granite-docling", "gigachat", "a.x-4.0", "mellum", "exaone4", "modern-bert"};
constexpr Names kGpt2Splits = {kGpt2Split};
constexpr Names kStarcoderNames = {"starcoder", "refact", "command-r",  "smollm",
                                   "codeshell", "exaone", "minerva-7b", "mellum2"};
constexpr Names kStarcoderSplits = {kOneDigit, kGpt2Split};
constexpr Names kFalconNames = {"falcon"};
constexpr Names kFalconSplits = {R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2Split, kThreeDigits};
constexpr Names kBloomNames = {"bloom", "poro-chat", "gpt3-finnish"};
constexpr Names kBloomSplits = {kBloomSplit};
constexpr Names kVikingNames = {"viking"};
constexpr Names kVikingSplits = {kBloomSplit, kOneDigit};
constexpr Names kTekkenNames = {"tekken"};
constexpr Names kTekkenSplits = {
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr Names kGpt4oNames = {"gpt-4o", "llama4", "minimax-m2", "kanana2", "talkie"};
constexpr Names kGpt4oSplits = {
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr Names kDeepseek3Names = {"deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"};
constexpr Names kDeepseek3Splits = {
    R"(\p{N}{1,3})", "[一-龥぀-ゟ゠-ヿ]+",
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr Names kDeepseekCoderNames = {"deepseek-coder"};
constexpr Names kDeepseekCoderSplits = {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", "[一-龥ࠀ-一가-퟿]+",
                                        kOneDigit};
constexpr Names kSeedCoderNames = {"seed-coder"};
constexpr Names kSeedCoderSplits = {
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr Names kDeepseekNames = {"deepseek-llm"};
constexpr Names kDeepseekSplits = {
    R"([\r\n])",
    R"(\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\x{1F7D}ᾀ-ᾴᾶ-ᾼ\x{1FBE}ῂ-ῄῆ-ῌῐ-\x{1FD3}ῖ-\x{1FDB}ῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\x{2126}ℨ\x{212A}-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+)",
    R"(\s?[!-/:-~！-／：-～‘-‟　-。]+)",
    R"(\s+$)",
    "[一-龥ࠀ-一가-퟿]+",
    R"(\p{N}+)"};
constexpr Names kQwen35Names = {"qwen35"};
constexpr Names kQwen35Splits = {
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr Names kBailingNames = {"bailingmoe", "bailingmoe2", "llada-moe"};
constexpr Names kBailingSplits = {
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)"};
constexpr Names kTurkishNames = {"ufakzeka"};
constexpr Names kTurkishSplits = {
    R"([^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr Names kLagunaNames = {"laguna"};
constexpr Names kLagunaSplits = {R"([^\n]+|[\n]+)", kQwen2Split};
constexpr Names kExaoneMoeNames = {"exaone-moe"};
constexpr Names kExaoneMoeSplits = {
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)"};
constexpr Names kMiniCpm5Names = {"minicpm5"};
constexpr Names kMiniCpm5Splits = {
    R"(\p{N}{1,3})",
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr Names kSuperBpeNames = {"superbpe"};
constexpr Names kSuperBpeSplits = {R"(\p{N}+)", R"((?=(\d{3})+(?!\d)))"};
constexpr Names kDefaultNames = {"default"};
constexpr Names kDefaultSplits = {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2Split, R"(\p{N}+)", kThreeDigits};

constexpr GgufPreTokenizer kPreTokenizers[] = {
    {kLlama3Names, kLlama3Splits, true, true},
    {kLlama3LikeNames, kLlama3Splits},
    {kQwen2Names, kQwen2Splits},
    {kGpt2Names, kGpt2Splits},
    {kStarcoderNames, kStarcoderSplits},
    {kFalconNames, kFalconSplits},
    {kBloomNames, kBloomSplits},
    {kVikingNames, kVikingSplits},
    {kTekkenNames, kTekkenSplits, true, true},
    {kGpt4oNames, kGpt4oSplits},
    {kDeepseek3Names, kDeepseek3Splits},
    {kDeepseekCoderNames, kDeepseekCoderSplits},
    {kSeedCoderNames, kSeedCoderSplits},
    {kDeepseekNames, kDeepseekSplits},
    {kQwen35Names, kQwen35Splits},
    {kBailingNames, kBailingSplits},
    {kTurkishNames, kTurkishSplits},
    {kLagunaNames, kLagunaSplits},
    {kExaoneMoeNames, kExaoneMoeSplits},
    {kMiniCpm5Names, kMiniCpm5Splits, true},
    {kSuperBpeNames, kSuperBpeSplits},
    {kDefaultNames, kDefaultSplits},
};

}  // namespace

const GgufPreTokenizer* find_gguf_pre_tokenizer(std::string_view name) {
  const auto* found = std::ranges::find_if(kPreTokenizers, [&](const GgufPreTokenizer& each) {
    return std::ranges::find(each.names, name) != each.names.end();
  });
  return found == std::end(kPreTokenizers) ? nullptr : found;
}

}  // namespace heed::convert
