// Kinds of recurrent layers, and what their kernels keep of a step.
#pragma once

#include <cstdint>

namespace weft {

/// Gates G of each kind, in the order of the weights' rows: tanh, relu: 1; lstm: 4 (input, forget, cell, output); gru:
/// 3 (reset, update, new).
enum class RnnKind : uint8_t { tanh, relu, lstm, gru };

/// G: rows of the weights for each unit.
constexpr int64_t rnn_gates(RnnKind kind) { return kind == RnnKind::lstm ? 4 : kind == RnnKind::gru ? 3 : 1; }
/// Numbers of a unit that a step keeps for its gradient. lstm: the gates, c; gru: the gates, what its new gate gets
/// from h.
constexpr int64_t rnn_kept(RnnKind kind) { return kind == RnnKind::lstm ? 5 : kind == RnnKind::gru ? 4 : 0; }

}  // namespace weft
