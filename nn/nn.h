// All modules, the initialisers and the functional names.
#pragma once

#include "weft/nn/activation.h"
#include "weft/nn/containers.h"
#include "weft/nn/conv.h"
#include "weft/nn/dropout.h"
#include "weft/nn/encoding.h"
#include "weft/nn/functional.h"
#include "weft/nn/gram.h"
#include "weft/nn/init.h"
#include "weft/nn/linear.h"
#include "weft/nn/loss.h"
#include "weft/nn/module.h"
#include "weft/nn/norm.h"
#include "weft/nn/padding.h"
#include "weft/nn/pool.h"
#include "weft/nn/resample.h"
#include "weft/nn/ws_conv.h"
