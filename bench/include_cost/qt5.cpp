#include <QCoreApplication>
#include <QProcess>

int main(int argc, char** argv) {
    const QCoreApplication application(argc, argv);
    QProcess process;
    process.start("/bin/echo", {"hi"});
    process.waitForFinished(-1);
    return process.readAllStandardOutput() == "hi\n" ? 0 : 1;
}
