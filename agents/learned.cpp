#include "agents/learned.h"

#include <algorithm>
#include <cmath>

namespace cra::agents {
namespace {

class LearnedActor : public Actor {
 public:
  LearnedActor(const LearnedNet& net, std::int64_t envs)
      : net_(net), scratch_(net.make_scratch(envs)) {}

  int size(const sim::Params&) const override { return net_.decision_shape().size(); }

  void act(const sim::Batch& b, View<double> decisions) override {
    net_.respond(b, scratch_);
    const Distribution around = net_.distribution();
    for (std::int64_t e = 0; e < decisions.rows; ++e)
      around.mean(proposal_of(scratch_.base, scratch_.residual, net_.decision_shape(), e),
                  decisions.row(e));
  }

 private:
  const LearnedNet& net_;
  LearnedScratch scratch_;
};

class LearnedPolicy : public Policy {
 public:
  explicit LearnedPolicy(std::shared_ptr<const LearnedNet> net) : net_(std::move(net)) {}
  std::unique_ptr<Actor> actor(std::int64_t envs) const override {
    return std::make_unique<LearnedActor>(*net_, envs);
  }
  std::int64_t wanted_batch() const override { return net_->engine().wanted_batch(); }

 private:
  std::shared_ptr<const LearnedNet> net_;
};

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

/// The names of `some` that are not in `others`.
std::vector<std::string> without(const std::vector<std::string>& some,
                                 const std::vector<std::string>& others) {
  std::vector<std::string> left;
  for (const std::string& name : some)
    if (std::find(others.begin(), others.end(), name) == others.end()) left.push_back(name);
  return left;
}

/// How the features that a network reads differ from those of a pool; "" when they do not.
std::string other_features(const std::vector<std::string>& read,
                           const std::vector<std::string>& there) {
  if (read == there) return "";
  const std::vector<std::string> lacking = without(read, there), unknown = without(there, read);
  std::string text;
  if (!lacking.empty()) text = "it reads " + joined(lacking) + ", which this pool does not have";
  if (!unknown.empty()) {
    text += text.empty() ? "" : "; ";
    text += "it was trained without " + joined(unknown) + ", which this pool has";
  }
  return text.empty() ? "it reads the features of this pool in another order: " + joined(read)
                      : text;
}

/// Why resource heads of a network have nothing to say in a pool; "" when they have, or there are
/// none.
std::string other_resources(const Network& n, const sim::Params& p) {
  if (n.resource_heads == 0) return "";
  const std::string heads = std::to_string(n.resource_heads);
  if (std::holds_alternative<Dirichlet>(n.policy))
    return "it has " + heads + " resource heads, and a dirichlet policy has none";
  if (p.pool.action != sim::Action::per_resource)
    return "it decides on each resource by itself, and this pool does not take decisions per "
           "resource";
  if (n.resource_heads == p.pool.resource_count()) return "";
  return "it decides on " + heads + " resources by themselves, and this pool has " +
         std::to_string(p.pool.resource_count());
}

/// Why the base heuristic of a network cannot run in a pool; "" when it can.
std::string other_base(const Rule& base, const sim::Params& p) {
  const std::string start = "it starts from the heuristic " + base.name;
  const std::vector<std::string> known = baseline_names();
  if (std::find(known.begin(), known.end(), base.name) == known.end())
    return start + ", which this program does not know";
  for (const std::string& why : {baseline_misfit(base.name, p), unlearnable(base.name)})
    if (!why.empty()) return start + ", which " + why;
  std::vector<std::string> names;
  for (const Knob& knob : baseline_knobs(base.name, p)) names.push_back(knob.name);
  if (names.size() == base.knobs.size()) return "";
  return start + " with " + std::to_string(base.knobs.size()) +
         " knobs; in this pool that heuristic has " + std::to_string(names.size()) +
         (names.empty() ? "" : " (" + joined(names) + ")");
}

void check_fit(const Network& n, const sim::Params& p) {
  if (const std::string why = network_misfit(n, p); !why.empty())
    throw InputError("the policy does not fit this pool: " + why);
  const ThetaLayout layout(n.shape, n.resource_heads);
  const auto is = [&](const char* what, std::size_t found, std::size_t want) {
    if (found != want)
      throw InputError(std::string("the policy's ") + what + " has " + std::to_string(found) +
                       " numbers, expected " + std::to_string(want));
  };
  is("theta", n.theta.size(), static_cast<std::size_t>(layout.size()));
  is("feature_mean", n.feature_mean.size(), n.features.size());
  is("feature_scale", n.feature_scale.size(), n.features.size());
}

}  // namespace

Network resized(Network n, int from, int to) {
  CRA_CHECK(from >= 1 && to >= 1, "resized: from " + std::to_string(from) + " to " +
                                      std::to_string(to) + " nodes, expected at least 1");
  if (from == to) return n;
  const double larger = static_cast<double>(to) / from;
  for (std::size_t f = 0; f < n.features.size(); ++f)
    if (n.features[f] == "marginal_gain" || n.features[f] == "margin_ahead") {
      n.feature_mean.at(f) *= larger;
      n.feature_scale.at(f) /= larger;
    }
  if (n.base.name == "margin" || n.base.name == "margin_ahead") n.base.knobs.at(0) *= larger;
  return n;
}

std::string network_misfit(const Network& n, const sim::Params& p) {
  if (std::string why = other_features(n.features, sim::feature_names(p)); !why.empty()) return why;
  if (n.shape.nodes != 0 && n.shape.nodes != p.pool.nodes)
    return "its static attention weights are those of " + std::to_string(n.shape.nodes) +
           " nodes, and this pool has " + std::to_string(p.pool.nodes);
  if (std::string why = other_resources(n, p); !why.empty()) return why;
  return other_base(n.base, p);
}

template <class T>
std::int64_t first_non_finite(std::span<const T> x) {
  for (std::size_t i = 0; i < x.size(); ++i)
    if (!std::isfinite(x[i])) return static_cast<std::int64_t>(i);
  return -1;
}
template std::int64_t first_non_finite(std::span<const float>);
template std::int64_t first_non_finite(std::span<const double>);

std::vector<attention::Tensor> layout(const Network& n) {
  const ThetaLayout theta(n.shape, n.resource_heads);
  std::vector<attention::Tensor> all = attention::layout(n.shape);
  all.push_back({"head.weight", theta.head(), 1, theta.width});
  all.push_back({"reserve_head.weight", theta.reserve_head(), 1, theta.width});
  if (theta.resources > 0)
    all.push_back({kResourceHeads, theta.resource_head(), theta.resources, theta.width});
  all.push_back({spread_name(n.policy), theta.log_spread(), 1, 1});
  return all;
}

LearnedNet::LearnedNet(Network n, const sim::Params& p, const EngineFactory& engine)
    : network_(std::move(n)),
      params_(p),
      theta_layout_(network_.shape, network_.resource_heads),
      decision_shape_{p.pool.nodes, p.pool.shared_reserve() != nullptr, network_.resource_heads} {
  check_fit(network_, p);
  engine_ = engine(network_.shape);
  base_ = make_baseline(network_.base, p);
}

void LearnedNet::rebase(Rule base) {
  base_ = make_baseline(base, params_);
  network_.base = std::move(base);
}

Distribution LearnedNet::distribution() const {
  const auto log_spread =
      static_cast<double>(network_.theta[static_cast<std::size_t>(theta_layout_.log_spread())]);
  return {network_.policy, log_spread, decision_shape_};
}

LearnedScratch LearnedNet::make_scratch(std::int64_t envs) const {
  const auto nodes = static_cast<std::size_t>(envs) * static_cast<std::size_t>(params_.pool.nodes);
  LearnedScratch s;
  s.cache = engine_->make_cache(envs, params_.pool.nodes);
  s.heuristic = base_->actor(envs);
  s.features.resize(nodes * network_.features.size());
  s.embedding.resize(nodes * static_cast<std::size_t>(network_.shape.width));
  s.base.resize(static_cast<std::size_t>(envs * decision_shape_.bundle()));
  s.residual.resize(static_cast<std::size_t>(envs * decision_shape_.logits()));
  return s;
}

void LearnedNet::respond(const sim::Batch& b, LearnedScratch& s) const {
  const auto features = static_cast<std::int64_t>(network_.features.size());
  const std::int64_t rows = b.envs * b.nodes;
  s.clock.skip();
  sim::observe(params_, b, {s.features.data(), rows, features});
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t f = 0; f < features; ++f) {
      float& x = s.features[static_cast<std::size_t>(r * features + f)];
      const auto at = static_cast<std::size_t>(f);
      x = static_cast<float>(std::clamp(
          (static_cast<double>(x) - network_.feature_mean[at]) * network_.feature_scale[at],
          kFeatureLow, kFeatureHigh));
    }
  s.clock.lap(Stage::features);
  engine_->forward(encoder_parameters(), {s.features.data(), rows, features}, b.nodes, *s.cache,
                   {s.embedding.data(), rows, theta_layout_.width});
  s.clock.lap(Stage::attention);
  const View<double> base{s.base.data(), b.envs, decision_shape_.bundle()};
  s.heuristic->act(b, base);
  raise_to_floor(network_.base_floor, b.nodes, base);
  const int logits = decision_shape_.logits();
  for (std::int64_t e = 0; e < b.envs; ++e) {
    double* residual = s.residual.data() + e * logits;
    head_residual(heads(), s.embedding.data() + e * b.nodes * theta_layout_.width, decision_shape_,
                  theta_layout_.width, residual);
    for (int n = 0; n < logits; ++n)
      if (!std::isfinite(residual[n]))
        throw DivergedError("the policy diverged: logits[" + std::to_string(e) + ", " +
                            std::to_string(n) + "] is not finite");
  }
  s.clock.lap(Stage::decision);
}

std::vector<double> sum_attention(const LearnedNet& net, const sim::Params& p,
                                  const sim::Exogenous& x) {
  // As many groups as are worth the memory of their sums, N^2 numbers for every layer and head.
  constexpr std::int64_t kGroups = 8;
  const std::int64_t count = attention::weight_count(net.network().shape, p.pool.nodes);
  const std::int64_t groups = std::min(kGroups, x.episodes);
  const DecisionShape& shape = net.decision_shape();
  std::vector<std::vector<double>> sums(static_cast<std::size_t>(groups));
  for_each_tile(groups, [&](std::int64_t group) {
    std::vector<double>& sum = sums[static_cast<std::size_t>(group)];
    sum.assign(static_cast<std::size_t>(count), 0);
    std::vector<std::int64_t> episodes;
    for (std::int64_t i = group; i < x.episodes; i += groups) episodes.push_back(i);
    const auto envs = static_cast<std::int64_t>(episodes.size());
    sim::Batch b = sim::reset(p, x, std::move(episodes));
    LearnedScratch scratch = net.make_scratch(envs);
    sim::Sight sight(p);
    std::vector<double> bundles(static_cast<std::size_t>(envs * shape.size()));
    for (int t = 0; t < x.slots; ++t) {
      net.respond(sight.look(b), scratch);
      net.engine().add_weights(*scratch.cache, sum);
      for (std::int64_t e = 0; e < envs; ++e)
        decide(proposal_of(scratch.base, scratch.residual, shape, e), shape,
               bundles.data() + e * shape.size());
      sim::step_bundles(p, x, b, {bundles.data(), envs, shape.size()});
    }
  });
  std::vector<double> all(static_cast<std::size_t>(count), 0);
  for (const std::vector<double>& sum : sums)
    for (std::size_t i = 0; i < all.size(); ++i) all[i] += sum[i];
  return all;
}

void raise_to_floor(double floor, int nodes, View<double> base) {
  for (std::int64_t e = 0; e < base.rows; ++e) {
    double* w = base.row(e);
    const double top = *std::max_element(w, w + nodes);
    if (top == 0) std::fill_n(w, nodes, 1.0);  // what the pool makes of it
    const double least = std::max(floor, kLeastFloor) * top;
    for (int n = 0; n < nodes; ++n) w[n] = std::max(w[n], least);
  }
}

std::unique_ptr<Policy> make_learned(Network n, const sim::Params& p, const EngineFactory& engine) {
  return std::make_unique<LearnedPolicy>(
      std::make_shared<const LearnedNet>(std::move(n), p, engine));
}

std::unique_ptr<Policy> policy_of(const LearnedNet& net) {
  // Not owned: the empty owner has nothing to delete.
  return std::make_unique<LearnedPolicy>(
      std::shared_ptr<const LearnedNet>(std::shared_ptr<void>(), &net));
}

}  // namespace cra::agents
