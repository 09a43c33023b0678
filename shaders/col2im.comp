#version 450
// variant ACCESS: storage texel
//
// The sum of all elements of columns that belong to an element of an image (engine/ops/col2im.cpp). One of these an
// invocation; it looks at every tap of a block, of which a stride's part reaches it.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "memory.glsl"

layout(push_constant) uniform Push {
  uint count;
  int size[3];    // of the image
  int blocks[3];  // along its dimensions
  int kernel[3];
  int stride[3];
  int dilation[3];
  int begin[3];
};

READ_F32(0, x);
WRITE_F32(1, y);

// The block whose tap k covers element `at` of dimension d, or -1.
int block_of(int at, int k, uint d) {
  const int from = at + begin[d] - k * dilation[d];
  return from >= 0 && from % stride[d] == 0 && from / stride[d] < blocks[d] ? from / stride[d] : -1;
}

void main() {
  const uint i = workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  if (i >= count) return;
  const int plane = size[0] * size[1] * size[2];
  const int element = int(i) % plane;
  const int i2 = element % size[2];
  const int i1 = element / size[2] % size[1];
  const int i0 = element / size[2] / size[1];
  const int columns = blocks[0] * blocks[1] * blocks[2];
  int row = int(i) / plane * kernel[0] * kernel[1] * kernel[2] * columns;
  float sum = 0.0;
  for (int k0 = 0; k0 < kernel[0]; ++k0) {
    const int b0 = block_of(i0, k0, 0);
    for (int k1 = 0; k1 < kernel[1]; ++k1) {
      const int b1 = block_of(i1, k1, 1);
      for (int k2 = 0; k2 < kernel[2]; ++k2) {
        const int b2 = block_of(i2, k2, 2);
        if (b0 >= 0 && b1 >= 0 && b2 >= 0) sum += load_f32(x, row + (b0 * blocks[1] + b1) * blocks[2] + b2);
        row += columns;
      }
    }
  }
  y[i] = sum;
}
