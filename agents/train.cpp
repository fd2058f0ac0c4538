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

}  // namespace

namespace {

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
  std::uint64_t seed;
  LearnedNet net;
  TrainState state;
  bool ready = false;

  Impl(const Params& p, const sim::Params& simulation, std::uint64_t root, Network n,
       const EngineFactory& engine)
      : params(p), pool(simulation), seed(root), net(std::move(n), simulation, engine) {}

  void measure_features();
  void freeze_attention(TrainState& s);
  Rollout roll_out(const sim::Exogenous& x);
  Lesson study(const Reinforce& learner, const sim::Exogenous& x);
  Lesson study(const Pathwise& learner, const sim::Exogenous& x);
  void log(const UpdateStats& stats);
};

Trainer::Trainer(const Params& params, const attention::Params& attention, const sim::Params& pool,
                 std::uint64_t seed, Rule base, const EngineFactory& engine) {
  Network n;
  n.features = sim::feature_names(pool);
  n.shape =
      attention::shape_of(attention, static_cast<int>(n.features.size()), pool.pool.nodes, seed);
  n.base = std::move(base);
  n.base_floor = params.agent.base_floor;
  n.feature_mean.assign(n.features.size(), 0);
  n.feature_scale.assign(n.features.size(), 1);
  n.theta.assign(static_cast<std::size_t>(ThetaLayout(n.shape).size()), 0);
  impl_ = std::make_unique<Impl>(params, pool, seed, std::move(n), engine);
}

Trainer::~Trainer() = default;

/// Mean and deviation of every feature under the base policy; a constant feature gets scale 1.
void Trainer::Impl::measure_features() {
  const std::int64_t episodes = params.training.warmup_episodes;
  const int features = sim::feature_count(pool);
  const sim::Exogenous x = sim::draw(pool, seed, EpisodeSet::warmup, 0, episodes);
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

/// Static attention weights: from half of the updates on they are the average of the weights that
/// were learned, under the policy of that moment.
void Trainer::Impl::freeze_attention(TrainState& s) {
  const attention::Shape& shape = net.network().shape;
  const auto encoder = static_cast<std::size_t>(net.theta_layout().encoder);
  const std::span<float> parameters = std::span(s.theta).first(encoder);
  if (shape.weights != attention::Weights::average || s.updates < params.training.updates / 2 ||
      attention::is_frozen(shape, parameters))
    return;
  net.network().theta = s.theta;
  const sim::Exogenous x =
      sim::draw(pool, seed, EpisodeSet::warmup, 0, params.training.warmup_episodes);
  attention::freeze(shape, sum_attention(net, pool, x), parameters);
  net.network().theta = s.theta;
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
  resume(std::move(s));
}

void Trainer::resume(TrainState state) {
  Network& n = impl_->net.network();
  const auto parameters = static_cast<std::size_t>(ThetaLayout(n.shape).size());
  const auto updates = static_cast<std::size_t>(std::max<std::int64_t>(0, state.updates));
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
  is("log_env_steps", state.log_env_steps.size(), updates);
  is("log_cost", state.log_cost.size(), updates);
  is("log_score", state.log_score.size(), updates);
  is("log_gradient_norm", state.log_gradient_norm.size(), updates);
  is("log_learning_rate", state.log_learning_rate.size(), updates);
  is("log_entropy", state.log_entropy.size(), updates);
  is("log_sigma", state.log_sigma.size(), updates);
  if (state.updates < 0 || state.updates > impl_->params.training.updates || state.env_steps < 0)
    throw InputError("checkpoint: " + std::to_string(state.updates) +
                     " updates done, expected 0 to " +
                     std::to_string(impl_->params.training.updates));
  impl_->state = std::move(state);
  n.theta = impl_->state.theta;
  n.feature_mean = impl_->state.feature_mean;
  n.feature_scale = impl_->state.feature_scale;
  impl_->ready = true;
}

bool Trainer::finished() const { return impl_->state.updates >= impl_->params.training.updates; }
const TrainState& Trainer::state() const { return impl_->state; }
Network Trainer::network() const { return impl_->net.network(); }

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
  it.freeze_attention(next);

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
  it.state = std::move(next);
  it.log(stats);
  it.net.network().theta = it.state.theta;
  return stats;
}

void Trainer::Impl::log(const UpdateStats& stats) {
  state.log_env_steps.push_back(stats.env_steps);
  state.log_cost.push_back(stats.cost);
  state.log_score.push_back(stats.score);
  state.log_gradient_norm.push_back(stats.gradient_norm);
  state.log_learning_rate.push_back(stats.learning_rate);
  state.log_entropy.push_back(stats.entropy);
  state.log_sigma.push_back(stats.sigma);
}

}  // namespace cra::agents
