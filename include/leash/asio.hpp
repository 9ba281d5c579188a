// leash/asio.hpp - jobs as operations of Asio: callbacks, futures, coroutines. Optional: no other header includes it.
//
//     leash::Result r = co_await leash::async_run(loop, {"git", "log"}, {.out = leash::piped, .timeout = 5s},
//                                                 asio::use_awaitable);
//     std::future<leash::Result> f = leash::async_run(loop, {"make"}, {}, asio::use_future);
//     leash::async_try_run(loop, {"ls"}, {}, [](leash::Expected<leash::Result> r) { … });
//
//     leash::AsyncPopen job(loop, leash::Popen({"sort"}, {.in = leash::piped, .out = leash::piped}));
//     co_await asio::async_write(job.in(), asio::buffer(text), asio::use_awaitable);
//     job.in().close();
//     co_await asio::async_read(job.out(), asio::dynamic_buffer(sorted),
//                               redirect_error(asio::use_awaitable, ec));  // eof
//     leash::ExitStatus status = co_await job.async_wait(asio::use_awaitable);
//
// Uses stand-alone Asio (<asio.hpp>) if it is installed, otherwise Boost.Asio. If LEASH_BOOST_ASIO is defined, always
// uses Boost.Asio. Asio 1.18 or later (Boost 1.74); cancellation of single operations since 1.19 (Boost 1.77). The
// names are in namespace leash, because a namespace leash::asio would hide ::asio after `using namespace leash`.
//
// All Options of a job apply: a Supervisor for each job and a timer of the loop enforce its timeouts, grace and drain.
// Only two things block the loop: the start of a job, and the end of a job that is dropped before it is over. If an
// AsyncPopen is destroyed, or the loop is destroyed during an operation, the job is killed as by ~Popen(). While the
// loop is stopped, no timeout is enforced. A running job counts as work: run() does not return before the job is over.
//
// With g++ 12 and older, do not write braced lists in an expression with co_await: the compiler makes wrong code, or
// fails. Give the command and the options names first.
//
// `where` is a loop (an io_context, a thread_pool) or an executor. An exception from a sink leaves run() of the loop;
// call run() again and the job continues. A thread_pool has no such run(): there, the exception calls std::terminate().
#ifndef LEASH_0_1_0_ASIO_HPP
#define LEASH_0_1_0_ASIO_HPP

#include <leash/leash.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>

#include <cstddef>
#include <cstring>

#if !defined(LEASH_BOOST_ASIO) && __has_include(<asio.hpp>)
#include <asio/any_io_executor.hpp>
#include <asio/associated_allocator.hpp>
#if __has_include(<asio/associated_cancellation_slot.hpp>)
#include <asio/associated_cancellation_slot.hpp>
#endif
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/buffer.hpp>
#include <asio/dispatch.hpp>
#include <asio/error.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/strand.hpp>
#include <asio/system_error.hpp>
#include <asio/version.hpp>
#define LEASH_ASIO_NAMESPACE ::asio
#define LEASH_ASIO_SYSTEM ::asio
#define LEASH_ASIO_ABI with_asio
#define LEASH_ASIO_VERSION ASIO_VERSION
#else
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_allocator.hpp>
#if __has_include(<boost/asio/associated_cancellation_slot.hpp>)
#include <boost/asio/associated_cancellation_slot.hpp>
#endif
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/version.hpp>
#include <boost/system/system_error.hpp>
#define LEASH_ASIO_NAMESPACE ::boost::asio
#define LEASH_ASIO_SYSTEM ::boost::system
#define LEASH_ASIO_ABI with_boost_asio
#define LEASH_ASIO_VERSION BOOST_ASIO_VERSION
#endif

#if LEASH_ASIO_VERSION >= 101900
#define LEASH_ASIO_SLOTS 1
#else
#define LEASH_ASIO_SLOTS 0
#endif

namespace leash {
inline namespace LEASH_ABI {
// So that one program can link parts built with either Asio.
inline namespace LEASH_ASIO_ABI {

namespace asio_detail {

namespace net = LEASH_ASIO_NAMESPACE;
using Executor = net::any_io_executor;
using ErrorCode = LEASH_ASIO_SYSTEM::error_code;

template <class Where, class = void>
constexpr bool has_executor = false;
template <class Where>
constexpr bool has_executor<Where, std::void_t<decltype(std::declval<Where&>().get_executor())>> = true;

/// Returns the executor of a loop, or the executor itself.
template <class Where>
Executor executor_of(Where& where) {
    if constexpr (has_executor<Where>) return where.get_executor();
    else return where;
}

/// A job in a loop: the handle and the clock of its Supervisor are watched there. All of it belongs to its executor.
/// Who waits for something looks for it at each piece of news. Whatever waits is the loop's: nothing here holds what
/// the user gave, so that a coroutine that waits may own its job.
class AsyncJob : public std::enable_shared_from_this<AsyncJob> {
  public:
    using Clock = net::steady_timer::clock_type;

    explicit AsyncJob(const Executor& executor)
        : executor_(executor), handle_(executor), clock_(executor), news_(executor, (Clock::time_point::max)()) {}
    AsyncJob(const AsyncJob&) = delete;
    AsyncJob& operator=(const AsyncJob&) = delete;
    ~AsyncJob() { unwatch(); }

    /// Makes what begin() needs, before the job is started: so that none has run that is told as one that could not be.
    Expected<void> open() {
        // Makes the Supervisor's handle first, and then has nothing to watch.
        const Expected<Supervisor::Id> nothing = jobs_.watch(no_handle);
        if (nothing || nothing.error().code == std::errc::bad_file_descriptor) return {};
        return nothing.error();
    }

    /// Once, before all that follows.
    Expected<void> begin(Popen&& popen) {
        const Expected<Supervisor::Id> id = jobs_.add(std::move(popen));
        if (!id) return id.error();
        id_ = *id;
        popen_ = jobs_.find(id_);
        ErrorCode refused;  // then the clock tells when to look
        if (jobs_.handle() != no_handle) handle_.assign(jobs_.handle(), refused);
        net::post(executor_, [job = shared_from_this()] { job->serve(); });
        return {};
    }

    const Executor& executor() const noexcept { return executor_; }
    Popen& job() noexcept { return *popen_; }
    /// The same for a user, of whose calls nothing else tells: who closes a stream ends a read, resume() changes the
    /// deadlines.
    Popen& lend() {
        if (!over_ && !std::exchange(lent_, true)) {
            net::post(executor_, [job = shared_from_this()] {
                job->lent_ = false;
                job->serve();
            });
        }
        return *popen_;
    }
    bool is_in_sink() const noexcept { return serving_; }
    bool is_over() const noexcept { return over_; }
    bool is_closed() const noexcept { return closed_; }
    bool was_asked_to_end() const noexcept { return asked_; }

    /// In order, as after its timeout. From any thread, and from a sink of its own: the Supervisor is not called from
    /// there.
    void end() {
        net::post(executor_, [job = shared_from_this()] {
            if (job->over_ || job->closed_) return;
            job->asked_ = true;
            job->jobs_.cancel();
            job->serve();
        });
    }

    /// Takes it out of the loop. Where a sink of its own does so, in the middle of the Supervisor's work, only to drop
    /// it: serve() sees to its end then, for which a Popen cannot wait there.
    Popen close() {
        closed_ = true;
        unwatch();
        tell();
        Popen popen = std::move(*popen_);
        if (!serving_) static_cast<void>(jobs_.remove(id_));
        return popen;
    }

    /// All who wait look again.
    void tell() { news_.cancel(); }

    template <class Operation>
    void wait(Operation&& operation) {
        news_.async_wait(std::forward<Operation>(operation));
    }

  private:
    void serve() {
        if (over_ || closed_) return;
        const Serving serving(*this);                        // also where a sink throws
        for (int most = 16; most > 0 && !closed_; --most) {  // the others have their turn, too, beside one that floods
            const auto event = jobs_.next(Duration());
            if (!event) break;
            over_ |= event->kind == Supervisor::Event::ended;
        }
    }

    struct Serving {
        explicit Serving(AsyncJob& its) noexcept : job(its) { job.serving_ = true; }
        Serving(const Serving&) = delete;
        Serving& operator=(const Serving&) = delete;
        ~Serving() {
            job.serving_ = false;
            if (job.closed_) job.finish();
            else job.watch();
        }
        AsyncJob& job;
    };

    /// The rest of one that a sink has dropped: it was killed by that.
    void finish() {
        while (const auto event = jobs_.next()) {
            if (event->kind == Supervisor::Event::ended) break;
        }
        static_cast<void>(jobs_.remove(id_));
    }

    void watch() {
        tell();
        if (over_) return unwatch();
        if (handle_.is_open() && !std::exchange(handle_waits_, true)) {
            handle_.async_wait(net::posix::stream_descriptor::wait_read, [job = shared_from_this()](ErrorCode error) {
                job->handle_waits_ = false;
                if (error == net::error::operation_aborted) return;
                // Where it cannot be waited for, the clock tells.
                if (error && job->handle_.is_open()) job->handle_.release();
                job->serve();
            });
        }
        const Duration longest = handle_.is_open() ? Duration::seconds(3600) : Duration::milliseconds(10);
        clock_.expires_after(std::min<std::chrono::nanoseconds>(jobs_.time_left().length(), longest));
        clock_.async_wait([job = shared_from_this()](ErrorCode error) {
            if (!error) job->serve();
        });
    }

    void unwatch() {
        if (handle_.is_open()) handle_.release();  // it is the Supervisor's
        clock_.cancel();
    }

    Executor executor_;
    Supervisor jobs_;  // of one job
    Supervisor::Id id_ = 0;
    Popen* popen_ = nullptr;
    net::posix::stream_descriptor handle_;
    net::steady_timer clock_;
    net::steady_timer news_;  // never expires
    bool handle_waits_ = false;
    bool serving_ = false;
    bool lent_ = false;
    bool over_ = false;
    bool closed_ = false;
    bool asked_ = false;
};

template <class Handler>
using ExecutorOf = net::associated_executor_t<Handler, Executor>;

/// Calls it with the results, through the executor that goes with it. From the loop, and not from where its operation
/// began: so that it need not be posted, for which the executor of a future's would start a thread.
template <class Handler, class Results>
void complete(const ExecutorOf<Handler>& executor, Handler&& handler, Results results) {
    net::dispatch(executor, [handler = std::move(handler), results = std::move(results)]() mutable {
        std::apply(std::move(handler), std::move(results));
    });
}

/// Is an operation to be given up?
struct Abort {
    bool asked = false;
    bool in_any_case = false;  // rather than only where that has no effects yet
};

/// Waits for a job until `look(job, abort)` has results, and gives them to the handler.
template <class Look, class Handler>
class Operation {
  public:
    using allocator_type = net::associated_allocator_t<Handler>;
    allocator_type get_allocator() const noexcept { return net::get_associated_allocator(handler_); }

    Operation(std::shared_ptr<AsyncJob> job, Look look, Handler handler)
        : job_(std::move(job)),
          look_(std::move(look)),
          handler_(std::move(handler)),
          work_(net::get_associated_executor(handler_, job_->executor())) {}

    /// From any thread.
    void begin() {
        const auto& executor = job_->executor();
        net::post(executor, std::move(*this));
    }

    /// So that it can be given up by itself.
    void follow_slot() {
#if LEASH_ASIO_SLOTS
        auto slot = net::get_associated_cancellation_slot(handler_);
        if (!slot.is_connected()) return;
        abort_ = std::make_shared<Abort>();
        auto follow = [job = std::weak_ptr<AsyncJob>(job_), abort = abort_](net::cancellation_type type) {
            const auto that = job.lock();
            if (!that || type == net::cancellation_type::none) return;
            const bool is_terminal = (type & net::cancellation_type::terminal) != net::cancellation_type::none;
            net::post(that->executor(), [that, abort, is_terminal] {
                abort->asked = true;
                abort->in_any_case |= is_terminal;
                that->tell();
            });
        };
        slot.assign(std::move(follow));
#endif
    }

    void operator()(ErrorCode = {}) {
        auto results = look_(*job_, abort_ ? *abort_ : Abort());
        if (!results) {
            AsyncJob& job = *job_;
            return job.wait(std::move(*this));
        }
        job_.reset();
        complete(work_.get_executor(), std::move(handler_), *std::move(results));
    }

  private:
    std::shared_ptr<AsyncJob> job_;
    Look look_;
    Handler handler_;
    net::executor_work_guard<ExecutorOf<Handler>> work_;
    std::shared_ptr<Abort> abort_;
};

/// What is to be read, or written: the first buffer that is not empty.
template <class Buffer, class Buffers>
Buffer first_of(const Buffers& buffers) {
    const auto end = net::buffer_sequence_end(buffers);
    for (auto one = net::buffer_sequence_begin(buffers); one != end; ++one) {
        const Buffer buffer(*one);
        if (buffer.size() > 0) return buffer;
    }
    return Buffer();
}

/// What a read or a write gives.
using Transfer = std::optional<std::tuple<ErrorCode, std::size_t>>;

inline Transfer transferred(std::size_t count) { return std::make_tuple(ErrorCode(), count); }

template <class Error>
Transfer not_transferred(Error error) {
    return std::make_tuple(ErrorCode(error), std::size_t{0});
}

inline ErrorCode code_of(const std::error_code& error) {
    return ErrorCode(error.value(), LEASH_ASIO_SYSTEM::system_category());
}

struct LookToRead {
    net::mutable_buffer buffer;
    bool is_err;

    Transfer operator()(AsyncJob& job, Abort abort) const {
        if (job.is_closed() || abort.asked) return not_transferred(net::error::operation_aborted);
        Reader stream = is_err ? job.job().err() : job.job().out();
        if (buffer.size() == 0) return transferred(0);
        // Only what the Supervisor has read: a read of the pipe would keep the deadline itself, and wait for the end.
        if (stream.available() == 0 && stream.is_open()) return std::nullopt;
        const Read got = stream.try_read(buffer.size());
        if (got.data.empty() && !got.error) return not_transferred(net::error::eof);
        if (got.data.empty()) return not_transferred(code_of(got.error));
        std::memcpy(buffer.data(), got.data.data(), got.data.size());
        return transferred(got.data.size());
    }
};

struct LookToWrite {
    net::const_buffer buffer;
    std::size_t sent = 0;

    Transfer operator()(AsyncJob& job, Abort abort) {
        constexpr std::size_t most = 64 * 1024;
        const bool is_aborted = abort.in_any_case || (abort.asked && sent == 0);
        if (job.is_closed() || is_aborted) return not_transferred(net::error::operation_aborted);
        if (buffer.size() == 0) return transferred(0);
        Writer stream = job.job().in();
        if (sent == 0) {
            sent = std::min(buffer.size(), most);
            const bool taken = stream.enqueue(std::string(static_cast<const char*>(buffer.data()), sent));
            if (!taken && job.is_over()) return not_transferred(net::error::broken_pipe);
            if (!taken && stream.is_open()) return not_transferred(net::error::bad_descriptor);  // it was finished
            if (!taken) return not_transferred(code_of(stream.try_write({}).error));  // says why it is closed
        }
        if (stream.queued() == 0) return transferred(sent);
        if (!stream.is_open() || job.is_over()) return not_transferred(net::error::broken_pipe);
        return std::nullopt;
    }
};

struct LookForEnd {
    std::optional<std::tuple<ErrorCode, ExitStatus>> operator()(AsyncJob& job, Abort abort) const {
        if (job.is_over() && !job.is_closed())
            return std::make_tuple(ErrorCode(), job.job().status().value_or(ExitStatus()));
        if (job.is_closed() || abort.asked)
            return std::make_tuple(ErrorCode(net::error::operation_aborted), ExitStatus());
        return std::nullopt;
    }
};

/// Begins to wait for a job.
struct Begin {
    template <class Handler, class Look>
    void operator()(Handler&& handler, std::shared_ptr<AsyncJob> job, Look look) const {
        Operation<Look, std::decay_t<Handler>> operation(std::move(job), std::move(look),
                                                         std::forward<Handler>(handler));
        operation.follow_slot();
        operation.begin();
    }
};

/// The result of `command`.
template <class Form>
struct LookForResult {
    std::string command;

    std::optional<typename Form::Results> operator()(AsyncJob& job, Abort) {
        if (!job.is_over()) return std::nullopt;
        Popen popen = job.close();
        Captured captured = popen.communicate();
        Result result = detail::result_of(popen, std::move(command), std::move(captured));
        const bool is_aborted = result.cancelled && job.was_asked_to_end();
        return Form::results(std::move(result), is_aborted);
    }
};

#if LEASH_EXCEPTIONS
/// A result, and beside it what is thrown.
struct Throwing {
    using Signature = void(std::exception_ptr, Result);
    using Results = std::tuple<std::exception_ptr, Result>;
    static Results results(Expected<Result> result, bool is_aborted) {
        if (!result) return Results(std::make_exception_ptr(SpawnError(std::move(result).error())), Result());
        const std::exception_ptr aborted = std::make_exception_ptr(
            LEASH_ASIO_SYSTEM::system_error(ErrorCode(net::error::operation_aborted), "leash: the job was ended"));
        return Results(is_aborted ? aborted : nullptr, *std::move(result));
    }
};
#endif

/// A result, or an Error.
struct Typed {
    using Signature = void(Expected<Result>);
    using Results = std::tuple<Expected<Result>>;
    static Results results(Expected<Result> result, bool) { return Results(std::move(result)); }
};

/// Sees a job through to its result.
template <class Form>
struct SeeThrough {
    /// At its first turn, since nothing is called before its operation has returned.
    template <class Handler>
    static void refuse(Handler&& handler, const Executor& executor, Expected<Result> result) {
        using Taken = std::decay_t<Handler>;
        net::executor_work_guard<ExecutorOf<Taken>> work(net::get_associated_executor(handler, executor));
        net::post(executor, [work = std::move(work), taken = Taken(std::forward<Handler>(handler)),
                             results = Form::results(std::move(result), false)]() mutable {
            complete(work.get_executor(), std::move(taken), std::move(results));
        });
    }

    template <class Handler>
    static void see(Handler&& handler, const Executor& executor, const std::shared_ptr<AsyncJob>& job, Popen popen,
                    std::string name) {
        popen.in().finish();
        if (auto begun = job->begin(std::move(popen)); !begun)
            return refuse(std::forward<Handler>(handler), executor, std::move(begun).error());
#if LEASH_ASIO_SLOTS
        if (auto slot = net::get_associated_cancellation_slot(handler); slot.is_connected()) {
            slot.assign([weak = std::weak_ptr<AsyncJob>(job)](net::cancellation_type type) {
                constexpr auto ending = net::cancellation_type::terminal | net::cancellation_type::partial;
                const auto that = weak.lock();
                if (that && (type & ending) != net::cancellation_type::none) that->end();
            });
        }
#endif
        using Look = LookForResult<Form>;
        Operation<Look, std::decay_t<Handler>>(job, Look{std::move(name)}, std::forward<Handler>(handler)).begin();
    }

    template <class Handler>
    void operator()(Handler&& handler, Executor executor, Popen popen) const {
        const auto job = std::make_shared<AsyncJob>(net::make_strand(executor));
        see(std::forward<Handler>(handler), executor, job, std::move(popen), {});
    }

    template <class Handler, class What>
    void operator()(Handler&& handler, Executor executor, What what, Options options) const {
        Result none = detail::not_started(Task::What(what).stages(), options);
        if (options.cancel && options.cancel->fired())
            return refuse(std::forward<Handler>(handler), executor, std::move(none));
        std::string input;
        if (auto& in = detail::stdio_of(options.in); in.is(detail::Stdio::Kind::bytes)) {  // through a pipe, as run()
            input = std::move(in.text);
            options.in = piped;
        }
        const auto job = std::make_shared<AsyncJob>(net::make_strand(executor));
        if (auto opened = job->open(); !opened)
            return refuse(std::forward<Handler>(handler), executor, std::move(opened).error());
        auto popen = Popen::try_spawn(std::move(what), std::move(options));
        if (!popen) return refuse(std::forward<Handler>(handler), executor, std::move(popen).error());
        if (!input.empty()) popen->in().enqueue(std::move(input));
        see(std::forward<Handler>(handler), executor, job, *std::move(popen), std::move(none.command));
    }
};

template <class Form, class Token, class Where, class... Args>
auto see_through(Where& where, Token&& token, Args... args) {
    return net::async_initiate<Token, typename Form::Signature>(SeeThrough<Form>(), token, executor_of(where),
                                                                std::move(args)...);
}

}  // namespace asio_detail

/// The output of a job in a loop. An AsyncReadStream of Asio, for async_read(), async_read_until() and so on. Start one
/// read at a time. At end of file, a read completes with asio::error::eof; like that of a Reader, the stream ends at
/// the latest with the job. A cancelled read takes no data.
///
/// leash reads output as it arrives, even if you do not read. To bound the memory, set Options::max_output: what waits
/// to be read and exceeds it is dropped. The stream does not show the gap. When the job is over, `out_truncated` and
/// `out_dropped` of `job->communicate()` tell of it, also if all that was kept has been read. If instead the job shall
/// block while you do not read, take the descriptor before you create the AsyncPopen:
/// `asio::posix::stream_descriptor out(loop, popen.out().release());`. That stream ends when every process has closed
/// the pipe, and not with the job.
class AsyncReader {
  public:
    using executor_type = asio_detail::Executor;  ///< as Asio requires

    /// Returns the executor of the job.
    executor_type get_executor() const noexcept { return job_->executor(); }

    /// Reads what is there, after at least one byte has arrived; completes with void(error_code, std::size_t). Uses the
    /// first buffer that is not empty.
    template <class Buffers, class Token>
    auto async_read_some(const Buffers& buffers, Token&& token) {
        using Look = asio_detail::LookToRead;
        return asio_detail::net::async_initiate<Token, void(asio_detail::ErrorCode, std::size_t)>(
            asio_detail::Begin(), token, job_->shared_from_this(),
            Look{asio_detail::first_of<asio_detail::net::mutable_buffer>(buffers), is_err_});
    }

  private:
    friend class AsyncPopen;
    AsyncReader(asio_detail::AsyncJob& job, bool is_err) : job_(&job), is_err_(is_err) {}
    asio_detail::AsyncJob* job_;
    bool is_err_;
};

/// The input of a job in a loop. An AsyncWriteStream of Asio, for async_write() and so on. Start one write at a time. A
/// write completes when the pipe has taken the data. If the child has closed its input, the error is
/// asio::error::broken_pipe. If `in` is not piped or was closed here, it is bad_descriptor. Once a write has begun,
/// only a terminal cancellation ends it; then the data may still be written.
class AsyncWriter {
  public:
    using executor_type = asio_detail::Executor;  ///< as Asio requires

    /// Returns the executor of the job.
    executor_type get_executor() const noexcept { return job_->executor(); }

    /// Writes data of the first buffer that is not empty, at most 64 KiB; completes with void(error_code, std::size_t).
    template <class Buffers, class Token>
    auto async_write_some(const Buffers& buffers, Token&& token) {
        using Look = asio_detail::LookToWrite;
        return asio_detail::net::async_initiate<Token, void(asio_detail::ErrorCode, std::size_t)>(
            asio_detail::Begin(), token, job_->shared_from_this(),
            Look{asio_detail::first_of<asio_detail::net::const_buffer>(buffers)});
    }

    /// Closes `in` when all pending data is written: the child then reads end of file. Does not block.
    void close() { job_->job().in().finish(); }

  private:
    friend class AsyncPopen;
    explicit AsyncWriter(asio_detail::AsyncJob& job) : job_(&job) {}
    asio_detail::AsyncJob* job_;
};

/// Owns a running job in a loop: read from it, write to it, wait for it and end it. Like any Asio object, use it from
/// one thread at a time; if several threads run the loop, give it a strand. Its own work runs on its executor. The loop
/// must outlive it.
class AsyncPopen {
  public:
    using executor_type = asio_detail::Executor;  ///< as Asio requires

    /// Moves a job into the loop. Returns an Error if the job cannot be watched (EMFILE, …) or if `popen` is empty
    /// (EINVAL); then `popen` is unchanged.
    template <class Where>
    static Expected<AsyncPopen> try_watch(Where&& where, Popen&& popen) {
        auto job = std::make_shared<asio_detail::AsyncJob>(asio_detail::executor_of(where));
        if (auto begun = job->begin(std::move(popen)); !begun) return std::move(begun).error();
        return AsyncPopen(std::move(job));
    }
#if LEASH_EXCEPTIONS
    /// Moves a job into the loop. Throws SystemError if the job cannot be watched.
    template <class Where>
    AsyncPopen(Where&& where, Popen popen) : AsyncPopen(try_watch(where, std::move(popen)).value()) {}
#endif
    /// Moves the job; an assignment ends the job that this object had. A moved-from object has no job: only destroy it
    /// or assign to it.
    /// @{
    AsyncPopen(AsyncPopen&& other) noexcept = default;
    AsyncPopen& operator=(AsyncPopen&& other) noexcept {
        if (this == &other) return *this;
        const AsyncPopen old(std::move(*this));  // ends when this one has what it is given
        job_ = std::move(other.job_);
        in_ = other.in_;
        out_ = other.out_;
        err_ = other.err_;
        return *this;
    }
    /// @}
    /// Ends the job as ~Popen() does (SIGKILL). Pending operations complete with asio::error::operation_aborted. May be
    /// called in a sink of the job.
    ~AsyncPopen() {
        if (job_) static_cast<void>(job_->close());
    }
    /// Takes the job out of the loop and returns it; the job continues. Pending operations complete with
    /// asio::error::operation_aborted, and this object is then like a moved-from one. In a sink of the job, returns an
    /// empty Popen and changes nothing.
    [[nodiscard]] Popen release() {
        if (job_->is_in_sink()) return Popen();
        return std::exchange(job_, nullptr)->close();
    }

    /// Returns the executor that the job was given.
    executor_type get_executor() const noexcept { return job_->executor(); }

    /// Return the streams of the job. Operations on a stream that is not piped complete with an error.
    /// @{
    AsyncWriter& in() noexcept { return in_; }
    AsyncReader& out() noexcept { return out_; }
    AsyncReader& err() noexcept { return err_; }
    /// @}

    /// Gives access to the Popen, to signal it and to ask it: `job->terminate()`, `job->status()`. When the job is
    /// over, `job->communicate()` returns output that was not read. Calls that wait, also for a timeout, block the
    /// loop. Operations that are pending here notice such a call when the loop runs next: for example, a read completes
    /// if the call closed its stream.
    /// @{
    Popen& operator*() { return job_->lend(); }
    Popen* operator->() { return &job_->lend(); }
    /// @}

    /// Requests the end of the job as after its timeout: SIGTERM, `grace`, SIGKILL, or its `stop_sequence`. Does not
    /// block: the loop ends the job, and async_wait() completes. Popen::ended_by() is EndedBy::cancel then. May be
    /// called in a sink of the job.
    void stop() { job_->end(); }

    /// Waits until the job is over; completes with void(error_code, ExitStatus). May be called more than once.
    /// Cancellation ends only the wait; the job continues.
    template <class Token>
    auto async_wait(Token&& token) {
        return asio_detail::net::async_initiate<Token, void(asio_detail::ErrorCode, ExitStatus)>(
            asio_detail::Begin(), token, job_, asio_detail::LookForEnd());
    }

  private:
    explicit AsyncPopen(std::shared_ptr<asio_detail::AsyncJob>&& job)
        : job_(std::move(job)), in_(*job_), out_(*job_, false), err_(*job_, true) {}

    std::shared_ptr<asio_detail::AsyncJob> job_;
    AsyncWriter in_;
    AsyncReader out_, err_;
};

#if LEASH_EXCEPTIONS

/// Runs a command or a pipeline in a loop, as run() does. Starts it at once (with use_awaitable: when it is awaited).
/// Completes when the job is over, with void(std::exception_ptr, Result). A future and co_await give the Result. If the
/// command cannot be started, they throw SpawnError. An exit status or a timeout does not throw: see Result.
///
/// Cancellation of the operation (terminal or partial, through the token's slot) ends the job as Options::cancel does,
/// which takes up to `grace`. Then the operation throws asio::system_error with operation_aborted; a callback also gets
/// the Result. If the job was already being ended for another reason, such as its timeout, nothing is thrown, and the
/// Result has that reason.
/// @{
template <class Where, class Token>
auto async_run(Where&& where, Command command, Options options, Token&& token) {
    return asio_detail::see_through<asio_detail::Throwing, Token>(where, std::forward<Token>(token), std::move(command),
                                                                  std::move(options));
}
template <class Where, class Token>
auto async_run(Where&& where, Pipeline pipeline, Options options, Token&& token) {
    return asio_detail::see_through<asio_detail::Throwing, Token>(where, std::forward<Token>(token),
                                                                  std::move(pipeline), std::move(options));
}
/// @}

/// Waits in a loop for a job that runs already, and takes ownership of it: closes its `in` if that is piped, reads its
/// output, and completes with void(std::exception_ptr, Result) as async_run() does. Result::command is empty.
template <class Where, class Token>
auto async_wait(Where&& where, Popen popen, Token&& token) {
    return asio_detail::see_through<asio_detail::Throwing, Token>(where, std::forward<Token>(token), std::move(popen));
}

#endif  // LEASH_EXCEPTIONS

/// Runs a command or a pipeline in a loop as async_run() does, but completes with void(leash::Expected<leash::Result>),
/// for callbacks. If the command cannot be started, that is an Error. If the operation is cancelled, it is the Result,
/// with `cancelled`.
/// @{
template <class Where, class Token>
auto async_try_run(Where&& where, Command command, Options options, Token&& token) {
    return asio_detail::see_through<asio_detail::Typed, Token>(where, std::forward<Token>(token), std::move(command),
                                                               std::move(options));
}
template <class Where, class Token>
auto async_try_run(Where&& where, Pipeline pipeline, Options options, Token&& token) {
    return asio_detail::see_through<asio_detail::Typed, Token>(where, std::forward<Token>(token), std::move(pipeline),
                                                               std::move(options));
}
/// @}

}  // namespace LEASH_ASIO_ABI
}  // namespace LEASH_ABI
}  // namespace leash

#undef LEASH_ASIO_NAMESPACE
#undef LEASH_ASIO_SYSTEM
#undef LEASH_ASIO_ABI
#undef LEASH_ASIO_VERSION
#undef LEASH_ASIO_SLOTS

#endif  // LEASH_0_1_0_ASIO_HPP
