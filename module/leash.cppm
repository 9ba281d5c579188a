// module/leash.cppm - the C++20 module leash. Experimental: it is tried with clang 19.
//
// Interface and bodies in one unit. What macros tell in the headers (LEASH_VERSION) a module does not hand on.
module;

#define LEASH_COMPILED
#define LEASH_IMPLEMENTATION
#include <leash/leash.hpp>

export module leash;

export namespace leash {
// cancel.hpp
using leash::Cancel;
// command.hpp
using leash::Arg;
using leash::args;
using leash::Command;
using leash::shell;
using leash::shell_quote;
// deadline.hpp
using leash::Duration;
using leash::Timeout;
// error.hpp
using leash::Error;
using leash::Expected;
using leash::SpawnError;
using leash::Step;
using leash::to_string;
// options.hpp
using leash::Env;
using leash::Grace;
using leash::Group;
using leash::Keep;
using leash::Limits;
using leash::Options;
using leash::PassFd;
using leash::Reach;
using leash::StopStep;
using leash::Stragglers;
using leash::Terminal;
// pipeline.hpp
using leash::operator|;
using leash::Pipeline;
// popen.hpp
using leash::Captured;
using leash::Leader;
using leash::leader;
using leash::Pid;
using leash::Popen;
using leash::Streams;
// run.hpp
using leash::check_output;
using leash::PipelineResult;
using leash::ProcessFailed;
using leash::Result;
using leash::run;
using leash::try_run;
// run_all.hpp
using leash::Job;
using leash::run_all;
using leash::RunAll;
// status.hpp
using leash::EndedBy;
using leash::ExitStatus;
using leash::Process;
using leash::signal_name;
using leash::Usage;
// probe.hpp
using leash::Probe;
using leash::probe;
using leash::try_probe;
// stdio.hpp
using leash::Append;
using leash::append;
using leash::Bytes;
using leash::bytes;
using leash::Descriptor;
using leash::ErrorOutput;
using leash::fd;
using leash::File;
using leash::file;
using leash::inherit;
using leash::Input;
using leash::null;
using leash::Output;
using leash::per_stage;
using leash::PerStage;
using leash::piped;
using leash::Redirect;
using leash::Sink;
using leash::sink;
using leash::to_out;
using leash::ToOut;
using leash::tty;
// which.hpp
using leash::which;
// stream.hpp
using leash::Match;
using leash::Read;
using leash::Reader;
using leash::Writer;
using leash::Written;
// supervisor.hpp
using leash::Supervisor;
}  // namespace leash
