// tests/asio/test_asio.cpp - <leash/asio.hpp>, with either Asio. C++20, for the coroutines.

#include <leash/asio.hpp>

#include <doctest/doctest.h>

#include "support.hpp"

#include <atomic>
#include <chrono>
#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <poll.h>

#if defined(LEASH_BOOST_ASIO)
#include <boost/asio.hpp>
#define SLOTS (BOOST_ASIO_VERSION >= 101900)
#if __has_include(<boost/asio/deferred.hpp>)
#define DEFERRED boost::asio::deferred
#elif __has_include(<boost/asio/experimental/deferred.hpp>)
#include <boost/asio/experimental/deferred.hpp>
#define DEFERRED boost::asio::experimental::deferred
#endif
#if defined(BOOST_ASIO_HAS_CO_AWAIT)
#define COROUTINES
#endif
#else
#include <asio.hpp>
#define SLOTS (ASIO_VERSION >= 101900)
#if __has_include(<asio/deferred.hpp>)
#define DEFERRED asio::deferred
#elif __has_include(<asio/experimental/deferred.hpp>)
#include <asio/experimental/deferred.hpp>
#define DEFERRED asio::experimental::deferred
#endif
#if defined(ASIO_HAS_CO_AWAIT)
#define COROUTINES
#endif
#endif

using namespace support;

namespace {

#if defined(LEASH_BOOST_ASIO)
namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;
using AsioError = boost::system::system_error;
#else
using ErrorCode = std::error_code;
using AsioError = std::system_error;
#endif

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string what_of(const std::exception_ptr& thrown) {
    try {
        if (thrown) std::rethrow_exception(thrown);
    } catch (const std::exception& e) {
        return e.what();
    }
    return "";
}

/// Until there is nothing left to do, or a time is up that is there so that a broken test ends.
void run(asio::io_context& loop) { loop.run_for(20s); }

/// What a future has by now, or soon.
template <class T>
T take(std::future<T>& future, std::chrono::seconds most = 0s) {
    REQUIRE(future.wait_for(most) == std::future_status::ready);
    return future.get();
}

/// What async_run() gave.
struct Got {
    std::optional<leash::Result> result;
    std::exception_ptr thrown;
    auto handler() {
        return [this](std::exception_ptr error, leash::Result given) {
            thrown = error;
            result = std::move(given);
        };
    }
};

}  // namespace

TEST_CASE("asio: a command's result is that of run()") {
    const Census census;
    leash::Options options = capture(census);
    options.in = leash::bytes("said\n");
    asio::io_context loop;
    Got got;
    leash::async_run(loop, leash::shell("cat; echo no >&2; exit 3"), options, got.handler());
    CHECK_FALSE(got.result);  // never before it has returned
    run(loop);
    REQUIRE(got.result);
    CHECK_FALSE(got.thrown);
    CHECK(got.result->out == "said\n");
    CHECK(got.result->err == "no\n");
    CHECK(got.result->status.code() == 3);
    CHECK(got.result->command == "/bin/sh");
    CHECK(got.result->statuses.empty());
    CHECK(got.result->ended_by == leash::EndedBy::itself);
    CHECK(got.result->duration > 0s);

    loop.restart();
    options.in = leash::piped;  // nobody writes
    leash::async_run(loop.get_executor(), leash::args({"cat"}) | leash::args({"wc", "-c"}), options, got.handler());
    run(loop);
    CHECK(leash::chomp(got.result->out) == "0");
    CHECK(got.result->command == "cat | wc");
    CHECK(got.result->statuses.size() == 2);
    CHECK(census.is_empty());
}

TEST_CASE("asio: bytes go through a pipe, and what nobody reads of them is told, as by run()") {
    const Census census;
    leash::Options options = silent(census);
    options.in = leash::bytes(std::string(1'000'000, 'x'));
    options.drain = 50ms;
    asio::io_context loop;
    for (const char* const script : {"true", "head -c 200000 >/dev/null", "cat >/dev/null", "test -p /dev/stdin"}) {
        const leash::Result wanted = leash::run(leash::shell(script), options);
        Got got;
        leash::async_run(loop, leash::shell(script), options, got.handler());
        loop.restart();
        run(loop);
        REQUIRE(got.result);
        CHECK(got.result->status == wanted.status);
        // What a pipe holds that nobody has read counts as taken; how much that is depends on when its reader ends.
        CHECK((got.result->unwritten > 0) == (wanted.unwritten > 0));
    }
    const leash::Cancel token;
    token.fire();
    options.cancel = token;
    Got got;
    leash::async_run(loop, {"cat"}, options, got.handler());
    loop.restart();
    run(loop);
    CHECK(got.result.value().unwritten == 1'000'000);
    CHECK(got.result.value().unwritten == leash::run({"cat"}, options).unwritten);
}

TEST_CASE("asio: what cannot be started is told with its step and its subject") {
    asio::io_context loop;
    leash::Options refused;
    refused.timeout = 0s;
    std::optional<leash::Expected<leash::Result>> program, option;
    leash::async_try_run(loop, {"no-such-program"}, {},
                         [&](leash::Expected<leash::Result> r) { program = std::move(r); });
    leash::async_try_run(loop, {"true"}, refused, [&](leash::Expected<leash::Result> r) { option = std::move(r); });
    auto future = leash::async_run(loop, {"no-such-program"}, {}, asio::use_future);
    Got got;
    leash::async_wait(loop, leash::Popen(), got.handler());
    CHECK_FALSE(program);
    run(loop);
    REQUIRE(program);
    CHECK(program->error().step == leash::Step::program);
    CHECK(program->error().subject == "no-such-program");
    REQUIRE(option);
    CHECK(option->error().step == leash::Step::options);
    CHECK(option->error().subject == "timeout");
    CHECK_THROWS_WITH_AS(static_cast<void>(take(future)), program->error().message().c_str(), leash::SpawnError);
    CHECK(contains(what_of(got.thrown), "the Popen is empty"));
    CHECK_THROWS_AS(leash::AsyncPopen(loop, leash::Popen()), leash::SystemError);
}

TEST_CASE("asio: a timeout ends the whole job, and the loop goes on meanwhile") {
    const Census census;
    leash::Options options = capture(census);
    options.timeout = 100ms;
    CHECK(in_time(400ms, [&](std::chrono::milliseconds grace) {
        options.grace = grace;
        asio::io_context loop;
        Got got;
        leash::async_run(loop, leash::shell("trap '' TERM; sleep 60 & while :; do sleep 60; done"), options,
                         got.handler());
        int ticks = 0;
        asio::steady_timer timer(loop);
        const auto tick = [&](auto&& self) -> void {
            timer.expires_after(10ms);
            timer.async_wait([&, self](ErrorCode) {
                ++ticks;
                if (!got.result) self(self);
            });
        };
        tick(tick);
        run(loop);
        REQUIRE(got.result);
        CHECK_FALSE(got.thrown);
        CHECK(got.result->timed_out);
        CHECK(census.is_empty());
        // As many as the timeout has time for, and more: the grace has not blocked it. (A trap that came late counts for nothing.)
        return got.result->status.signal() == SIGKILL && ticks > 12;
    }));
}

TEST_CASE("asio: what a leader leaves behind has its drain, and nothing else to wake the loop") {
    const Census census;
    leash::Options options = capture(census);
    options.drain = 50ms;
    asio::io_context loop;
    Got got;
    leash::async_run(loop, leash::shell("exec >&- 2>&-; sleep 60 &"), options, got.handler());
    const Stopwatch watch;
    run(loop);
    REQUIRE(got.result);
    CHECK(got.result->stragglers.size() == 1);
    CHECK(watch.elapsed() < 40s);
    CHECK(census.is_empty());
}

TEST_CASE("asio: a token of leash's, before and after the start") {
    const Census census;
    leash::Options options = capture(census);
    const leash::Cancel token;
    options.cancel = token;
    options.out = leash::sink([&](std::string_view) { token.fire(); });
    asio::io_context loop;
    Got got;
    leash::async_run(loop, leash::shell("echo here; sleep 60 & wait"), options, got.handler());
    run(loop);
    REQUIRE(got.result);
    CHECK_FALSE(got.thrown);  // it was not the operation that was cancelled
    CHECK(got.result->cancelled);
    CHECK(census.is_empty());

    loop.restart();
    leash::async_run(loop, {"true"}, options, got.handler());
    run(loop);
    CHECK(got.result->cancelled);
    CHECK(got.result->command == "true");
    CHECK(got.result->status == leash::ExitStatus());
}

#if SLOTS
TEST_CASE("asio: cancelling the operation ends the whole job, in order") {
    const Census census;
    leash::Options options = capture(census);
    options.err = leash::sink([](std::string_view) {});
    asio::io_context loop;
    asio::cancellation_signal signal;
    Got got;
    for (const auto type : {asio::cancellation_type::terminal, asio::cancellation_type::partial}) {
        options.err = leash::sink([&](std::string_view) { signal.emit(type); });
        got = {};
        leash::async_run(loop, leash::shell("trap 'echo bye; exit 7' TERM; sleep 60 & echo here; echo >&2; wait"),
                         options, asio::bind_cancellation_slot(signal.slot(), got.handler()));
        loop.restart();
        run(loop);
        REQUIRE(got.result);
        REQUIRE(got.thrown);
        CHECK_THROWS_AS(std::rethrow_exception(got.thrown), AsioError);
        CHECK(contains(what_of(got.thrown), ErrorCode(asio::error::operation_aborted).message()));
        CHECK(got.result->ended_by == leash::EndedBy::cancel);
        CHECK(got.result->out == "here\nbye\n");
        CHECK(got.result->status.code() == 7);
        CHECK(census.is_empty());
        signal.emit(type);  // nothing there any more
    }
    options.err = leash::sink([&](std::string_view) {
        signal.emit(asio::cancellation_type::total);  // which cannot be had: it has had effects by then
    });
    got = {};
    leash::async_run(loop, leash::shell("echo >&2; sleep 0.05; exit 5"), options,
                     asio::bind_cancellation_slot(signal.slot(), got.handler()));
    loop.restart();
    run(loop);
    CHECK_FALSE(got.thrown);
    CHECK(got.result.value().status.code() == 5);

    options.err = leash::sink([&](std::string_view) { signal.emit(asio::cancellation_type::terminal); });
    std::optional<leash::Expected<leash::Result>> typed;
    leash::async_try_run(
        loop, leash::shell("echo >&2; sleep 60"), options,
        asio::bind_cancellation_slot(signal.slot(), [&](leash::Expected<leash::Result> r) { typed = std::move(r); }));
    loop.restart();
    run(loop);
    CHECK(typed.value().value().cancelled);
}

TEST_CASE("asio: cancelling a wait, a read or a write of a handle leaves the job alone") {
    const Census census;
    leash::Options options = capture(census);
    options.in = leash::piped;
    asio::io_context loop;
    leash::AsyncPopen job(loop, leash::Popen({"sleep", "60"}, options));
    asio::cancellation_signal signals[3];
    int aborted = 0;
    const auto note = [&](ErrorCode error, auto) { aborted += error == asio::error::operation_aborted; };
    char buffer[10];
    const std::string much(1'000'000, 'x');
    job.async_wait(asio::bind_cancellation_slot(signals[0].slot(), note));
    job.out().async_read_some(asio::buffer(buffer), asio::bind_cancellation_slot(signals[1].slot(), note));
    asio::async_write(job.in(), asio::buffer(much), asio::bind_cancellation_slot(signals[2].slot(), note));
    loop.poll();
    for (auto& signal : signals) signal.emit(asio::cancellation_type::terminal);
    while (aborted < 3 && loop.run_one_for(20s) > 0) continue;
    REQUIRE(aborted == 3);
    CHECK(census.reaches(1));
    leash::ExitStatus status;
    job.async_wait([&](ErrorCode, leash::ExitStatus its) { status = its; });
    job.stop();
    run(loop);
    CHECK(status.signal() == SIGTERM);
    CHECK(job->ended_by() == leash::EndedBy::cancel);
    CHECK(census.is_empty());
}
#endif

#if SLOTS
TEST_CASE("asio: a write that has begun is given up for good only, since it has effects") {
    const Census census;
    leash::Options options = silent(census);
    options.in = leash::piped;
    asio::io_context loop;
    leash::AsyncPopen job(loop, leash::Popen({"sleep", "60"}, options));
    asio::cancellation_signal signal;
    const std::string much(64 * 1024, 'x');
    std::optional<ErrorCode> told = ErrorCode();
    while (told) {  // until the pipe is full
        REQUIRE_FALSE(*told);
        told.reset();
        job.in().async_write_some(
            asio::buffer(much),
            asio::bind_cancellation_slot(signal.slot(), [&](ErrorCode error, std::size_t) { told = error; }));
        loop.poll();
    }
    for (const auto type :
         {asio::cancellation_type::none, asio::cancellation_type::total, asio::cancellation_type::partial}) {
        signal.emit(type);
        loop.poll();
        CHECK_FALSE(told);
    }
    signal.emit(asio::cancellation_type::terminal);
    loop.poll();
    CHECK(told == asio::error::operation_aborted);
    told.reset();
    job.async_wait(
        asio::bind_cancellation_slot(signal.slot(), [&](ErrorCode error, leash::ExitStatus) { told = error; }));
    loop.poll();
    signal.emit(asio::cancellation_type::none);
    loop.poll();
    CHECK_FALSE(told);
    signal.emit(asio::cancellation_type::total);
    loop.poll();
    CHECK(told == asio::error::operation_aborted);
}
#endif

TEST_CASE("asio: a stream that is not there is told from one that has broken") {
    const Census census;
    leash::Options options = silent(census);
    asio::io_context loop;
    std::vector<ErrorCode> told;
    const auto note = [&](ErrorCode error, std::size_t) { told.push_back(error); };
    char byte = 'x';
    leash::AsyncPopen bare(loop, leash::Popen({"sleep", "60"}, options));
    bare.in().async_write_some(asio::buffer(&byte, 1), note);
    bare.out().async_read_some(asio::buffer(&byte, 1), note);
    options.in = leash::piped;
    leash::AsyncPopen job(loop, leash::Popen({"sleep", "60"}, options));
    job.in().close();
    job.in().async_write_some(asio::buffer(&byte, 1), note);
    loop.poll();
    CHECK(told == std::vector<ErrorCode>(3, asio::error::bad_descriptor));
}

TEST_CASE("asio: into the loop without an exception, and out of it again") {
    const Census census;
    asio::io_context loop;
    const auto refused = leash::AsyncPopen::try_watch(loop, leash::Popen());
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == std::errc::invalid_argument);
    auto job = leash::AsyncPopen::try_watch(loop, leash::Popen({"sleep", "60"}, silent(census)));
    REQUIRE(job);
    std::optional<ErrorCode> told;
    job->async_wait([&](ErrorCode error, leash::ExitStatus) { told = error; });
    loop.poll();
    leash::Popen released = job->release();
    run(loop);  // has nothing to do any more
    CHECK(told == asio::error::operation_aborted);
    CHECK_FALSE(released.poll());
    CHECK(released.kill());
    CHECK(released.wait().signal() == SIGKILL);
}

TEST_CASE("asio: a future, of a command and of a job that runs") {
    const Census census;
    asio::io_context loop;
    auto first = leash::async_run(loop, {"echo", "one"}, capture(census), asio::use_future);
    auto second = leash::async_wait(loop, leash::Popen({"echo", "two"}, capture(census)), asio::use_future);
    run(loop);
    CHECK(take(first).out == "one\n");
    CHECK(take(second).out == "two\n");
}

TEST_CASE("asio: a handler that can only be moved is called once, through the executor that it is bound to") {
    const Census census;
    leash::Options options = capture(census);
    options.in = leash::piped;
    asio::io_context loop;
    asio::thread_pool others(1);
    const auto strand = asio::make_strand(others);
    std::atomic<int> calls{0}, astray{0};
    const auto bound = [&] {
        return asio::bind_executor(strand, [&, own = std::make_unique<int>(1)](auto&&...) {
            calls += *own;
            astray += strand.running_in_this_thread() ? 0 : 1;
        });
    };
    leash::AsyncPopen job(loop, leash::Popen({"cat"}, options));
    char taken[10];
    job.async_wait(bound());
    job.out().async_read_some(asio::buffer(taken), bound());
    job.in().async_write_some(asio::buffer("said", 4), bound());
    leash::async_wait(loop, leash::Popen({"echo"}, capture(census)), bound());
    leash::async_run(loop, {"echo"}, capture(census), bound());
    leash::async_run(loop, leash::args({"echo"}) | leash::args({"cat"}), capture(census), bound());
    leash::async_run(loop, {"no-such-program"}, {}, bound());
    leash::async_try_run(loop, {"no-such-program"}, {}, bound());
    while (calls < 7 && loop.run_one_for(20s) > 0) continue;
    job.in().close();
    run(loop);
    others.join();
    CHECK(calls == 8);
    CHECK(astray == 0);
    CHECK(std::string_view(taken, 4) == "said");
    CHECK(census.is_empty());
#if SLOTS
    loop.restart();
    asio::cancellation_signal signal;
    asio::thread_pool more(1);
    bool is_aborted = false;
    leash::async_run(
        loop, leash::shell("sleep 60 & wait"), silent(census),
        asio::bind_cancellation_slot(
            signal.slot(), asio::bind_executor(asio::make_strand(more), [&, own = std::make_unique<int>(1)](
                                                                            std::exception_ptr error, leash::Result r) {
                is_aborted = *own == 1 && error && r.cancelled;
            })));
    loop.poll();
    signal.emit(asio::cancellation_type::terminal);
    run(loop);
    more.join();
    CHECK(is_aborted);
    CHECK(census.is_empty());
#endif
}

#if defined(DEFERRED)
TEST_CASE("asio: a deferred operation does nothing before it is called, and then what it does otherwise") {
    const Census census;
    leash::Options options = capture(census);
    options.in = leash::piped;
    asio::io_context loop;
    Got first, second;
    int ends = 0;
    auto runs = leash::async_run(loop, {"echo", "one"}, capture(census), DEFERRED);
    auto tries = leash::async_try_run(loop, {"no-such-program"}, {}, DEFERRED);
    auto waits = leash::async_wait(loop, leash::Popen({"echo", "two"}, capture(census)), DEFERRED);
    leash::AsyncPopen job(loop, leash::Popen({"cat"}, options));
    char taken[10];
    auto ended = job.async_wait(DEFERRED);
    auto reads = job.out().async_read_some(asio::buffer(taken), DEFERRED);
    auto writes = job.in().async_write_some(asio::buffer("said", 4), DEFERRED);
    loop.poll();
    CHECK_FALSE(first.result);
    std::move(runs)(first.handler());
    std::move(tries)([&](leash::Expected<leash::Result> result) { ends += result ? 0 : 1; });
    std::move(waits)(second.handler());
    std::move(ended)([&](ErrorCode error, leash::ExitStatus status) { ends += !error && status.success(); });
    std::move(writes)([&](ErrorCode error, std::size_t count) { ends += !error && count == 4; });
    std::move(reads)([&](ErrorCode error, std::size_t count) {
        ends += !error && count == 4;
        job.in().close();
    });
    run(loop);
    CHECK(first.result.value().out == "one\n");
    CHECK(second.result.value().out == "two\n");
    CHECK(ends == 4);
    CHECK(census.is_empty());
}
#endif

TEST_CASE("asio: threads") {
    const Census census;
    std::vector<std::future<leash::Result>> results;
    asio::thread_pool pool(4);
    for (int i = 0; i < 20; ++i)
        results.push_back(leash::async_run(pool, {"echo", std::to_string(i)}, capture(census), asio::use_future));
    for (int i = 0; i < 20; ++i) CHECK(take(results[static_cast<std::size_t>(i)], 20s).out == std::to_string(i) + "\n");
    pool.join();
    CHECK(census.is_empty());
}

TEST_CASE("asio: many at a time, on one thread") {
    const Census census;
    int gate[2];  // its end is that of all
    REQUIRE(::pipe2(gate, O_CLOEXEC) == 0);
    leash::Options options = capture(census);
    options.in = leash::fd(gate[0]);
    asio::io_context loop;
    int good = 0;
    for (int i = 0; i < 50; ++i) {
        leash::async_try_run(loop, leash::shell("echo $1; exec cat", {std::to_string(i)}), options,
                             [&good, i](const leash::Expected<leash::Result>& r) {
                                 good += r && r->ok() && r->out == std::to_string(i) + "\n";
                             });
    }
    loop.poll();
    CHECK(good == 0);
    CHECK(census.reaches(50));
    ::close(gate[1]);
    run(loop);
    ::close(gate[0]);
    CHECK(good == 50);
    CHECK(census.is_empty());
}

TEST_CASE("asio: a megabyte both ways, and the stream's end") {
    const Census census;
    leash::Options options = capture(census);
    options.in = leash::piped;
    asio::io_context loop;
    leash::AsyncPopen job(loop, leash::Popen({"cat"}, options));
    std::string given, taken;
    for (int i = 0; given.size() < 1'000'000; ++i) given += std::to_string(i) + "\n";
    std::size_t written = 0;
    ErrorCode end;
    asio::async_write(job.in(), asio::buffer(given), [&](ErrorCode, std::size_t count) {
        written = count;
        job.in().close();
    });
    asio::async_read(job.out(), asio::dynamic_buffer(taken), [&](ErrorCode error, std::size_t) { end = error; });
    run(loop);
    CHECK(written == given.size());
    CHECK(taken == given);
    CHECK(end == asio::error::eof);
    CHECK(job->status().value().success());
}

TEST_CASE("asio: a stream ends with its job, whoever holds it, and a child that reads no more breaks the pipe") {
    const Census census;
    leash::Options options = capture(census);
    options.in = leash::piped;
    options.drain = 50ms;
    asio::io_context loop;
    leash::AsyncPopen job(
        loop, leash::Popen(leash::shell("echo said; exec <&- 2>&-; " + helper() + " setsid-holder 0 1"), options));
    std::string taken;
    ErrorCode end, broken, closed;
    const std::string much(1'000'000, 'x');
    asio::async_write(job.in(), asio::buffer(much), [&](ErrorCode error, std::size_t) { broken = error; });
    asio::async_read(job.out(), asio::dynamic_buffer(taken), [&](ErrorCode error, std::size_t) { end = error; });
    run(loop);
    CHECK(contains(taken, "said\n"));
    CHECK(end == asio::error::eof);
    CHECK(broken == asio::error::broken_pipe);
    job.err().async_read_some(asio::buffer(taken), [&](ErrorCode error, std::size_t) { closed = error; });
    loop.restart();
    run(loop);
    CHECK(closed == asio::error::eof);
}

TEST_CASE("asio: a job that floods does not keep the loop") {
    const Census census;
    leash::Options options = capture(census);
    options.max_output = 100'000;
    options.timeout = 60s;
    asio::io_context loop;
    leash::AsyncPopen job(loop, leash::Popen({"yes"}, options));
    asio::steady_timer timer(loop, 20ms);
    timer.async_wait([&](ErrorCode) { job.stop(); });
    run(loop);
    CHECK(job->ended_by() == leash::EndedBy::cancel);
    CHECK(census.is_empty());
}

TEST_CASE("asio: what max_output has left out of a stream is told by communicate(), also if the rest was read") {
    const Census census;
    leash::Options options = capture(census);
    options.max_output = 1000;
    asio::io_context loop;
    leash::AsyncPopen job(loop, leash::Popen({helper(), "write", "300000"}, options));
    job.async_wait([](ErrorCode, leash::ExitStatus) {});
    run(loop);
    std::string taken;
    ErrorCode end;
    asio::async_read(job.out(), asio::dynamic_buffer(taken), [&](ErrorCode error, std::size_t) { end = error; });
    loop.restart();
    run(loop);
    CHECK(end == asio::error::eof);
    CHECK(taken.size() == 1000);
    const leash::Captured left = job->communicate();
    CHECK(left.out.empty());
    CHECK(left.out_truncated);
    CHECK(left.out_dropped == 299'000);
    CHECK_FALSE(left.err_truncated);
}

TEST_CASE("asio: a handle that is destroyed ends its job, and tells who waits") {
    const Census census;
    asio::io_context loop;
    ErrorCode told;
    {
        leash::AsyncPopen first(loop, leash::Popen(leash::shell("sleep 60 & wait"), silent(census)));
        leash::AsyncPopen job(std::move(first));
        job.async_wait([&](ErrorCode error, leash::ExitStatus) { told = error; });
        loop.poll();
        CHECK(census.reaches(2));
    }
    CHECK(census.is_empty());
    run(loop);
    CHECK(told == asio::error::operation_aborted);
}

TEST_CASE("asio: a sink may end its job, in order or at once, and is not called any more then") {
    const Census census;
    leash::Options options = capture(census);
    asio::io_context loop;
    std::optional<leash::AsyncPopen> job;
    ErrorCode told;
    for (const bool assigned : {false, true}) {
        int lines = 0;
        auto counts = std::make_shared<int*>(&lines);
        options.out = leash::line_sink([&, counts](std::string_view) {
            if (++**counts != 2) return;
            if (assigned) job = leash::AsyncPopen(loop, leash::Popen({"true"}, silent(census)));
            else job.reset();
        });
        job.emplace(loop, leash::Popen(leash::shell("echo 1; sleep 0.01; echo 2; while echo 3; do :; done"), options));
        job->async_wait([&](ErrorCode error, leash::ExitStatus) { told = error; });
        loop.restart();
        run(loop);
        CHECK(told == asio::error::operation_aborted);
        CHECK(lines >= 2);
        CHECK(job.has_value() == assigned);
        if (job) CHECK((*job)->status().value().success());
        CHECK(census.is_empty());
    }

    bool within = false, nested = false;
    leash::ExitStatus status;
    options.out = leash::line_sink([&](std::string_view line) {
        nested |= std::exchange(within, true);
        if (line == "here") job->stop();
        within = false;
    });
    job.emplace(loop, leash::Popen(leash::shell("echo here; exec sleep 60"), options));
    job->async_wait([&](ErrorCode, leash::ExitStatus its) { status = its; });
    loop.restart();
    run(loop);
    CHECK(status.signal() == SIGTERM);
    CHECK_FALSE(nested);
    CHECK((*job)->ended_by() == leash::EndedBy::cancel);
    CHECK(census.is_empty());
}

TEST_CASE("asio: stop() calls no sink itself") {
    const Census census;
    leash::Options options = capture(census);
    std::string said;
    options.out = leash::sink([&](std::string_view chunk) { said += chunk; });
    asio::io_context loop;
    leash::AsyncPopen job(loop, leash::Popen(leash::shell("echo here; echo >&2; exec sleep 60"), options));
    pollfd said_all{job->err().handle(), POLLIN, 0};
    REQUIRE(::poll(&said_all, 1, 20'000) == 1);
    job.stop();
    CHECK(said.empty());
    run(loop);
    CHECK(said == "here\n");
}

TEST_CASE("asio: a handle that is assigned to ends the job that it had, and the other has none") {
    const Census census;
    asio::io_context loop;
    leash::AsyncPopen a(loop, leash::Popen({"sleep", "60"}, silent(census)));
    leash::AsyncPopen b(loop, leash::Popen({"sleep", "60"}, silent(census)));
    const leash::Pid kept = b->pid();
    a = std::move(b);
    CHECK(census.reaches(1));
    CHECK(a->pid() == kept);
    leash::AsyncPopen& same = a;
    a = std::move(same);
    CHECK(a->pid() == kept);
    CHECK(census.reaches(1));
}

TEST_CASE("asio: what is done to the job itself, those see who wait") {
    const Census census;
    asio::io_context loop;
    leash::AsyncPopen job(loop, leash::Popen({"sleep", "60"}, capture(census)));
    ErrorCode told;
    char byte;
    job.out().async_read_some(asio::buffer(&byte, 1), [&](ErrorCode error, std::size_t) { told = error; });
    loop.run_for(20ms);  // then nothing is due any more
    job->out().close();
    while (!told && loop.run_one_for(20s) > 0) continue;
    CHECK(told == asio::error::eof);
    CHECK(census.reaches(1));
}

TEST_CASE("asio: nothing is left of a loop that is destroyed with operations pending") {
    const Census census;
    const auto held = std::make_shared<int>();
    {
        asio::io_context loop;
        leash::async_run(loop, leash::shell("sleep 60 & wait"), capture(census),
                         [held](std::exception_ptr, leash::Result) {});
        const auto owner = std::make_shared<leash::AsyncPopen>(loop, leash::Popen({"sleep", "60"}, capture(census)));
        owner->async_wait([held, owner](ErrorCode, leash::ExitStatus) {});
        char byte;
        owner->out().async_read_some(asio::buffer(&byte, 1), [held](ErrorCode, std::size_t) {});
        loop.poll();
        CHECK(census.reaches(3));
        CHECK(held.use_count() == 4);
        leash::async_run(loop, {"sleep", "60"}, capture(census), [held](std::exception_ptr, leash::Result) {});
    }
    CHECK(held.use_count() == 1);
    CHECK(census.is_empty());
}

TEST_CASE("asio: an exception out of a sink leaves through the loop, and the job goes on") {
    const Census census;
    leash::Options options = capture(census);
    bool thrown = false;
    options.out = leash::sink([&](std::string_view) {
        if (!std::exchange(thrown, true)) throw std::runtime_error("full");
    });
    asio::io_context loop;
    Got got;
    leash::async_run(loop, leash::shell("echo one; sleep 0.02; echo two"), options, got.handler());
    CHECK_THROWS_WITH(run(loop), "full");
    run(loop);
    REQUIRE(got.result);
    CHECK(got.result->ok());
}

#if defined(COROUTINES)
TEST_CASE("asio: coroutines") {
    const Census census;
    asio::io_context loop;
    std::string said, error;
    leash::ExitStatus status;
    // Commands and options have names here: g++ before 13 goes wrong about braces in an expression with co_await.
    const leash::Command echo{"echo", "one"}, missing{"no-such-program"};
    leash::Options options = capture(census);
    const auto all = [&]() -> asio::awaitable<void> {
        said = (co_await leash::async_run(loop, echo, options, asio::use_awaitable)).out;
        try {
            static_cast<void>(co_await leash::async_run(loop, missing, options, asio::use_awaitable));
        } catch (const leash::SpawnError& e) {
            error = e.subject();
        }
        options.in = leash::piped;
        const auto executor = co_await asio::this_coro::executor;
        leash::AsyncPopen job(executor, leash::Popen({"cat"}, options));
        co_await asio::async_write(job.in(), asio::buffer(said), asio::use_awaitable);
        std::string line;
        co_await asio::async_read_until(job.out(), asio::dynamic_buffer(line), '\n', asio::use_awaitable);
        said += line;
        job.in().close();
        status = co_await job.async_wait(asio::use_awaitable);
    };
    auto done = asio::co_spawn(loop, all, asio::use_future);
    run(loop);
    take(done);
    CHECK(said == "one\none\n");
    CHECK(error == "no-such-program");
    CHECK(status.success());
}

TEST_CASE("asio: a coroutine that is destroyed with its loop, or cancelled, leaves nothing") {
    const Census census;
    const leash::Command sleeper = leash::shell("sleep 60 & wait");
    const leash::Options options = silent(census);
    {
        asio::io_context loop;
        const auto owns = [&]() -> asio::awaitable<void> {
            leash::AsyncPopen job(loop, leash::Popen(sleeper, options));
            co_await job.async_wait(asio::use_awaitable);
        };
        asio::co_spawn(loop, owns, asio::detached);
        loop.poll();
        CHECK(census.reaches(2));
    }
    CHECK(census.is_empty());
#if SLOTS
    asio::io_context loop;
    asio::cancellation_signal signal;
    std::exception_ptr thrown;
    const auto runs = [&]() -> asio::awaitable<void> {
        static_cast<void>(co_await leash::async_run(loop, sleeper, options, asio::use_awaitable));
    };
    asio::co_spawn(loop, runs,
                   asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr error) { thrown = error; }));
    loop.poll();
    CHECK(census.reaches(2));
    signal.emit(asio::cancellation_type::terminal);
    run(loop);
    REQUIRE(thrown);
    CHECK_THROWS_AS(std::rethrow_exception(thrown), AsioError);
    CHECK(census.is_empty());
#endif
}
#endif
