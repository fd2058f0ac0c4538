#include "tools/columns.h"

#include <algorithm>
#include <set>

namespace cra::tools {
namespace {

using Texts = std::vector<std::string>;

/// A key of --vary with its values.
struct Varied {
  std::string key;
  Texts values;
};

Varied varied_of(const std::string& word) {
  const std::size_t equals = word.find('=');
  if (equals == std::string::npos || equals == 0)
    throw UsageError("--vary is \"" + word + "\", expected KEY.PATH=VALUE,VALUE,...");
  Varied v{word.substr(0, equals), split_values(word.substr(equals + 1))};
  if (std::find(v.values.begin(), v.values.end(), "") != v.values.end())
    throw UsageError("--vary is \"" + word + "\", where a value is empty");
  return v;
}

/// The words of one --vary as lists of overrides, one for each value; every key has as many.
std::vector<Texts> choices_of(const Texts& words, std::set<std::string>& keys) {
  if (words.empty()) throw UsageError("--vary needs KEY.PATH=VALUE,VALUE,...");
  std::vector<Texts> choices;
  Varied first;
  for (const std::string& word : words) {
    const Varied v = varied_of(word);
    if (!keys.insert(v.key).second) throw UsageError("--vary names " + v.key + " twice");
    if (choices.empty()) {
      first = v;
      choices.resize(v.values.size());
    } else if (v.values.size() != choices.size()) {
      throw UsageError("--vary: " + first.key + " has " + std::to_string(choices.size()) +
                       " values and " + v.key + " has " + std::to_string(v.values.size()) +
                       "; keys in one --vary change together and need as many each");
    }
    for (std::size_t i = 0; i < v.values.size(); ++i)
      choices[i].push_back(v.key + "=" + v.values[i]);
  }
  return choices;
}

/// Every combination of the values of all --vary; the last changes fastest.
std::vector<Texts> combinations(const std::vector<Texts>& vary) {
  constexpr std::size_t kMost = 10000;
  std::vector<Texts> all{{}};
  std::set<std::string> keys;
  for (const Texts& words : vary) {
    std::vector<Texts> longer;
    const std::vector<Texts> choices = choices_of(words, keys);
    if (all.size() * choices.size() > kMost)
      throw UsageError("--vary asks for more than " + std::to_string(kMost) + " columns");
    for (const Texts& begun : all)
      for (const Texts& choice : choices) {
        longer.push_back(begun);
        longer.back().insert(longer.back().end(), choice.begin(), choice.end());
      }
    all = std::move(longer);
  }
  return all;
}

/// The scenario of a column. What is wrong with a value of --vary is said of --vary.
scenarios::Scenario loaded(const Column& c, Texts overrides) {
  overrides.insert(overrides.end(), c.varied.begin(), c.varied.end());
  try {
    return scenarios::load(c.file, overrides);
  } catch (const scenarios::ScenarioError& e) {
    std::vector<scenarios::Diagnostic> all = e.diagnostics();
    for (scenarios::Diagnostic& d : all)
      for (const std::string& word : c.varied)
        if (d.place == "--set " + word) d.place = "--vary " + word;
    throw scenarios::ScenarioError(all);
  }
}

std::string key_of(const std::string& word) { return word.substr(0, word.find('=')); }

/// "workload.level=easy" as "level=easy", unless another varied key ends alike.
std::string short_form(const std::string& word, const Texts& words) {
  const auto last = [](const std::string& key) { return key.substr(key.rfind('.') + 1); };
  const std::string key = key_of(word);
  const auto alike = std::count_if(words.begin(), words.end(), [&](const std::string& other) {
    return last(key_of(other)) == last(key);
  });
  return alike > 1 ? word : last(key) + word.substr(key.size());
}

/// What a file name takes without being quoted in a shell; all else becomes "-", never twice.
std::string as_file_name(const std::string& text) {
  std::string name;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '.' || c == '_' || c == '-';
    if (plain || name.empty() || name.back() != '-') name += plain ? c : '-';
  }
  while (!name.empty() && name.back() == '-') name.pop_back();
  return name;
}

/// Fills title and stem.
void name_columns(std::vector<Column>& all) {
  std::set<std::string> stems;
  for (Column& c : all) {
    const scenarios::Settings& s = c.scenario.settings;
    const bool shared = std::any_of(all.begin(), all.end(), [&](const Column& other) {
      return other.file != c.file && other.scenario.settings.name == s.name;
    });
    c.title = {shared ? c.file : s.name};
    c.stem = s.name + "-s" + std::to_string(s.seed);
    for (const std::string& word : c.varied) {
      c.title.push_back(short_form(word, c.varied));
      if (key_of(word) != "seed") c.stem.append("-").append(as_file_name(c.title.back()));
    }
    const std::string stem = c.stem;
    for (int k = 2; !stems.insert(c.stem).second; ++k) c.stem = stem + "-" + std::to_string(k);
  }
}

}  // namespace

std::string Column::name() const {
  std::string text;
  for (const std::string& part : title) text += (text.empty() ? "" : " ") + part;
  return text;
}

std::vector<std::string> split_values(const std::string& text) {
  Texts values{""};
  int depth = 0;
  char quote = 0;
  for (const char c : text) {
    if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '[' || c == '{') {
      ++depth;
    } else if (c == ']' || c == '}') {
      --depth;
    } else if (c == ',' && depth <= 0) {
      values.emplace_back();
      continue;
    }
    values.back() += c;
  }
  return values;
}

std::vector<Column> columns_of(const Arguments& a) {
  const std::vector<Texts> varied = combinations(a.vary);
  std::set<std::string> files;
  std::vector<Column> all;
  for (const std::string& file : a.files) {
    if (!files.insert(file).second) throw UsageError("cra evaluate names " + file + " twice");
    for (const Texts& words : varied) {
      Column c{file, words, {}, {}, {}};
      c.scenario = loaded(c, a.set);
      const auto same = std::find_if(all.begin(), all.end(), [&](const Column& other) {
        return other.file == file && other.varied == words;
      });
      if (same != all.end())
        throw UsageError("--vary asks for the same column twice: " + words.back());
      all.push_back(std::move(c));
    }
  }
  name_columns(all);
  return all;
}

}  // namespace cra::tools
