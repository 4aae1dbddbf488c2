// Recurrent networks: one layer in one direction over all time steps, and one step of it.
// Stacked layers, directions and dropout between them are nn/rnn.h's.
#pragma once

#include "weft/core/rnn_params.h"
#include "weft/core/tensor.h"

namespace weft {

/// x: I features, h: H, or P with a projection.
struct RnnWeights {
  Tensor w_ih;                  ///< [G H, I]
  Tensor w_hh;                  ///< [G H, H] or [G H, P]
  Tensor b_ih = {}, b_hh = {};  ///< [G H]; both or none
  Tensor w_hr = {};             ///< [P, H], lstm only: h = w_hr (o tanh(c))
};

/// The state between steps, [N, H] each (h: [N, P] with a projection). c is lstm's alone, undefined otherwise.
struct RnnState {
  Tensor h, c = {};
};

/// One step, with a = W_ih x + b_ih and b = W_hh h + b_hh. x: [N, I], h: [N, H], c: [N, H].
///     tanh, relu: h' = act(a + b)
///     lstm: c' = s(a_f + b_f) c + s(a_i + b_i) tanh(a_g + b_g), h' = s(a_o + b_o) tanh(c')
///     gru: n = tanh(a_n + s(a_r + b_r) b_n), z = s(a_z + b_z), h' = (1 - z) n + z h
/// s is the sigmoid. (LSTM: Hochreiter & Schmidhuber 1997; GRU: Cho et al. 2014.)
/// ShapeError where sizes do not fit. As torch.lstm_cell, gru_cell, rnn_tanh_cell, rnn_relu_cell.
WEFT_API RnnState rnn_cell(RnnKind kind, const Tensor& x, const RnnState& state, const RnnWeights& w);

/// What rnn_layer gives.
struct RnnSequence {
  Tensor output;   ///< [T, N, H]: h after each step, at its place
  RnnState state;  ///< after the last step
};
/// All steps, from the last to the first where `reverse`. x: [T, N, I], T > 0. The input's products are one, and the
/// gradient of w_hh is one; second derivatives run through the steps as ops.
WEFT_API RnnSequence rnn_layer(RnnKind kind, const Tensor& x, const RnnState& state, const RnnWeights& w,
                               Only<bool> reverse = false);

}  // namespace weft
