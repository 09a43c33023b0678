#pragma once

#include <string>
#include <vector>

#include "tools/program.h"

namespace heed::tools {

/// What follows an option or stands alone, as far as shells can complete it.
enum class Completion { None, Word, Choice, File, Folder, Model };

/// An option or operand of a verb, read from what --help is made of.
struct OptionText {
  std::vector<std::string> names;  // "-o", "--output"; none of an operand
  std::string value;               // "FILE"; of an operand its name; none of a flag
  std::string about;               // the default too
  bool required = false;
  bool many = false;  // an operand that may stand several times
  Completion kind = Completion::None;
  std::vector<std::string> choices;
};

struct VerbText {
  std::string name;
  std::string about;
  std::string details;                // lines before the examples
  std::vector<std::string> examples;  // a line each
  std::vector<OptionText> options;
  std::vector<OptionText> operands;
};

/// All verbs that --help shows, in its order; what belongs to none comes first, under the program's own name.
std::vector<VerbText> verb_texts(const CLI::App& app);

/// The manual page of the program, which lists its verbs, or of one of them: man(7) macros.
std::string main_manual(const std::vector<VerbText>& verbs);
std::string verb_manual(const VerbText& verb);

/// Scripts that let a shell complete verbs, options, their choices and files.
std::string bash_completion(const std::vector<VerbText>& verbs);
std::string zsh_completion(const std::vector<VerbText>& verbs);
std::string fish_completion(const std::vector<VerbText>& verbs);

}  // namespace heed::tools
