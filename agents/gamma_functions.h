// agents/gamma_functions.h (internal): log Gamma and its derivatives. The C library's lgamma writes
// the global `signgam`, so that threads race; and its bits differ between libraries.
//
// Recurrence up to 10, then the asymptotic series (Abramowitz, Stegun 6.1.41, 6.3.18, 6.4.12): the
// first term left out is below 3e-14 there.
#pragma once

namespace cra::agents {

/// log Gamma(x). \param x  > 0
double log_gamma(double x);
/// d log Gamma / dx. \param x  > 0
double digamma(double x);
/// d digamma / dx. \param x  > 0
double trigamma(double x);

}  // namespace cra::agents
