// Whether a submission of several texts reads a prompt or goes on with what is read.
#include "generate/text/turns.h"

#include <doctest/doctest.h>

namespace heed {

TEST_CASE("turns: prompts are read for as long as the steps before took, and a chunk at least") {
  Turns turns;
  CHECK_FALSE(turns.reads(false, true));
  // Many short prompts, before the first of them goes on.
  for (int i = 0; i < 8; ++i) {
    CHECK(turns.reads(true, i > 0));
    turns.has_read(0.002);
  }
  turns.has_stepped(0.040);
  int chunks = 0;
  for (; turns.reads(true, true); ++chunks) turns.has_read(0.015);
  CHECK(chunks == 3);
  // Long chunks take turns with steps.
  turns.has_stepped(0.040);
  CHECK(turns.reads(true, true));
  turns.has_read(5.0);
  CHECK_FALSE(turns.reads(true, true));
  // And nobody waits for nobody.
  CHECK(turns.reads(true, false));
  turns.has_stepped(0.001);
  CHECK(turns.reads(true, true));
}

}  // namespace heed
