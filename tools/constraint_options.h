#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <span>
#include <string>

#include "heed/text.h"

namespace heed::tools {

/// What --grammar and --json-schema say.
struct ConstraintArguments {
  std::string grammar;      // a file
  std::string json_schema;  // a file, or the schema itself

  bool given() const { return !grammar.empty() || !json_schema.empty(); }
  /// Reads the files. Throws Error for one that cannot be read, and where both options are given.
  void read();
  /// A fresh constraint for one text; none where none is given. Throws Error, naming the option, for what is wrong with
  /// the grammar. `end`: as in TextModel::grammar.
  std::shared_ptr<TokenConstraint> make(const TextModel& model, std::span<const std::int32_t> end) const;

 private:
  std::string text_;
};

/// Adds --grammar and --json-schema.
void add_constraint_options(CLI::App& verb, ConstraintArguments& arguments);

}  // namespace heed::tools
