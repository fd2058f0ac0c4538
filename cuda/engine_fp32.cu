#include "cuda/device_machine.cuh"
#include "cuda/engines_made.h"

template struct cra::cuda::Engines<cra::cuda::DeviceMachine, cra::cuda::Precision::fp32>;
