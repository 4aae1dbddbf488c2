// All ops, for tests.
#pragma once

#if __has_include("weft/autograd/ops/binary.h")
#include "weft/autograd/ops/binary.h"
#include "weft/autograd/ops/reduce.h"
#else
#include "weft/autograd/ops/bootstrap.h"
#endif
