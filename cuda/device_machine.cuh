// cuda/device_machine.cuh: the GPU as a machine.h: memory, launches on one stream, waiting.
#pragma once

#include <cuda_runtime.h>

#include <limits>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "cuda/device_warp.cuh"

namespace cra::cuda {

/// Throws with what was being done. Out of memory is std::bad_alloc, as on the host.
/// \param kernel  which one, where it was one
inline void check_device(cudaError_t error, const char* what, const char* kernel = "") {
  if (error == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());  // this one is answered
  if (error == cudaErrorMemoryAllocation) throw std::bad_alloc();
  throw Error(std::string("cuda: ") + what + kernel + ": " + cudaGetErrorString(error));
}

/// Blocks that a multiprocessor must have registers for at once: kBlocks of a kernel that sets it.
template <class Kernel>
constexpr int least_blocks() {
  if constexpr (requires { Kernel::kBlocks; })
    return Kernel::kBlocks;
  else
    return 1;
}

template <class Kernel, class Args>
__global__ void __launch_bounds__(Kernel::kWarps* kLanes, least_blocks<Kernel>()) run_kernel(const Args args) {
  DeviceBlock block;
  Kernel::run(block, args);
}

class DeviceMachine {
  struct FreeDevice {
    void operator()(void* p) const { static_cast<void>(cudaFree(p)); }
  };
  struct FreePinned {
    void operator()(void* p) const { static_cast<void>(cudaFreeHost(p)); }
  };
  struct DestroyGraph {
    void operator()(cudaGraph_t g) const { static_cast<void>(cudaGraphDestroy(g)); }
  };
  struct DestroyGraphExec {
    void operator()(cudaGraphExec_t g) const { static_cast<void>(cudaGraphExecDestroy(g)); }
  };
  struct DestroyEvent {
    void operator()(cudaEvent_t e) const { static_cast<void>(cudaEventDestroy(e)); }
  };
  using Event = std::unique_ptr<CUevent_st, DestroyEvent>;
  static Event make_event() {
    cudaEvent_t e = nullptr;
    check_device(cudaEventCreate(&e), "making an event");
    return Event(e);
  }
  struct DestroyStream {
    void operator()(cudaStream_t s) const { static_cast<void>(cudaStreamDestroy(s)); }
  };
  template <class T, class Free>
  class Memory {
   public:
    Memory() = default;
    explicit Memory(T* p) : memory_(p) {}
    T* data() const { return static_cast<T*>(memory_.get()); }

   private:
    std::unique_ptr<void, Free> memory_;
  };

 public:
  template <class T>
  using Array = Memory<T, FreeDevice>;
  template <class T>
  using Staging = Memory<T, FreePinned>;

  DeviceMachine() {
    cudaStream_t s = nullptr;
    check_device(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking), "making a stream");
    stream_.reset(s);
  }

  template <class T>
  Array<T> array(std::int64_t size) {
    void* p = nullptr;
    check_device(cudaMalloc(&p, bytes<T>(size)), "allocating memory");
    return Array<T>(static_cast<T*>(p));
  }
  template <class T>
  Staging<T> staging(std::int64_t size) {
    void* p = nullptr;
    check_device(cudaHostAlloc(&p, bytes<T>(size), cudaHostAllocDefault),
                 "allocating pinned memory of the host");
    return Staging<T>(static_cast<T*>(p));
  }
  template <class T>
  void upload(T* to, const T* from, std::int64_t count) {
    if (count == 0) return;  // `from` may be null
    check_device(cudaMemcpyAsync(to, from, bytes<T>(count), cudaMemcpyHostToDevice, stream_.get()),
                 "copying to the device");
  }
  template <class T>
  void download(T* to, const T* from, std::int64_t count) {
    if (count == 0) return;
    check_device(cudaMemcpyAsync(to, from, bytes<T>(count), cudaMemcpyDeviceToHost, stream_.get()),
                 "copying from the device");
  }
  template <class T>
  void zero(T* to, std::int64_t count) {
    if (count == 0) return;
    check_device(cudaMemsetAsync(to, 0, bytes<T>(count), stream_.get()), "clearing memory");
  }
  template <class Kernel, class Args>
  void launch(std::int64_t blocks, std::size_t shared, const Args& args,
              int warps = Kernel::kWarps) {
    if (blocks == 0) return;
    CRA_CHECK(blocks <= std::numeric_limits<int>::max(),
              std::string("cuda: kernel ") + Kernel::kName +
                  ": the batch is too large for one call");
    CRA_CHECK(shared <= kMostShared, std::string("cuda: kernel ") + Kernel::kName +
                                         " wants more shared memory than a GPU has");
    constexpr std::size_t kGranted = 48 * 1024;  // without asking
    // One number for all launches: the attribute is one for all threads.
    if (shared > kGranted)
      check_device(cudaFuncSetAttribute(run_kernel<Kernel, Args>,
                                        cudaFuncAttributeMaxDynamicSharedMemorySize,
                                        static_cast<int>(kMostShared)),
                   "asking for shared memory for kernel ", Kernel::kName);
    run_kernel<Kernel, Args><<<static_cast<unsigned>(blocks), static_cast<unsigned>(warps) * kLanes,
                               shared, stream_.get()>>>(args);
    check_device(cudaGetLastError(), "kernel ", Kernel::kName);
  }
  /// Errors inside kernels show up here at the latest.
  void wait() { check_device(cudaStreamSynchronize(stream_.get()), "waiting for the device"); }

  template <class T>
  void copy(T* to, const T* from, std::int64_t count) {
    if (count == 0) return;
    check_device(
        cudaMemcpyAsync(to, from, bytes<T>(count), cudaMemcpyDeviceToDevice, stream_.get()),
        "copying on the device");
  }
  /// Microseconds of one work(i), i = 0 ... launches - 1, by events around graphs of them:
  /// launching takes the host longer than the smallest kernels run. The first graph is not counted,
  /// and every other is submitted while one before it runs: the host's part is in no figure.
  template <class Work>
  std::vector<double> microseconds(int rounds, int launches, Work work) {
    work(0);  // loads the kernels
    wait();
    const auto recorded = graph_of([&] {
      for (int i = 0; i < launches; ++i) work(i);
    });
    cudaGraphExec_t ready = nullptr;
    check_device(cudaGraphInstantiate(&ready, recorded.get(), 0), "making a graph");
    const std::unique_ptr<CUgraphExec_st, DestroyGraphExec> owned(ready);
    std::vector<Event> marks;
    const auto run = [&] {
      check_device(cudaGraphLaunch(ready, stream_.get()), "running a graph");
      marks.push_back(make_event());
      check_device(cudaEventRecord(marks.back().get(), stream_.get()), "timing");
    };
    for (int r = -1; r < rounds; ++r) run();
    wait();
    std::vector<double> all;
    for (std::size_t r = 1; r < marks.size(); ++r) {
      float ms = 0;
      check_device(cudaEventElapsedTime(&ms, marks[r - 1].get(), marks[r].get()), "timing");
      all.push_back(1e3 * double(ms) / launches);
    }
    return all;
  }

 private:
  template <class Work>
  std::unique_ptr<CUgraph_st, DestroyGraph> graph_of(Work work) {
    check_device(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal),
                 "recording a graph");
    cudaGraph_t graph = nullptr;
    try {
      work();
    } catch (...) {
      static_cast<void>(cudaStreamEndCapture(stream_.get(), &graph));
      if (graph != nullptr) static_cast<void>(cudaGraphDestroy(graph));
      throw;
    }
    check_device(cudaStreamEndCapture(stream_.get(), &graph), "recording a graph");
    return std::unique_ptr<CUgraph_st, DestroyGraph>(graph);
  }

  template <class T>
  static std::size_t bytes(std::int64_t count) {
    return static_cast<std::size_t>(count) * sizeof(T);
  }
  std::unique_ptr<CUstream_st, DestroyStream> stream_;
};

}  // namespace cra::cuda
