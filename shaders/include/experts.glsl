// Of the linear kernels: products whose weight is a stack of experts', `width` rows each, of which every row of y names one
// (engine/ops/expert_linear.cpp, BY_EXPERT 1). A dispatch has weight rows [first, first + count) of the whole stack, or
// all of them and as many behind them where there is a gate; what lies outside, of experts too, is neither read nor
// written, and is another dispatch's. Without experts, column c of y has weight row c, and is column first + c of all.
#ifndef HEED_EXPERTS_GLSL
#define HEED_EXPERTS_GLSL

READ_I32(7, chosen);  // as each kernel says; any binding where BY_EXPERT is 0

const uint kNoExpert = 0xffffffffu;

// Columns of y that this dispatch may have to write.
uint y_columns() { return BY_EXPERT == 1 ? width : count; }
// The weight row of column 0, which may lie before those of this dispatch.
int first_row_of(uint expert) { return BY_EXPERT == 1 ? int(expert * width) - int(first) : 0; }
// Whether this dispatch has no weight row of columns [begin, begin + columns).
bool has_none_of(int first_row, uint begin, uint columns) {
  const int row = first_row + int(begin);
  return row >= int(count) || row + int(columns) <= 0;
}
bool has_column(int first_row, uint column) {
  const int row = first_row + int(column);
  return column < y_columns() && row >= 0 && row < int(count);
}
// Its weight row; the nearest one of this dispatch where it has no such column.
uint row_of_column(int first_row, uint column) { return uint(clamp(first_row + int(column), 0, int(count) - 1)); }
uint column_of_y(uint column) { return BY_EXPERT == 1 ? column : first + column; }

#endif
