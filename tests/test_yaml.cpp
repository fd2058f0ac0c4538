#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "scenario_texts.h"
#include "scenarios/overrides.h"
#include "scenarios/report.h"
#include "scenarios/yaml.h"

using namespace cra;
using namespace cra::scenarios;
using cra::testing::faults_of;
using cra::testing::repeated;
using cra::testing::smallest;

namespace {

struct Hostile {
  std::string what;
  std::string text;
  std::string fault;  ///< one of the faults, "place: text"
};

std::string with_nodes(const std::string& value) {
  return "version: 1\nname: t\npool:\n  nodes: " + value + "\nworkload: {parts: []}\n";
}

std::string with_name(const std::string& value) {
  return "version: 1\nname: " + value +
         "\npool: {nodes: 2}\nworkload: {parts: [{kind: constant, rate: 1}]}\n";
}

// Ten levels of lists of aliases: 2^10 values from 300 bytes, 2^30 from a few more.
std::string alias_bomb() {
  std::string text = "a: &a [x, x]\n";
  for (char c = 'b'; c <= 'j'; ++c) {
    const char before = static_cast<char>(c - 1);
    text += std::string(1, c) + ": &" + c + " [*" + before + ", *" + before + "]\n";
  }
  return text;
}

std::string many_keys(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text.append("k").append(std::to_string(i)).append(": 1\n");
  return text;
}

std::string deep_blocks(int depth) {
  std::string text;
  for (int i = 0; i < depth; ++i) text += std::string(static_cast<std::size_t>(i), ' ') + "a:\n";
  return text;
}

std::vector<Hostile> structure() {
  const std::string no_anchor = ": anchors and aliases are not allowed; write the value out";
  const std::string no_alias = "aliases (`*name`) are not allowed; write the value out";
  const std::string no_tag = ": tags are not allowed; what a value is follows from its key";
  const std::string no_key =
      "a key must be plain text, not a list or a map (or a bracket is never closed)";
  return {
      {"alias bomb", alias_bomb(), "s.yaml:10:8: " + no_alias},
      {"self reference", "a: &a [*a]", "s.yaml:1:8: " + no_alias},
      {"anchor", smallest("seed: &s 3\n"), "s.yaml:5:7: anchor \"&s\"" + no_anchor},
      {"anchor on a map", "pool: &p {nodes: 2}\n", "s.yaml:1:7: anchor \"&p\"" + no_anchor},
      {"alias of nothing", smallest("seed: *s\n"),
       "s.yaml:5:7: not valid YAML: the referenced anchor is not defined"},
      {"alias as a key", "a: &x 1\n*x : 2\n",
       "s.yaml:2:1: an alias cannot be a key; write the key out"},
      {"merge key", "pool:\n  <<: {nodes: 2}\n",
       "s.yaml:2:3: merge key `<<` is not allowed; write the keys out"},
      {"merge of an alias", "a: &a {b: 1}\nc:\n  <<: *a\n", "s.yaml:3:7: " + no_alias},
      {"integer tag", smallest("seed: !!int 3\n"),
       "s.yaml:5:7: tag \"tag:yaml.org,2002:int\"" + no_tag},
      {"own tag", smallest("seed: !x 3\n"), "s.yaml:5:7: tag \"!x\"" + no_tag},
      {"bare tag", smallest("seed: ! 3\n"), "s.yaml:5:7: tag \"!\"" + no_tag},
      {"verbatim tag", smallest("seed: !<tag:yaml.org,2002:int> 3\n"),
       "s.yaml:5:7: tag \"tag:yaml.org,2002:int\"" + no_tag},
      {"tag on a map", "pool: !!map {nodes: 2}\n",
       "s.yaml:1:7: tag \"tag:yaml.org,2002:map\"" + no_tag},
      {"python object", "!!python/object/apply:os.system ['x']\n",
       "s.yaml:1:1: tag \"tag:yaml.org,2002:python/object/apply:os.system\"" + no_tag},
      {"duplicate key", "version: 1\nname: a\nversion: 1\n",
       "s.yaml:3:1: key \"version\" is set twice: in line 1 and in line 3"},
      {"duplicate key in a section", "pool:\n  nodes: 2\n  lag: 1\n  nodes: 3\n",
       "s.yaml:4:3: key \"nodes\" is set twice: in line 2 and in line 4"},
      {"duplicate key in braces", "pool: {nodes: 2,\n nodes: 3}\n",
       "s.yaml:2:2: key \"nodes\" is set twice: in line 1 and in line 2"},
      {"duplicate key in quotes", "name: a\n\"name\": b\n",
       "s.yaml:2:1: key \"name\" is set twice: in line 1 and in line 2"},
      {"duplicate key after wide characters, CRLF", "\xC3\xA4: 1\r\n{x}: 1\r\n\xC3\xA4: 1\r\n",
       "s.yaml:2:1: " + no_key},
      {"duplicate key, CRLF", "name: \"\xC3\xA4\"\r\nname: b\r\n",
       "s.yaml:2:1: key \"name\" is set twice: in line 1 and in line 2"},
      {"second document", smallest("---\nseed: 1\n"),
       "s.yaml:5:1: a second document starts here; a scenario is one document"},
      {"second document after dots", smallest("...\nseed: 1\n"),
       "s.yaml:6:1: text after the end of the document"},
      {"list as a key", "? [a, b]\n: 1\n", "s.yaml:1:3: " + no_key},
      {"map as a key", "? {a: b}\n: 1\n", "s.yaml:1:3: " + no_key},
      {"no key", ": 1\n", "s.yaml:1:1: a key is missing here"},
      {"text, no map", "hello\n", "s.yaml:1:1: the scenario is \"hello\", expected a map of keys"},
      {"list, no map", "- version: 1\n",
       "s.yaml:1:1: the scenario is a list, expected a map of keys"},
      {"open list", "pool: {nodes: 2}\nworkload: [1, 2\n",
       "s.yaml:3:1: not valid YAML: end of sequence flow not found"},
      {"open map", "pool: {nodes: 2\n", "s.yaml:2:1: not valid YAML: end of map flow not found"},
      {"open list at the top", "[", "s.yaml:1:1: " + no_key},
      {"open quote before a line break", "name: \"abc\npool: 1\n",
       "s.yaml:1:7: a quote that is never closed"},
      {"open quote at the end", "name: \"abc", "s.yaml:1:7: a quote that is never closed"},
      {"open quote after an escaped one", "name: \"a\\\"\n",
       "s.yaml:1:7: a quote that is never closed"},
      {"open single quote after a doubled one", "name: 'it''s\nx: 1\n",
       "s.yaml:1:7: a quote that is never closed"},
      {"open quote after a byte order mark and wide text",
       "\xEF\xBB\xBF"
       "a: \xC3\xA4\nname: \"x\n",
       "s.yaml:2:7: a quote that is never closed"},
      {"stray bracket", "name: a\n]\n", "s.yaml:2:1: not valid YAML: illegal flow end"},
      {"tab", "pool:\n\tnodes: 2\n",
       "s.yaml:2:7: not valid YAML: illegal map value (the line is indented with a tab)"},
      {"uneven indent", "pool:\n   nodes: 2\n  lag: 1\n",
       "s.yaml:3:3: not valid YAML: end of map not found"},
      {"two colons", "name: a: b\n", "s.yaml:1:8: not valid YAML: illegal map value"},
      {"unknown escape", "name: \"\\q\"\n",
       "s.yaml:1:10: not valid YAML: unknown escape character: q"},
      {"YAML 3", "%YAML 3.0\n---\nname: a\n",
       "s.yaml:1:1: not valid YAML: YAML major version too large"},
      {"reserved character", "name: @a\n", "s.yaml:1:7: not valid YAML: unknown token"},
  };
}

std::vector<Hostile> bytes() {
  using std::string;
  const string no_utf8 = " is not UTF-8: save the file as UTF-8 text";
  return {
      {"NUL", smallest(string("seed: 1\0\n", 9)), "s.yaml:5:8: NUL byte: not a text file"},
      {"NUL by escape", "name: \"a\\0b\"\n", "s.yaml:1:7: text with a NUL character"},
      {"NUL in a key by escape", "\"a\\0b\": 1\n", "s.yaml:1:1: text with a NUL character"},
      {"terminal control", "name: a\x1b[31m\n",
       "s.yaml:1:8: control character 0x1b: not a text file"},
      {"end of file for yaml-cpp", "name: a\x04 b\n",
       "s.yaml:1:8: control character 0x04: not a text file"},
      {"Latin-1", "# \xC3\xA4\nname: caf\xE9\n", "s.yaml:2:10: byte 0xe9" + no_utf8},
      {"overlong form", "name: \xC0\xAF\n", "s.yaml:1:7: byte 0xc0" + no_utf8},
      {"surrogate", "name: \xED\xA0\x80\n", "s.yaml:1:7: byte 0xed" + no_utf8},
      {"cut character", "name: \xE2\x82", "s.yaml:1:7: byte 0xe2" + no_utf8},
      {"beyond Unicode", "name: \xF4\x90\x80\x80\n", "s.yaml:1:7: byte 0xf4" + no_utf8},
      {"UTF-16",
       string("\xFF\xFE"
              "a\0:\0",
              6),
       "s.yaml:1:1: byte 0xff" + no_utf8},
      {"ELF",
       string("\x7F"
              "ELF\x02\x01\x01\0",
              8),
       "s.yaml:1:1: control character 0x7f: not a text file"},
      {"HDF5", "\x89HDF\r\n\x1a\n", "s.yaml:1:1: byte 0x89" + no_utf8},
      {"gzip", string("\x1F\x8B\x08\0", 4), "s.yaml:1:1: control character 0x1f: not a text file"},
      {"nothing", "", "s.yaml:1:1: empty, expected a scenario"},
      {"blanks", "  \n\n", "s.yaml:1:1: empty, expected a scenario"},
      {"a comment", "# nothing\n", "s.yaml:1:1: empty, expected a scenario"},
      {"a document mark", "---\n", "s.yaml:1:1: empty, expected a scenario"},
      {"null", "~\n", "s.yaml:1:1: empty, expected a scenario"},
  };
}

std::vector<Hostile> sizes() {
  const std::string too_many = "more than 100000 values";
  const std::string too_deep = "nested deeper than 32 levels";
  const std::string no_key =
      "a key must be plain text, not a list or a map (or a bracket is never closed)";
  return {
      {"more than 1 MiB", smallest(std::string("#").append(1U << 20U, 'x')),
       "s.yaml:1:1: larger than 1 MiB: not a scenario"},
      {"10,000 open lists", repeated("[", 10000), "s.yaml:1:1: " + no_key},
      {"10,000 nested lists", repeated("[", 10000) + repeated("]", 10000),
       "s.yaml:1:33: " + too_deep},
      {"10,000 nested maps", repeated("{a: ", 10000) + repeated("}", 10000),
       "s.yaml:1:129: " + too_deep},
      {"10,000 nested dashes", repeated("- ", 10000) + "1", "s.yaml:1:65: " + too_deep},
      {"10,000 nested keys", repeated("? ", 10000) + "1", "s.yaml:1:3: " + no_key},
      {"1,000 nested blocks", deep_blocks(1000), "s.yaml:33:33: " + too_deep},
      {"33 levels", "a: " + repeated("[", 32) + repeated("]", 32), "s.yaml:1:35: " + too_deep},
      {"a megabyte of brackets", repeated("[", 1000000), "s.yaml:1:100001: " + too_many},
      {"a megabyte of braces", repeated("{", 1000000), "s.yaml:1:100001: " + too_many},
      {"a megabyte of dashes", repeated("- ", 500000), "s.yaml:1:100001: " + too_many},
      {"a megabyte of colons", repeated(":", 1000000), "s.yaml:1:50001: " + too_many},
      {"a megabyte of directives", repeated("%A\n", 300000), "s.yaml:100001:1: " + too_many},
      {"a megabyte of anchors", repeated("&a ", 300000), "s.yaml:1:300001: " + too_many},
      {"100,002 values", "a: [" + repeated("1,", 100001) + "1]\n", "s.yaml:1:200004: " + too_many},
      {"60,000 keys", many_keys(60000), "s.yaml:50001:7: " + too_many},
      {"100,001 values in few lines",
       "a:\n" + repeated(" - 1\n", 49000) + "b: [" + repeated("1,", 51500) + "1]\n",
       "s.yaml:49002:101995: " + too_many},
      {"a key of 100,000 letters", std::string(100000, 'k') + ": 1\n",
       "s.yaml:1:100001: not valid YAML: illegal map value"},
      {"a megabyte in an open quote", std::string("\"").append(1000000, 'a'),
       "s.yaml:1:1: a quote that is never closed"},
  };
}

std::vector<Hostile> values() {
  const std::string name =
      ", expected 1 to 64 letters, digits, `.`, `_` or `-`, the first of them neither `.` nor `-`";
  const std::string nodes = "s.yaml:4:10: pool.nodes is ";
  const std::string whole = ", expected a whole number";
  std::vector<Hostile> all{
      {"octal", with_nodes("010"),
       nodes + "\"010\", a number with a leading zero: octal to some, decimal to others"},
      {"infinity", with_nodes(".inf"), nodes + "\".inf\", expected a finite number"},
      {"minus infinity", with_nodes("-.Inf"), nodes + "\"-.Inf\", expected a finite number"},
      {"not a number", with_nodes(".nan"), nodes + "\".nan\", expected a finite number"},
      {"1e400", with_nodes("1e400"), nodes + "\"1e400\", a number too large to hold"},
      {"1e99", with_nodes("1e99"), nodes + "\"1e99\", a number too large to hold"},
      {"20 digits", with_nodes("99999999999999999999"),
       nodes + "\"99999999999999999999\", a number too large to hold"},
      {"1e-400", with_nodes("1e-400"),
       nodes + "\"1e-400\", a number too close to 0 to hold; write 0 if that is meant"},
      {"in quotes", with_nodes("\"2\""), nodes + "the text \"2\"" + whole + " without quotes"},
      {"list", with_nodes("[2]"), nodes + "a list" + whole},
      {"map", with_nodes("{a: 2}"), nodes + "a map" + whole},
      {"null", with_nodes("~"), nodes + "empty" + whole},
      {"no value", with_nodes(""), "s.yaml:4:3: pool.nodes is empty" + whole},
      {"0", with_nodes("0"), nodes + "0, outside [1, 65536]"},
      {"-1", with_nodes("-1"), nodes + "-1, outside [1, 65536]"},
      {"65537", with_nodes("65537"), nodes + "65537, outside [1, 65536]"},
      {"name of 65 letters", with_name(std::string(65, 'a')),
       "s.yaml:2:7: name is \"" + std::string(60, 'a') + "...\"" + name},
      {"list as a name", with_name("[a]"), "s.yaml:2:7: name is a list, expected text"},
      {"unit in a number", with_nodes("2 wu"), nodes + "\"2 wu\"" + whole},
  };
  for (const char* v : {"0x10", "0o10", "0b1", "1_000", "2.5", "many", "yes", "1,5", "+", "2:30",
                        "1e", "e5", ".", "--2", "\xD9\xA1"}) {
    all.push_back({v, with_nodes(v), nodes + "\"" + v + "\"" + whole});
  }
  for (const char* v : {".hidden", "-x", "a/b", "../x", "a b", "\xC3\xBC", "a\\0"}) {
    const std::string text = v;
    all.push_back({v, with_name(v), "s.yaml:2:7: name is \"" + text + "\"" + name});
  }
  return all;
}

std::optional<Node> tree(const std::string& text) {
  Report report;
  std::optional<Node> root = parse_yaml(text, 0, report);
  REQUIRE(report.empty());
  return root;
}

}  // namespace

TEST_CASE("hostile documents are refused, each with its place") {
  std::vector<Hostile> all = structure();
  for (const auto& group : {bytes(), sizes(), values()}) {
    all.insert(all.end(), group.begin(), group.end());
  }
  CHECK(all.size() >= 60);
  for (const Hostile& h : all) {
    CAPTURE(h.what);
    const std::vector<std::string> faults = faults_of(h.text);
    const bool found = std::find(faults.begin(), faults.end(), h.fault) != faults.end();
    CHECK(found);
    for (std::size_t i = 0; !found && i < std::min<std::size_t>(faults.size(), 5); ++i) {
      MESSAGE(faults[i]);
    }
  }
}

TEST_CASE("parse_yaml: scalars know whether they were quoted, and where they stand") {
  const auto root = tree("a: 1\nb: \"1\"\nc: '1'\nd: |\n  1\ne: [x, {f: ~}]\n");
  REQUIRE(root);
  REQUIRE(root->kind == Node::Kind::map);
  CHECK_FALSE(root->find("a")->quoted);
  CHECK(root->find("b")->quoted);
  CHECK(root->find("c")->quoted);
  CHECK(root->find("d")->quoted);
  CHECK(root->find("d")->text == "1\n");
  const Node* list = root->find("e");
  REQUIRE(list->items.size() == 2);
  CHECK(list->key_place.line == 6);
  CHECK(list->key_place.column == 1);
  CHECK(list->items[0].place.column == 5);
  CHECK(list->items[1].find("f")->kind == Node::Kind::null);
  CHECK(list->items[1].find("f")->place.column == 12);
  CHECK(root->find("g") == nullptr);
}

TEST_CASE("parse_yaml: a missing value stands at its key, not at what follows") {
  const auto root = tree("a:\n\n# comment\nb: 1\n");
  REQUIRE(root);
  CHECK(root->find("a")->kind == Node::Kind::null);
  CHECK(root->find("a")->place.line == 1);
}

TEST_CASE("parse_yaml: 32 levels and a byte order mark are fine") {
  REQUIRE(tree(repeated("[", 31) + "1" + repeated("]", 31)));
  const auto root = tree("\xEF\xBB\xBFname: x\r\n");
  REQUIRE(root);
  CHECK(root->find("name")->text == "x");
}

TEST_CASE("a diagnostic shows the source line with a caret below the place") {
  const auto source_of = [](const std::string& text) {
    try {
      parse(text, "s.yaml", {});
    } catch (const ScenarioError& e) {
      return e.diagnostics().front().source;
    }
    return std::string();
  };
  CHECK(source_of(smallest("seed: -1\n")) == "    seed: -1\n          ^");
  // a tab is one blank wide, a wide character one column
  CHECK(source_of(smallest("output:\t{compression: 10}\n")) ==
        "    output: {compression: 10}\n                          ^");
  CHECK(source_of(
            "version: 1\nname: \"\xC3\xA4\xC3\xB6\" # \xE2\x82\xAC\nseed: {a: \xC3\xBC, b}\n") ==
        "    version: 1\n    ^");
  // far right in a long line: 60 bytes before the caret, 40 after
  const std::string far = source_of(smallest("output: {" + std::string(200, ' ') +
                                             "compression: 10" + std::string(200, ' ') + "}\n"));
  CHECK(far == "    " + std::string(47, ' ') + "compression: 10" + std::string(38, ' ') + "\n    " +
                   std::string(60, ' ') + "^");
}

TEST_CASE("more than 100 faults: the first by place, and a count of the rest") {
  const std::vector<std::string> faults = faults_of(smallest(many_keys(2500)));
  REQUIRE(faults.size() == 101);
  CHECK(faults.front().substr(0, 31) == "s.yaml:5:1: unknown key \"k0\"\n  ");
  CHECK(faults.back() == "s.yaml:104:1: ... and 2400 more");
}

TEST_CASE("text from the file cannot steer the terminal") {
  const std::vector<std::string> faults = faults_of(smallest("seed: \"\\e[31m\\n\"\n"));
  REQUIRE(faults.size() == 1);
  CHECK(faults[0] ==
        "s.yaml:5:7: seed is the text \"\\x1b[31m\\n\", expected a whole number without quotes");
}

TEST_CASE("nearest: the node of a dotted key, or the closest section there is") {
  const auto root = tree("pool: {nodes: 2}\nlist:\n  - a: 1\n  - b: 2\n");
  REQUIRE(root);
  CHECK(nearest(*root, "pool.nodes").text == "2");
  CHECK(nearest(*root, "pool.lag").key == "pool");
  CHECK(nearest(*root, "list.1.b").text == "2");
  CHECK(nearest(*root, "list[1].b").text == "2");
  CHECK(nearest(*root, "list.2.b").key == "list");
  CHECK(&nearest(*root, "cost.switching") == &*root);
}
