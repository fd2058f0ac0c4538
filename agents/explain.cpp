// What a learned policy attended to, and what allocation was worth there and then.
#include <algorithm>

#include "agents/learned.h"
#include "agents/marginal_value.h"

namespace cra::agents {
namespace {

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

/// One episode of the policy: what it decided, and the state before the explained slots.
struct Course {
  std::vector<double> bundles;     ///< [T, size] tilted or not
  std::vector<sim::Batch> before;  ///< [S]
};

/// Mean entropy of the rows of a map.
double mean_entropy(const std::vector<double>& map, int nodes) {
  std::vector<float> row(index(nodes));
  double sum = 0;
  for (std::size_t at = 0; at < map.size(); at += row.size()) {
    for (std::size_t j = 0; j < row.size(); ++j) row[j] = static_cast<float>(map[at + j]);
    sum += attention::entropy(row);
  }
  return sum / (static_cast<double>(map.size()) / nodes);
}

class Explainer {
 public:
  Explainer(const LearnedNet& net, const sim::Params& p, const sim::Exogenous& x, Explanation& out)
      : net_(net), params_(p), exogenous_(x), size_(net.decision_shape().size()), out_(out) {}

  /// Runs an episode and looks at what the policy looks at.
  Course follow(std::int64_t episode) const {
    Course c;
    sim::Batch batch = sim::reset(params_, exogenous_, {episode});
    LearnedScratch scratch = net_.make_scratch(1);
    sim::Sight sight(params_);
    const Distribution around = net_.distribution();
    c.bundles.resize(index(std::int64_t{exogenous_.slots} * size_));
    auto next = out_.slot.begin();
    for (int t = 0; t < exogenous_.slots; ++t) {
      net_.respond(sight.look(batch), scratch);
      double* const bundle = c.bundles.data() + std::ptrdiff_t{t} * size_;
      around.mean(proposal_of(scratch.base, scratch.residual, net_.decision_shape(), 0), bundle);
      if (next != out_.slot.end() && *next == t) {
        look(episode, next - out_.slot.begin(), batch, scratch, bundle);
        c.before.push_back(batch);
        ++next;
      }
      sim::step_bundles(params_, exogenous_, batch, {bundle, 1, size_});
    }
    return c;
  }

  /// Where allocation would have paid in one slot of that.
  void value(std::int64_t episode, std::int64_t sample, const Course& c) const {
    const std::int64_t slot = out_.slot[index(sample)];
    const std::vector<double> values =
        marginal_values(params_, exogenous_, c.before[index(sample)], 0,
                        {c.bundles.data() + slot * size_, exogenous_.slots - slot, size_});
    std::copy(values.begin(), values.end(), out_.marginal_value.begin() + at(episode, sample));
  }

 private:
  std::ptrdiff_t at(std::int64_t episode, std::int64_t sample) const {
    return (episode * static_cast<std::ptrdiff_t>(out_.slot.size()) + sample) * out_.nodes;
  }

  void look(std::int64_t episode, std::int64_t sample, const sim::Batch& b,
            const LearnedScratch& scratch, const double* bundle) const {
    const int nodes = out_.nodes;
    const std::ptrdiff_t to = at(episode, sample);
    std::vector<float> received(index(nodes));
    net_.engine().received(*scratch.cache, {received.data(), 1, nodes});
    std::copy(received.begin(), received.end(), out_.received.begin() + to);
    out_.entropy[index(to / nodes)] = attention::entropy(received);
    sim::proportions(bundle, nodes, out_.allocation.data() + to);
    sim::proportions(scratch.base.data(), nodes, out_.base.data() + to);
    std::copy(b.backlog.begin(), b.backlog.end(), out_.backlog.begin() + to);
    const attention::Shape& shape = net_.network().shape;
    std::vector<double> weights(index(attention::weight_count(shape, nodes)), 0.0);
    net_.engine().add_weights(*scratch.cache, weights);
    std::vector<double> map = attention::attention_map(shape, nodes, weights);
    out_.looker_entropy[index(to / nodes)] = mean_entropy(map, nodes);
    if (episode == 0 && out_.slot[index(sample)] == out_.map_slot) out_.map = std::move(map);
  }

  const LearnedNet& net_;
  const sim::Params& params_;
  const sim::Exogenous& exogenous_;
  int size_;
  Explanation& out_;
};

}  // namespace

bool attends(const Network& n) {
  const ThetaLayout layout(n.shape, n.resource_heads);
  const auto heads = n.theta.begin() + layout.head();
  return n.shape.form != attention::Form::none &&
         std::any_of(heads, n.theta.begin() + layout.log_spread(), [](float w) { return w != 0; });
}

std::vector<std::int64_t> explained_slots(int slots, std::int64_t every) {
  std::vector<std::int64_t> all;
  for (std::int64_t t = std::min<std::int64_t>(every, slots) / 2; t < slots; t += every)
    all.push_back(t);
  return all;
}

Explanation explain(const Network& n, const sim::Params& p, const sim::Exogenous& x,
                    std::int64_t episodes, std::int64_t every, const EngineFactory& engine) {
  CRA_CHECK(attends(n), "explain: attention has no say in what this network decides");
  CRA_CHECK(episodes >= 0 && episodes <= x.episodes && every >= 1,
            "explain: " + std::to_string(episodes) + " episodes asked for, every " +
                std::to_string(every) + " slots; " + std::to_string(x.episodes) + " were drawn");
  CRA_CHECK(p.pool.nodes <= kMostExplained,
            "explain: the pool has " + std::to_string(p.pool.nodes) + " nodes, at most " +
                std::to_string(kMostExplained) + " can be explained");
  Explanation out;
  out.episodes = episodes;
  out.nodes = p.pool.nodes;
  out.heads = n.shape.heads;
  out.slot = explained_slots(x.slots, every);
  out.map_slot = out.slot[out.slot.size() / 2];
  const auto samples = static_cast<std::int64_t>(out.slot.size());
  const std::size_t per_slot = index(episodes * samples);
  for (auto* column :
       {&out.received, &out.marginal_value, &out.allocation, &out.base, &out.backlog})
    column->resize(per_slot * index(out.nodes));
  out.entropy.resize(per_slot);
  out.looker_entropy.resize(per_slot);

  const LearnedNet net(n, p, engine);
  const Explainer explainer(net, p, x, out);
  std::vector<Course> courses(index(episodes));
  for_each_tile(episodes, [&](std::int64_t i) { courses[index(i)] = explainer.follow(i); });
  for_each_tile(episodes * samples, [&](std::int64_t i) {
    explainer.value(i / samples, i % samples, courses[index(i / samples)]);
  });
  return out;
}

}  // namespace cra::agents
