#include "cuda/packing.h"

#include <algorithm>

namespace cra::cuda {
namespace {

// Adds the parts of an encoder one by one.
class Packer {
 public:
  Packer(Packing& p, std::vector<attention::Tensor> tensors)
      : packing_(p), tensors_(std::move(tensors)) {}

  std::int64_t source(const std::string& name) const {
    const auto at = std::find_if(tensors_.begin(), tensors_.end(),
                                 [&](const attention::Tensor& t) { return t.name == name; });
    CRA_CHECK(at != tensors_.end(), "cuda: no tensor " + name);
    return at->offset;
  }

  LinearPlace linear(std::int64_t weight, std::int64_t bias, Axis outputs, Axis inputs) {
    LinearPlace l;
    l.source = weight;
    l.source_bias = bias;
    l.outputs = outputs;
    l.inputs = inputs;
    l.weight = add(PackAs::weight, weight, outputs, inputs);
    l.turned = add(PackAs::turned, weight, outputs, inputs);
    if (bias >= 0) l.bias = add(PackAs::vector, bias, {}, outputs);
    return l;
  }
  LinearPlace linear(const std::string& name, Axis outputs, Axis inputs) {
    return linear(source(name + ".weight"), source(name + ".bias"), outputs, inputs);
  }
  NormPlace norm(const std::string& name) {
    NormPlace n;
    n.source_gain = source(name + ".gain");
    n.source_bias = source(name + ".bias");
    n.gain = add(PackAs::vector, n.source_gain, {}, packing_.plain);
    n.bias = add(PackAs::vector, n.source_bias, {}, packing_.plain);
    return n;
  }
  std::int64_t add(PackAs as, std::int64_t source, Axis rows, Axis cols) {
    PackJob job;
    job.as = as;
    job.source = source;
    job.rows = rows;
    job.cols = cols;
    std::int64_t& end = as == PackAs::vector ? packing_.vectors : packing_.weights;
    job.target = end;
    job.first_warp = packing_.warps;
    end += job.size();
    packing_.warps += job.warps();
    packing_.jobs.push_back(job);
    return job.target;
  }

 private:
  Packing& packing_;
  std::vector<attention::Tensor> tensors_;
};

}  // namespace

Packing::Packing(const attention::Shape& s)
    : features{1, s.features},
      plain{1, s.width},
      hidden{1, s.mlp_width()},
      heads{s.heads, s.head_width()},
      points_plain{s.points, s.width},
      points_heads{s.points * s.heads, s.head_width()},
      parameters(attention::parameter_count(s)) {
  Packer p(*this, attention::layout(s));
  const auto of_heads = [&](int count) { return Axis{count * s.heads, s.head_width()}; };
  embed0 = p.linear("embed.0", plain, features);
  embed1 = p.linear("embed.1", plain, plain);
  for (int l = 0; l < s.layers; ++l) {
    const std::string name = "layer" + std::to_string(l);
    Layer layer;
    layer.norm1 = p.norm(name + ".norm1");
    // Projections that follow each other in the block are one product.
    if (s.form != attention::Form::none)
      layer.qkv = p.linear(p.source(name + ".query.weight"), -1, of_heads(3), plain);
    if (s.form == attention::Form::additive) {
      layer.source_additive = p.source(name + ".score.weight");
      layer.additive = p.add(PackAs::vector, layer.source_additive, {}, plain);
    }
    if (s.form == attention::Form::induced) {
      layer.source_points = p.source(name + ".points");
      layer.points = p.add(PackAs::vector, layer.source_points, {}, points_plain);
      layer.point_rows = p.add(PackAs::row, layer.source_points, {}, points_heads);
      layer.points_norm = p.norm(name + ".points_norm");
      layer.point_kv = p.linear(p.source(name + ".point_key.weight"), -1, of_heads(2), plain);
    }
    layer.out = p.linear(name + ".out", plain, s.form == attention::Form::none ? plain : heads);
    layer.norm2 = p.norm(name + ".norm2");
    layer.mlp0 = p.linear(name + ".mlp.0", hidden, plain);
    layer.mlp1 = p.linear(name + ".mlp.1", plain, hidden);
    layers.push_back(layer);
  }
  last = p.norm("norm");
  if (s.weights == attention::Weights::average) {
    frozen = p.source("frozen");
    averages = frozen - attention::weight_count(s, s.nodes);
  }
}

}  // namespace cra::cuda
