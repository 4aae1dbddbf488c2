// Recurrent layers RNN, LSTM, GRU and their cells. Formulas are those of the ops (autograd/ops/layer/rnn.h).
// All weights begin as U(+-1 / sqrt(hidden_size)).
#pragma once

#include <functional>
#include <optional>

#include "weft/autograd/ops/layer/rnn.h"
#include "weft/core/choice.h"
#include "weft/nn/module.h"
#include "weft/nn/option.h"
#include "weft/nn/packed_sequence.h"

namespace weft::nn {

/// The nonlinearity of RNN and RNNCell.
enum class RNNNonlinearity : uint8_t { tanh, relu };
constexpr auto mode_words(RNNNonlinearity) { return make_words("RNN: nonlinearity", "tanh", "relu"); }

/// Options of RNN.
struct RNNOptions {
  int64_t num_layers = 1;                                        ///< each takes the output of the one before
  Choice<RNNNonlinearity> nonlinearity = RNNNonlinearity::tanh;  ///< of the states
  bool bias = true;                                              ///< with bias_ih and bias_hh
  bool batch_first = false;    ///< x and the output are [N, T, ...] instead of [T, N, ...]; states are as ever
  double dropout = 0;          ///< in training, of every layer's output but the last one's
  bool bidirectional = false;  ///< a second net from the last step to the first; outputs side by side
};
/// Options of GRU; as RNN's.
struct GRUOptions {
  int64_t num_layers = 1;
  bool bias = true;
  bool batch_first = false;
  double dropout = 0;
  bool bidirectional = false;
};
/// Options of LSTM; as RNN's.
struct LSTMOptions {
  int64_t num_layers = 1;
  bool bias = true;
  bool batch_first = false;
  double dropout = 0;
  bool bidirectional = false;
  int64_t proj_size = 0;  ///< h is projected to this many features; 0: not
};

/// What the three share. With L layers, D directions and P = hidden_size (lstm: proj_size, if given):
/// x: [T, N, input_size] or [T, input_size] -> output [T, N, D P] or [T, D P], states [L D, N, P] or [L D, P] (c:
/// hidden_size). Packed sequences with data [rows, input_size] give packed sequences with data [rows, D P], and the
/// states after each one's own last step (reverse: its first), in the caller's order. No step of the padding is
/// computed: they run as one pass for each different length, so a batch of few different lengths is the fastest. State:
/// weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0 (, weight_hr_l0), then ..._l0_reverse, ..._l1, ...
/// ValueError for num_layers below 1, a dropout outside [0, 1], and a proj_size that is not below hidden_size.
class WEFT_API RNNBase : public Module {
 public:
  /// As in the constructor; proj_size 0: none.
  int64_t input_size, hidden_size, num_layers, proj_size;
  /// Whether there are biases, and nets in reverse.
  bool bias, bidirectional;
  /// May be changed, also through copies.
  Option<bool> batch_first;
  Option<double> dropout;
  /// First values: U(+-1 / sqrt(hidden_size)) for all parameters.
  void reset_parameters();

 protected:
  RNNBase(std::string name, RnnKind kind, int64_t input_size, int64_t hidden_size, const LSTMOptions& o);
  /// o with num_layers from an argument of its own. ValueError where o has another number.
  template <class Options> static Options with_layers(Options o, int64_t num_layers) {
    WEFT_CHECK(o.num_layers == 1 || o.num_layers == num_layers, ValueError, "RNN: num_layers is ", num_layers,
               " but the options say ", o.num_layers);
    o.num_layers = num_layers;
    return o;
  }
  /// All layers in turn over x [T, N, ..] or packed x, from the first states, which are zero unless given.
  RnnSequence run(const Tensor& x, const RnnState& first) const;
  /// Result of a run over packed sequences.
  struct PackedRun {
    PackedSequence output;
    RnnState state;
  };
  PackedRun run(const PackedSequence& x, const RnnState& first) const;

 private:
  /// One layer in one direction.
  using Pass = std::function<RnnSequence(const Tensor& x, const RnnState& first, const RnnWeights& w, bool reverse)>;
  RnnSequence stacked(Tensor x, const RnnState& first, const Pass& pass) const;
  void check_features(const Tensor& x) const;
  /// The first states as [L D, N, P], zero unless given, without N where not batched.
  RnnState first_states(const RnnState& given, const Tensor& x, std::optional<int64_t> N) const;
  RnnWeights weights(int64_t layer, int64_t direction) const;
  RnnKind kind_;
};

/// Result of RNN and GRU.
struct RNNResult {
  Tensor output;  ///< of the last layer, for each step
  Tensor h;       ///< of the last step, for each layer and direction
};
/// Result of RNN and GRU for packed sequences.
struct PackedRNNResult {
  PackedSequence output;  ///< of the last layer, packed as x
  Tensor h;               ///< of each sequence's last step
};
/// Nets whose state is h alone.
class WEFT_API HiddenStateRNN : public RNNBase {
 public:
  /// The first state is zero unless given.
  RNNResult operator()(const Tensor& x, const Tensor& h0 = {}) const;
  RNNResult forward(const Tensor& x, const Tensor& h0) const;
  PackedRNNResult operator()(const PackedSequence& x, const Tensor& h0 = {}) const;
  PackedRNNResult forward(const PackedSequence& x, const Tensor& h0) const;

 protected:
  using RNNBase::RNNBase;
};
/// h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu instead of tanh.
class WEFT_API RNN : public HiddenStateRNN {
 public:
  RNN(int64_t input_size, int64_t hidden_size, const RNNOptions& o = {});
  /// PyTorch's short form: `RNN(8, 16, 2)` has two layers.
  template <std::integral I>
  RNN(int64_t input_size, int64_t hidden_size, I num_layers, const RNNOptions& o = {})
      : RNN(input_size, hidden_size, with_layers(o, num_layers)) {}
};
/// r, z = sigmoid(W x + b + U h + d) each, n = tanh(W x + b + r (U h + d)), h' = (1 - z) n + z h; rows of the weights
/// in the order r, z, n (Cho et al. 2014). As torch.nn.GRU.
class WEFT_API GRU : public HiddenStateRNN {
 public:
  GRU(int64_t input_size, int64_t hidden_size, const GRUOptions& o = {});
  /// PyTorch's short form: `GRU(8, 16, 2)` has two layers.
  template <std::integral I>
  GRU(int64_t input_size, int64_t hidden_size, I num_layers, const GRUOptions& o = {})
      : GRU(input_size, hidden_size, with_layers(o, num_layers)) {}
};
/// Result of LSTM.
struct LSTMResult {
  Tensor output, h, c;  ///< of the last layer for each step; h and c of the last step, for each layer and direction
};
/// Result of LSTM for packed sequences.
struct PackedLSTMResult {
  PackedSequence output;  ///< of the last layer, packed as x
  Tensor h, c;            ///< of each sequence's last step
};
/// i, f, o = sigmoid(W x + b + U h + d) each, g = tanh of the like, c' = f c + i g, h' = o tanh(c'), projected with
/// proj_size; rows of the weights in the order i, f, g, o (Hochreiter & Schmidhuber 1997). As torch.nn.LSTM.
class WEFT_API LSTM : public RNNBase {
 public:
  LSTM(int64_t input_size, int64_t hidden_size, const LSTMOptions& o = {});
  /// PyTorch's short form: `LSTM(8, 16, 2)` has two layers.
  template <std::integral I>
  LSTM(int64_t input_size, int64_t hidden_size, I num_layers, const LSTMOptions& o = {})
      : LSTM(input_size, hidden_size, with_layers(o, num_layers)) {}
  /// Both states or none.
  LSTMResult operator()(const Tensor& x, const Tensor& h0 = {}, const Tensor& c0 = {}) const;
  LSTMResult forward(const Tensor& x, const Tensor& h0, const Tensor& c0) const;
  PackedLSTMResult operator()(const PackedSequence& x, const Tensor& h0 = {}, const Tensor& c0 = {}) const;
  PackedLSTMResult forward(const PackedSequence& x, const Tensor& h0, const Tensor& c0) const;
};

/// Options of RNNCell.
struct RNNCellOptions {
  bool bias = true;                                              ///< with bias_ih and bias_hh
  Choice<RNNNonlinearity> nonlinearity = RNNNonlinearity::tanh;  ///< of the state
};
/// Options of GRUCell and LSTMCell.
struct CellOptions {
  bool bias = true;  ///< with bias_ih and bias_hh
};
/// One step: x [N, input_size] or [input_size], states [N, hidden_size] or [hidden_size], zero unless given.
/// State: weight_ih, weight_hh, bias_ih, bias_hh.
class WEFT_API RNNCellBase : public Module {
 public:
  /// Features of x, and of the states.
  int64_t input_size, hidden_size;
  bool bias;
  /// [G hidden, input_size], [G hidden, hidden] and [G hidden] twice, for G gates; biases undefined without.
  Parameter weight_ih, weight_hh, bias_ih, bias_hh;

 protected:
  RNNCellBase(std::string name, RnnKind kind, int64_t input_size, int64_t hidden_size, bool bias);
  /// One step from the states s. ShapeError for x or states that do not fit.
  RnnState step(const Tensor& x, const RnnState& s) const;

 private:
  RnnKind kind_;
};
/// One step of RNN -> h.
class WEFT_API RNNCell : public RNNCellBase {
 public:
  RNNCell(int64_t input_size, int64_t hidden_size, RNNCellOptions o = {});
  /// PyTorch's short form: `RNNCell(8, 16, false)` has no biases.
  template <std::same_as<bool> B>
  RNNCell(int64_t input_size, int64_t hidden_size, B bias) : RNNCell(input_size, hidden_size, {.bias = bias}) {}
  Tensor operator()(const Tensor& x, const Tensor& h = {}) const;
};
/// One step of GRU -> h.
class WEFT_API GRUCell : public RNNCellBase {
 public:
  GRUCell(int64_t input_size, int64_t hidden_size, CellOptions o = {});
  /// PyTorch's short form: `GRUCell(8, 16, false)` has no biases.
  template <std::same_as<bool> B>
  GRUCell(int64_t input_size, int64_t hidden_size, B bias) : GRUCell(input_size, hidden_size, {.bias = bias}) {}
  Tensor operator()(const Tensor& x, const Tensor& h = {}) const;
};
/// One step of LSTM -> h and c.
class WEFT_API LSTMCell : public RNNCellBase {
 public:
  LSTMCell(int64_t input_size, int64_t hidden_size, CellOptions o = {});
  /// PyTorch's short form: `LSTMCell(8, 16, false)` has no biases.
  template <std::same_as<bool> B>
  LSTMCell(int64_t input_size, int64_t hidden_size, B bias) : LSTMCell(input_size, hidden_size, {.bias = bias}) {}
  /// Both states or none.
  RnnState operator()(const Tensor& x, const Tensor& h = {}, const Tensor& c = {}) const;
};

}  // namespace weft::nn
