#include "tests/unit/grammar/earley.h"

#include <algorithm>

namespace heed::grammar_test {

using grammar::Expression;

Earley::Earley(const grammar::Grammar& grammar) {
  for (std::size_t i = 0; i < grammar.rules.size(); ++i) new_name();
  root_ = new_name();
  add(root_, {{false, 0, 0, grammar.root}});
  for (std::size_t i = 0; i < grammar.rules.size(); ++i) add(i, symbols_of(grammar.rules[i].body));
  nullable_.resize(by_name_.size());
  for (bool changed = true; changed;) {
    changed = false;
    for (const Production& production : productions_) {
      if (nullable_[production.name]) continue;
      if (!std::ranges::all_of(production.symbols, [&](const Symbol& s) { return !s.terminal && nullable_[s.name]; })) {
        continue;
      }
      nullable_[production.name] = changed = true;
    }
  }
  Items first;
  for (const std::size_t production : by_name_[root_]) first.emplace_back(production, 0, 0);
  sets_.push_back(first);
  fill(sets_.back());
}

std::size_t Earley::new_name() {
  by_name_.emplace_back();
  return by_name_.size() - 1;
}

void Earley::add(std::size_t name, std::vector<Symbol> symbols) {
  by_name_[name].push_back(productions_.size());
  productions_.push_back({name, std::move(symbols)});
}

std::vector<Earley::Symbol> Earley::symbols_of(const Expression& expression) {
  std::vector<Symbol> symbols;
  const auto append = [&](const std::vector<Symbol>& more) { symbols.insert(symbols.end(), more.begin(), more.end()); };
  switch (expression.kind) {
    case Expression::Kind::Text:
      for (const char c : expression.text) {
        symbols.push_back({true, static_cast<std::uint8_t>(c), static_cast<std::uint8_t>(c), 0});
      }
      return symbols;
    case Expression::Kind::Rule:
      return {{false, 0, 0, expression.rule}};
    case Expression::Kind::Sequence:
      for (const Expression& part : expression.parts) append(symbols_of(part));
      return symbols;
    default:
      break;
  }
  const std::size_t name = new_name();
  if (expression.kind == Expression::Kind::Characters) {
    for (const grammar::CodePoints& range : expression.characters) {
      for (const grammar::ByteSequence& bytes : grammar::byte_sequences(range)) {
        std::vector<Symbol> one;
        for (const auto& [first, last] : bytes) one.push_back({true, first, last, 0});
        add(name, one);
      }
    }
  } else if (expression.kind == Expression::Kind::Choice) {
    for (const Expression& part : expression.parts) add(name, symbols_of(part));
  } else {
    const std::size_t item = new_name();
    add(item, symbols_of(expression.parts.front()));
    const Symbol one{false, 0, 0, item};
    for (std::uint32_t i = 0; i < expression.least; ++i) symbols.push_back(one);
    symbols.push_back({false, 0, 0, name});
    add(name, {});
    if (!expression.most) {
      add(name, {one, {false, 0, 0, name}});
      return symbols;
    }
    std::size_t before = name;
    for (std::uint32_t i = expression.least; i < *expression.most; ++i) {
      const std::size_t next = new_name();
      add(next, {});
      add(before, {one, {false, 0, 0, next}});
      before = next;
    }
    return symbols;
  }
  return {{false, 0, 0, name}};
}

void Earley::fill(Items& items) const {
  std::set<Item> known(items.begin(), items.end());
  Items added(items);
  const std::size_t here = &items - sets_.data();
  for (std::size_t i = 0; i < added.size(); ++i) {
    const auto put = [&](std::size_t production, std::size_t done, std::size_t begin) {
      if (known.emplace(production, done, begin).second) added.emplace_back(production, done, begin);
    };
    const auto [number, done, begin] = added[i];
    const Production& production = productions_[number];
    if (done < production.symbols.size()) {
      const Symbol& next = production.symbols[done];
      if (next.terminal) continue;
      for (const std::size_t predicted : by_name_[next.name]) put(predicted, 0, here);
      if (nullable_[next.name]) put(number, done + 1, begin);
      continue;
    }
    const Items waiting = begin == here ? added : sets_[begin];
    for (const auto& [other, other_done, other_begin] : waiting) {
      const std::vector<Symbol>& symbols = productions_[other].symbols;
      if (other_done == symbols.size() || symbols[other_done].terminal) continue;
      if (symbols[other_done].name == production.name) put(other, other_done + 1, other_begin);
    }
  }
  items = added;
}

bool Earley::push(std::uint8_t byte) {
  Items next;
  for (const auto& [number, done, begin] : sets_.back()) {
    const std::vector<Symbol>& symbols = productions_[number].symbols;
    if (done == symbols.size() || !symbols[done].terminal) continue;
    if (byte >= symbols[done].first && byte <= symbols[done].last) next.emplace_back(number, done + 1, begin);
  }
  if (next.empty()) return false;
  sets_.push_back(next);
  fill(sets_.back());
  return true;
}

bool Earley::push(std::string_view bytes) {
  return std::ranges::all_of(bytes, [&](char byte) { return push(static_cast<std::uint8_t>(byte)); });
}

bool Earley::complete() const {
  return std::ranges::any_of(sets_.back(), [&](const Item& item) {
    const auto& [number, done, begin] = item;
    return productions_[number].name == root_ && done == productions_[number].symbols.size() && begin == 0;
  });
}

}  // namespace heed::grammar_test
