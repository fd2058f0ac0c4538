// results/student.h (internal): quantiles of the normal and of Student's distribution.
#pragma once

namespace cra::results {

/// z with P(Z <= z) = p, Z standard normal. \param p  in (0, 1)
double normal_quantile(double p);
/// P(T <= t), T Student's with `degrees` of freedom, > 0 and not necessarily whole.
double student_cdf(double t, double degrees);
/// t with P(T <= t) = p. \param p  in (0, 1)
double student_quantile(double p, double degrees);
/// Distance from 0, in standard errors, at which a two-sided test of level `alpha` is passed with
/// probability `power`, the standard error being estimated: the non-centrality of Student's
/// distribution there, without the chance of passing on the wrong side. \param power  in (0.5, 1)
double errors_to_detect(double degrees, double alpha, double power);

}  // namespace cra::results
