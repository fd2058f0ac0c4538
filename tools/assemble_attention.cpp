// /attention: where the attention of the learned policy went, and where allocation was worth most.
#include "tools/assemble_groups.h"

namespace cra::tools {
namespace {

/// What the marginal value is compared with, by the name it has in the file.
struct Quantity {
  const char* name;
  Doubles agents::Explanation::*column;  ///< [I, S, N]
};
constexpr Quantity kQuantities[] = {{"attention", &agents::Explanation::received},
                                    {"allocation", &agents::Explanation::allocation},
                                    {"base", &agents::Explanation::base},
                                    {"backlog", &agents::Explanation::backlog}};

/// Over the nodes, for every episode and slot.
Doubles rank_correlations(const Doubles& x, const Doubles& value, std::size_t nodes) {
  Doubles all;
  for (std::size_t at = 0; at < x.size(); at += nodes)
    all.push_back(results::rank_correlation(std::span(x).subspan(at, nodes),
                                            std::span(value).subspan(at, nodes)));
  return all;
}

}  // namespace

GroupData attention_group(const Explained& e, const sim::Pool& pool) {
  const agents::Explanation& what = e.what;
  Texts quantities;
  Doubles correlation, mean, se;
  for (const Quantity& q : kQuantities) {
    quantities.emplace_back(q.name);
    const Doubles row = rank_correlations(what.*q.column, what.marginal_value,
                                          static_cast<std::size_t>(what.nodes));
    const results::Mean over = results::mean_of_rows(row, static_cast<std::size_t>(what.episodes));
    correlation.insert(correlation.end(), row.begin(), row.end());
    mean.push_back(over.mean);
    se.push_back(over.se);
  }
  return {"attention",
          {{"episode", numbers(what.episodes)},
           {"slot", what.slot},
           {"node", node_names(pool)},
           {"quantity", quantities},
           {"head", numbers(what.heads)},
           {"looker", node_names(pool)}},
          {{"policy", text(e.policy)},
           {"received", what.received},
           {"entropy", what.entropy},
           {"looker_entropy", what.looker_entropy},
           {"marginal_value", what.marginal_value},
           {"allocation", what.allocation},
           {"base", what.base},
           {"backlog", what.backlog},
           {"rank_correlation", correlation},
           {"mean_correlation", mean},
           {"correlation_se", se},
           {"map", what.map},
           {"map_slot", integer(what.map_slot)}}};
}

}  // namespace cra::tools
