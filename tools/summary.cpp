#include "tools/summary.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "tools/terminal.h"

namespace cra::tools {
namespace {

using Json = nlohmann::ordered_json;

std::string percent(double share, int decimals) { return fixed(100 * share, decimals); }

/// Order of the table: by mean cost; of equals, learned policies come last, and then by name.
std::vector<std::size_t> by_cost(const Summary& s) {
  std::vector<std::size_t> order(s.rows.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return s.rows[a].cost.mean < s.rows[b].cost.mean;
  });
  return order;
}

Json number_or_null(bool there, double x) { return there ? Json(x) : Json(nullptr); }

bool has_gap(const Summary& s, double best_cost) {
  return s.bound && leaves_gap(best_cost, s.bound->lower.mean);
}

/// What no policy can gain any more, as the end of a verdict: ",\nand no policy whatever ...".
std::string limit_words(const Row& row, const BoundMeans& bound) {
  if (!(row.cost.mean > 0)) return "";
  const double left = std::max(0.0, 1 - bound.lower.mean / row.cost.mean);
  // Rounded up: the sentence is a promise.
  const int digits = left >= 0.02 ? 0 : left >= 0.002 ? 1 : 2;
  const double unit = std::pow(10.0, 2 + digits);
  const bool pays = row.change && row.change->high < 0;
  return std::string(",\nand no policy whatever can lower it by more than ") +
         (pays ? "a further " : "") + percent(std::ceil(left * unit - 1e-9) / unit, digits) + " %";
}

std::vector<std::string> bound_line(const BoundMeans& bound, int digits) {
  return {kClairvoyant, "bound", short_fixed(bound.lower.mean, digits), "",
          " certified; feasible " + short_fixed(bound.upper, digits)};
}

/// What each of several trainings costs, and how far they scatter; nothing for a single one.
std::string trainings_line(const Row& r, int digits) {
  if (r.training_cost.size() < 2) return "";
  std::string text = r.name + ", " + std::to_string(r.training_cost.size()) + " trainings:";
  for (const double cost : r.training_cost) text.append(" ").append(short_fixed(cost, digits));
  return text + "; standard error over them " +
         short_fixed(results::mean_of(r.training_cost).se, digits) + "\n";
}

/// The trainings of a run, in order.
Json trainings_json(const Summary& s, const Headline& h) {
  Json all = Json::array();
  const auto trained = std::find_if(s.rows.begin(), s.rows.end(),
                                    [](const Row& r) { return !r.training_cost.empty(); });
  for (std::size_t k = 0; k < h.trainings.size() && trained != s.rows.end(); ++k) {
    const TrainingLine& t = h.trainings[k];
    all.push_back({{"cost", trained->training_cost.at(k)},
                   {"updates", t.updates},
                   {"kept_update", t.kept_update},
                   {"validation_cost", t.validation_cost},
                   {"stored", t.stored}});
  }
  return all;
}

/// The number of nodes over which equal shares would have that entropy.
double nodes_of(const AttentionLine& a) { return std::exp(a.entropy); }
/// Of the largest entropy that the pool allows.
double entropy_share(const AttentionLine& a) {
  return a.nodes > 1 ? a.entropy / std::log(static_cast<double>(a.nodes)) : 0;
}

Json mean_json(const results::Mean& m) {
  return {{"mean", number_or_null(!std::isnan(m.mean), m.mean)},
          {"se", number_or_null(!std::isnan(m.se), m.se)}};
}

Json attention_json(const std::optional<AttentionLine>& a) {
  if (!a) return nullptr;
  return {{"policy", a->policy},
          {"episodes", a->episodes},
          {"slots", a->slots},
          {"nodes_looked_at", nodes_of(*a)},
          {"entropy", a->entropy},
          {"entropy_share", entropy_share(*a)},
          {"rank_correlation",
           {{"attention", mean_json(a->attention)},
            {"allocation", mean_json(a->allocation)},
            {"base", mean_json(a->base)},
            {"backlog", mean_json(a->backlog)}}}};
}

Json policy_json(const Row& r) {
  const bool paired = r.against_best.has_value(), bound = r.kind == "bound";
  const results::Paired p = r.against_best.value_or(results::Paired{});
  return {{"name", r.name},
          {"kind", r.kind},
          {"tuned", r.tuned},
          {"cost", r.cost.mean},
          {"cost_se", r.cost.se},
          {"score", number_or_null(!bound, r.score.mean)},
          {"paired_difference", number_or_null(paired, p.difference)},
          {"paired_se", number_or_null(paired, p.se)},
          {"ci_low", number_or_null(paired, p.ci_low)},
          {"ci_high", number_or_null(paired, p.ci_high)},
          {"episodes_won", number_or_null(paired, p.won)},
          {"gap_closed", number_or_null(r.gap_closed.has_value(), r.gap_closed.value_or(0))}};
}

}  // namespace

bool leaves_gap(double best_cost, double lower) {
  constexpr double kLeastGap = 1e-3;
  return best_cost - lower > kLeastGap * best_cost;
}

int percent_decimals(double low, double high) {
  const double width = 100 * std::abs(high - low);
  return width >= 3 ? 0 : width >= 0.3 ? 1 : width >= 0.03 ? 2 : 3;
}

int decimals_for(const Summary& s) {
  double largest = 0;
  for (const Row& r : s.rows) largest = std::max(largest, std::abs(r.cost.mean));
  if (s.bound) largest = std::max(largest, s.bound->upper);
  return decimals_for(largest);
}

int decimals_for(double largest) {
  if (!(largest > 0) || !std::isfinite(largest)) return 4;
  return std::clamp(3 - static_cast<int>(std::floor(std::log10(largest))), 0, 9);
}

void add_training(Contestant& c, const std::vector<double>& cost,
                  const std::vector<double>& score) {
  const auto before = static_cast<double>(c.training_cost.size());
  const auto join = [&](std::vector<double>& mean, const std::vector<double>& x) {
    if (mean.empty()) {
      mean = x;
      return;
    }
    for (std::size_t i = 0; i < x.size(); ++i) mean[i] = (mean[i] * before + x[i]) / (before + 1);
  };
  join(c.cost, cost);
  join(c.score, score);
  c.training_cost.push_back(results::mean_of(cost).mean);
}

Summary summarise(const std::vector<Contestant>& all, int resamples, std::uint64_t seed,
                  const agents::Bound& bound) {
  Summary s;
  if (!bound.lower.empty())
    s.bound = BoundMeans{results::mean_of(bound.lower), results::mean_of(bound.upper).mean};
  const Contestant* best = nullptr;
  double best_cost = 0;
  for (const Contestant& c : all) {
    s.episodes = static_cast<std::int64_t>(c.cost.size());
    Row r{c.name,
          c.kind,
          c.tuned,
          results::mean_of(c.cost),
          results::mean_of(c.score),
          c.training_cost,
          {},
          {},
          {}};
    if (c.kind == "heuristic" && (best == nullptr || r.cost.mean < best_cost)) {
      best = &c;
      best_cost = r.cost.mean;
    }
    s.rows.push_back(std::move(r));
  }
  if (best == nullptr) return s;
  s.best = best->name;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (&all[i] == best) continue;
    s.rows[i].against_best = results::paired(all[i].cost, best->cost, resamples, seed);
    if (has_gap(s, best_cost)) {
      s.rows[i].gap_closed = (best_cost - s.rows[i].cost.mean) / (best_cost - s.bound->lower.mean);
    }
    if (all[i].kind == "learned" && best_cost > 0) {
      s.rows[i].change = results::relative_change(all[i].cost, best->cost, resamples, seed);
    }
  }
  return s;
}

Row bound_row(const BoundMeans& bound) {
  return {kClairvoyant, "bound", false, bound.lower, {}, {}, {}, {}, {}};
}

std::string verdict(const Row& row, const Summary& s, const std::string& subject) {
  const results::Interval& c = *row.change;
  const std::string reference = "that of the best tuned heuristic";
  const std::size_t trainings = row.training_cost.size();
  const std::string cost =
      trainings > 1 ? "the mean cost of " + std::to_string(trainings) + " trainings" : "cost";
  // A policy that leaves its base as it is differs from it in log and exp, below any digit shown.
  if (std::abs(c.low) < 1e-7 && std::abs(c.high) < 1e-7) {
    return subject + " does not pay here: " + cost + " is exactly " + reference + ".";
  }
  const int digits = percent_decimals(c.low, c.high);
  if (c.low <= 0 && c.high >= 0) {
    auto with_sign = [&](double x) {
      const std::string text = percent(x, digits);
      const bool nothing = text.find_first_not_of("0.") == std::string::npos;
      return std::string(x > 0 && !nothing ? "+" : "") + text;
    };
    return (subject == "Learning" ? std::string("Not") : subject + ": not") +
           " decided with this many episodes (" + std::to_string(s.episodes) + "): " + cost +
           " changes by " + with_sign(c.value) + " % against " + reference + " (95 % interval " +
           with_sign(c.low) + " to " + with_sign(c.high) + " %).";
  }
  const bool pays = c.high < 0;
  const double near = pays ? -c.high : c.low, far = pays ? -c.low : c.high;
  return subject + (pays ? " pays" : " does not pay") + " here: " + cost + " is " +
         percent(std::abs(c.value), digits) + " % " + (pays ? "lower" : "higher") + " than " +
         reference + " (95 % interval " + percent(near, digits) + " to " + percent(far, digits) +
         " %).";
}

/// What is left to learn, where that is nothing.
std::string nothing_left(const Summary& s) {
  const auto best =
      std::find_if(s.rows.begin(), s.rows.end(), [&](const Row& r) { return r.name == s.best; });
  if (!s.bound || best == s.rows.end() || has_gap(s, best->cost.mean)) return "";
  return "\nThere is nothing to gain: " + s.best +
         ", the best tuned heuristic, is within 0.1 % of the certified bound.";
}

std::string verdict_text(const Summary& s) {
  const auto learned =
      std::count_if(s.rows.begin(), s.rows.end(), [](const Row& r) { return r.kind == "learned"; });
  std::string text;
  for (const Row& r : s.rows) {
    if (!r.against_best || r.kind != "learned") continue;
    if (!text.empty()) text += "\n";
    if (!r.change) {
      text += "No verdict: the best tuned heuristic has no cost that could be lowered.";
      continue;
    }
    std::string sentence = verdict(r, s, learned == 1 ? "Learning" : r.name);
    if (s.bound) sentence.insert(sentence.size() - 1, limit_words(r, *s.bound));
    text += sentence;
  }
  if (!text.empty()) text += nothing_left(s);
  return text;
}

std::string attention_text(const AttentionLine& a) {
  std::string text = "Attention looked at " + fixed(nodes_of(a), 1) + " of " +
                     std::to_string(a.nodes) + " nodes (entropy " +
                     short_fixed(entropy_share(a), 2) + " of its maximum); ";
  if (std::isnan(a.attention.mean))
    return text + "all nodes received the same, or were worth the same.";
  text += "its rank correlation with the marginal value\nof allocation is " +
          short_fixed(a.attention.mean, 2, true) + " +- " + short_fixed(a.attention.se, 2);
  std::string others;
  for (const auto& [name, m] :
       {std::pair{"allocation", a.allocation}, {"base heuristic", a.base}, {"backlog", a.backlog}})
    if (!std::isnan(m.mean))
      others += (others.empty() ? " (that of the " : ", of the ") + std::string(name) + " " +
                short_fixed(m.mean, 2, true);
  return text + others + (others.empty() ? "." : ").");
}

std::string table_text(const Summary& s, const Headline& h) {
  std::string text = h.scenario + ": " + std::to_string(h.nodes) + " nodes, " +
                     std::to_string(h.slots) + " slots, " + std::to_string(s.episodes) +
                     " test episodes, seed " + std::to_string(h.seed);
  if (h.updates > 0) {
    text += ", trained on " + count_words(static_cast<double>(h.env_steps)) + " env-steps in " +
            duration_words(h.seconds);
  }
  text += "\n\n";
  const int digits = decimals_for(s);
  std::vector<std::vector<std::string>> rows{
      {"policy", "kind", "cost", "+- se", " against best heuristic", "episodes"},
      {"", "", "", "", " (95 % interval)", "won"}};
  if (s.bound) {
    rows[0].emplace_back("gap");
    rows[1].emplace_back("closed");
    rows.push_back(bound_line(*s.bound, digits));
  }
  for (const std::size_t i : by_cost(s)) {
    const Row& r = s.rows[i];
    std::vector<std::string> line{r.name, r.kind, short_fixed(r.cost.mean, digits),
                                  short_fixed(r.cost.se, digits)};
    if (r.against_best) {
      const results::Paired& p = *r.against_best;
      line.push_back(std::string(" ") + short_fixed(p.difference, digits, true) + " [" +
                     short_fixed(p.ci_low, digits) + ", " + short_fixed(p.ci_high, digits) + "]");
      line.push_back(fixed(100 * p.won, 0) + " %");
      if (r.gap_closed) line.push_back(fixed(100 * *r.gap_closed, 0) + " %");
    } else if (r.name == s.best) {
      line.emplace_back(" best tuned heuristic");
    }
    rows.push_back(std::move(line));
  }
  text += table(rows, s.bound ? "llrrlrr" : "llrrlr");
  for (const Row& r : s.rows) text += trainings_line(r, digits);
  const std::string words = verdict_text(s);
  if (!words.empty()) text += words + "\n";
  if (h.attention) text += attention_text(*h.attention) + "\n";
  return text + h.result + "\n";
}

std::string json_text(const Summary& s, const Headline& h) {
  Json policies = Json::array();
  for (const Row& r : s.rows) policies.push_back(policy_json(r));
  Json bound{{"lower", nullptr}, {"upper", nullptr}, {"certified", nullptr}};
  if (s.bound) {
    policies.push_back(policy_json(bound_row(*s.bound)));
    bound = {{"lower", s.bound->lower.mean}, {"upper", s.bound->upper}, {"certified", true}};
  }
  const Json object{{"schema_version", 1},
                    {"scenario", h.scenario},
                    {"seed", h.seed},
                    {"episodes", s.episodes},
                    {"bound", bound},
                    {"policies", policies},
                    {"best_heuristic", s.best.empty() ? Json(nullptr) : Json(s.best)},
                    {"training",
                     {{"updates", h.updates},
                      {"env_steps", h.env_steps},
                      {"seconds", h.seconds},
                      {"seeds", trainings_json(s, h)}}},
                    {"attention", attention_json(h.attention)},
                    {"result", h.result}};
  // File names need not be UTF-8; JSON must be.
  return object.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace cra::tools
