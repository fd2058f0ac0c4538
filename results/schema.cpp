// The format of result files as a table, and what must hold of any file by that table alone.
#include "results/schema.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <sstream>
#include <string_view>

namespace cra::results {
namespace {

// One line per variable. A change here is a change of the format: raise kFormatVersion and
// describe it in FORMAT.md (a test compares the two tables).
// clang-format off
constexpr auto kSchema = std::to_array<VariableSpec>({
    // group, name, type, dims, units, long_name, required[, may be missing]
    {"provenance", "scenario_yaml", "str", "", "1", "scenario file as given", true},
    {"provenance", "resolved_yaml", "str", "", "1", "scenario with every key, defaults and overrides applied", true},
    {"provenance", "scenario_path", "str", "", "1", "path of the scenario file as given", true},
    {"provenance", "overrides", "str", "", "1", "overrides of the command line, key=value, one per line", true},
    {"provenance", "command_line", "str", "", "1", "command line", true},
    {"provenance", "version", "str", "", "1", "version of cra", true},
    {"provenance", "git_commit", "str", "", "1", "commit cra was built from, empty when unknown", true},
    {"provenance", "compiler", "str", "", "1", "compiler and its version", true},
    {"provenance", "build_flags", "str", "", "1", "compiler flags", true},
    {"provenance", "libraries", "str", "", "1", "versions of the libraries, JSON object", true},
    {"provenance", "host", "str", "", "1", "name of the machine", true},
    {"provenance", "cpu", "str", "", "1", "processor", true},
    {"provenance", "device", "str", "", "1", "device the network ran on", true},
    {"provenance", "threads", "i8", "", "1", "threads", true},
    {"provenance", "seed", "i8", "", "1", "root seed", true},
    {"provenance", "rng", "str", "", "1", "random number generator and its key", true},
    {"provenance", "started", "str", "", "1", "start of the run, ISO 8601, UTC", true},
    {"provenance", "finished", "str", "", "1", "end of the run, ISO 8601, UTC", true},
    {"provenance", "train_seconds", "f8", "", "s", "wall time spent in training, all attempts", true},
    {"provenance", "attempts", "i8", "", "1", "starts of this run: 1 + number of resumes", true},

    {"node", "node", "str", "node", "1", "name of the node", true},
    {"node", "resource", "str", "resource", "1", "name of the resource", true},
    {"node", "dynamics", "str", "node", "1", "queue: work waits; progress: service becomes progress", true},
    {"node", "capacity", "f8", "node", "wu/slot", "most work the node can do in a slot", true},
    {"node", "needs", "f8", "node,resource", "ru/wu", "resource per unit of work", true},
    {"node", "error_kind", "str", "", "1", "error of queue nodes: backlog, linear, miss, deadline or anytime", true},
    {"node", "error_scale", "f8", "node", "wu", "backlog at which the error of a queue node is 1/2, or 1 where it is linear", true, true},
    {"node", "error_mean", "f8", "node", "wu/slot", "mean arrivals that missed work is divided by", false, true},
    {"node", "deadline", "f8", "node", "slot", "slots that work has, with the one it arrives in", false, true},
    {"node", "anytime_floor", "f8", "node", "1/wu", "error of a unit of work that no service removes", false, true},
    {"node", "anytime_gain", "f8", "node", "1/wu", "error of a unit of work that service can remove", false, true},
    {"node", "anytime_exponent", "f8", "node", "1", "how fast that falls", false, true},
    {"node", "anytime_scale", "f8", "node", "1", "service per work at which the fall is under way", false, true},
    {"node", "base_rate", "f8", "node", "wu/slot", "mean work that arrives, steady parts only", true},
    {"node", "initial_rate", "f8", "node", "wu/slot", "placed rate before slot 0", true},
    {"node", "progress_floor", "f8", "node", "1", "error that no amount of progress removes", true, true},
    {"node", "progress_gain", "f8", "node", "1", "error that progress can remove", true, true},
    {"node", "progress_exponent", "f8", "node", "1", "exponent of the power law", true, true},
    {"node", "progress_scale", "f8", "node", "wu", "progress at which the fall of the error is under way", true, true},
    {"node", "action", "str", "", "1", "what a decision holds: bundle, per_resource or raw", true},
    {"node", "conflict", "str", "", "1", "who gets what a node at its capacity cannot take: waterfill, none, priority, round_robin, maxmin or gps", true},
    {"node", "quantum", "f8", "", "ru", "most that round_robin gives a node in its turn", true},
    {"node", "service", "str", "", "1", "fluid or lottery", true},
    {"node", "completion", "f8", "node", "1", "probability that the job a lottery drew is done in the slot", true, true},
    {"node", "job", "f8", "", "wu", "work of one job of a lottery", true, true},
    {"node", "budgets", "f8", "resource", "ru/slot", "amount of the resource shared by all nodes", true},
    {"node", "lag", "f8", "", "1", "placement gain: rate <- (1 - lag) rate + lag grant", true},
    {"node", "abandonment", "f8", "", "1/slot", "share of the waiting work that is lost in a slot", true},
    {"node", "reserve_efficiency", "f8", "", "1", "work that a unit of reserve does, against placed resource", true, true},
    {"node", "reserve_dispatch", "str", "", "1", "how the reserve is shared out: none, optimal or priority", true},
    {"node", "progress_error", "str", "", "1", "error of progress nodes: none, power_law, exponential or curve", true},
    {"node", "knot", "i8", "knot", "1", "number of the knot of a curve", false},
    {"node", "knot_progress", "f8", "node,knot", "wu", "progress at the knots of the node's curve", false, true},
    {"node", "knot_error", "f8", "node,knot", "1", "error at the knots", false, true},
    {"node", "curve_change", "f8", "node", "1", "largest distance between measured points and their convex envelope, which the node follows", false, true},
    {"node", "link", "i8", "link", "1", "number of the link between a hub and a follower", false},
    {"node", "link_hub", "i8", "link", "1", "node whose service also advances the follower", false},
    {"node", "link_follower", "i8", "link", "1", "node that gains", false},
    {"node", "link_weight", "f8", "link", "1", "progress of the follower per service of the hub", false},
    {"node", "progress_start", "f8", "", "wu", "progress before slot 0", true, true},
    {"node", "forgetting", "f8", "", "1/slot", "share of the progress that is lost in a slot", true, true},
    {"node", "switching", "f8", "", "slot/wu", "weight of the movement of placed rates", true},
    {"node", "switching_smoothing", "f8", "", "wu/slot", "movement below which the switching cost is quadratic", true},
    {"node", "worst", "f8", "", "1", "weight of the soft worst error", true},
    {"node", "worst_temperature", "f8", "", "1", "softness of the worst error", true},
    {"node", "use", "f8", "", "1", "weight of the share of the budget that is commanded", true},
    {"node", "concentration", "f8", "", "1", "weight of N times the sum of squared budget shares", true},
    {"node", "score_kind", "str", "", "1", "how errors become scores: linear, reference or source", true},
    {"node", "slot_seconds", "f8", "", "s", "duration of a slot", true},

    {"train", "training", "i8", "training", "1", "number of the training, from 0", true},
    {"train", "update", "i8", "update", "1", "number of updates done", true},
    {"train", "validation", "i8", "validation", "1", "number of updates done before the validation", true},
    {"train", "updates", "i8", "training", "1", "updates until the training was finished", true},
    {"train", "kept_update", "i8", "training", "1", "updates behind the parameters that the training returned", true},
    {"train", "stored", "bool", "training", "1", "whether /policy holds them", true},
    {"train", "validation_cost", "f8", "training,validation", "1", "mean cost per slot on the validation episodes", true, true},
    {"train", "env_steps", "i8", "training,update", "1", "environment slots simulated so far, replicas counted", true},
    {"train", "cost", "f8", "training,update", "1", "mean cost per slot of the exploring policy", true, true},
    {"train", "score", "f8", "training,update", "1", "mean score of the exploring policy", true, true},
    {"train", "gradient_norm", "f8", "training,update", "1", "norm of the gradient before clipping", true, true},
    {"train", "learning_rate", "f8", "training,update", "1", "learning rate", true, true},
    {"train", "entropy", "f8", "training,update", "1", "entropy of what exploration draws", true, true},
    {"train", "sigma", "f8", "training,update", "1", "exploration noise, of logits, shares or knobs", true, true},

    {"eval", "policy", "str", "policy", "1", "name of the policy", true},
    {"eval", "episode", "i8", "episode", "1", "number of the test episode", true},
    {"eval", "cost", "f8", "policy,episode", "1", "mean cost per slot", true},
    {"eval", "error_cost", "f8", "policy,episode", "1", "mean importance-weighted error per slot", true},
    {"eval", "switching_cost", "f8", "policy,episode", "1", "mean cost of movement per slot", true},
    {"eval", "fairness_cost", "f8", "policy,episode", "1", "mean cost of the soft worst error per slot", true},
    {"eval", "use_cost", "f8", "policy,episode", "1", "mean cost of use and concentration per slot", true},
    {"eval", "score", "f8", "policy,episode", "1", "mean performance score", true},
    {"eval", "served", "f8", "policy,episode", "wu/slot", "work done, by the reserve too", true},
    {"eval", "lost", "f8", "policy,episode", "wu/slot", "work abandoned", true},
    {"eval", "training", "i8", "policy", "1", "number of the training that made it, -1 when this run did not", true},
    {"eval", "bound_lower", "f8", "episode", "1", "certified lower bound on the cost of any policy", true, true},
    {"eval", "bound_upper", "f8", "episode", "1", "feasible: cost of the clairvoyant commands in the simulator", true, true},
    {"eval", "bound_relaxed", "f8", "episode", "1", "their cost in the bound's own plant, which sends a reserve freely", true, true},
    {"eval", "bound_steps", "i8", "episode", "1", "Newton steps behind the bound, 0 without one", true},
    {"eval", "bound_reason", "str", "", "1", "why there is no bound, empty when there is one", true},

    {"trajectory", "policy", "str", "policy", "1", "name of the policy", true},
    {"trajectory", "episode", "i8", "episode", "1", "number of the test episode", true},
    {"trajectory", "slot", "i8", "slot", "1", "number of the slot", true},
    {"trajectory", "node", "str", "node", "1", "name of the node", true},
    {"trajectory", "arrivals", "f8", "episode,slot,node", "wu", "work that arrives during the slot", true},
    {"trajectory", "availability", "f8", "episode,slot,node", "1", "share of the capacity that is up", true},
    {"trajectory", "importance", "f8", "episode,slot,node", "1", "weight of the error in the cost", true},
    {"trajectory", "keep", "f8", "episode,slot,node", "1", "share of the progress that survives the slot's shift", true},
    {"trajectory", "reference_error", "f8", "episode", "1", "mean error of equal weights in the episode, for the score", false},
    {"trajectory", "health", "f8", "episode,slot,node", "1", "noisy sign of wear", true, true},
    {"trajectory", "resource", "str", "resource", "1", "name of the resource, where weights are per resource", false},
    {"trajectory", "feature", "str", "feature", "1", "name of the feature, where observations are stored", false},
    {"trajectory", "ticket", "f8", "episode,slot", "1", "draw of the lottery that says whom it serves", true, true},
    {"trajectory", "completion", "f8", "episode,slot", "1", "draw of the lottery that says whether the job is done", true, true},
    {"trajectory", "proportion", "f8", "policy,episode,slot,node", "1", "share of the placed budget the policy asked for", true},
    {"trajectory", "resource_proportion", "f8", "policy,episode,slot,resource,node", "1", "share of each resource, where weights are per resource", false},
    {"trajectory", "reserve", "f8", "policy,episode,slot", "1", "share of the budget kept back", true},
    {"trajectory", "grant", "f8", "policy,episode,slot,node", "wu/slot", "commanded rate", true},
    {"trajectory", "rate", "f8", "policy,episode,slot,node", "wu/slot", "placed rate after lag", true},
    {"trajectory", "served", "f8", "policy,episode,slot,node", "wu", "work done by the placed rate, lent ones too; effort spent where errors are anytime", true},
    {"trajectory", "dispatched", "f8", "policy,episode,slot,node", "wu", "work done by the reserve", true},
    {"trajectory", "lost", "f8", "policy,episode,slot,node", "wu", "work abandoned, or late", true},
    {"trajectory", "backlog", "f8", "policy,episode,slot,node", "wu", "work waiting at the end of the slot, after abandonment", true},
    {"trajectory", "progress", "f8", "policy,episode,slot,node", "wu", "progress at the end of the slot", true, true},
    {"trajectory", "error", "f8", "policy,episode,slot,node", "1", "error of the work waiting before abandonment, or of the progress", true},
    {"trajectory", "error_cost", "f8", "policy,episode,slot", "1", "importance-weighted error, mean over nodes", true},
    {"trajectory", "switching_cost", "f8", "policy,episode,slot", "1", "cost of movement, mean over nodes", true},
    {"trajectory", "fairness_cost", "f8", "policy,episode,slot", "1", "cost of the soft worst error", true},
    {"trajectory", "use_cost", "f8", "policy,episode,slot", "1", "cost of use and concentration of the budget", true},
    {"trajectory", "cost", "f8", "policy,episode,slot", "1", "sum of the cost terms", true},
    {"trajectory", "score", "f8", "policy,episode,slot", "1", "importance-weighted performance score", true},
    {"trajectory", "waste", "f8", "policy,episode,slot", "1", "granted and of no use: share of the budgets, mean over resources", true},
    {"trajectory", "observation", "f4", "policy,episode,slot,node,feature", "1", "features that the policy saw before the slot, not normalised", false},
    {"trajectory", "observation_end", "f4", "policy,episode,node,feature", "1", "features that it would have seen after the last slot", false},

    {"segment", "segment", "i8", "segment", "1", "number of the segment, from 1", true},
    {"segment", "file", "str", "segment", "1", "name of the file, in the folder of this one", true},
    {"segment", "sha256", "str", "segment", "1", "SHA-256 of the file, hexadecimal", true},
    {"segment", "first_episode", "i8", "segment", "1", "number of the first episode it holds", true},
    {"segment", "episodes", "i8", "segment", "1", "number of episodes it holds", true},

    {"attention", "episode", "i8", "episode", "1", "number of the test episode", true},
    {"attention", "slot", "i8", "slot", "1", "number of the slot", true},
    {"attention", "node", "str", "node", "1", "name of the node", true},
    {"attention", "quantity", "str", "quantity", "1", "what is compared with the marginal value: attention, allocation, base or backlog", true},
    {"attention", "head", "i8", "head", "1", "number of the head", true},
    {"attention", "looker", "str", "looker", "1", "name of the node that looks", true},
    {"attention", "policy", "str", "", "1", "name of the policy that is explained", true},
    {"attention", "received", "f8", "episode,slot,node", "1", "attention that the node receives in the last layer, mean over heads and lookers", true},
    {"attention", "entropy", "f8", "episode,slot", "1", "entropy of what the nodes receive, in nats", true},
    {"attention", "looker_entropy", "f8", "episode,slot", "1", "entropy of the weights of one looker and head, in nats, mean over both", true},
    {"attention", "marginal_value", "f8", "episode,slot,node", "1", "fall of the cost of this and all later slots, summed, per share of the budget that the node gets more", true},
    {"attention", "allocation", "f8", "episode,slot,node", "1", "share of the placed budget the policy asked for", true},
    {"attention", "base", "f8", "episode,slot,node", "1", "share that its base heuristic would have asked for", true},
    {"attention", "backlog", "f8", "episode,slot,node", "wu", "work waiting before the slot", true},
    {"attention", "rank_correlation", "f8", "quantity,episode,slot", "1", "Spearman's rank correlation over nodes of the quantity and the marginal value", true, true},
    {"attention", "mean_correlation", "f8", "quantity", "1", "mean over episodes of its mean over slots", true, true},
    {"attention", "correlation_se", "f8", "quantity", "1", "standard error of that mean, over episodes", true, true},
    {"attention", "map", "f8", "head,looker,node", "1", "weight of the node for the looker in the last layer, of the first episode", true},
    {"attention", "map_slot", "i8", "", "1", "slot of the map", true},

    {"policy", "parameter", "i8", "parameter", "1", "index of the parameter", true},
    {"policy", "tensor", "str", "tensor", "1", "name of the tensor", true},
    {"policy", "feature", "str", "feature", "1", "name of the feature", true},
    {"policy", "base_knob", "str", "base_knob", "1", "name of the knob of the base heuristic", true},
    {"policy", "theta", "f4", "parameter", "1", "parameters, tensor after tensor, row-major", true},
    {"policy", "tensor_offset", "i8", "tensor", "1", "index of the first parameter of the tensor", true},
    {"policy", "tensor_rows", "i8", "tensor", "1", "rows of the tensor", true},
    {"policy", "tensor_cols", "i8", "tensor", "1", "columns of the tensor", true},
    {"policy", "feature_mean", "f8", "feature", "1", "mean subtracted from the feature, in its unit", true},
    {"policy", "feature_scale", "f8", "feature", "1", "factor applied after that, 1 / standard deviation", true},
    {"policy", "base_knob_value", "f8", "base_knob", "1", "value of the knob", true},
    {"policy", "base", "str", "", "1", "heuristic below the residual", true},
    {"policy", "base_floor", "f8", "", "1", "least weight of the base, as a share of its largest", true},
    {"policy", "kind", "str", "", "1", "distribution over allocations", true},
    {"policy", "least_alpha", "f8", "", "1", "smallest alpha of a dirichlet policy", true, true},
    {"policy", "attention", "str", "", "1", "kind of attention", true},
    {"policy", "width", "i8", "", "1", "width of the encoder", true},
    {"policy", "heads", "i8", "", "1", "attention heads", true},
    {"policy", "layers", "i8", "", "1", "encoder layers", true},
    {"policy", "temperature", "f8", "", "1", "temperature of the attention softmax", true},
    {"policy", "points", "i8", "", "1", "points of induced attention, else 0", true},
    {"policy", "weights", "str", "", "1", "where attention weights come from: dynamic, static, random or shuffled", true},
    {"policy", "weights_seed", "i8", "", "1", "seed of random and shuffled weights, else 0", true},
    {"policy", "weights_nodes", "i8", "", "1", "nodes that static weights belong to, else 0", true},
    {"policy", "positions", "str", "", "1", "code of a node's index added to its embedding: none or sinusoidal", true},

    {"tuning", "candidate", "i8", "candidate", "1", "number of the candidate", true},
    {"tuning", "baseline", "str", "candidate", "1", "name of the heuristic, expert or planner", true},
    {"tuning", "knobs", "str", "candidate", "1", "values of its knobs, JSON object", true},
    {"tuning", "cost", "f8", "candidate", "1", "mean cost per slot on the tuning episodes", true},
    {"tuning", "chosen", "bool", "candidate", "1", "whether it runs with these knobs", true},
    {"tuning", "knob", "i8", "knob", "1", "number of the knob", true},
    {"tuning", "knob_baseline", "str", "knob", "1", "whose knob it is", true},
    {"tuning", "knob_name", "str", "knob", "1", "name of the knob", true},
    {"tuning", "knob_grid", "str", "knob", "1", "values that may be tried, JSON array", true},
    {"tuning", "knob_choice", "f8", "knob", "1", "value that was chosen", true},
    {"tuning", "knob_on_edge", "bool", "knob", "1", "whether the choice lies on an edge of the grid that could be wider, and pays", true},

    {"summary", "policy", "str", "policy", "1", "name of the policy", true},
    {"summary", "kind", "str", "policy", "1", "learned, heuristic, expert, planner, oracle or bound", true},
    {"summary", "tuned", "bool", "policy", "1", "whether its knobs were tuned", true},
    {"summary", "cost", "f8", "policy", "1", "mean cost per slot over episodes", true},
    {"summary", "cost_se", "f8", "policy", "1", "standard error of the mean cost", true, true},
    {"summary", "score", "f8", "policy", "1", "mean performance score over episodes", true, true},
    {"summary", "paired_difference", "f8", "policy", "1", "mean cost difference to the best tuned heuristic, same episodes", true, true},
    {"summary", "paired_se", "f8", "policy", "1", "standard error of the paired difference", true, true},
    {"summary", "ci_low", "f8", "policy", "1", "lower end of the 95 % bootstrap interval of the difference", true, true},
    {"summary", "ci_high", "f8", "policy", "1", "upper end of the 95 % bootstrap interval of the difference", true, true},
    {"summary", "episodes_won", "f8", "policy", "1", "share of episodes with lower cost than the best tuned heuristic", true, true},
    {"summary", "gap_closed", "f8", "policy", "1", "share of the gap between best tuned heuristic and bound that is closed", true, true},
    {"summary", "bound_lower", "f8", "", "1", "mean over episodes of the certified lower bound", true, true},
    {"summary", "bound_upper", "f8", "", "1", "mean over episodes of the feasible clairvoyant cost, in the simulator", true, true},
    {"summary", "bound_certified", "bool", "", "1", "whether there is a certified bound", true},
    {"summary", "best_heuristic", "str", "", "1", "name of the best tuned heuristic, empty when there is none", true},
    {"summary", "learned", "str", "", "1", "name of the learned policy, empty when there is none", true},
    {"summary", "training_se", "f8", "", "1", "standard error of the learned cost over trainings", true, true},
    {"summary", "verdict", "str", "", "1", "verdict in words", true},
    {"summary", "episodes", "i8", "", "1", "test episodes", true},
    {"summary", "env_steps", "i8", "", "1", "environment slots simulated in training", true},
});
// clang-format on

/// A run that only evaluates has no /train, /policy or /tuning; /trajectory and /attention can be
/// switched off; /segment is there when /trajectory lies in files of its own.
constexpr std::array<std::string_view, 4> kRequiredGroups{"provenance", "node", "eval", "summary"};

const Axis* find_axis(const GroupData& g, std::string_view name) {
  for (const Axis& a : g.axes)
    if (a.name == name) return &a;
  return nullptr;
}

/// Place of the first number that is not finite, or -1.
std::int64_t first_not_finite(const Data& data) {
  return std::visit(
      [](const auto& x) -> std::int64_t {
        using T = typename std::decay_t<decltype(x)>::value_type;
        if constexpr (std::is_floating_point_v<T>) {
          const auto bad = std::find_if(x.begin(), x.end(), [](T v) { return !std::isfinite(v); });
          if (bad != x.end()) return bad - x.begin();
        }
        return -1;
      },
      data);
}

bool has_infinity(const std::vector<double>& x) {
  return std::any_of(x.begin(), x.end(), [](double v) { return std::isinf(v); });
}

std::string wrong_type(const Data& data, const VariableSpec& spec) {
  if (std::string_view(type_name(data)) == spec.type) return "";
  return std::string(" is ") + type_name(data) + ", the format says " + spec.type;
}

std::string axis_problem(const Axis& a, const VariableSpec* spec) {
  if (spec == nullptr || !is_axis(*spec)) return " is not an axis of this group";
  if (std::string why = wrong_type(a.labels, *spec); !why.empty()) return why;
  if (const auto* names = std::get_if<std::vector<std::string>>(&a.labels)) {
    std::set<std::string_view> seen;
    for (const std::string& name : *names)
      if (!seen.insert(name).second) return " has the label \"" + name + "\" twice";
  }
  return "";
}

std::string values_problem(const Variable& v, const VariableSpec& spec) {
  if (spec.may_be_missing) {
    return has_infinity(std::get<std::vector<double>>(v.data)) ? " holds an infinite number" : "";
  }
  if (const auto* flags = std::get_if<std::vector<std::int8_t>>(&v.data);
      flags != nullptr &&
      std::any_of(flags->begin(), flags->end(), [](std::int8_t x) { return x != 0 && x != 1; }))
    return " holds a value that is neither 0 nor 1";
  const std::int64_t bad = first_not_finite(v.data);
  if (bad < 0) return "";
  return std::string("[").append(std::to_string(bad)).append("] (row-major) is not finite");
}

std::string variable_problem(const GroupData& g, const Variable& v, const VariableSpec* spec) {
  if (spec == nullptr || is_axis(*spec)) return " is not a variable of this group";
  if (std::string why = wrong_type(v.data, *spec); !why.empty()) return why;
  std::size_t expected = 1;
  std::string shape;
  for (const std::string& dim : dims_of(*spec)) {
    const Axis* axis = find_axis(g, dim);
    if (axis == nullptr) return " needs the axis " + dim + ", which is missing";
    expected *= length(axis->labels);
    shape += (shape.empty() ? "" : " x ") + dim + " " + std::to_string(length(axis->labels));
  }
  if (length(v.data) != expected)
    return " has " + std::to_string(length(v.data)) + " values, expected " +
           std::to_string(expected) + " (" + (shape.empty() ? "a scalar" : shape) + ")";
  return values_problem(v, *spec);
}

std::string group_problem(const GroupData& g) {
  if (!is_known_group(g.name)) return "/" + g.name + " is not a group of the format";
  std::set<std::string> seen;
  const auto twice = [&](const std::string& name) { return !seen.insert(name).second; };
  for (const Axis& a : g.axes) {
    std::string why = axis_problem(a, find_spec(g.name, a.name));
    if (why.empty() && twice(a.name)) why = " is there twice";
    if (!why.empty()) return "/" + g.name + "/" + a.name + why;
  }
  for (const Variable& v : g.variables) {
    std::string why = variable_problem(g, v, find_spec(g.name, v.name));
    if (why.empty() && twice(v.name)) why = " is there twice";
    if (!why.empty()) return "/" + g.name + "/" + v.name + why;
  }
  for (const VariableSpec& spec : kSchema)
    if (g.name == spec.group && spec.required && !seen.contains(spec.name))
      return "/" + g.name + "/" + spec.name + " is missing";
  return "";
}

}  // namespace

std::span<const VariableSpec> schema() { return kSchema; }

const VariableSpec* find_spec(const std::string& group, const std::string& name) {
  for (const VariableSpec& spec : kSchema)
    if (group == spec.group && name == spec.name) return &spec;
  return nullptr;
}

bool is_known_group(const std::string& group) {
  return std::any_of(kSchema.begin(), kSchema.end(),
                     [&](const VariableSpec& spec) { return group == spec.group; });
}

std::vector<std::string> dims_of(const VariableSpec& spec) {
  std::vector<std::string> dims;
  std::istringstream list(spec.dims);
  for (std::string dim; std::getline(list, dim, ',');) dims.push_back(dim);
  return dims;
}

bool is_axis(const VariableSpec& spec) {
  return std::string_view(spec.dims) == std::string_view(spec.name);
}

const char* type_name(const Data& data) {
  constexpr std::array<const char*, std::variant_size_v<Data>> names{"f8", "f4", "i8", "bool",
                                                                     "str"};
  return names.at(data.index());
}

std::size_t length(const Data& data) {
  return std::visit([](const auto& x) { return x.size(); }, data);
}

std::string schema_problem(const RunFile& run, const std::string& format) {
  std::set<std::string> groups;
  const bool segment = format == kSegmentFormat;
  for (const GroupData& g : run.groups) {
    if (!groups.insert(g.name).second) return "/" + g.name + " is there twice";
    if (segment && g.name != "trajectory") return "/" + g.name + " is not a group of a segment";
    if (std::string why = group_problem(g); !why.empty()) return why;
  }
  if (segment && groups.empty()) return "/trajectory is missing";
  for (const std::string_view name : kRequiredGroups)
    if (!segment && !groups.contains(std::string(name)))
      return std::string("/").append(name).append(" is missing");
  if (groups.contains("segment") && groups.contains("trajectory"))
    return "/trajectory is there and /segment, which says that it lies in other files";
  std::set<std::string> attributes;
  for (const auto& [name, value] : run.attributes)
    if (!attributes.insert(name).second) return "attribute " + name + " is there twice";
  for (const char* name : kRootAttributes)
    if (!attributes.contains(name)) return std::string("attribute ") + name + " is missing";
  return "";
}

// ---- look-ups in a file that has been read ---------------------------------------------

const GroupData* RunFile::group(const std::string& name) const {
  for (const GroupData& g : groups)
    if (g.name == name) return &g;
  return nullptr;
}

template <class T>
const std::vector<T>& values(const GroupData& g, const std::string& variable) {
  const Data* data = nullptr;
  for (const Variable& v : g.variables)
    if (v.name == variable) data = &v.data;
  if (const Axis* axis = find_axis(g, variable); data == nullptr && axis != nullptr)
    data = &axis->labels;
  const std::string name = "/" + g.name + "/" + variable;
  if (data == nullptr) throw InputError(name + " is missing");
  if (const auto* x = std::get_if<std::vector<T>>(data)) return *x;
  throw InputError(name + " is " + type_name(*data) + ", expected " + type_name(std::vector<T>{}));
}
template const std::vector<double>& values(const GroupData&, const std::string&);
template const std::vector<float>& values(const GroupData&, const std::string&);
template const std::vector<std::int64_t>& values(const GroupData&, const std::string&);
template const std::vector<std::int8_t>& values(const GroupData&, const std::string&);
template const std::vector<std::string>& values(const GroupData&, const std::string&);

}  // namespace cra::results
