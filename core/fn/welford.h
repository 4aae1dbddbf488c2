// Mean and spread of a set of numbers, and how those of two sets merge (Chan, Golub, LeVeque 1983).
#pragma once

#include "weft/core/export.h"

namespace weft::fn {
inline namespace WEFT_ISA {

/// Count, mean and sum of squared deviations from the mean.
struct Moments {
  double n = 0, mean = 0, m2 = 0;

  WEFT_HD WEFT_INLINE void merge(double n_b, double mean_b, double m2_b) {
    if (n_b == 0) return;
    const double total = n + n_b, delta = mean_b - mean;
    mean += delta * (n_b / total);
    m2 += m2_b + delta * delta * (n * n_b / total);
    n = total;
  }
  WEFT_HD WEFT_INLINE void merge(const Moments& b) { merge(b.n, b.mean, b.m2); }
};

}  // namespace WEFT_ISA
}  // namespace weft::fn
