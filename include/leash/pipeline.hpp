// leash/pipeline.hpp - WHAT to run: several commands, each one's output the next one's input.
#ifndef LEASH_0_1_0_PIPELINE_HPP
#define LEASH_0_1_0_PIPELINE_HPP

#include <utility>
#include <vector>

#include <leash/command.hpp>
#include <leash/config.hpp>

namespace leash {
inline namespace LEASH_ABI {

/// A pipeline: `leash::args({"dmesg"}) | leash::shell("grep -i \"$1\"", {what}) | leash::args({"tail"})`. Each command
/// is a stage; the output of a stage is the input of the next one.
///
/// run() and Popen start a pipeline as one job: one process group and one timeout, and a cancel or a signal reaches all
/// stages. The job has ended when every stage has ended. `in` is for the first stage, `out` for the last one. `err` and
/// all other options apply to every stage. `executable`, `tty` and Group::session are an error.
///
/// If the host ignores SIGCHLD or reaps every child, the first stage may be gone before the next one joins its process
/// group. Then the next stage cannot be started (Step::spawn, EPERM).
class Pipeline {
  public:
    /// Returns the commands, in order.
    /// @{
    const std::vector<Command>& stages() const& noexcept { return stages_; }
    std::vector<Command>&& stages() && noexcept { return std::move(stages_); }
    /// @}

    /// Copies or moves the commands.
    /// @{
    Pipeline(const Pipeline& other);
    Pipeline(Pipeline&& other) noexcept;
    Pipeline& operator=(const Pipeline& other);
    Pipeline& operator=(Pipeline&& other) noexcept;
    ~Pipeline();
    /// @}

    /// Adds a stage at the end, for pipelines that you build at run time. Returns this pipeline.
    Pipeline& append(Command last);

    /// Adds a command or the stages of another pipeline at the end. Two commands with `|` between them are a pipeline
    /// too.
    /// @{
    friend Pipeline operator|(Pipeline front, Command last);
    friend Pipeline operator|(Pipeline front, Pipeline rest);
    /// @}

  private:
    friend class Command;
    static Pipeline join(Command first, Command second);
    struct Empty {};
    explicit Pipeline(Empty);  // and none without an argument: run({}) means a command
    std::vector<Command> stages_;
};

}  // namespace LEASH_ABI
}  // namespace leash

#include <leash/impl/pipeline.ipp>

#endif  // LEASH_0_1_0_PIPELINE_HPP
