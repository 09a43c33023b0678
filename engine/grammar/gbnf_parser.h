#pragma once

#include <string_view>

#include "grammar/syntax.h"

namespace heed::grammar {

/// Reads a grammar in llama.cpp's GBNF format: rules `name ::= ...` of alternatives `|`, groups, texts "..." and
/// classes [a-z], [^...] with the escapes \n \r \t \" \\ \[ \] \xHH \uHHHH \UHHHHHHHH, `.` for any character,
/// repetitions * + ? {m} {m,} {m,n}, comments from # on. The rule `root` is the whole text. A line that begins with |
/// goes on with the alternatives of the line before.
///
/// Throws Error with line, column and what was expected, for rules that there are not or twice, for no root, and for
/// what passes the limits.
Grammar parse_gbnf(std::string_view text);

}  // namespace heed::grammar
