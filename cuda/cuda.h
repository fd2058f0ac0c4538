// cuda/cuda.h: the GPU's seam. The only folder that may see a device pointer. Built without the
// CUDA toolkit the same symbols exist and say how to get them working.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "attention/attention.h"

namespace cra::cuda {

/// True when this program was built with the CUDA toolkit.
bool compiled();

/// Toolkit and driver versions, or why there is none; one line for `cra doctor`.
std::string describe();

/// Names of the usable GPUs, in the driver's order; empty without a GPU, a driver, or the toolkit.
std::vector<std::string> devices();

/// How products are made; sums are kept in float.
enum class Precision {
  fp32,  ///< each of three tf32 products, which keep 22 of 24 bits
  tf32,  ///< of numbers rounded to 11 bits
  bf16,  ///< of numbers rounded to 8 bits; activations are kept so too
};

/// What bf16 keeps of a number.
float rounded_to_bf16(float x);

/// The attention engine on the GPU. A cache has a stream of its own; gradients have the same bits
/// in every run, but not in calls of other sizes.
/// \throws Error  when this build or this machine cannot run it; the text says what to do
std::unique_ptr<attention::Engine> make_engine(const attention::Shape& shape,
                                               Precision precision = Precision::fp32);

/// The same kernels on the host, one lane after the other: to check them without a GPU, thousands
/// of times slower.
/// \param backwards  runs what may run in any order in reverse: nothing may change
std::unique_ptr<attention::Engine> make_emulated_engine(const attention::Shape& shape,
                                                        Precision precision,
                                                        bool backwards = false);

/// The core of attention alone, softmax(Q K^T / sqrt(size)) V of every head and its reverse: what
/// `cra gpu-check` checks and `cra bench cuda` measures.
struct CoreShape {
  std::int64_t environments = 1;
  int nodes = 1;
  int heads = 1;
  int size = 8;  ///< of a head, a multiple of 8 up to 64
};
class Core {
 public:
  virtual ~Core() = default;
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  /// \param qkv    [E * N, 3, H, size] queries, keys, values; rounded to what the precision keeps
  /// \param d_out  [E * N, H, size] gradient by the result
  virtual void set(std::span<const float> qkv, std::span<const float> d_out) = 0;
  virtual void forward() = 0;
  /// Of the last forward().
  virtual void backward() = 0;
  /// [E * N, H, size] and [E * N, 3, H, size].
  virtual std::vector<float> out() = 0;
  virtual std::vector<float> d_qkv() = 0;

 protected:
  Core() = default;
};
/// \throws Error  as make_engine(), or on a shape that it is not made for
std::unique_ptr<Core> make_core(const CoreShape& shape, Precision precision);
std::unique_ptr<Core> make_emulated_core(const CoreShape& shape, Precision precision);

/// What is measured as the encoder, with the weights of initial_parameters(shape, 1).
inline attention::Shape bench_shape() {
  attention::Shape s;
  s.features = 16;
  s.width = 64;
  s.heads = 4;
  s.layers = 2;
  return s;
}
/// One figure of `cra bench cuda`.
struct BenchRow {
  std::string what;       ///< "core" or "encoder"
  bool backward = false;  ///< forward and backward together
  Precision precision = Precision::fp32;
  std::int64_t environments = 0;
  int nodes = 0, width = 0, heads = 0, layers = 0;
  std::vector<double> us{};  ///< microseconds of a pass, one number per round
  double bytes = 0, operations = 0, exponentials = 0;  ///< that any way of doing it needs
  /// Of the last environment, after the last pass: what went in, what came out of it, and of a
  /// core the same of the gradients (empty where there are none).
  std::vector<float> in{}, out{}, d_out{}, d_in{};
};
struct BenchReport {
  std::string device, compute_capability;
  double copy_gb_per_s = 0;  ///< bytes read and written by a copy far larger than any cache
  std::vector<BenchRow> rows;
};
/// What to measure: every shape in every precision.
struct BenchPlan {
  int rounds = 5;
  std::int64_t rows = 262144;  ///< environments times nodes
  std::vector<int> nodes{16, 17, 32, 33, 64, 65, 100, 128, 256};
  std::vector<std::int64_t> batches{1024, 2048, 4096, 8192};  ///< of 16 nodes: how time grows
  std::int64_t bytes = 256 << 20;  ///< that buffers in turn take together, more than the L2 cache
  int launches = 24;               ///< of a graph
};
/// Passes on data that lies on the device, timed by its events around graphs of launches.
/// \throws Error  as make_engine()
BenchReport bench(const BenchPlan& plan);
/// The same code on the host, timed by the clock: to see that it runs, not how fast.
BenchReport bench_emulated(const BenchPlan& plan);

}  // namespace cra::cuda

template <>
struct cra::Choices<cra::cuda::Precision> {
  static constexpr std::array<const char*, 3> names{"fp32", "tf32", "bf16"};
};
