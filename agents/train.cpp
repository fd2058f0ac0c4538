// The training loop's body: draw, roll out, learn.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "agents/adam.h"
#include "agents/advantages.h"
#include "agents/agents.h"
#include "agents/evolution.h"
#include "agents/feature_statistics.h"
#include "agents/learned.h"
#include "agents/pathwise.h"
#include "agents/rollout.h"
#include "agents/score_learner.h"

namespace cra::agents {
namespace {

// Floor of Adam's deviation: large where gradients are noisy, small where they are exact and those
// of early layers are themselves of the order of 1e-5.
constexpr double kNoisyEpsilon = 1e-5, kExactEpsilon = 1e-8;

double scheduled_rate(const Training& t, double peak, std::int64_t update) {
  if (update < t.warmup_updates) return peak * static_cast<double>(update + 1) / t.warmup_updates;
  if (t.schedule == Schedule::constant) return peak;
  const double length = std::max(1, t.updates - t.warmup_updates);
  const double done = std::min(1.0, static_cast<double>(update - t.warmup_updates) / length);
  return peak * (0.05 + 0.95 * 0.5 * (1 + std::cos(std::numbers::pi * done)));
}

void require_finite(std::span<const float> x, const char* array, const Network& n,
                    std::int64_t update) {
  const std::int64_t at = first_non_finite(x);
  if (at < 0) return;
  std::string tensor = " (of the critic)";
  for (const attention::Tensor& t : layout(n))
    if (at >= t.offset && at < t.offset + std::int64_t{t.rows} * t.cols)
      tensor = " (" + t.name + "[" + std::to_string(at - t.offset) + "])";
  throw DivergedError(std::string("training diverged in update ") + std::to_string(update + 1) +
                      ": " + array + "[" + std::to_string(at) + "]" + tensor +
                      " is not finite; a lower agent.learner.learning_rate may help");
}

/// What an update starts from: a number that is not finite is named here, not by what comes of it.
void require_finite(const TrainState& s, const Network& n) {
  require_finite(s.theta, "theta", n, s.updates);
  require_finite(s.adam_mean, "adam_mean", n, s.updates);
  require_finite(s.adam_square, "adam_square", n, s.updates);
  for (std::size_t f = 0; f < s.feature_mean.size(); ++f)
    if (!std::isfinite(s.feature_mean[f]) || !std::isfinite(s.feature_scale[f]))
      throw DivergedError("training diverged in update " + std::to_string(s.updates + 1) +
                          ": the statistics of feature " + n.features[f] + " are not finite");
}

/// Index of the first of the smallest numbers. \param x  not empty
std::size_t first_least(const std::vector<double>& x) {
  return static_cast<std::size_t>(std::min_element(x.begin(), x.end()) - x.begin());
}

void log(TrainState& next, const UpdateStats& stats) {
  next.log_env_steps.push_back(stats.env_steps);
  next.log_cost.push_back(stats.cost);
  next.log_score.push_back(stats.score);
  next.log_gradient_norm.push_back(stats.gradient_norm);
  next.log_learning_rate.push_back(stats.learning_rate);
  next.log_entropy.push_back(stats.entropy);
  next.log_sigma.push_back(stats.sigma);
}

/// How a step of Adam is taken.
struct Stride {
  double learning_rate, clip_norm, epsilon;
};

double mean_of(const std::vector<double>& x) {
  return std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
}

}  // namespace

struct Trainer::Impl {
  Params params;
  const sim::Params& pool;
  std::uint64_t root;  ///< of what all trainings share: feature statistics, validation
  std::uint64_t seed;  ///< of what is this training's own
  LearnedNet net;
  TrainState state;
  bool ready = false;
  StageSeconds seconds{};

  Impl(const Params& p, const sim::Params& simulation, std::uint64_t root_seed, int index,
       Network n, const EngineFactory& engine)
      : params(p),
        pool(simulation),
        root(root_seed),
        seed(seed_of_run(root_seed, static_cast<std::uint32_t>(index))),
        net(std::move(n), simulation, engine) {}

  bool evolves() const { return std::holds_alternative<Evolution>(params.agent.learner); }
  std::size_t theta_size() const { return static_cast<std::size_t>(net.theta_layout().size()); }
  /// Numbers that are learned: theta, and the value head of a critic.
  std::size_t parameters() const {
    const auto head = static_cast<std::size_t>(net.theta_layout().width) + 1;
    return theta_size() + (has_critic(params.agent.learner) ? head : 0);
  }

  void freeze_attention(std::vector<float>& theta);
  void show(const TrainState& s);
  UpdateStats study(const Pathwise& learner, const sim::Exogenous& x, TrainState& next);
  UpdateStats study(const Evolution& learner, const sim::Exogenous& x, TrainState& next);
  template <class Explorer>
  UpdateStats study(const Explorer& learner, const sim::Exogenous& x, TrainState& next);
  double descend(std::vector<float> gradient, const Stride& stride, TrainState& next);
  void validate(TrainState& next);
  double noise(const TrainState& s) const;
  void add(const StageSeconds& more) {
    for (std::size_t s = 0; s < seconds.size(); ++s) seconds[s] += more[s];
  }
};

std::vector<std::int64_t> validation_updates(const Training& t, std::int64_t updates) {
  std::vector<std::int64_t> all;
  for (std::int64_t u = 0; u <= updates; u += t.validate_every) all.push_back(u);
  if (updates == t.updates && all.back() != updates) all.push_back(updates);
  return all;
}

std::int64_t kept_update(const Training& t, const TrainState& s) {
  return t.keep == Keep::last ? s.updates
                              : validation_updates(t, s.updates).at(first_least(s.validation_cost));
}

double kept_cost(const Training& t, const TrainState& s) {
  return t.keep == Keep::last ? s.validation_cost.back()
                              : s.validation_cost.at(first_least(s.validation_cost));
}

Trainer::Trainer(const Params& params, const attention::Params& attention, const sim::Params& pool,
                 std::uint64_t seed, Rule base, const EngineFactory& engine, int index) {
  Network n;
  n.features = sim::feature_names(pool);
  n.shape =
      attention::shape_of(attention, static_cast<int>(n.features.size()), pool.pool.nodes, seed);
  n.base = std::move(base);
  // Tuning alone: a rule with other knobs, as the table lists rules.
  const bool evolves = std::holds_alternative<Evolution>(params.agent.learner);
  n.base_floor = evolves ? 0 : params.agent.base_floor;
  if (!evolves) n.policy = params.agent.policy;
  n.feature_mean.assign(n.features.size(), 0);
  n.feature_scale.assign(n.features.size(), 1);
  if (!evolves && params.agent.resource_heads) n.resource_heads = pool.pool.resource_count();
  n.theta.assign(static_cast<std::size_t>(ThetaLayout(n.shape, n.resource_heads).size()), 0);
  impl_ = std::make_unique<Impl>(params, pool, seed, index, std::move(n), engine);
}

Trainer::~Trainer() = default;

/// Static attention weights: the average of the weights that were learned, under the policy that
/// the net has. \param theta  of that policy
void Trainer::Impl::freeze_attention(std::vector<float>& theta) {
  const attention::Shape& shape = net.network().shape;
  const auto encoder = static_cast<std::size_t>(net.theta_layout().encoder);
  const std::span<float> parameters = std::span(theta).first(encoder);
  if (shape.weights != attention::Weights::average || attention::is_frozen(shape, parameters))
    return;
  const sim::Exogenous x =
      sim::draw(pool, seed, EpisodeSet::warmup, 0, params.training.warmup_episodes);
  attention::freeze(shape, sum_attention(net, pool, x), parameters);
}

void Trainer::start() {
  Impl& it = *impl_;
  const Network& n = it.net.network();
  TrainState s;
  s.feature_mean.assign(n.features.size(), 0);
  s.feature_scale.assign(n.features.size(), 1);
  it.state = std::move(s);
  FeatureStatistics measured =
      measure_features(n.base, it.pool, it.root, it.params.training.warmup_episodes);
  it.state.feature_mean = std::move(measured.mean);
  it.state.feature_scale = std::move(measured.scale);
  s = it.state;
  // The heads start at 0: the first policy is the base heuristic, exactly.
  s.theta = attention::initial_parameters(n.shape, it.seed);
  s.theta.resize(it.parameters(), 0);
  s.theta[static_cast<std::size_t>(it.net.theta_layout().log_spread())] =
      static_cast<float>(initial_log_spread(n.policy, it.pool.pool.nodes));
  s.adam_mean.assign(s.theta.size(), 0);
  s.adam_square.assign(s.theta.size(), 0);
  s.returns.assign(3, 0);
  const std::vector<Knob> knobs = baseline_knobs(n.base.name, it.pool);
  for (std::size_t k = 0; k < knobs.size(); ++k)
    s.knob_place.push_back(place_of(knobs[k], n.base.knobs[k]));
  const auto* evolution = std::get_if<Evolution>(&it.params.agent.learner);
  s.knob_spread.assign(knobs.size(), evolution != nullptr ? evolution->spread : 0);
  it.show(s);
  it.validate(s);
  it.state = std::move(s);
  it.ready = true;
}

/// Makes the net the policy of a state.
void Trainer::Impl::show(const TrainState& s) {
  Network& n = net.network();
  n.theta.assign(s.theta.begin(), s.theta.begin() + static_cast<std::ptrdiff_t>(theta_size()));
  n.feature_mean = s.feature_mean;
  n.feature_scale = s.feature_scale;
  if (evolves()) net.rebase(rule_at(n.base, s.knob_place, pool));
}

/// The policy that the net has on the validation episodes; the best one is remembered.
void Trainer::Impl::validate(TrainState& next) {
  const sim::Exogenous x =
      sim::draw(pool, root, EpisodeSet::validation, 0, params.training.validation_episodes);
  std::vector<float> theta = next.theta;
  freeze_attention(theta);  // what is kept must be frozen, so that is what is judged
  net.network().theta.assign(theta.begin(),
                             theta.begin() + static_cast<std::ptrdiff_t>(theta_size()));
  const double mean = mean_of(evaluate(*policy_of(net), pool, x).cost);
  if (!std::isfinite(mean))
    throw DivergedError("training diverged in update " + std::to_string(next.updates) +
                        ": the cost of the validation episodes is not finite");
  show(next);
  next.validation_cost.push_back(mean);
  if (first_least(next.validation_cost) + 1 == next.validation_cost.size()) {
    next.best_theta = std::move(theta);
    next.best_knob_place = next.knob_place;
  }
}

void Trainer::resume(TrainState state) {
  const Network& n = impl_->net.network();
  const std::size_t parameters = impl_->parameters(), knobs = n.base.knobs.size();
  if (state.updates < 0 || state.updates > impl_->params.training.updates || state.env_steps < 0 ||
      state.adam_steps < 0)
    throw InputError("checkpoint: " + std::to_string(state.updates) +
                     " updates done, expected 0 to " +
                     std::to_string(impl_->params.training.updates));
  const auto updates = static_cast<std::size_t>(state.updates);
  const auto is = [](const char* field, std::size_t found, std::size_t want) {
    if (found != want)
      throw InputError(std::string("checkpoint: ") + field + " has " + std::to_string(found) +
                       " numbers, expected " + std::to_string(want));
  };
  is("theta", state.theta.size(), parameters);
  is("adam_mean", state.adam_mean.size(), parameters);
  is("adam_square", state.adam_square.size(), parameters);
  is("feature_mean", state.feature_mean.size(), n.features.size());
  is("feature_scale", state.feature_scale.size(), n.features.size());
  is("returns", state.returns.size(), 3);
  is("knob_place", state.knob_place.size(), knobs);
  is("knob_spread", state.knob_spread.size(), knobs);
  is("best_theta", state.best_theta.size(), parameters);
  is("best_knob_place", state.best_knob_place.size(), knobs);
  is("validation_cost", state.validation_cost.size(),
     validation_updates(impl_->params.training, state.updates).size());
  is("log_env_steps", state.log_env_steps.size(), updates);
  is("log_cost", state.log_cost.size(), updates);
  is("log_score", state.log_score.size(), updates);
  is("log_gradient_norm", state.log_gradient_norm.size(), updates);
  is("log_learning_rate", state.log_learning_rate.size(), updates);
  is("log_entropy", state.log_entropy.size(), updates);
  is("log_sigma", state.log_sigma.size(), updates);
  impl_->show(state);
  impl_->state = std::move(state);
  impl_->ready = true;
}

bool Trainer::finished() const {
  const TrainState& s = impl_->state;
  const Training& t = impl_->params.training;
  const auto in_vain =
      s.validation_cost.empty() ? 0 : s.validation_cost.size() - 1 - first_least(s.validation_cost);
  return s.updates >= t.updates ||
         (t.patience > 0 && in_vain >= static_cast<std::size_t>(t.patience));
}

const TrainState& Trainer::state() const { return impl_->state; }
const StageSeconds& Trainer::seconds() const { return impl_->seconds; }

Network Trainer::network() const {
  Network n = impl_->net.network();
  const TrainState& s = impl_->state;
  if (impl_->params.training.keep == Keep::last) return n;
  const auto size = static_cast<std::ptrdiff_t>(impl_->theta_size());
  n.theta.assign(s.best_theta.begin(), s.best_theta.begin() + size);
  if (impl_->evolves()) n.base = rule_at(n.base, s.best_knob_place, impl_->pool);
  return n;
}

/// Down the exact gradient of the mean cost.
UpdateStats Trainer::Impl::study(const Pathwise& learner, const sim::Exogenous& x,
                                 TrainState& next) {
  PathwiseGradient g = pathwise_gradient(net, pool, x);
  add(g.seconds);
  UpdateStats stats;
  stats.learning_rate = scheduled_rate(params.training, learner.learning_rate, next.updates);
  stats.gradient_norm =
      descend(std::move(g.gradient), {stats.learning_rate, learner.clip_norm, kExactEpsilon}, next);
  stats.cost = g.cost;
  stats.score = g.score;
  stats.env_steps = x.episodes * x.slots;
  return stats;
}

/// Explores, then goes down the surrogate loss, perhaps several times.
template <class Explorer>
UpdateStats Trainer::Impl::study(const Explorer& learner, const sim::Exogenous& x,
                                 TrainState& next) {
  const ScoreLearner s = settings_of(learner, pool.pool.nodes);
  const int replicas = params.training.replicas;
  const float* value_head = s.trace ? next.theta.data() + theta_size() : nullptr;
  const Rollout r =
      roll_out(net, value_head, pool, x, {seed, next.updates * x.episodes * replicas, replicas});
  Worth worth;
  if (s.trace) {
    ReturnScale scale{next.returns[0], next.returns[1], next.returns[2]};
    Estimate estimate = critic_advantages(r, s.discount, *s.trace, scale);
    worth = {std::move(estimate.advantage), std::move(estimate.target)};
    next.returns = {scale.count, scale.mean, scale.square};
  } else {
    worth.advantage = group_advantages(r, s.discount);
  }

  UpdateStats stats;
  stats.learning_rate = scheduled_rate(params.training, s.learning_rate, next.updates);
  bool near = true;  // the policy still is where it explored
  for (int epoch = 0; epoch < s.epochs && near; ++epoch) {
    const std::vector<std::int64_t> order = epoch_order(s, r.steps(), seed, next.updates, epoch);
    for (std::int64_t m = 0; m < s.minibatches; ++m) {
      const std::int64_t from = m * r.steps() / s.minibatches,
                         to = (m + 1) * r.steps() / s.minibatches;
      if (from == to) continue;
      SurrogateGradient g =
          surrogate_gradient(net, value_head, s.surrogate, r, worth,
                             std::span(order).subspan(static_cast<std::size_t>(from),
                                                      static_cast<std::size_t>(to - from)));
      near = g.divergence <= s.kl_stop;
      if (!near) break;
      const double norm =
          descend(std::move(g.gradient), {stats.learning_rate, s.clip_norm, kNoisyEpsilon}, next);
      if (epoch > 0 || m > 0) continue;  // what is logged is of the policy that explored
      stats.gradient_norm = norm;
      stats.entropy = g.entropy;
    }
  }
  stats.cost = mean_of(r.cost);
  stats.score = mean_of(r.score);
  stats.env_steps = r.steps();
  return stats;
}

/// A generation of knobs.
UpdateStats Trainer::Impl::study(const Evolution& learner, const sim::Exogenous& x,
                                 TrainState& next) {
  Generation g = evolve(learner, {next.knob_place, next.knob_spread}, net.network().base, pool, x,
                        seed, next.updates);
  next.knob_place = std::move(g.next.mean);
  next.knob_spread = std::move(g.next.spread);
  show(next);
  UpdateStats stats;
  stats.cost = g.cost;
  stats.score = g.score;
  stats.env_steps = learner.population * x.episodes * x.slots;
  return stats;
}

/// One step of Adam. \returns the norm of the gradient before clipping
double Trainer::Impl::descend(std::vector<float> gradient, const Stride& stride, TrainState& next) {
  StageClock clock;
  require_finite(gradient, "gradient", net.network(), next.updates);
  const double norm = norm_of(gradient);
  clip_to(gradient, norm, stride.clip_norm);
  adam_step(next.theta, gradient, next.adam_mean, next.adam_square, ++next.adam_steps,
            stride.learning_rate, stride.epsilon);
  const SpreadRange range = spread_range(net.network().policy);
  float& log_spread = next.theta[static_cast<std::size_t>(net.theta_layout().log_spread())];
  log_spread =
      std::clamp(log_spread, static_cast<float>(range.low), static_cast<float>(range.high));
  require_finite(next, net.network());
  show(next);
  clock.lap(Stage::optimiser);
  add(clock.seconds());
  return norm;
}

UpdateStats Trainer::update() {
  Impl& it = *impl_;
  CRA_CHECK(it.ready, "update: call start() or resume() first");
  CRA_CHECK(!finished(), "update: training is finished");
  const Training& training = it.params.training;
  TrainState next = it.state;
  try {
    require_finite(next, it.net.network());
    if (next.updates >= training.updates / 2) {
      it.freeze_attention(next.theta);
      it.show(next);
    }
    StageClock clock;
    const sim::Exogenous x = sim::draw(it.pool, it.seed, EpisodeSet::training,
                                       next.updates * training.episodes, training.episodes);
    clock.lap(Stage::draw);
    it.add(clock.seconds());
    UpdateStats stats = std::visit([&](const auto& learner) { return it.study(learner, x, next); },
                                   it.params.agent.learner);
    stats.update = ++next.updates;
    stats.env_steps = next.env_steps += stats.env_steps;
    stats.sigma = it.noise(next);
    log(next, stats);
    if (validation_updates(training, next.updates).back() == next.updates) {
      it.validate(next);
      stats.validation_cost = next.validation_cost.back();
    }
    it.state = std::move(next);
    return stats;
  } catch (...) {
    it.show(it.state);
    throw;
  }
}

/// How widely a state explores: logits, shares or knobs.
double Trainer::Impl::noise(const TrainState& s) const {
  if (evolves()) return s.knob_spread.empty() ? 0 : mean_of(s.knob_spread);
  const auto at = static_cast<std::size_t>(net.theta_layout().log_spread());
  return noise_of(net.network().policy, static_cast<double>(s.theta[at]));
}

}  // namespace cra::agents
