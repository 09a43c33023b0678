#include "tools/constraint_options.h"

#include <fmt/format.h>

#include "heed/error.h"
#include "tools/lines.h"

namespace heed::tools {
namespace {

constexpr std::size_t kMostGrammarBytes = std::size_t{4} << 20;

}  // namespace

void ConstraintArguments::read() {
  if (!given()) return;
  if (!grammar.empty() && !json_schema.empty()) {
    throw Error("--grammar and --json-schema both say what may be written; give one of them");
  }
  const std::string& source = grammar.empty() ? json_schema : grammar;
  const bool is_inline = grammar.empty() && source.starts_with('{');
  text_ = is_inline ? source : read_file(source, kMostGrammarBytes);
}

std::shared_ptr<TokenConstraint> ConstraintArguments::make(const TextModel& model,
                                                           std::span<const std::int32_t> end) const {
  if (!given()) return nullptr;
  try {
    return grammar.empty() ? model.json_schema(text_, end) : model.grammar(text_, end);
  } catch (const DeviceLost&) {
    throw;
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", grammar.empty() ? "--json-schema" : "--grammar", error.what()));
  }
}

void add_constraint_options(CLI::App& verb, ConstraintArguments& arguments) {
  verb.add_option("--grammar", arguments.grammar, "Write only what a grammar in GBNF, llama.cpp's format, allows")
      ->type_name("FILE");
  verb.add_option("--json-schema", arguments.json_schema,
                  "Write only JSON that is valid by this schema, a file or the schema itself: '{\"type\": \"object\"}'")
      ->type_name("FILE");
}

}  // namespace heed::tools
