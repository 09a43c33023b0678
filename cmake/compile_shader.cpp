// Compiles the variants of one shader to SPIR-V, as tables of words.
//
// usage: compile_shader SHADER INCLUDE_FOLDER OUTPUT_FOLDER KEY:SYMBOL:DEFINE:DEFINE... ...
//
// Writes OUTPUT_FOLDER/KEY.h with `spirv_SYMBOL` for each. One process for all of them: the compiler takes ten times as
// long to read what is built into GLSL as to compile a shader.
#include <glslang/Public/ResourceLimits.h>
#include <glslang/Public/ShaderLang.h>
#include <glslang/SPIRV/GlslangToSpv.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace {

struct Failure {
  std::string message;
};

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) throw Failure{path + ": cannot be read"};
  return text.str();
}

/// Finds #include "NAME" in one folder.
class Includer : public glslang::TShader::Includer {
 public:
  explicit Includer(std::string folder) : folder_(std::move(folder)) {}

  IncludeResult* includeLocal(const char* name, const char*, std::size_t) override {
    try {
      auto text = std::make_unique<std::string>(read_file(folder_ + "/" + name));
      auto* const result = new IncludeResult(name, text->data(), text->size(), text.get());
      text.release();
      return result;
    } catch (const Failure&) {
      return nullptr;  // the compiler says where it was asked for
    }
  }
  void releaseInclude(IncludeResult* result) override {
    if (result == nullptr) return;
    delete static_cast<std::string*>(result->userData);
    delete result;
  }

 private:
  std::string folder_;
};

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ':');) parts.push_back(part);
  return parts;
}

std::vector<std::uint32_t> compile(const std::string& path, const std::string& source, Includer& includer,
                                   const std::string& preamble) {
  const auto messages = static_cast<EShMessages>(EShMsgSpvRules | EShMsgVulkanRules);
  glslang::TShader shader(EShLangCompute);
  const char* const text = source.c_str();
  const char* const name = path.c_str();
  shader.setStringsWithLengthsAndNames(&text, nullptr, &name, 1);
  shader.setPreamble(preamble.c_str());
  shader.setEnvInput(glslang::EShSourceGlsl, EShLangCompute, glslang::EShClientVulkan, 100);
  shader.setEnvClient(glslang::EShClientVulkan, glslang::EShTargetVulkan_1_1);
  shader.setEnvTarget(glslang::EShTargetSpv, glslang::EShTargetSpv_1_3);
  if (!shader.parse(GetDefaultResources(), 100, false, messages, includer)) throw Failure{shader.getInfoLog()};
  glslang::TProgram program;
  program.addShader(&shader);
  if (!program.link(messages)) throw Failure{program.getInfoLog()};
  std::vector<std::uint32_t> words;
  glslang::GlslangToSpv(*program.getIntermediate(EShLangCompute), words);
  return words;
}

void write(const std::string& path, const std::string& symbol, const std::vector<std::uint32_t>& words) {
  std::string text = "const uint32_t spirv_" + symbol + "[] = {";
  for (std::size_t i = 0; i < words.size(); ++i) {
    char digits[16];
    std::snprintf(digits, sizeof digits, "%s0x%08x,", i % 8 == 0 ? "\n  " : " ", words[i]);
    text += digits;
  }
  text += "\n};\n";
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) throw Failure{path + ": cannot be written"};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: compile_shader SHADER INCLUDE_FOLDER OUTPUT_FOLDER KEY:SYMBOL:DEFINE... ...\n");
    return 2;
  }
  glslang::InitializeProcess();
  int code = 0;
  try {
    const std::string source = read_file(argv[1]);
    Includer includer(argv[2]);
    for (int i = 4; i < argc; ++i) {
      const std::vector<std::string> variant = split(argv[i]);
      if (variant.size() < 2) throw Failure{std::string(argv[i]) + ": expected KEY:SYMBOL:DEFINE..."};
      std::string preamble = "#extension GL_GOOGLE_include_directive : enable\n";
      for (std::size_t d = 2; d < variant.size(); ++d) preamble += "#define " + variant[d] + "\n";
      write(std::string(argv[3]) + "/" + variant[0] + ".h", variant[1], compile(argv[1], source, includer, preamble));
    }
  } catch (const Failure& failure) {
    std::fprintf(stderr, "%s: %s\n", argv[1], failure.message.c_str());
    code = 1;
  }
  glslang::FinalizeProcess();
  return code;
}
