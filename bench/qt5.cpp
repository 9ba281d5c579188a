// bench/qt5.cpp - Qt 5: QProcess, waited for, and with signals on the event loop.
#include "harness.hpp"

#include <QCoreApplication>
#include <QEventLoop>
#include <QProcess>

namespace {

using namespace bench;

struct Command {
    QString program;
    QStringList arguments;
    explicit Command(const Args& args) : program(QString::fromStdString(args[0])) {
        for (std::size_t i = 1; i < args.size(); ++i) arguments << QString::fromStdString(args[i]);
    }
};

void start(QProcess& process, const Args& args) {
    const Command command(args);
    process.setProcessChannelMode(QProcess::ForwardedErrorChannel);
    process.start(command.program, command.arguments);
}

void run(const Args& args) {
    const Command command(args);
    QProcess::execute(command.program, command.arguments);
}

std::string capture(const Args& args) {
    QProcess process;
    start(process, args);
    process.waitForFinished(-1);
    return process.readAllStandardOutput().toStdString();
}

std::size_t sink(const Args& args) {
    QProcess process;
    std::size_t count = 0;
    QObject::connect(&process, &QProcess::readyReadStandardOutput,
                     [&] { count += static_cast<std::size_t>(process.readAllStandardOutput().size()); });
    start(process, args);
    process.waitForFinished(-1);
    return count;
}

std::string both(const Args& args, std::string input) {
    QProcess process;
    start(process, args);
    process.write(input.data(), static_cast<qint64>(input.size()));
    process.closeWriteChannel();
    process.waitForFinished(-1);
    return process.readAllStandardOutput().toStdString();
}

bool wait(const Args& args, milliseconds timeout) {
    QProcess process;
    start(process, args);
    return process.waitForFinished(static_cast<int>(timeout.count()));
}

std::string deadline(const Args& args, milliseconds timeout) {
    QProcess process;
    start(process, args);
    if (!process.waitForFinished(static_cast<int>(timeout.count()))) {
        process.kill();
        process.waitForFinished();
    }
    return process.readAllStandardOutput().toStdString();
}

std::size_t many(const Commands& commands, int count, int at_most, bool capture) {
    QEventLoop loop;
    std::size_t bytes = 0;
    int started = 0, ended = 0;
    const std::function<void()> next = [&] {
        if (started == count) return;
        QProcess* const process = new QProcess;
        if (!capture) process->setStandardOutputFile(QProcess::nullDevice());
        QObject::connect(process, QOverload<int, QProcess::ExitStatus>::of(&QProcess::finished), [&, process] {
            if (capture) bytes += static_cast<std::size_t>(process->readAllStandardOutput().size());
            process->deleteLater();
            if (++ended == count) loop.quit();
            next();
        });
        start(*process, commands(started++));
    };
    for (int i = 0; i < at_most; ++i) next();
    loop.exec();
    return bytes;
}

}  // namespace

int main(int argc, char** argv) {
    const QCoreApplication application(argc, argv);
    return bench::serve({.version = qVersion(),
                         .run = run,
                         .capture = capture,
                         .sink = sink,
                         .both = both,
                         .wait = wait,
                         .deadline = deadline,
                         .many = many});
}
