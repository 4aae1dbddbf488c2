// All ops, for tests.
#pragma once

#include "weft/autograd/ops/activation.h"
#include "weft/autograd/ops/binary.h"
#include "weft/autograd/ops/reduce.h"
#include "weft/autograd/ops/scan.h"
#include "weft/autograd/ops/select.h"
#include "weft/autograd/ops/softmax.h"
#include "weft/autograd/ops/unary.h"
