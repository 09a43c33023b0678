// Completions for shells.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string_view>

#include "tools/documents.h"

namespace heed::tools {
namespace {

/// `text` with `before` before each of `characters`.
std::string with_before(const std::string& text, std::string_view characters, std::string_view before) {
  std::string made;
  for (const char c : text) {
    if (characters.find(c) != std::string_view::npos) made += before;
    made += c;
  }
  return made;
}

/// A word for a shell, in single quotes. A quote ends them, is escaped alone, and begins them again.
std::string shell_word(const std::string& text) {
  std::string made = "'";
  for (const char c : text) {
    if (c == '\'') {
      made += "'\\''";
    } else {
      made += c;
    }
  }
  return made + "'";
}

std::string all_options(const VerbText& verb) {
  std::string names;
  for (const OptionText& option : verb.options) {
    for (const std::string& name : option.names) names += (names.empty() ? "" : " ") + name;
  }
  return names;
}

std::string bash_action(const OptionText& option) {
  switch (option.kind) {
    case Completion::Choice:
      return fmt::format("_heed_words \"$cur\" '{}'", fmt::join(option.choices, " "));
    case Completion::Model:
      return "_heed_files \"$cur\" '!*.heed'";
    case Completion::File:
      return "_heed_files \"$cur\" ''";
    case Completion::Folder:
      return "_heed_files \"$cur\" '*'";
    default:
      return ":";
  }
}

/// What _arguments calls what follows, and how it is completed.
std::string zsh_action(const OptionText& option) {
  const std::string name = with_before(option.value, ":", "\\");
  switch (option.kind) {
    case Completion::Choice:
      return fmt::format("{}:({})", name, fmt::join(option.choices, " "));
    case Completion::Model:
      return name + ":_files -g \"*.heed\"";
    case Completion::File:
      return name + ":_files";
    case Completion::Folder:
      return name + ":_files -/";
    default:
      return name + ": ";
  }
}

std::string fish_action(const OptionText& option) {
  switch (option.kind) {
    case Completion::None:
      return "";
    case Completion::Choice:
      return fmt::format(" -x -a '{}'", fmt::join(option.choices, " "));
    case Completion::Model:
      return " -x -a '(__fish_complete_suffix .heed)'";
    case Completion::File:
      return " -r -F";
    case Completion::Folder:
      return " -x -a '(__fish_complete_directories)'";
    default:
      return " -x";
  }
}

/// fish knows two escapes within single quotes.
std::string fish_quoted(const std::string& text) { return "'" + with_before(text, "\\'", "\\") + "'"; }

}  // namespace

std::string bash_completion(const std::vector<VerbText>& verbs) {
  std::string names;
  std::string options;
  std::string values;
  std::string operands;
  for (const VerbText& verb : verbs) {
    const bool is_program = &verb == &verbs.front();
    const std::string name = is_program ? "" : verb.name;
    if (!is_program) names += (names.empty() ? "" : " ") + name;
    options += fmt::format("    {}) _heed_words \"$cur\" '{}' ;;\n", is_program ? "''" : name, all_options(verb));
    for (const OptionText& option : verb.options) {
      if (option.kind == Completion::None) continue;
      std::string patterns;
      for (const std::string& spelt : option.names) patterns += (patterns.empty() ? "" : "|") + name + ":" + spelt;
      values += fmt::format("    {}) {}; return ;;\n", patterns, bash_action(option));
    }
    if (!verb.operands.empty()) {
      operands += fmt::format("    {}) {} ;;\n", name, bash_action(verb.operands.front()));
    }
  }
  return fmt::format(R"(# Completion of heed for bash. Made by `heed documents`.
_heed_words() {{
  mapfile -t COMPREPLY < <(compgen -W "$2" -- "$1")
}}
# Folders, and the files that the pattern $2 leaves.
_heed_files() {{
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -d -- "$1"; compgen -f -X "$2" -- "$1" | while IFS= read -r file; do [ -d "$file" ] || printf '%s\n' "$file"; done)
}}
_heed() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}} verb= i
  COMPREPLY=()
  # --option=value comes as three words
  if [[ $cur == = ]]; then
    cur=
  elif [[ $previous == = && COMP_CWORD -gt 1 ]]; then
    previous=${{COMP_WORDS[COMP_CWORD - 2]}}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ ${{COMP_WORDS[i]}} != -* ]]; then
      verb=${{COMP_WORDS[i]}}
      break
    fi
  done
  case $verb:$previous in
{}  esac
  if [[ $cur == -* ]]; then
    case $verb in
{}    esac
    return
  fi
  if [[ -z $verb ]]; then
    _heed_words "$cur" '{}'
    return
  fi
  case $verb in
{}  esac
}}
complete -F _heed heed
)",
                     values, options, names, operands);
}

std::string zsh_completion(const std::vector<VerbText>& verbs) {
  std::string names;
  std::string cases;
  for (const VerbText& verb : verbs) {
    const bool is_program = &verb == &verbs.front();
    if (!is_program) names += "        " + shell_word(verb.name + ":" + with_before(verb.about, ":", "\\")) + "\n";
    if (is_program) continue;
    cases += fmt::format("        {})\n          _arguments -s", verb.name);
    for (const OptionText& option : verb.options) {
      const std::string about = "[" + with_before(option.about, "[]:\\", "\\") + "]";
      for (const std::string& name : option.names) {
        const bool is_long = name.starts_with("--");
        std::string spec = name + (option.kind == Completion::None ? "" : is_long ? "=" : "+") + about;
        if (option.kind != Completion::None) spec += ":" + zsh_action(option);
        cases += " \\\n            " + shell_word(spec);
      }
    }
    for (const OptionText& operand : verb.operands) {
      cases += " \\\n            " + shell_word((operand.many       ? "*:"
                                                 : operand.required ? ":"
                                                                    : "::") +
                                                zsh_action(operand));
    }
    cases += "\n          ;;\n";
  }
  return fmt::format(R"(#compdef heed
# Completion of heed for zsh. Made by `heed documents`.
_heed() {{
  local context state state_descr line
  typeset -A opt_args
  _arguments -C '(- *)'{{-h,--help}}'[Print help]' '(- *)--version[Print the version]' '1: :->verb' '*:: :->rest'
  case $state in
    verb)
      local -a verbs
      verbs=(
{}      )
      _describe -t verbs verb verbs
      ;;
    rest)
      case $words[1] in
{}      esac
      ;;
  esac
}}
_heed "$@"
)",
                     names, cases);
}

std::string fish_completion(const std::vector<VerbText>& verbs) {
  std::string text = "# Completion of heed for fish. Made by `heed documents`.\ncomplete -c heed -f\n";
  for (const VerbText& verb : verbs) {
    const bool is_program = &verb == &verbs.front();
    const std::string condition = is_program ? "__fish_use_subcommand" : "__fish_seen_subcommand_from " + verb.name;
    if (!is_program) {
      text +=
          fmt::format("complete -c heed -n __fish_use_subcommand -a {} -d {}\n", verb.name, fish_quoted(verb.about));
    }
    for (const OptionText& option : verb.options) {
      text += fmt::format("complete -c heed -n '{}'", condition);
      for (const std::string& name : option.names) {
        text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      }
      text += fmt::format("{} -d {}\n", fish_action(option), fish_quoted(option.about));
    }
    if (!verb.operands.empty() && verb.operands.front().kind != Completion::Word) {
      text += fmt::format("complete -c heed -n '{}'{}\n", condition, fish_action(verb.operands.front()));
    }
  }
  return text;
}

}  // namespace heed::tools
