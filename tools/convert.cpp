// heed convert: a checkpoint somebody else trained becomes a .heed file.
#include "tools/convert/convert.h"

#include <fmt/format.h>

#include <memory>

#include "heed/error.h"
#include "tools/interrupt.h"
#include "tools/output.h"
#include "tools/program.h"
#include "tools/progress.h"

namespace heed::tools {
namespace {

struct ConvertArguments {
  std::string input;
  std::string output;
  std::string type;
  std::string tokenizer;
  std::string describe;
  std::vector<std::string> set;  // NAME=VALUE
  std::int64_t context = 0;
};

std::string describe(const convert::ConvertSummary& summary, const std::string& output) {
  std::string types;
  for (const auto& [type, tally] : summary.types) {
    types += fmt::format("{}{} {}", types.empty() ? "" : " + ", format_bytes(tally.bytes), dtype_name(type));
  }
  return fmt::format("{}: {}{} from {}, {} parameters, {}{}\n", output, summary.family,
                     summary.name.empty() ? "" : " '" + summary.name + "'", summary.source,
                     format_count(summary.elements), types.empty() ? "" : types + ", ",
                     summary.has_tokenizer ? "with tokenizer" : "without tokenizer");
}

int run_convert(const ConvertArguments& arguments) {
  convert::ConvertOptions options;
  options.input = arguments.input;
  options.output = arguments.output;
  options.tokenizer = arguments.tokenizer;
  options.description = arguments.describe;
  options.context = arguments.context;
  for (const std::string& assignment : arguments.set) convert::add_fixed(options.fixed, assignment);
  if (!arguments.type.empty()) options.type = dtype_from_name(arguments.type);

  convert::ConvertSummary summary;
  {
    // Ctrl-C leaves through the writer, which removes its temporary file.
    const InterruptFlag interrupt;
    Progress progress("converting");
    options.progress = [&](std::uint64_t done, std::uint64_t total) {
      if (interrupt.raised()) throw Interrupted();
      progress.update(done, total);
    };
    summary = convert::convert_checkpoint(options);
  }
  for (const std::string& note : summary.notes) write_error(fmt::format("note: {}\n", note));
  write_output(describe(summary, arguments.output));
  return 0;
}

}  // namespace

void add_convert(Program& program) {
  CLI::App* verb = program.app.add_subcommand("convert", "Convert a checkpoint to a .heed file");
  verb->footer(
      "Examples:\n"
      "  heed convert stories15M.gguf -o stories.heed --type q8_0\n"
      "  heed convert llama-7b-Q4_K_M.gguf -o llama.heed\n"
      "  heed convert stories15M.bin --tokenizer tokenizer.bin -o stories.heed\n"
      "  heed convert TinyLlama-1.1B/ -o tinyllama.heed\n"
      "  heed convert model.onnx -o upscale.heed --describe upscale.json\n"
      "  heed convert speech.onnx -o speech.heed --set sampling_rate=16000");
  auto arguments = std::make_shared<ConvertArguments>();
  verb->add_option("INPUT", arguments->input,
                   "A GGUF file, a llama2.c .bin, an ONNX model, or a folder: of Hugging Face, of a translation model "
                   "of your own, of a generator")
      ->required();
  verb->add_option("-o,--output", arguments->output, "The .heed file; replaced when it exists")
      ->required()
      ->type_name("FILE");
  verb->add_option(
          "--type", arguments->type,
          "Store matrices as this type: f32, f16, bf16, q8_0, q6_k, q4_k or q4_0 (default: as they are; GGUF's "
          "other quantised types run, but are not made here)")
      ->transform(CLI::IsMember({"f32", "f16", "bf16", "q8_0", "q6_k", "q4_k", "q4_0"}, CLI::ignore_case))
      ->type_name("TYPE");
  verb->add_option("--tokenizer", arguments->tokenizer, "llama2.c only: its tokenizer.bin")->type_name("FILE");
  verb->add_option("--describe", arguments->describe,
                   "ONNX only: a JSON file that says what inputs and outputs mean (engine/file/format.md)")
      ->type_name("FILE");
  verb->add_option(
          "--context", arguments->context,
          "The longest text in tokens, of models whose rotary positions are of kind longrope, dynamic or yarn: "
          "chooses what depends on it (default: what the model was made for before it was stretched)")
      ->check(CLI::Range(1, 2147483647))
      ->type_name("N");
  CLI::Option* set = verb->add_option("--set", arguments->set,
                                      "ONNX only: fix an input, or the size of a named dimension, so that what "
                                      "depends on it is settled now; a number, numbers with commas, true or false; "
                                      "repeatable")
                         ->type_name("NAME=VALUE")
                         ->allow_extra_args(false);
  verb->callback([&program, arguments, set] {
    arguments->set = set->results();
    program.run = [arguments] { return run_convert(*arguments); };
  });
}

}  // namespace heed::tools
