// Manual pages in man(7)'s macros.
#include <fmt/format.h>

#include <sstream>

#include "tools/documents.h"

namespace heed::tools {
namespace {

/// Text as roff takes it for text: no line is a request, no hyphen is one that may be typeset as another.
std::string escaped(const std::string& text) {
  std::string roff;
  bool begins_line = true;
  for (const char c : text) {
    if (begins_line && (c == '.' || c == '\'')) roff += "\\&";
    begins_line = c == '\n';
    switch (c) {
      case '\\':
        roff += "\\e";
        break;
      case '-':
        roff += "\\-";
        break;
      case '\'':
        roff += "\\(aq";
        break;
      case '`':
        roff += "\\(ga";
        break;
      case '^':
        roff += "\\(ha";
        break;
      case '~':
        roff += "\\(ti";
        break;
      default:
        roff += c;
    }
  }
  return roff;
}

std::string bold(const std::string& text) { return "\\fB" + escaped(text) + "\\fR"; }
std::string italic(const std::string& text) { return "\\fI" + escaped(text) + "\\fR"; }

std::string heading(const std::string& title, const std::string& about) {
  std::string upper;
  for (const char c : title) upper += static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return fmt::format(".TH {} 1 \"\" \"heed {}\" \"User Commands\"\n.SH NAME\n{} \\- {}\n", escaped(upper), kVersion,
                     escaped(title), escaped(about));
}

std::string sentence(std::string text) {
  if (!text.empty() && text.back() != '.') text += '.';
  return text;
}

std::string tagged(const OptionText& option) {
  std::string tag;
  for (const std::string& name : option.names) tag += (tag.empty() ? "" : ", ") + bold(name);
  if (!option.value.empty()) tag += (tag.empty() ? "" : " ") + italic(option.value);
  std::string about = sentence(option.about);
  if (!option.choices.empty()) {
    about += " One of";
    for (const std::string& choice : option.choices) about += (choice == option.choices.front() ? " " : ", ") + choice;
    about += ".";
  }
  return fmt::format(".TP\n{}\n{}\n", tag, escaped(about));
}

std::string options_section(const VerbText& verb) {
  std::string text;
  for (const OptionText& operand : verb.operands) text += tagged(operand);
  for (const OptionText& option : verb.options) text += tagged(option);
  return text.empty() ? "" : ".SH OPTIONS\n" + text;
}

/// Lines as they are broken for a terminal become paragraphs; those that begin with a space stay as they are.
std::string paragraphs(const std::string& details) {
  std::string text;
  std::istringstream lines(details);
  bool as_is = false;
  for (std::string line; std::getline(lines, line);) {
    const bool indented = line.starts_with(' ');
    if (indented != as_is) text += indented ? ".nf\n" : ".fi\n";
    as_is = indented;
    text += line.empty() ? ".PP\n" : escaped(line) + "\n";
  }
  return text + (as_is ? ".fi\n" : "");
}

}  // namespace

std::string main_manual(const std::vector<VerbText>& verbs) {
  const VerbText& program = verbs.front();
  std::string text = heading("heed", "run attention-based generative models on any Vulkan device");
  text += ".SH SYNOPSIS\n" + bold("heed") + " " + italic("VERB") + " [" + italic("option") + " ...] [" +
          italic("operand") + " ...]\n";
  text += ".SH DESCRIPTION\n" + escaped(program.about) + "\n.PP\n" + paragraphs(program.details);
  text += ".SH VERBS\n";
  std::string pages;
  for (std::size_t i = 1; i < verbs.size(); ++i) {
    text += fmt::format(".TP\n{}\n{}\n", bold(verbs[i].name), escaped(sentence(verbs[i].about)));
    pages += fmt::format(".BR {} (1){}\n", escaped("heed-" + verbs[i].name), i + 1 < verbs.size() ? "," : "");
  }
  return text + options_section(program) + ".SH SEE ALSO\n" + pages;
}

std::string verb_manual(const VerbText& verb) {
  std::string text = heading("heed-" + verb.name, verb.about);
  text += ".SH SYNOPSIS\n" + bold("heed " + verb.name) + " [" + italic("option") + " ...]";
  for (const OptionText& operand : verb.operands) {
    const std::string value = italic(operand.value) + (operand.many ? " ..." : "");
    text += operand.required ? " " + value : " [" + value + "]";
  }
  for (const OptionText& option : verb.options) {
    if (option.required) text += " " + bold(option.names.front()) + " " + italic(option.value);
  }
  text += "\n.SH DESCRIPTION\n" + escaped(sentence(verb.about)) + "\n";
  if (!verb.details.empty()) text += ".PP\n" + paragraphs(verb.details);
  text += options_section(verb);
  if (!verb.examples.empty()) {
    text += ".SH EXAMPLES\n.nf\n";
    for (const std::string& example : verb.examples) text += escaped(example) + "\n";
    text += ".fi\n";
  }
  return text + ".SH SEE ALSO\n.BR heed (1)\n";
}

}  // namespace heed::tools
