// cuda/engines.h: one engine per way of making products, each compiled by itself: they are the long
// part of the build.
#pragma once

#include <memory>

#include "attention/attention.h"

namespace cra::cuda {

std::unique_ptr<attention::Engine> make_fp32_engine(const attention::Shape& shape);
std::unique_ptr<attention::Engine> make_tf32_engine(const attention::Shape& shape);
std::unique_ptr<attention::Engine> make_bf16_engine(const attention::Shape& shape);

}  // namespace cra::cuda
