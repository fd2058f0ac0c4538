#include "tools/policy_graph.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

namespace cra::tools {
namespace {

using attention::Form;
using attention::Weights;
using Value = OnnxGraph::Value;
using Type = OnnxGraph::Type;
using Dims = OnnxGraph::Dims;
using Size = OnnxGraph::Size;

constexpr float kNever = -1e30F;                    // score of a node that is not there
constexpr float kNormEpsilon = 1e-5F;               // as in attention/heads.cpp
constexpr std::int64_t kMostNumbers = 200'000'000;  // of eight bytes: a protobuf holds 2 GiB

/// One softmax: who looks at what.
struct Look {
  std::string table;  ///< tensor of frozen scores
  int looked_at = 0;  ///< of the table
  int lookers = 0;
  std::int64_t offset = 0;  ///< in a block of weights, see attention::weight_count
  bool at_nodes = true;     ///< not at points: some may not be there
};

/// The whole graph of one policy. Shapes: B environments, N nodes, F features, d width, H heads of
/// s = d / H numbers, m points.
class PolicyGraph {
 public:
  PolicyGraph(OnnxGraph& g, const StoredPolicy& p)
      : g_(g), policy_(p), n_(p.network), shape_(p.network.shape), tensors_(agents::layout(n_)) {
    const attention::Tensor& last = tensors_.back();
    if (last.offset + std::int64_t{last.rows} * last.cols !=
        static_cast<std::int64_t>(n_.theta.size()))
      throw InputError("/policy/theta has " + std::to_string(n_.theta.size()) +
                       " numbers, which is not what its shape has");
    if (shape_.weights != Weights::dynamic &&
        attention::weight_count(shape_, p.nodes) > kMostNumbers)
      throw InputError("the table of its attention weights is too large for an ONNX file");
  }

  void add() {
    if (one_size_because(shape_).empty())
      nodes_ = std::string("nodes");
    else
      nodes_ = std::int64_t{policy_.nodes};
    features_ = g_.input("features", {"batch", nodes_, std::int64_t{shape_.features}},
                         "raw features of every node, as cra decide --features prints them");
    Value base;
    if (policy_.base_is_input)
      base = g_.input("base", {"batch", nodes_}, "weights of the heuristic " + n_.base.name);
    find_who_is_there();
    const Value h = encoder(normalised());
    decide(base, h);
  }

 private:
  // ---- words of the graph ----------------------------------------------------------------

  Value add2(const Value& a, const Value& b) { return g_.apply("Add", {a, b}); }
  Value sub(const Value& a, const Value& b) { return g_.apply("Sub", {a, b}); }
  Value mul(const Value& a, const Value& b) { return g_.apply("Mul", {a, b}); }
  Value div(const Value& a, const Value& b) { return g_.apply("Div", {a, b}); }
  Value matmul(const Value& a, const Value& b) { return g_.apply("MatMul", {a, b}); }
  Value where(const Value& c, const Value& a, const Value& b) {
    return g_.apply("Where", {c, a, b});
  }
  Value unsqueeze(const Value& x, const Dims& axes) {
    return g_.apply("Unsqueeze", {x, g_.list(axes)});
  }
  Value squeeze(const Value& x, const Dims& axes) {
    return g_.apply("Squeeze", {x, g_.list(axes)});
  }
  Value sum(const Value& x, std::int64_t axis) {
    return g_.apply("ReduceSum", {x, g_.list({axis})}, {{"keepdims", std::int64_t{1}}});
  }
  Value reduce(const char* op, const Value& x, std::int64_t axis) {
    return g_.apply(op, {x}, {{"axes", Dims{axis}}, {"keepdims", std::int64_t{1}}});
  }
  Value reshape(const Value& x, const Dims& dims) {
    return g_.apply("Reshape", {x, g_.list(dims)});
  }
  Value transpose(const Value& x, const Dims& order) {
    return g_.apply("Transpose", {x}, {{"perm", order}});
  }

  // ---- parameters ------------------------------------------------------------------------

  const attention::Tensor& tensor(const std::string& name) const {
    const auto found = std::find_if(tensors_.begin(), tensors_.end(),
                                    [&](const attention::Tensor& t) { return t.name == name; });
    CRA_CHECK(found != tensors_.end(), "policy graph: no tensor " + name);
    return *found;
  }
  std::vector<float> numbers(const std::string& name) const {
    const attention::Tensor& t = tensor(name);
    const auto from = n_.theta.begin() + t.offset;
    return {from, from + std::int64_t{t.rows} * t.cols};
  }
  float number(const std::string& name) const { return numbers(name).at(0); }
  Value vector(const std::string& name) {
    return g_.constant(name, {tensor(name).cols}, numbers(name));
  }
  /// A matrix turned, [inputs, outputs], for products from the right.
  Value turned(const std::string& name, double scale = 1) {
    const attention::Tensor& t = tensor(name);
    const std::vector<float> from = numbers(name);
    std::vector<float> to;
    for (int c = 0; c < t.cols; ++c)
      for (int r = 0; r < t.rows; ++r)
        to.push_back(static_cast<float>(
            scale * static_cast<double>(
                        from[static_cast<std::size_t>(r) * static_cast<std::size_t>(t.cols) +
                             static_cast<std::size_t>(c)])));
    return g_.constant(name, {t.cols, t.rows}, to);
  }
  Value linear(const std::string& name, const Value& x) {
    return add2(matmul(x, turned(name + ".weight")), vector(name + ".bias"));
  }
  Value norm(const std::string& name, const Value& x) {
    const Value centred = sub(x, reduce("ReduceMean", x, -1));
    const Value variance = reduce("ReduceMean", mul(centred, centred), -1);
    const Value spread = g_.apply("Sqrt", {add2(variance, g_.scalar(kNormEpsilon))});
    return add2(mul(div(centred, spread), vector(name + ".gain")), vector(name + ".bias"));
  }

  // ---- who is there ----------------------------------------------------------------------

  /// Shuffled weights are dealt out among those that are there, in an order of their own: no graph
  /// of fixed size says that, so all nodes are there.
  bool maskable() const { return shape_.weights != Weights::shuffled; }
  bool fixed_scores() const {
    return shape_.weights == Weights::random ||
           attention::is_frozen(shape_,
                                std::span<const float>(n_.theta).first(
                                    static_cast<std::size_t>(attention::parameter_count(shape_))));
  }

  void find_who_is_there() {
    const Value rows_and_nodes =
        g_.apply("Slice", {g_.apply("Shape", {features_}), g_.list({0}), g_.list({2})});
    Value present;
    if (maskable()) {
      present = g_.input("present", {"present_batch", "present_nodes"},
                         "1 where the node is there, 0 where it is removed; left out: all are");
      g_.preset(present, {1, 1}, {1});
    } else {
      present = g_.constant("present", {1, 1}, std::vector<float>{1});
    }
    present = g_.apply("Expand", {present, rows_and_nodes});
    there_ = g_.apply("Greater", {present, g_.scalar(0)});
    there_column_ = unsqueeze(there_, {2});
    there_row_ = unsqueeze(there_, {1, 2});
    const Value ones = where(there_, g_.scalar(1), g_.scalar(0));
    count_ = sum(ones, 1);  // [B, 1]
  }
  /// Mean over the nodes that are there. \param x [B, N, d] \returns [B, 1, d]
  Value mean_of_nodes(const Value& x) {
    return div(sum(where(there_column_, x, g_.scalar(0)), 1), unsqueeze(count_, {2}));
  }

  // ---- features --------------------------------------------------------------------------

  /// In double, as the program does it: features may lie far from 0 and close together.
  Value normalised() {
    Value x = g_.cast(features_, Type::float64);
    const std::vector<double> by_size = scaled_by_size();
    if (!by_size.empty()) {
      // Marginal gains are per share of the budget, see agents::resized().
      const Value smaller =
          div(g_.wide_scalar(policy_.nodes), g_.cast(unsqueeze(count_, {2}), Type::float64));
      const Value which = g_.constant("scaled_by_size", {shape_.features}, by_size);
      x = mul(x, add2(mul(sub(smaller, g_.wide_scalar(1)), which), g_.wide_scalar(1)));
    }
    x = sub(x, g_.constant("feature_mean", {shape_.features}, n_.feature_mean));
    x = mul(x, g_.constant("feature_scale", {shape_.features}, n_.feature_scale));
    x = g_.apply("Max", {x, g_.wide_scalar(agents::kFeatureLow)});
    x = g_.apply("Min", {x, g_.wide_scalar(agents::kFeatureHigh)});
    return where(there_column_, g_.cast(x, Type::float32), g_.scalar(0));
  }
  /// 1 for features that shrink with the size of the pool; empty when there is none, or one size.
  std::vector<double> scaled_by_size() const {
    std::vector<double> which;
    for (const std::string& name : n_.features)
      which.push_back(name == "marginal_gain" || name == "margin_ahead" ? 1 : 0);
    const bool any = std::find(which.begin(), which.end(), 1) != which.end();
    return any && one_size_because(shape_).empty() ? which : std::vector<double>{};
  }

  // ---- the encoder -----------------------------------------------------------------------

  Value encoder(const Value& x) {
    Value s = linear("embed.1", g_.apply("Tanh", {linear("embed.0", x)}));
    if (shape_.positions == attention::Positions::sinusoidal) s = add2(s, codes());
    for (int l = 0; l < shape_.layers; ++l) {
      layer_ = "layer" + std::to_string(l);
      s = add2(s, linear(layer_ + ".out", seen(l, norm(layer_ + ".norm1", s))));
      const Value hidden = linear(layer_ + ".mlp.0", norm(layer_ + ".norm2", s));
      s = add2(s, linear(layer_ + ".mlp.1", g_.apply("Tanh", {hidden})));
    }
    return norm("norm", s);
  }

  /// Codes of positions [N, d]. The angle is brought within one turn in double: float sines of
  /// large angles differ between programs.
  Value codes() {
    std::vector<double> turn;
    std::vector<float> even, odd;
    for (int k = 0; k < shape_.width; ++k) {
      const double pair = k / 2;  // NOLINT(bugprone-integer-division): pairs share an angle
      turn.push_back(std::pow(10000.0, -2 * pair / shape_.width) / (2 * std::numbers::pi));
      even.push_back(k % 2 == 0 ? 1.F : 0.F);
      odd.push_back(k % 2 == 0 ? 0.F : 1.F);
    }
    const Value nodes = g_.apply("Gather", {g_.apply("Shape", {features_}), g_.list({1})});
    const Value index = g_.apply("Range", {g_.constant("zero", {}, Dims{0}), squeeze(nodes, {0}),
                                           g_.constant("one", {}, Dims{1})});
    const Value turns = mul(unsqueeze(g_.cast(index, Type::float64), {1}),
                            g_.constant("turns", {shape_.width}, turn));
    const Value rest = sub(turns, g_.apply("Floor", {turns}));
    const Value angle = g_.cast(mul(rest, g_.wide_scalar(2 * std::numbers::pi)), Type::float32);
    return add2(mul(g_.apply("Sin", {angle}), g_.constant("even", {shape_.width}, even)),
                mul(g_.apply("Cos", {angle}), g_.constant("odd", {shape_.width}, odd)));
  }

  /// What the nodes see of each other. \param y [B, N, d]
  Value seen(int l, const Value& y) {
    if (shape_.form == Form::none) return mean_of_nodes(y);
    const auto project = [&](const char* name, const Value& x) {
      return matmul(x, turned(layer_ + name + ".weight"));
    };
    const Value q = heads(project(".query", y));
    Value k = heads(project(".key", y)), v = heads(project(".value", y));
    const int nodes = policy_.nodes, m = shape_.points;
    const std::int64_t per_layer = attention::weight_count(shape_, nodes) / shape_.layers;
    Look look{layer_ + ".average", nodes, nodes, l * per_layer, true};
    if (shape_.form == Form::induced) {
      look.table = layer_ + ".point_average";
      look.lookers = m;
      const Value points =
          g_.constant(layer_ + ".points", {m, shape_.width}, numbers(layer_ + ".points"));
      const Value asked =
          transpose(reshape(points, {1, m, shape_.heads, shape_.head_width()}), {0, 2, 1, 3});
      const Value shown =
          norm(layer_ + ".points_norm", add2(points, merged(mixed(look, asked, k, v))));
      k = heads(project(".point_key", shown));
      v = heads(project(".point_value", shown));
      look = {layer_ + ".average", m, nodes, look.offset + std::int64_t{shape_.heads} * nodes * m,
              false};
    }
    return merged(mixed(look, q, k, v));
  }

  /// [B, n, d] -> [B, H, n, s] and back.
  Value heads(const Value& x) {
    return transpose(reshape(x, {0, 0, shape_.heads, shape_.head_width()}), {0, 2, 1, 3});
  }
  Value merged(const Value& x) { return reshape(transpose(x, {0, 2, 1, 3}), {0, 0, shape_.width}); }

  /// softmax(scores) v. \param q [B or 1, H, lookers, s] \param k, v [B, H, looked at, s]
  Value mixed(const Look& look, const Value& q, const Value& k, const Value& v) {
    Value scores = fixed_scores() ? table(look) : dynamic_scores(q, k);
    if (look.at_nodes && maskable()) scores = where(there_row_, scores, g_.scalar(kNever));
    Value a = g_.apply("Softmax", {scores}, {{"axis", std::int64_t{-1}}});
    if (shape_.weights == Weights::shuffled) {
      const Value places = g_.apply("Expand", {dealt(look), g_.apply("Shape", {a})});
      a = g_.apply("GatherElements", {a, places}, {{"axis", std::int64_t{3}}});
    }
    return matmul(a, v);
  }

  Value dynamic_scores(const Value& q, const Value& k) {
    if (shape_.form == Form::additive) {
      const Value both = g_.apply("Tanh", {add2(unsqueeze(q, {3}), unsqueeze(k, {2}))});
      const Value v = turned(layer_ + ".score.weight", 1 / shape_.temperature);
      return squeeze(matmul(both, v), {4});
    }
    const double scale = 1 / (shape_.temperature * std::sqrt(double(shape_.head_width())));
    const Value asked = mul(q, g_.scalar(static_cast<float>(scale)));
    return matmul(asked, transpose(k, {0, 1, 3, 2}));
  }

  /// Scores that do not depend on what is seen. [1, H, lookers, looked at]
  Value table(const Look& look) {
    const auto rows = static_cast<std::size_t>(look.looked_at),
               cols = static_cast<std::size_t>(look.lookers);
    std::vector<float> from;
    if (shape_.weights == Weights::random) {
      const std::vector<float> all = attention::drawn_scores(shape_, policy_.nodes);
      const auto begin = all.begin() + look.offset;
      from.assign(begin, begin + static_cast<std::int64_t>(rows * cols) * shape_.heads);
    } else {
      from = numbers(look.table);
    }
    std::vector<float> scores(from.size());
    for (std::size_t h = 0; h < static_cast<std::size_t>(shape_.heads); ++h)
      for (std::size_t j = 0; j < rows; ++j)
        for (std::size_t i = 0; i < cols; ++i)
          scores[(h * cols + i) * rows + j] = from[(h * rows + j) * cols + i];
    return g_.constant(look.table, {1, shape_.heads, look.lookers, look.looked_at}, scores);
  }

  /// Where the weight of a place comes from. [1, H, lookers, looked at]
  Value dealt(const Look& look) {
    const std::vector<int> orders = attention::drawn_orders(shape_, policy_.nodes);
    const auto size = static_cast<std::size_t>(look.looked_at);
    const std::size_t rows =
        static_cast<std::size_t>(shape_.heads) * static_cast<std::size_t>(look.lookers);
    Dims from(rows * size);
    for (std::size_t row = 0; row < rows; ++row)
      for (std::size_t t = 0; t < size; ++t) {
        const auto to = static_cast<std::size_t>(
            orders[static_cast<std::size_t>(look.offset) + row * size + t]);
        from[row * size + to] = static_cast<std::int64_t>(t);
      }
    return g_.constant(look.table + ".dealt", {1, shape_.heads, look.lookers, look.looked_at},
                       from);
  }

  // ---- the decision ----------------------------------------------------------------------

  void decide(const Value& base, const Value& h) {
    const Value logits =
        where(there_, squeeze(matmul(h, turned("head.weight", agents::kHeadGain)), {2}),
              g_.scalar(kNever));
    Value weights = g_.apply("Exp", {sub(logits, reduce("ReduceMax", logits, 1))});
    if (policy_.base_is_input) weights = mul(weights, raised(base));
    Value kept = policy_.reserve ? kept_back(h) : Value();
    if (const auto* dirichlet = std::get_if<agents::Dirichlet>(&n_.policy))
      std::tie(weights, kept) = mean_of(*dirichlet, weights, kept);
    const Value largest = reduce("ReduceMax", weights, 1);
    Value share = g_.apply(
        "Max", {div(weights, largest), g_.scalar(static_cast<float>(agents::kLeastFloor))});
    share = where(there_, share, g_.scalar(0));
    g_.output("proportions", div(share, sum(share, 1)), {"batch", nodes_},
              "shares of the budget that is not kept back; they sum to 1");
    if (policy_.reserve)
      g_.output("reserve", squeeze(kept, {1}), {"batch"}, "share of the budget to keep back");
  }

  /// Weights of the base on their floor; where all are 0, equal ones.
  Value raised(const Value& base) {
    const Value zero = g_.scalar(0);
    const Value given = where(there_, base, zero), top = reduce("ReduceMax", given, 1);
    const double floor = std::max(n_.base_floor, agents::kLeastFloor);
    const Value high = g_.apply("Max", {given, mul(top, g_.scalar(static_cast<float>(floor)))});
    return where(g_.apply("Equal", {top, zero}), g_.scalar(1), high);
  }

  /// The share of a reserve whose log-odds are those of the base's plus the residual. [B, 1]
  Value kept_back(const Value& h) {
    const Value shift =
        squeeze(matmul(mean_of_nodes(h), turned("reserve_head.weight", agents::kHeadGain)), {2});
    const double least = std::max(*policy_.reserve, agents::kReserveFloor);
    const Value share = g_.scalar(static_cast<float>(least));
    const Value other = g_.scalar(static_cast<float>(1 - least));
    const Value odds = mul(other, g_.apply("Exp", {sub(g_.scalar(0), shift)}));
    return where(g_.apply("Equal", {shift, g_.scalar(0)}),
                 g_.scalar(static_cast<float>(*policy_.reserve)), div(share, add2(share, odds)));
  }

  /// alpha / sum alpha of the nodes, and of the reserve.
  std::pair<Value, Value> mean_of(const agents::Dirichlet& d, const Value& weights,
                                  const Value& kept) {
    const Value least = g_.scalar(static_cast<float>(d.least));
    const Value kappa =
        g_.scalar(static_cast<float>(std::exp(static_cast<double>(number("log_kappa")))));
    Value share = div(weights, sum(weights, 1));
    if (!kept.empty()) share = mul(share, sub(g_.scalar(1), kept));
    const Value alpha = where(there_, add2(least, mul(kappa, share)), g_.scalar(0));
    if (kept.empty()) return {alpha, kept};
    const Value of_reserve = add2(least, mul(kappa, kept));
    return {alpha, div(of_reserve, add2(of_reserve, sum(alpha, 1)))};
  }

  OnnxGraph& g_;
  const StoredPolicy& policy_;
  const agents::Network& n_;
  const attention::Shape& shape_;
  std::vector<attention::Tensor> tensors_;
  Size nodes_;
  Value features_, there_, there_column_, there_row_, count_;
  std::string layer_;
};

}  // namespace

void add_policy(OnnxGraph& g, const StoredPolicy& p) { PolicyGraph(g, p).add(); }

std::string one_size_because(const attention::Shape& s) {
  switch (s.weights) {
    case Weights::dynamic:
      return "";
    case Weights::average:
      return "its static attention weights are those of one number of nodes";
    case Weights::random:
      return "its random attention weights are drawn for one number of nodes";
    case Weights::shuffled:
      return "its attention weights are shuffled among one number of nodes";
  }
  return "";
}

}  // namespace cra::tools
