// How the convolutions that are products of matrices address pixels: where one of the output lies, and what of x lies under
// its kernel. Include after the kernel's constants: it takes KERNEL_X, _Y and _Z, BOUNDED, IN_PARTS, and of the push constants
// sizes, stride, dilation, begin, groups, outputs and pixels.
#ifndef HEED_CONV_PIXELS_GLSL
#define HEED_CONV_PIXELS_GLSL
#include "conv_epilogue.glsl"

const uint TAPS = KERNEL_X * KERNEL_Y * KERNEL_Z;

// Of a pixel: where it is in the output.
struct Pixel {
  uint picture, place;  // in the picture
  uint z, y, x;
};

// Where the first tap of a pixel lies in x, which may be outside.
struct Source {
  uint first;    // element
  uint z, y, x;  // outside of x beyond the largest, or wrapped around
};

Pixel pixel_at(uint i) {
  Pixel p;
  const uint plane = out_size[0] * out_size[1] * out_size[2];
  p.picture = i / plane;
  p.place = i % plane;
  p.x = p.place % out_size[2];
  const uint row = p.place / out_size[2];
  p.y = row % out_size[1];
  p.z = row / out_size[1];
  return p;
}

// Of a pixel, in the plane of x with number `plane`: a channel's of a picture, or a picture's where channels lie side by side.
Source source_of(Pixel p, uint plane) {
  Source s;
  s.z = p.z * stride[0] - begin[0];
  s.y = p.y * stride[1] - begin[1];
  s.x = p.x * stride[2] - begin[2];
  s.first = ((plane * in_size[0] + s.z) * in_size[1] + s.y) * in_size[2] + s.x;
  return s;
}

// Whether tap `k` lies inside of x, and which element is under it if it does.
bool find_tap(Source s, uint k, out uint at) {
  const uint dx = k % KERNEL_X * dilation[2];
  const uint dy = k / KERNEL_X % KERNEL_Y * dilation[1];
  const uint dz = k / (KERNEL_X * KERNEL_Y) * dilation[0];
  at = s.first + (dz * in_size[1] + dy) * in_size[2] + dx;
  bool inside = k < TAPS;
  if (BOUNDED >= 1) inside = inside && s.x + dx < in_size[2] && s.y + dy < in_size[1];
  if (BOUNDED == 2) inside = inside && s.z + dz < in_size[0];
  return inside;
}

// Writes the sum of a pixel for an output channel of all groups, or part of it, which conv_parts.comp makes the output of.
void write_sum(Pixel p, uint channel, uint part, float sum) {
  const uint plane = out_size[0] * out_size[1] * out_size[2];
  const uint all_outputs = groups * outputs;
  if (IN_PARTS == 1) {
    y[part * pixels * all_outputs + (p.picture * all_outputs + channel) * plane + p.place] = sum;
  } else {
    const uint y_row = out_size[2] * BLOCK * BLOCK;
    const uint at = output_channel(p.picture, channel, all_outputs, plane * BLOCK * BLOCK, y_row) +
                    (p.z * out_size[1] + p.y) * y_row + p.x * BLOCK;
    y[at] = finished(sum + bias_of(channel), at);
  }
}

#endif
