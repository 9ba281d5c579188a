// leash/pipeline.hpp - WHAT to run: several commands, each one's output the next one's input.
#ifndef LEASH_0_1_0_PIPELINE_HPP
#define LEASH_0_1_0_PIPELINE_HPP

#include <utility>
#include <vector>

#include <leash/command.hpp>
#include <leash/config.hpp>

namespace leash {
inline namespace LEASH_ABI {

/// Commands in a row: `leash::args({"dmesg"}) | leash::shell("grep -i \"$1\"", {what}) | leash::args({"tail"})`.
/// run() and Popen make one job of it: one process group, one deadline, one cancel, one kill; it has ended when
/// every stage has. Options::in is the first stage's, `out` the last one's; `err` and all else are for each of them;
/// `executable`, `tty` and Group::session are refused.
/// A host that ignores SIGCHLD, or reaps every child, may take the first stage away before the next one has joined its
/// group: that stage then cannot start (Step::spawn, EPERM).
class Pipeline {
  public:
    /// The commands, in order.
    /// @{
    const std::vector<Command>& stages() const& noexcept { return stages_; }
    std::vector<Command>&& stages() && noexcept { return std::move(stages_); }
    /// @}

    /// Copied and moved like a vector of commands.
    /// @{
    Pipeline(const Pipeline& other);
    Pipeline(Pipeline&& other) noexcept;
    Pipeline& operator=(const Pipeline& other);
    Pipeline& operator=(Pipeline&& other) noexcept;
    ~Pipeline();
    /// @}

    /// One more at the end, for pipelines that are put together at run time.
    Pipeline& append(Command last);

    /// A pipeline that goes on; of two commands, `|` makes one too.
    /// @{
    friend Pipeline operator|(Pipeline front, Command last) { return std::move(front.append(std::move(last))); }
    friend Pipeline operator|(Pipeline front, Pipeline rest) { return join(std::move(front), std::move(rest)); }
    /// @}

  private:
    friend class Command;
    static Pipeline join(Command first, Command second);
    static Pipeline join(Pipeline front, Pipeline rest);
    struct Empty {};
    explicit Pipeline(Empty) {}  // and none without an argument: run({}) means a command
    std::vector<Command> stages_;
};

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/pipeline.ipp>

#endif  // LEASH_0_1_0_PIPELINE_HPP
