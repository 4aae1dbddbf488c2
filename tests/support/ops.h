// All ops, for tests.
#pragma once

#include "weft/autograd/ops/activation.h"
#include "weft/autograd/ops/binary.h"
#include "weft/autograd/ops/einsum.h"
#include "weft/autograd/ops/embedding.h"
#include "weft/autograd/ops/fold.h"
#include "weft/autograd/ops/index.h"
#include "weft/autograd/ops/matmul.h"
#include "weft/autograd/ops/pad.h"
#include "weft/autograd/ops/random.h"
#include "weft/autograd/ops/reduce.h"
#include "weft/autograd/ops/scan.h"
#include "weft/autograd/ops/select.h"
#include "weft/autograd/ops/shape.h"
#include "weft/autograd/ops/softmax.h"
#include "weft/autograd/ops/sort.h"
#include "weft/autograd/ops/unary.h"
