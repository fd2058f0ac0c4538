// The training loop's body: draw, roll out, learn.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "agents/adam.h"
#include "agents/agents.h"
#include "agents/learned.h"
#include "agents/pathwise.h"
#include "agents/reinforce.h"
#include "agents/simplex.h"

namespace cra::agents {
namespace {

constexpr std::int64_t kTile =
    16;  // environments that roll out together; fixed, so results are too
constexpr int kNormalsPerDraw = 64;  // nodes that share one sequence of exploration noise
constexpr double kLogSigmaLow = -4, kLogSigmaHigh = 0;

double scheduled_rate(const Training& t, double peak, std::int64_t update) {
  if (update < t.warmup_updates) return peak * static_cast<double>(update + 1) / t.warmup_updates;
  if (t.schedule == Schedule::constant) return peak;
  const double length = std::max(1, t.updates - t.warmup_updates);
  const double done = std::min(1.0, static_cast<double>(update - t.warmup_updates) / length);
  return peak * (0.05 + 0.95 * 0.5 * (1 + std::cos(std::numbers::pi * done)));
}

/// xi for one environment and slot, the nodes' part centred. \param xi [A] on return
void draw_exploration(std::uint64_t seed, std::int64_t episode, int slot, double* xi, int nodes,
                      int size) {
  for (int first = 0; first < size; first += kNormalsPerDraw) {
    Draws draws(seed, EpisodeSet::training, episode, Stream::exploration, first / kNormalsPerDraw,
                slot);
    for (int n = first; n < std::min(size, first + kNormalsPerDraw); ++n) xi[n] = draws.normal();
  }
  centre(xi, nodes);
}

/// Sum of each feature and of its square over one warm-up episode.
struct Moments {
  std::vector<double> sum, square;
  explicit Moments(int features) : sum(static_cast<std::size_t>(features), 0), square(sum) {}
};

void require_finite(std::span<const float> x, const char* array, const Network& n,
                    std::int64_t update) {
  const std::int64_t at = first_non_finite(x);
  if (at < 0) return;
  std::string tensor;
  for (const attention::Tensor& t : layout(n))
    if (at >= t.offset && at < t.offset + std::int64_t{t.rows} * t.cols)
      tensor = " (" + t.name + "[" + std::to_string(at - t.offset) + "])";
  throw DivergedError(std::string("training diverged in update ") + std::to_string(update + 1) +
                      ": " + array + "[" + std::to_string(at) + "]" + tensor +
                      " is not finite; a lower agent.learner.learning_rate may help");
}

/// Index of the first of the smallest numbers. \param x  not empty
std::size_t first_least(const std::vector<double>& x) {
  return static_cast<std::size_t>(std::min_element(x.begin(), x.end()) - x.begin());
}

/// What a learner makes of one batch of episodes.
struct Lesson {
  std::vector<float> gradient;               ///< [P] of the loss, by theta
  double learning_rate, clip_norm, epsilon;  ///< of Adam
  std::int64_t env_steps;
  double cost, score;  ///< means per slot of the policy that was run
};

}  // namespace

struct Trainer::Impl {
  Params params;
  const sim::Params& pool;
  std::uint64_t root;  ///< of what all trainings share: feature statistics, validation
  std::uint64_t seed;  ///< of what is this training's own
  LearnedNet net;
  TrainState state;
  bool ready = false;

  Impl(const Params& p, const sim::Params& simulation, std::uint64_t root_seed, int index,
       Network n, const EngineFactory& engine)
      : params(p),
        pool(simulation),
        root(root_seed),
        seed(seed_of_run(root_seed, static_cast<std::uint32_t>(index))),
        net(std::move(n), simulation, engine) {}

  void measure_features();
  Rollout roll_out(const sim::Exogenous& x);
  Lesson study(const Reinforce& learner, const sim::Exogenous& x);
  Lesson study(const Pathwise& learner, const sim::Exogenous& x);
  void validate(TrainState& next);
  static void log(TrainState& next, const UpdateStats& stats);
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
  n.shape = attention::shape_of(attention, static_cast<int>(n.features.size()));
  n.base = std::move(base);
  n.base_floor = params.agent.base_floor;
  n.feature_mean.assign(n.features.size(), 0);
  n.feature_scale.assign(n.features.size(), 1);
  n.theta.assign(static_cast<std::size_t>(ThetaLayout(n.shape).size()), 0);
  impl_ = std::make_unique<Impl>(params, pool, seed, index, std::move(n), engine);
}

Trainer::~Trainer() = default;

/// Mean and deviation of every feature under the base policy; a constant feature gets scale 1.
void Trainer::Impl::measure_features() {
  const std::int64_t episodes = params.training.warmup_episodes;
  const int features = sim::feature_count(pool);
  const sim::Exogenous x = sim::draw(pool, root, EpisodeSet::warmup, 0, episodes);
  const std::unique_ptr<Policy> base = make_baseline(net.network().base, pool);
  std::vector<Moments> per_episode(static_cast<std::size_t>(episodes), Moments(features));
  for_each_tile(episodes, [&](std::int64_t i) {
    sim::Batch b = sim::reset(pool, x, {i});
    const std::unique_ptr<Actor> actor = base->actor(1);
    const int size = sim::bundle_size(pool);
    std::vector<double> decisions(static_cast<std::size_t>(size));
    std::vector<float> f(static_cast<std::size_t>(b.nodes) * static_cast<std::size_t>(features));
    Moments& m = per_episode[static_cast<std::size_t>(i)];
    sim::Sight sight(pool);
    for (int t = 0; t < x.slots; ++t) {
      const sim::Batch& seen = sight.look(b);
      sim::observe(pool, seen, {f.data(), b.nodes, features});
      for (std::size_t k = 0; k < f.size(); ++k) {
        const auto value = static_cast<double>(f[k]);
        m.sum[k % m.sum.size()] += value;
        m.square[k % m.sum.size()] += value * value;
      }
      actor->act(seen, {decisions.data(), 1, size});
      sim::step_bundles(pool, x, b, {decisions.data(), 1, size});
    }
  });
  const double count = static_cast<double>(episodes) * x.slots * x.nodes;
  for (std::size_t k = 0; k < static_cast<std::size_t>(features); ++k) {
    double sum = 0, square = 0;
    for (const Moments& m : per_episode) {
      sum += m.sum[k];
      square += m.square[k];
    }
    const double mean = sum / count, variance = square / count - mean * mean;
    state.feature_mean[k] = mean;
    // Features are floats: a relative spread below their rounding is a constant.
    state.feature_scale[k] = variance > 1e-10 * (1 + mean * mean) ? 1 / std::sqrt(variance) : 1;
  }
}

void Trainer::start() {
  TrainState& s = impl_->state;
  Network& n = impl_->net.network();
  const ThetaLayout layout(n.shape);
  const auto size = static_cast<std::size_t>(layout.size());
  s = TrainState{};
  s.feature_mean.assign(n.features.size(), 0);
  s.feature_scale.assign(n.features.size(), 1);
  impl_->measure_features();
  // The head starts at 0: the first policy is the base heuristic, exactly.
  s.theta = attention::initial_parameters(n.shape, impl_->seed);
  s.theta.resize(size, 0);
  s.theta[static_cast<std::size_t>(layout.log_sigma())] =
      static_cast<float>(std::get<LogisticNormal>(impl_->params.agent.policy).log_sigma);
  s.adam_mean.assign(size, 0);
  s.adam_square.assign(size, 0);
  n.theta = s.theta;
  n.feature_mean = s.feature_mean;
  n.feature_scale = s.feature_scale;
  impl_->validate(s);
  impl_->ready = true;
}

/// The policy as the net has it on the validation episodes; the best one is remembered.
void Trainer::Impl::validate(TrainState& next) {
  const sim::Exogenous x =
      sim::draw(pool, root, EpisodeSet::validation, 0, params.training.validation_episodes);
  const std::vector<double> cost = evaluate(*policy_of(net), pool, x).cost;
  const double mean =
      std::accumulate(cost.begin(), cost.end(), 0.0) / static_cast<double>(cost.size());
  if (!std::isfinite(mean))
    throw DivergedError("training diverged in update " + std::to_string(next.updates) +
                        ": the cost of the validation episodes is not finite");
  next.validation_cost.push_back(mean);
  if (first_least(next.validation_cost) + 1 == next.validation_cost.size())
    next.best_theta = next.theta;
}

void Trainer::resume(TrainState state) {
  Network& n = impl_->net.network();
  const auto parameters = static_cast<std::size_t>(ThetaLayout(n.shape).size());
  if (state.updates < 0 || state.updates > impl_->params.training.updates || state.env_steps < 0)
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
  is("best_theta", state.best_theta.size(), parameters);
  is("validation_cost", state.validation_cost.size(),
     validation_updates(impl_->params.training, state.updates).size());
  is("log_env_steps", state.log_env_steps.size(), updates);
  is("log_cost", state.log_cost.size(), updates);
  is("log_score", state.log_score.size(), updates);
  is("log_gradient_norm", state.log_gradient_norm.size(), updates);
  is("log_learning_rate", state.log_learning_rate.size(), updates);
  is("log_entropy", state.log_entropy.size(), updates);
  is("log_sigma", state.log_sigma.size(), updates);
  impl_->state = std::move(state);
  n.theta = impl_->state.theta;
  n.feature_mean = impl_->state.feature_mean;
  n.feature_scale = impl_->state.feature_scale;
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

Network Trainer::network() const {
  Network n = impl_->net.network();
  if (impl_->params.training.keep == Keep::best) n.theta = impl_->state.best_theta;
  return n;
}

/// observe, encode, act, step, remember: replicas of each episode explore differently.
Rollout Trainer::Impl::roll_out(const sim::Exogenous& x) {
  const int replicas = params.training.replicas, nodes = x.nodes, size = sim::bundle_size(pool);
  const std::int64_t envs = x.episodes * replicas;
  const std::int64_t first_episode = state.updates * envs;  // no replica meets the same noise twice
  Rollout r(envs, replicas, x.slots, nodes, size, sim::feature_count(pool));
  const double sigma = std::exp(
      static_cast<double>(state.theta[static_cast<std::size_t>(net.theta_layout().log_sigma())]));

  for_each_tile(tiles_of(envs, kTile), [&](std::int64_t tile) {
    const std::int64_t first = tile * kTile, count = std::min(kTile, envs - first);
    std::vector<std::int64_t> rows;
    for (std::int64_t e = first; e < first + count; ++e) rows.push_back(e / replicas);
    sim::Batch b = sim::reset(pool, x, std::move(rows));
    LearnedScratch scratch = net.make_scratch(count);
    sim::Sight sight(pool);
    std::vector<double> decisions(static_cast<std::size_t>(count * size));
    const auto row_features = static_cast<std::ptrdiff_t>(nodes) * r.feature_count;

    for (int t = 0; t < x.slots; ++t) {
      net.respond(sight.look(b), scratch);
      for (std::int64_t e = 0; e < count; ++e) {
        const std::size_t at = r.at(first + e, t);
        double* deviation = r.deviation.data() + at * static_cast<std::size_t>(size);
        draw_exploration(seed, first_episode + first + e, t, deviation, nodes, size);
        for (int n = 0; n < size; ++n) {
          deviation[n] *= sigma;
          scratch.residual[static_cast<std::size_t>(e * size + n)] += deviation[n];
        }
        std::copy_n(scratch.features.begin() + e * row_features, row_features,
                    r.features.begin() + static_cast<std::ptrdiff_t>(at) * row_features);
      }
      decide({scratch.base.data(), count, size}, {scratch.residual.data(), count, size}, nodes,
             {decisions.data(), count, size});
      sim::step_bundles(pool, x, b, {decisions.data(), count, size});
      for (std::int64_t e = 0; e < count; ++e) {
        r.cost[r.at(first + e, t)] = b.cost[static_cast<std::size_t>(e)];
        r.score[r.at(first + e, t)] = b.score[static_cast<std::size_t>(e)];
      }
    }
  });
  return r;
}

Lesson Trainer::Impl::study(const Reinforce& learner, const sim::Exogenous& x) {
  const Rollout r = roll_out(x);
  const auto steps = static_cast<double>(r.cost.size());
  return {reinforce_gradient(net, r, group_advantages(r, learner.discount), learner.entropy),
          learner.learning_rate,
          learner.clip_norm,
          1e-5,
          static_cast<std::int64_t>(r.cost.size()),
          std::accumulate(r.cost.begin(), r.cost.end(), 0.0) / steps,
          std::accumulate(r.score.begin(), r.score.end(), 0.0) / steps};
}

Lesson Trainer::Impl::study(const Pathwise& learner, const sim::Exogenous& x) {
  PathwiseGradient g = pathwise_gradient(net, pool, x);
  return {std::move(g.gradient),
          learner.learning_rate,
          learner.clip_norm,
          1e-8,
          x.episodes * x.slots,
          g.cost,
          g.score};
}

UpdateStats Trainer::update() {
  Impl& it = *impl_;
  CRA_CHECK(it.ready, "update: call start() or resume() first");
  CRA_CHECK(!finished(), "update: training is finished");
  const Training& training = it.params.training;
  TrainState next = it.state;

  const sim::Exogenous x = sim::draw(it.pool, it.seed, EpisodeSet::training,
                                     next.updates * training.episodes, training.episodes);
  Lesson lesson = std::visit([&](const auto& learner) { return it.study(learner, x); },
                             it.params.agent.learner);
  require_finite(lesson.gradient, "gradient", it.net.network(), next.updates);

  UpdateStats stats;
  stats.learning_rate = scheduled_rate(training, lesson.learning_rate, next.updates);
  stats.gradient_norm = norm_of(lesson.gradient);
  clip_to(lesson.gradient, stats.gradient_norm, lesson.clip_norm);
  adam_step(next.theta, lesson.gradient, next.adam_mean, next.adam_square, next.updates + 1,
            stats.learning_rate, lesson.epsilon);
  float& log_sigma = next.theta[static_cast<std::size_t>(it.net.theta_layout().log_sigma())];
  log_sigma =
      std::clamp(log_sigma, static_cast<float>(kLogSigmaLow), static_cast<float>(kLogSigmaHigh));
  require_finite(next.theta, "theta", it.net.network(), next.updates);
  require_finite(next.adam_mean, "adam_mean", it.net.network(), next.updates);
  require_finite(next.adam_square, "adam_square", it.net.network(), next.updates);

  stats.update = ++next.updates;
  stats.env_steps = next.env_steps += lesson.env_steps;
  stats.cost = lesson.cost;
  stats.score = lesson.score;
  stats.sigma = std::exp(static_cast<double>(log_sigma));
  stats.entropy = logit_entropy(decision_dimensions(x.nodes, sim::bundle_size(it.pool)),
                                static_cast<double>(log_sigma));
  it.log(next, stats);
  it.net.network().theta = next.theta;
  try {
    if (validation_updates(training, next.updates).back() == next.updates) {
      it.validate(next);
      stats.validation_cost = next.validation_cost.back();
    }
  } catch (...) {
    it.net.network().theta = it.state.theta;
    throw;
  }
  it.state = std::move(next);
  return stats;
}

void Trainer::Impl::log(TrainState& next, const UpdateStats& stats) {
  next.log_env_steps.push_back(stats.env_steps);
  next.log_cost.push_back(stats.cost);
  next.log_score.push_back(stats.score);
  next.log_gradient_norm.push_back(stats.gradient_norm);
  next.log_learning_rate.push_back(stats.learning_rate);
  next.log_entropy.push_back(stats.entropy);
  next.log_sigma.push_back(stats.sigma);
}

}  // namespace cra::agents
