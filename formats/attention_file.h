#pragma once

#include <filesystem>

#include "formats/attention_average.h"
#include "heed/attention.h"

namespace heed {

/// Throws Error when the name of a file does not say one of the formats below, or it lies in no folder: before the work
/// whose result it takes.
void check_attention_path(const std::filesystem::path& out);

/// Writes what a model looked at, in the format that the extension names, through a temporary file:
/// - .png: a heat map of the choice's average, a row a token that was written, a column one that was looked at. Needs
///   fonts for the scripts of the tokens; what no font has is drawn as a box with its code.
/// - .html: a page that needs nothing else, with that average and each node and head to choose from. The choice is what
///   it shows first. Weights have 4 digits.
/// - .npz: a float32 array [heads, rows, columns] for each node, under its name (a second node of a name is "NAME.2"),
///   and the texts of the tokens as `source` and `target`; the choice is checked, and all nodes are written.
/// Throws Error, naming the file, for another extension, as average_attention() does, for more tokens or weights than
/// the format takes (400 tokens on a side of a picture or page, 4 million weights in a page), and when writing fails.
void write_attention(const std::filesystem::path& out, const Attention& attention, const AttentionChoice& choice);

}  // namespace heed
