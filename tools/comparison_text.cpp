// A comparison as tables and sentences.
#include <algorithm>
#include <cmath>

#include "tools/comparison.h"
#include "tools/summary.h"
#include "tools/terminal.h"

namespace cra::tools {
namespace {

using Rows = std::vector<std::vector<std::string>>;

constexpr std::size_t kWidth = 98;  // of paragraphs

/// Breaks a paragraph at blanks, not between a number and its percent sign.
std::string wrapped(const std::string& text) {
  std::string out;
  std::size_t column = 0;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = std::min(text.find(' ', at), text.size());
    if (text.compare(end, 2, " %") == 0) end = std::min(text.find(' ', end + 1), text.size());
    if (column > 0 && column + 1 + (end - at) > kWidth) {
      out += '\n';
      column = 0;
    } else if (column > 0) {
      out += ' ';
      ++column;
    }
    out.append(text, at, end - at);
    column += end - at;
    at = end + 1;
  }
  return out + '\n';
}

std::string plural(std::size_t n, const std::string& word) {
  return std::to_string(n) + " " + word + (n == 1 ? "" : "s");
}

/// A number of things to come by, rounded up to two digits: "2300".
std::string about(double n) {
  if (n > 1e6) return "more than a million";
  const double unit = std::pow(10.0, std::max(0.0, std::floor(std::log10(n)) - 1));
  return fixed(std::ceil(n / unit) * unit, 0);
}

/// Digits after the point with which a number that is not 0 shows at least `least` of them.
int digits_for(double x, int least) {
  if (!(std::abs(x) > 0)) return 0;
  return std::clamp(least - 1 - static_cast<int>(std::floor(std::log10(std::abs(x)))), 0, 9);
}

/// Differences in the unit of the sentences: percent of the reference's cost, or cost where that is
/// no use.
class Amount {
 public:
  explicit Amount(const Versus& v)
      : relative_(v.reference_cost > 0), scale_(relative_ ? v.reference_cost / 100 : 1) {
    const results::Interval& d = v.difference;
    // A digit of the interval's width, and one of what was seen.
    digits_ = std::max(digits_for((d.high - d.low) / scale_, 1),
                       std::min(3, digits_for(d.value / scale_, 1)));
    // Nor does an end that is not 0 read as 0.
    if (v.holm.rejected)
      digits_ =
          std::max(digits_, std::min(3, digits_for((d.low > 0 ? d.low : d.high) / scale_, 1)));
  }
  std::string operator()(double difference, bool sign = false) const {
    return bare(difference, sign) + unit();
  }
  /// Without the unit.
  std::string bare(double difference, bool sign = false) const {
    const std::string text = fixed(difference / scale_, digits_);
    const bool nothing = text.find_first_not_of("0.") == std::string::npos;
    return std::string(sign && difference > 0 && !nothing ? "+" : "") + text;
  }
  /// With two digits, whatever the others have.
  std::string rough(double difference) const {
    return fixed(difference / scale_, digits_for(difference / scale_, 2)) + unit();
  }

 private:
  const char* unit() const { return relative_ ? " %" : ""; }

  bool relative_;
  double scale_;
  int digits_ = 0;
};

std::ptrdiff_t claims_of(const Comparison& c) {
  return std::count_if(c.versus.begin(), c.versus.end(),
                       [](const Versus& v) { return v.contrast.has_value(); });
}

std::string episodes_words(const Comparison& c, const Versus& v) {
  if (v.match.footing == Footing::paired)
    return "on the same " + plural(v.match.episodes, "test episode");
  return "on " + std::to_string(c.entrants[v.entrant].episodes()) + " and " +
         std::to_string(c.entrants[c.reference].episodes()) +
         " test episodes that are not the same, as " + v.match.why;
}

/// What would decide the difference that was seen.
std::string remedy(const Comparison& c, const Versus& v) {
  if (std::isfinite(v.episodes_needed))
    return "about " + about(v.episodes_needed) +
           (v.match.footing == Footing::paired ? "" : " of each") +
           " would decide the one that was seen";
  if (v.contrast->difference == 0) return "the one that was seen is 0";
  if (!std::isfinite(v.trainings_needed))
    return "the one that was seen takes more episodes and more trainings";
  const Entrant &a = c.entrants[v.entrant], &b = c.entrants[c.reference];
  return "no number of episodes would decide the one that was seen, because trainings scatter too "
         "much: it takes about " +
         about(v.trainings_needed) + " trainings of " +
         (a.trainings > 1 && b.trainings > 1 ? "each" : (a.trainings > 1 ? a : b).label);
}

std::string decided(const Comparison& c, const Versus& v) {
  const results::Interval& d = v.difference;
  const Amount amount(v);
  const bool better = d.high < 0;
  const double near = better ? -d.high : d.low, far = better ? -d.low : d.high;
  return c.entrants[v.entrant].label + " is " + (better ? "better" : "worse") + " than " +
         c.entrants[c.reference].label + ": its mean cost is " +
         amount(std::abs(v.contrast->difference)) + (better ? " lower" : " higher") +
         " (95 % interval " + amount.bare(near) + " to " + amount(far) + "), " +
         episodes_words(c, v) + ".";
}

/// How to put two learned policies on the same episodes, as a sentence with a blank in front.
std::string same_episodes(const Comparison& c, const Versus& v) {
  const Entrant &a = c.entrants[v.entrant], &b = c.entrants[c.reference];
  if (!a.learned() || !b.learned() || a.file == b.file) return "";
  return " To put both on the same episodes: cra evaluate SCENARIO.yaml --policy " + b.file + " " +
         a.file;
}

std::string undecided(const Comparison& c, const Versus& v) {
  const results::Interval& d = v.difference;
  const Amount amount(v);
  const bool pairs = v.match.footing == Footing::paired;
  return "Not decided: the mean cost of " + c.entrants[v.entrant].label + " differs from that of " +
         c.entrants[c.reference].label + " by " + amount(v.contrast->difference, true) +
         " (95 % interval " + amount.bare(d.low, true) + " to " + amount(d.high, true) + "), " +
         episodes_words(c, v) + ". A difference below " + amount.rough(v.detectable) +
         " is too small to be found reliably with so few episodes; " + remedy(c, v) + "." +
         (pairs ? "" : " On the same episodes far fewer are needed." + same_episodes(c, v));
}

std::string listed(const std::vector<std::string>& all) {
  std::string text;
  for (std::size_t i = 0; i < all.size(); ++i)
    text += (i == 0 ? "" : i + 1 == all.size() ? " and " : ", ") + all[i];
  return text;
}

/// Of what claims about these entrants are: of trainings, or of those at hand; may be empty.
std::string scope(const std::vector<const Entrant*>& all) {
  std::vector<std::string> single;
  std::size_t several = 0;
  for (const Entrant* e : all) {
    if (e->learned() && e->trainings == 1) single.push_back(e->label);
    several += e->trainings > 1 ? 1 : 0;
  }
  const std::string cure = " (training.seeds=5 trains five).";
  if (single.size() > 1 && several == 0)
    return "This is about these trained policies, not about the ways of training them: "
           "one training of each does not tell how far another would come out" +
           cure;
  if (!single.empty())
    return "Of " + listed(single) + (single.size() > 1 ? " one training each" : " one training") +
           " is compared; another may come out differently" + cure;
  if (several == 0) return "";
  return std::string(all.size() > 2 ? "Intervals allow" : "The interval allows") +
         " for the scatter of trainings as well as of episodes.";
}

/// Those of which something is claimed.
std::vector<const Entrant*> claimed(const Comparison& c, const std::vector<Versus>& versus) {
  std::vector<const Entrant*> all;
  for (const Versus& v : versus)
    if (v.contrast && !v.equal) all.push_back(&c.entrants[v.entrant]);
  if (!all.empty()) all.insert(all.begin(), &c.entrants[c.reference]);
  return all;
}

std::string refusal(const Comparison& c, const Versus& v) {
  const Entrant &a = c.entrants[v.entrant], &b = c.entrants[c.reference];
  const std::string text =
      "No claim about " + a.label + " and " + b.label + ": " + v.match.why + ".";
  return text + same_episodes(c, v);
}

std::string claim(const Comparison& c, const Versus& v) {
  if (!v.contrast) return refusal(c, v);
  if (v.equal)
    return "No difference: " + c.entrants[v.entrant].label + " costs " +
           (v.contrast->se == 0 && v.contrast->difference == 0 ? "exactly what " : "what ") +
           c.entrants[c.reference].label + " does, in every one of " +
           plural(v.match.episodes, "test episode") + ".";
  return v.holm.rejected ? decided(c, v) : undecided(c, v);
}

std::string interval_text(const results::Interval& i, int digits, bool sign) {
  return short_fixed(i.value, digits, sign) + " [" + short_fixed(i.low, digits) + ", " +
         short_fixed(i.high, digits) + "]";
}

std::string percents(const results::Interval& i) {
  return fixed(100 * i.value, 0) + " % [" + fixed(100 * i.low, 0) + ", " + fixed(100 * i.high, 0) +
         "]";
}

std::string standings_table(const Comparison& c, int digits) {
  const bool several = std::any_of(c.entrants.begin(), c.entrants.end(),
                                   [](const Entrant& e) { return e.trainings > 1; });
  const bool gaps = std::any_of(c.standings.begin(), c.standings.end(),
                                [](const Standing& s) { return s.gap_closed.has_value(); });
  // Where labels are policies, a second column of them says nothing.
  const bool named = std::any_of(c.entrants.begin(), c.entrants.end(),
                                 [](const Entrant& e) { return e.label != e.policy; });
  Rows rows{{named ? "result" : "policy"}, {""}};
  const auto column = [&](const char* first, const char* second) {
    rows[0].emplace_back(first);
    rows[1].emplace_back(second);
  };
  if (named) column("policy", "");
  if (several) column("trainings", "");
  column("mean", "cost");
  column("+- se", "");
  column(" interquartile mean", " (95 % interval)");
  if (gaps) column("gap", "closed");
  for (std::size_t i = 0; i < c.entrants.size(); ++i) {
    const Entrant& e = c.entrants[i];
    const Standing& s = c.standings[i];
    rows.push_back({e.label});
    const bool said = e.label.size() > e.policy.size() && e.label.ends_with(":" + e.policy);
    if (named) rows.back().push_back(said ? "" : e.policy);
    if (several) rows.back().push_back(std::to_string(e.trainings));
    rows.back().push_back(short_fixed(s.cost.mean, digits));
    rows.back().push_back(short_fixed(s.cost.se, digits));
    rows.back().push_back(std::string(" ") + interval_text(s.interquartile, digits, false));
    if (gaps) rows.back().push_back(s.gap_closed ? fixed(100 * *s.gap_closed, 0) + " %" : "");
  }
  return table(rows,
               std::string(named ? "ll" : "l") + (several ? "r" : "") + "rrl" + (gaps ? "r" : ""));
}

std::string versus_table(const Comparison& c, int digits) {
  Rows rows{{std::string("against ") + c.entrants[c.reference].label, " difference of mean cost",
             "episodes", " probability of", " smallest difference"},
            {"", claims_of(c) > 1 ? " (95 % interval, Holm)" : " (95 % interval)", "won",
             " lower cost", " that would be seen"}};
  for (const Versus& v : c.versus) {
    rows.push_back({c.entrants[v.entrant].label});
    if (!v.contrast) {
      rows.back().emplace_back(" not compared");
      continue;
    }
    if (v.equal) {
      rows.back().emplace_back(" none, in any episode");
      continue;
    }
    rows.back().push_back(std::string(" ") + interval_text(v.difference, digits, true));
    rows.back().push_back(v.won ? fixed(100 * *v.won, 0) + " %" : "");
    rows.back().push_back(std::string(" ") + percents(v.improvement));
    rows.back().push_back(std::string(" ") + short_fixed(v.detectable, digits) +
                          (v.reference_cost > 0 ? " (" + Amount(v).rough(v.detectable) + ")" : ""));
  }
  return table(rows, "llrll");
}

std::string trainings_text(const Comparison& c, int digits) {
  std::string text;
  for (std::size_t i = 0; i < c.entrants.size(); ++i) {
    const std::vector<double>& cost = c.standings[i].training_cost;
    if (cost.size() < 2) continue;
    std::string line = c.entrants[i].label + ", " + plural(cost.size(), "training") + ":";
    for (const double x : cost) line.append(" ").append(short_fixed(x, digits));
    text += wrapped(line + "; standard error over them " +
                    short_fixed(results::mean_of(cost).se, digits));
  }
  return text;
}

std::string setting_words(const scenarios::Difference& d) {
  const auto shown = [](std::string x) {
    for (char& letter : x)
      if (static_cast<unsigned char>(letter) < 0x20 || letter == 0x7f) letter = '?';
    return x.size() > 30 ? x.substr(0, 27) + "..." : x;
  };
  return d.path + " " + shown(d.a) + " (" + shown(d.b) + ")";
}

/// What is compared: how the making of learned policies differs.
std::string making_text(const Comparison& c) {
  constexpr std::size_t kShown = 6;
  std::string text;
  for (const Versus& v : c.versus) {
    const Entrant &a = c.entrants[v.entrant], &b = c.entrants[c.reference];
    std::vector<scenarios::Difference> all = v.match.making;
    // Keys that only one of them has come with another kind, which is there.
    std::erase_if(all, [](const scenarios::Difference& d) { return d.a.empty() || d.b.empty(); });
    if (all.empty() || !(a.learned() && b.learned())) continue;
    std::vector<std::string> settings;
    for (const scenarios::Difference& d : all)
      if (settings.size() < kShown) settings.push_back(setting_words(d));
    if (all.size() > kShown) settings.push_back(std::to_string(all.size() - kShown) + " more");
    text += wrapped("Settings of " + a.label + " that are not those of " + b.label + ": " +
                    listed(settings) + ".");
  }
  return text;
}

std::string gaps_text(const Comparison& c) {
  std::vector<std::string> own;
  bool unlike = false;
  const std::string* first = nullptr;
  for (std::size_t i = 0; i < c.entrants.size(); ++i) {
    if (!c.standings[i].gap_closed) continue;
    const Entrant& e = c.entrants[i];
    if (first == nullptr) first = &e.best;
    unlike = unlike || e.best != *first;
    own.push_back(e.best + " for " + e.label);
  }
  if (!unlike) return "";
  return wrapped("Gaps closed are measured from each file's own best heuristic: " + listed(own) +
                 ".");
}

std::string bounds_text(const Comparison& c) {
  std::string text, seen;
  for (const Entrant& e : c.entrants) {
    if (e.no_bound.empty() || e.file == seen) continue;
    seen = e.file;
    text += wrapped("No gap to a bound in " + e.label + ": " + e.no_bound + ".");
  }
  return text;
}

std::string title(const Comparison& c) {
  const std::string& first = c.entrants.front().scenario;
  const bool one = std::all_of(c.entrants.begin(), c.entrants.end(),
                               [&](const Entrant& e) { return e.scenario == first; });
  const bool policies = c.entrants.front().label == c.entrants.front().policy;
  std::size_t fewest = c.entrants.front().episodes(), most = fewest;
  for (const Entrant& e : c.entrants) {
    fewest = std::min(fewest, e.episodes());
    most = std::max(most, e.episodes());
  }
  return (one ? first + ": " : "") + std::to_string(c.entrants.size()) +
         (policies ? " policies, " : " results, ") +
         (fewest == most ? "" : std::to_string(fewest) + " to ") + plural(most, "test episode") +
         (policies ? "" : " each") + "\n";
}

}  // namespace

std::string sentence(const Comparison& c, const Versus& v) {
  const std::string about_trainings = scope(claimed(c, {v}));
  return claim(c, v) + (about_trainings.empty() ? "" : " ") + about_trainings;
}

std::string comparison_text(const Comparison& c) {
  double largest = 0;
  for (const Standing& s : c.standings) largest = std::max(largest, std::abs(s.cost.mean));
  const int digits = decimals_for(largest);
  std::string text = title(c) + "\n" + standings_table(c, digits) + "\n";
  if (claims_of(c) > 0) text += versus_table(c, digits) + "\n";
  text += trainings_text(c, digits) + gaps_text(c) + bounds_text(c) + making_text(c);
  for (const Versus& v : c.versus) text += wrapped(claim(c, v));
  if (const std::string words = scope(claimed(c, c.versus)); !words.empty()) text += wrapped(words);
  if (claims_of(c) > 1)
    text += wrapped("Intervals are widened for " + std::to_string(claims_of(c)) +
                    " comparisons (Holm's correction): the chance of any false claim among them is "
                    "at most 5 %.");
  return text;
}

}  // namespace cra::tools
