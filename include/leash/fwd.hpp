// leash/fwd.hpp - forward declarations, for headers that only mention the names; and Handle.
#ifndef LEASH_0_1_0_FWD_HPP
#define LEASH_0_1_0_FWD_HPP

#include <leash/config.hpp>

namespace leash {
inline namespace LEASH_ABI {

class Cancel;
class Command;
class Duration;
class Env;
class ExitStatus;
class Jobserver;
class Grace;
class Group;
class Pipeline;
class Popen;
class Reader;
class Supervisor;
class Timeout;
class Writer;

struct Captured;
struct Error;
struct Leader;
struct Limits;
struct LineOptions;
struct Match;
struct Options;
struct PassFd;
struct Probe;
struct Process;
struct Read;
struct Result;
struct RunAllOptions;
struct StopStep;
struct Streams;
struct Task;
struct Terminal;
struct Usage;
struct Written;

enum class CarriageReturn;
enum class EndedBy;
enum class Keep;
enum class Reach;
enum class Step;
enum class Stragglers;

/// A file descriptor.
using Handle = int;
/// Stands for no descriptor.
inline constexpr Handle no_handle = -1;

template <class T>
class Expected;

}  // namespace LEASH_ABI
}  // namespace leash

#endif  // LEASH_0_1_0_FWD_HPP
