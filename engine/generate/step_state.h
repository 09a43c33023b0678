#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "graph/graph.h"
#include "runtime/session.h"

namespace heed {

/// What changes from step to step, on the device, in states that the graphs of a session share by name:
///
///   tokens [R] i32      the token that each row feeds
///   position [R] i32    where in its sequence that is, from 0; -1: the row is padding, and computes nothing
///   parents [R] i32     the row of the step before that each row continues, for recurrent decoders
///   table [C, R] i32    where in the caches the key of each position of a row lies: place p R + r, where row r fed
///                       position p. A search gives entries to other rows, and no key is moved. Of rows
///                       that are Together [C, 1]: they have the same keys.
///
/// A step has R rows, each a sequence of its own, and room for C positions of each, which grows by doubling. Used by
/// one thread at a time.
class StepState {
 public:
  /// Of a step: never so few rows that a kernel for single ones sums in another order, since a sequence must not depend
  /// on how many others there are.
  static constexpr std::int64_t kLeastRows = 4;

  /// What the rows of a graph are: each a sequence of its own, or some a piece of one, which see each other's keys.
  enum class Rows : std::uint8_t { Apart, Together };

  /// A decode graph whose rows have positions and keys of their own: what the step moves on is state, not input;
  /// attention finds its keys by the table, and caches [context, ..] are [places, ..]. It has the dimensions that
  /// dims() binds. `most_rows`: of any step that must give a row the same bytes as another; products of few rows may
  /// then run in kernels for few. 0: it is not known. Throws Error when the graph is none.
  static Graph with_rows(const Graph& decode, Rows rows = Rows::Apart, std::int64_t most_rows = 0);

  /// The state `parents` of such a graph, which only recurrent decoders read and every search sets.
  static ValueId parents(GraphBuilder& stepped);

  /// The states of `graph`, which with_rows() made and a search was added to, for `rows` rows. Nothing is allocated
  /// before start().
  StepState(Session& session, const Graph& graph, std::int64_t rows);

  /// Begins: row r feeds tokens[r] at position 0, none where that is negative, and continues row parents[r] of what
  /// recurrent states hold. Room for `capacity` positions.
  void start(std::span<const std::int32_t> tokens, std::span<const std::int32_t> parents, std::int64_t capacity);
  /// Doubles the room until there is enough for `positions`, at most `most` of them. A step enters the position after
  /// the one that it feeds, and needs room for it. Everything stays as it is, but the session's executables must be
  /// prepared anew.
  void reserve_positions(std::int64_t positions, std::int64_t most);

  std::int64_t rows() const { return rows_; }
  std::int64_t capacity() const { return capacity_; }
  /// Sizes of the dimensions tokens, outputs and rows (R), positions and context (C), and places (C R).
  Bindings dims() const;

 private:
  void grow(std::int64_t capacity);

  Session& session_;
  std::int64_t rows_;
  std::int64_t capacity_ = 0;
  std::map<std::string, std::uint64_t> bytes_a_position_;  // of the states that grow, by name
};

}  // namespace heed
