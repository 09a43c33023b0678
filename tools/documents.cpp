// heed documents: manual pages and completions, for whoever installs heed. They say what --help says: all is read from
// the same description of the command line.
#include "tools/documents.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include "heed/error.h"

namespace heed::tools {
namespace {

namespace fs = std::filesystem;

bool is_shown(const CLI::App* verb) { return !verb->get_group().empty(); }

/// "auto" and "f32" of "TYPE:{auto,f32}".
std::vector<std::string> choices_of(const std::string& type) {
  std::vector<std::string> choices;
  const std::size_t begin = type.find('{');
  const std::size_t end = type.find('}', begin == std::string::npos ? 0 : begin);
  if (begin == std::string::npos || end == std::string::npos) return choices;
  std::istringstream list(type.substr(begin + 1, end - begin - 1));
  for (std::string choice; std::getline(list, choice, ',');) choices.push_back(choice);
  return choices;
}

Completion kind_of(const OptionText& option) {
  if (!option.choices.empty()) return Completion::Choice;
  const std::string& value = option.value;
  if (value.empty()) return Completion::None;
  if (value == "MODEL") return Completion::Model;
  if (value == "DIR") return Completion::Folder;
  if (value == "INPUT" || value == "OUT" || value == "FILE") return Completion::File;
  const bool is_path = value.find('.') != std::string::npos && value.find('=') == std::string::npos;
  return is_path ? Completion::File : Completion::Word;
}

OptionText option_text(const CLI::Option& option) {
  OptionText text;
  for (const std::string& name : option.get_snames()) text.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) text.names.push_back("--" + name);
  const std::string type = option.get_type_name();
  text.choices = choices_of(type);
  if (option.nonpositional()) {
    if (option.get_items_expected_max() > 0) text.value = type.substr(0, type.find(':'));
  } else {
    text.value = option.get_name(true);
    text.many = option.get_items_expected_max() > 1;
  }
  text.about = option.get_description();
  if (!option.get_default_str().empty()) text.about += fmt::format(" (default: {})", option.get_default_str());
  text.required = option.get_required();
  text.kind = kind_of(text);
  return text;
}

void read_footer(const std::string& footer, VerbText& text) {
  std::istringstream lines(footer);
  bool is_example = false;
  for (std::string line; std::getline(lines, line);) {
    if (line == "Example:" || line == "Examples:") {
      is_example = true;
    } else if (is_example) {
      text.examples.push_back(line.substr(std::min(line.find_first_not_of(' '), line.size())));
    } else {
      text.details += line + "\n";
    }
  }
}

VerbText verb_text(const CLI::App& app) {
  VerbText text;
  text.name = app.get_name();
  text.about = app.get_description();
  read_footer(app.get_footer(), text);
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;
    (option->nonpositional() ? text.options : text.operands).push_back(option_text(*option));
  }
  return text;
}

void write_document(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (!file.flush()) throw Error(fmt::format("{}: cannot be written", path.string()));
}

int write_documents(const CLI::App& app, const fs::path& folder) {
  const std::vector<VerbText> verbs = verb_texts(app);
  write_document(folder / "man1" / "heed.1", main_manual(verbs));
  for (std::size_t i = 1; i < verbs.size(); ++i) {
    write_document(folder / "man1" / fmt::format("heed-{}.1", verbs[i].name), verb_manual(verbs[i]));
  }
  write_document(folder / "completions" / "heed", bash_completion(verbs));
  write_document(folder / "completions" / "_heed", zsh_completion(verbs));
  write_document(folder / "completions" / "heed.fish", fish_completion(verbs));
  return 0;
}

}  // namespace

std::vector<VerbText> verb_texts(const CLI::App& app) {
  std::vector<VerbText> texts = {verb_text(app)};
  for (const CLI::App* verb : app.get_subcommands(is_shown)) texts.push_back(verb_text(*verb));
  return texts;
}

void add_documents(Program& program) {
  CLI::App* verb = program.app.add_subcommand("documents", "Write manual pages and completions to a folder");
  verb->group("");  // for the build
  auto folder = std::make_shared<std::string>();
  verb->add_option("DIR", *folder, "The folder to write to")->required();
  verb->callback(
      [&program, folder] { program.run = [&program, folder] { return write_documents(program.app, *folder); }; });
}

}  // namespace heed::tools
