// The op table: sample inputs and a naive reference once per op; every op gets the same list of checks for free.
// Knows tensors and the engine; the rows (op_table_<family>.cpp) know the ops.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "support/devices.h"
#include "support/here.h"
#include "support/reference.h"
#include "weft/autograd/engine.h"
#include "weft/core/factory.h"

namespace op_table {

using support::Array;
using weft::Dtype;
using weft::Shape;
using weft::Tensor;
using Tensors = std::vector<Tensor>;
using Arrays = std::vector<Array>;

/// One call of an op: f64 inputs (and integer ones), how to call it, and what it must give.
struct Sample {
  std::string label;
  Tensors inputs;
  std::function<Tensors(const Tensors&)> call;
  std::function<Arrays(const Arrays&)> reference;
};

/// A call of an op with one output.
Sample sample(const std::string& label, Tensors inputs, std::function<Tensor(const Tensors&)> op,
              std::function<Array(const Arrays&)> reference);

/// A call that must be refused, with a piece of its message.
struct Fault {
  std::function<void()> call;
  std::string text;
  bool in_kernel = false;  ///< found by the kernel, so that only the CPU's and CUDA's own can report it
};

/// A row.
struct Op {
  std::string name;
  std::vector<Sample> samples = {};
  std::vector<Fault> faults = {};
  bool gradient = true;  ///< differentiable (false: comparisons, indices)
  bool half = true;      ///< takes f16 and bf16
  bool wraps = false;    ///< its samples make negative numbers of positive ones: not for unsigned integers
  bool deterministic_layout = true;
  double half_eps =
      4;  ///< error allowed in f16/bf16, in units of the dtype's eps times |reference| (and of 1 absolutely)
  double tolerance = 1e-12;      ///< of values and of layouts against each other, in f64
  double grad_tolerance = 1e-6;  ///< of the finite differences
};

/// The row of that name, to add to it.
Op& row(std::vector<Op>& table, const std::string& name);

/// Runs all checks on all ops, as doctest subcases: values, first and second derivatives, layouts, halves, fused
/// against composite gradients, freed graphs, in-place changes, faults.
void check(const std::vector<Op>& ops);

/// Fixed pseudo-random numbers in [low, high], well apart from each other and from small integers, so that no
/// finite difference crosses a kink.
Tensor uniform(const Shape& shape, double low = -2, double high = 2, uint64_t seed = 1);
/// Fixed integers in [low, high). As all tensors made here, on the running test's device.
Tensor integers(const Shape& shape, int64_t low, int64_t high, uint64_t seed = 1);

/// The shapes that every elementwise op is tried with: rank 0, empty, one element, vectors, features of rank 3 to 5.
const std::vector<Shape>& elementwise_shapes();

using UnaryOp = std::function<Tensor(const Tensor&)>;
using BinaryOp = std::function<Tensor(const Tensor&, const Tensor&)>;
/// The row of an elementwise op: inputs of all these shapes, within [low, high].
Op elementwise(const char* name, UnaryOp op, std::function<double(double)> reference, double low = -2, double high = 2);
/// The row of one of two tensors: shapes that are equal, broadcast in every way, of rank 0, empty, features; and a pair
/// that does not fit.
Op binary(const char* name, BinaryOp op, std::function<double(double, double)> reference, double low = -2,
          double high = 2);

}  // namespace op_table
