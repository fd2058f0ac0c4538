// cuda/machine.h: where kernels run: memory, launches, waiting. The GPU's is in device_machine.cuh;
// this one is the host, which runs blocks in parallel and their lanes one after the other.
//
// Everything that a machine is told to do it does in order, later; wait() is when it is done.
#pragma once

#include <chrono>
#include <cstring>
#include <memory>

#include "cuda/lanes.h"

namespace cra::cuda {

class HostMachine {
 public:
  /// Memory of the machine. What was never written reads as not-a-number.
  template <class T>
  class Array {
   public:
    Array() = default;
    explicit Array(std::int64_t size)
        : memory_(std::make_unique<T[]>(static_cast<std::size_t>(size))) {
      std::memset(static_cast<void*>(memory_.get()), 0xff,
                  static_cast<std::size_t>(size) * sizeof(T));
    }
    T* data() const { return memory_.get(); }

   private:
    std::unique_ptr<T[]> memory_;
  };
  /// Memory of the host that the machine copies from and to.
  template <class T>
  using Staging = Array<T>;

  /// \param backwards  runs the warps of a block in reverse order: nothing may change
  explicit HostMachine(bool backwards = false) : backwards_(backwards) {}

  template <class T>
  Array<T> array(std::int64_t size) {
    return Array<T>(size);
  }
  template <class T>
  Staging<T> staging(std::int64_t size) {
    return Array<T>(size);
  }
  template <class T>
  void upload(T* to, const T* from, std::int64_t count) {
    std::copy_n(from, count, to);
  }
  template <class T>
  void download(T* to, const T* from, std::int64_t count) {
    std::copy_n(from, count, to);
  }
  template <class T>
  void zero(T* to, std::int64_t count) {
    std::fill_n(to, count, T{});
  }
  /// \param warps  of a block, at most Kernel::kWarps
  template <class Kernel, class Args>
  void launch(std::int64_t blocks, std::size_t shared, const Args& args,
              int warps = Kernel::kWarps) {
    CRA_CHECK(shared <= kMostShared, "cuda: a kernel wants more shared memory than a GPU has");
    for_each_tile(blocks, [&](std::int64_t i) {
      HostBlock block(i, warps, shared, backwards_);
      Kernel::run(block, args);
    });
  }
  void wait() {}

  template <class T>
  void copy(T* to, const T* from, std::int64_t count) {
    std::copy_n(from, count, to);
  }
  /// Microseconds of one work(i), i = 0 ... launches - 1, `rounds` times.
  template <class Work>
  std::vector<double> microseconds(int rounds, int launches, Work work) {
    std::vector<double> all;
    for (int r = 0; r < rounds; ++r) {
      const auto start = std::chrono::steady_clock::now();
      for (int i = 0; i < launches; ++i) work(i);
      const std::chrono::duration<double, std::micro> took =
          std::chrono::steady_clock::now() - start;
      all.push_back(took.count() / launches);
    }
    return all;
  }

 private:
  bool backwards_;
};

}  // namespace cra::cuda
