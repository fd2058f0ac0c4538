// tools/terminal.h: what goes to the two streams, and how numbers look there. Data goes to stdout,
// everything else to stderr; colour only on a terminal and never as the only carrier of meaning.
#pragma once

#include <string>
#include <vector>

#include "sim/base.h"

namespace cra::tools {

enum class Colour { red, yellow, bold };

/// Whoever read our stdout has gone (`cra keys | head`). Exit code 1 like every failed write, but
/// without a message: nobody did anything wrong.
class ClosedPipe : public Error {
  using Error::Error;
};

/// Writes data to stdout and flushes. \throws Error  when not all of it could be written
void print(const std::string& text);
/// Writes a note, warning or error to stderr. Failures are ignored: there is nowhere to tell them.
void tell(const std::string& text);
/// `cra: warning: ...` on stderr.
void warn(const std::string& text);

bool stdout_is_terminal();
bool stderr_is_terminal();
/// False under NO_COLOR (not empty) and TERM=dumb, whatever the stream.
bool colour_allowed();
/// `text` in colour when stderr is a terminal that wants it, else as it is.
std::string coloured(const std::string& text, Colour colour);

/// Decimal form with a fixed number of digits after the point, in every locale: "0.2293".
std::string fixed(double x, int decimals);
/// The same without the zero before the point: ".2293", "-.186"; "+.029" when `sign`.
std::string short_fixed(double x, int decimals, bool sign = false);
/// Two digits and a power of ten, as errors are told: "3.1e-06".
std::string scientific(double x);
/// Shortest form that reads back as the same number.
std::string shortest(double x);
/// A large count in words of three digits: "950", "1.15 M", "41.2 k".
std::string count_words(double n);
/// A span of time: "41 s", "3 min 20 s", "2 h 5 min".
std::string duration_words(double seconds);

/// Columns with the width of their widest cell; UTF-8 counts by character; trailing blanks are cut.
/// \param align  one letter per column: l or r
std::string table(const std::vector<std::vector<std::string>>& rows, const std::string& align);

}  // namespace cra::tools
