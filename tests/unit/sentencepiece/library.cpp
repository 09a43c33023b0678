// heed's reader of SentencePiece models against the library itself. A program of its own: Debian 12's library brings
// parts of an older protobuf along, which break the protobuf that the ONNX reader links.
#include <doctest/doctest.h>
#include <sentencepiece_processor.h>

#include "tests/unit/convert/sample_files.h"
#include "tokenizer/description.h"
#include "tokenizer/tokenizer.h"
#include "tools/convert/hf_tokenizer.h"

namespace heed::convert {
namespace {

using namespace convert_test;
using Description = TokenizerDescription;

TEST_CASE("tokenizer.model: pieces and ids are those of the SentencePiece library") {
  const auto path = golden_folder() / "mistral" / "tokenizer.model";
  sentencepiece::SentencePieceProcessor library;
  REQUIRE(library.Load(path.string()).ok());
  const Description d = read_sentencepiece("tokenizer.model", read_whole(path), {}, 368);
  REQUIRE(static_cast<int>(d.pieces.size()) == library.GetPieceSize());
  for (int id = 0; id < library.GetPieceSize(); ++id) {
    const auto at = static_cast<std::size_t>(id);
    CHECK(d.pieces[at] == library.IdToPiece(id));
    CHECK(d.scores[at] == library.GetScore(id));
    CHECK((d.kinds[at] == PieceKind::Control) == library.IsControl(id));
    CHECK((d.kinds[at] == PieceKind::Unknown) == library.IsUnknown(id));
    CHECK((d.kinds[at] == PieceKind::Byte) == library.IsByte(id));
  }
  const auto tokenizer = Tokenizer::from_json(d.to_json());
  for (const std::string text : {"So Alice ran", "  two  spaces ", "1865 naïve 日本", "\n"}) {
    std::vector<int> expected;
    REQUIRE(library.Encode(text, &expected).ok());
    CHECK(tokenizer->encode(text, false) == expected);
  }
}

}  // namespace
}  // namespace heed::convert
