// The one place where volk's own code is compiled.
#define VOLK_IMPLEMENTATION
#include <volk.h>
