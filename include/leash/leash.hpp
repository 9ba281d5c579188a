// leash - start other programs, and leave nothing of them behind.
//
// A tour by topic; the whole story of each name is in the comment at its declaration. All examples are C++20 for the
// sake of the options by name; in C++17 fill the same struct field by field:
//
//     leash::Options options;
//     options.out = leash::piped;
//
// RUNNING. A braced list is the argument vector, and no shell ever sees it. The Result says how it ended; that a
// command failed is no exception, that it could not be started is one (SpawnError).
//
//     leash::Result r = leash::run({"sh", "-c", "exit 3"});
//     assert(r.status.exited() && r.status.code() == 3 && !r.ok());
//     assert(r.status.describe() == "exited 3");
//
// CAPTURING. `out` and `err` go where the options say: inherit (the default), null, piped, file(), fd(), sink().
//
//     assert(leash::run({"echo", "hi"}, {.out = leash::piped}).out == "hi\n");
//     assert(leash::check_output({"echo", "hi"}) == "hi\n");  // throws ProcessFailed unless ok()
//
// SHELL OR NOT. shell() is the only way to a shell, and its parameters are data: "$1", "$2", … A bare string does not
// compile. args() makes a command from a vector.
//
//     assert(leash::check_output(leash::shell("echo \"$1\" | wc -c", {"it's $HOME"})) == "11\n");
//     assert(leash::check_output(leash::args({"echo", "it's $HOME"})) == "it's $HOME\n");
//
// DEADLINES. `timeout` covers everything, from the start on. Then the whole group gets SIGTERM, after `grace` SIGKILL;
// what has been read by then is returned. `max_output` bounds what is kept.
//
//     r = leash::run(leash::shell("echo some; sleep 60 & sleep 60"), {.out = leash::piped, .timeout = 1s});
//     assert(r.timed_out && r.out == "some\n" && r.status.signal() == SIGTERM);
//
//     r = leash::run({"yes"}, {.out = leash::piped, .timeout = 100ms, .max_output = 10});
//     assert(r.out.size() == 10 && r.out_truncated);
//
// STREAMS. A Popen is a running job; where a stream is piped, it has our end of it. communicate() does both directions
// at once. Each call takes a timeout of its own, after which nothing is lost and the job runs on.
//
//     leash::Popen cat({"cat"}, {.in = leash::piped, .out = leash::piped});
//     assert(cat.in().write("one\ntwo\n", 5s));
//     assert(cat.out().read_until("\n", 5s).data == "one\n");
//     assert(cat.communicate("three\n", 5s).out == "two\nthree\n");
//
//     leash::Popen seq({"seq", "3"}, {.out = leash::piped});
//     for (std::string_view line : seq.out().lines()) assert(line.size() == 1);
//
// CONVERSATIONS. expect() reads until one of several texts comes; then it is your turn. With `tty` the child has a
// terminal: what it prints and asks is then what a person would see.
//
//     leash::Popen asks(leash::shell("printf 'name: '; read name; echo \"hello $name\""),
//                       {.in = leash::tty, .out = leash::tty, .terminal = {.echo = false}});
//     assert(asks.out().expect({"password: ", "name: "}, 5s).which == 1);
//     asks.in().write("joe\n");
//     assert(asks.communicate({}, 5s).out == "hello joe\r\n");
//
// MANY. A pipeline is one job. run_all() runs many commands, so many at a time, on this thread; a Supervisor is the
// same for jobs that come and go, and for event loops.
//
//     assert(leash::check_output(leash::args({"seq", "9"}) | leash::args({"tail", "-1"})) == "9\n");
//
//     std::vector<leash::Job> jobs;
//     for (const char* code : {"0", "1"}) jobs.push_back({leash::shell("exit $1", {code})});
//     assert(leash::run_all(std::move(jobs))[1]->status.code() == 1);
//
// ENDING. When the handle dies, the job dies: its group gets SIGKILL, and the leader is reaped. stop() is the polite
// way, detach() says the opposite. When the leader has ended, what it left behind in the group is ended too, unless
// Stragglers::leave says otherwise. A Cancel token ends any number of jobs, from a thread or from a signal handler.
//
//     leash::Popen sleeper({"sleep", "60"});
//     assert(!sleeper.poll() && !sleeper.wait_for(10ms));
//     assert(sleeper.stop(2s).signal() == SIGTERM);
//     assert(sleeper.kill().error().code == std::errc::no_such_process);  // never a signal to a stranger
//
//     leash::Cancel cancel;
//     cancel.fire();
//     assert(leash::run({"sleep", "60"}, {.cancel = cancel}).cancelled);
//
// SURROUNDINGS. The child has the host's directory and environment, and of its descriptors 0, 1, 2 and those that are
// listed; nothing else. An own group cannot read the terminal: Options::interactive() is for tools that shall, and does
// what a shell does about Ctrl-C and Ctrl-Z.
//
//     assert(leash::check_output({"pwd"}, {.cwd = "/"}) == "/\n");
//     assert(leash::check_output({"env"}, {.env = leash::Env::empty().set("A", "1")}) == "A=1\n");
//     assert(leash::run(leash::shell("echo hi >&5"), {.pass_fds = {{1, 5}}}).ok());
//
// ERRORS. What could not be started says at which step, and with what: see Step.
//
//     try { leash::run({"gti", "status"}); }
//     catch (const leash::SpawnError& e) { assert(e.step() == leash::Step::program && e.subject() == "gti"); }
//
// NO EXCEPTIONS. The functions named try_… give an Expected: the value, or the Error. With -fno-exceptions the others
// are not declared.
//
//     leash::Expected<leash::Result> e = leash::try_run({"ls"}, {.cwd = "/nowhere"});
//     assert(!e && e.error().message() == "leash: cwd \"/nowhere\": No such file or directory");
//
// THREADS. Any number of them may wait for, poll and signal one Popen; a stream, communicate() and the handle itself
// belong to one at a time. There is no hidden thread: who waits does the work, keeps the deadline, and serves the
// sinks.
//
// WHAT IS PROMISED. The command is explicit; nothing leaks in; nothing leaks out; a deadline is a hard bound,
// timeout + grace + drain; no stranger is signalled; nothing global is touched; the answer is true, or unknown; no
// amount of data blocks; waiting costs nothing. The README says where each of these is proved, and where they end: a
// process that makes a session of its own is outside of the group, and the call returns in time without it (`held`).
#pragma once

#include <leash/config.hpp>

#include <leash/error.hpp>

#include <leash/deadline.hpp>

#include <leash/status.hpp>

#include <leash/command.hpp>

#include <leash/pipeline.hpp>

#include <leash/stdio.hpp>

#include <leash/cancel.hpp>

#include <leash/options.hpp>

#include <leash/stream.hpp>

#include <leash/popen.hpp>

#include <leash/run.hpp>

#include <leash/supervisor.hpp>

#include <leash/run_all.hpp>
