// attention/explain.h: what the weights of a pass say about who was looked at.
#pragma once

#include "attention/workspace.h"

namespace cra::attention {

/// As Engine::received.
template <class T>
void received(const Shape& s, const Workspace<T>& w, View<T> out);

/// As Engine::add_weights. \param sum  [weight_count]
template <class T>
void add_weights(const Shape& s, const Workspace<T>& w, double* sum);

}  // namespace cra::attention
