// All optimisers and what goes with them.
#pragma once

#include "weft/optim/adam.h"
#include "weft/optim/clip.h"
#include "weft/optim/ema.h"
#include "weft/optim/lbfgs.h"
#include "weft/optim/rmsprop.h"
#include "weft/optim/schedule.h"
#include "weft/optim/sgd.h"
#include "weft/optim/unit_scaled.h"
