// Macros that well-known headers define under common names, before leash: <windows.h>, Qt, X11, curses, <AssertMacros.h>.
// What leash itself includes comes first: those headers are not to be broken here.
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <initializer_list>
#include <new>
#include <optional>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <system_error>
#include <termios.h>
#include <time.h>
#include <type_traits>
#include <unistd.h>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <sys/epoll.h>
#endif

// Qt
#undef forever
#define forever )hostile(
#undef foreach
#define foreach )hostile(
#undef signals
#define signals )hostile(
#undef slots
#define slots )hostile(
#undef emit
#define emit )hostile(
#undef Q_SIGNAL
#define Q_SIGNAL )hostile(

// X11
#undef Bool
#define Bool )hostile(
#undef None
#define None )hostile(
#undef Status
#define Status )hostile(
#undef True
#define True )hostile(
#undef False
#define False )hostile(
#undef Success
#define Success )hostile(
#undef Always
#define Always )hostile(
#undef Unsorted
#define Unsorted )hostile(
#undef Expose
#define Expose )hostile(
#undef KeyPress
#define KeyPress )hostile(
#undef KeyRelease
#define KeyRelease )hostile(
#undef FocusIn
#define FocusIn )hostile(
#undef FocusOut
#define FocusOut )hostile(
#undef CursorShape
#define CursorShape )hostile(
#undef Complex
#define Complex )hostile(
#undef Above
#define Above )hostile(
#undef Below
#define Below )hostile(
#undef Window
#define Window )hostile(
#undef Font
#define Font )hostile(
#undef Cursor
#define Cursor )hostile(
#undef Display
#define Display )hostile(
#undef Screen
#define Screen )hostile(
#undef Visual
#define Visual )hostile(
#undef Pixmap
#define Pixmap )hostile(
#undef Colormap
#define Colormap )hostile(
#undef Time
#define Time )hostile(
#undef Mask
#define Mask )hostile(
#undef Atom
#define Atom )hostile(
#undef Drawable
#define Drawable )hostile(
#undef NoSymbol
#define NoSymbol )hostile(

// <windows.h>
#undef DELETE
#define DELETE )hostile(
#undef ERROR
#define ERROR )hostile(
#undef IN
#define IN )hostile(
#undef OUT
#define OUT )hostile(
#undef OPTIONAL
#define OPTIONAL )hostile(
#undef interface
#define interface )hostile(
#undef small
#define small )hostile(
#undef near
#define near )hostile(
#undef far
#define far )hostile(
#undef pascal
#define pascal )hostile(
#undef cdecl
#define cdecl )hostile(
#undef TRUE
#define TRUE )hostile(
#undef FALSE
#define FALSE )hostile(
#undef CALLBACK
#define CALLBACK )hostile(
#undef WINAPI
#define WINAPI )hostile(
#undef CONST
#define CONST )hostile(
#undef VOID
#define VOID )hostile(
#undef STRICT
#define STRICT )hostile(
#undef GetObject
#define GetObject )hostile(
#undef CreateProcess
#define CreateProcess )hostile(
#undef GetMessage
#define GetMessage )hostile(
#undef SendMessage
#define SendMessage )hostile(
#undef NO_ERROR
#define NO_ERROR )hostile(
#undef INFINITE
#define INFINITE )hostile(
#undef WAIT_TIMEOUT
#define WAIT_TIMEOUT )hostile(
#undef MAX_PATH
#define MAX_PATH )hostile(
#undef Yield
#define Yield )hostile(
#undef RELATIVE
#define RELATIVE )hostile(
#undef ABSOLUTE
#define ABSOLUTE )hostile(
#undef ARRAYSIZE
#define ARRAYSIZE )hostile(

// <curses.h>, <sys/sysmacros.h>, logging and test libraries
#undef unix
#define unix )hostile(
#undef linux
#define linux )hostile(
#undef i386
#define i386 )hostile(
#undef major
#define major )hostile(
#undef minor
#define minor )hostile(
#undef likely
#define likely )hostile(
#undef unlikely
#define unlikely )hostile(
#undef verify
#define verify )hostile(
#undef require
#define require )hostile(
#undef DEBUG
#define DEBUG )hostile(
#undef INFO
#define INFO )hostile(
#undef WARNING
#define WARNING )hostile(
#undef LOG
#define LOG )hostile(
#undef PASS
#define PASS )hostile(
#undef FAIL
#define FAIL )hostile(
#undef CHECK
#define CHECK )hostile(
#undef REQUIRE
#define REQUIRE )hostile(
#undef TEST
#define TEST )hostile(
#undef raw
#define raw )hostile(
#undef tab
#define tab )hostile(
#undef newline
#define newline )hostile(
#undef border
#define border )hostile(
#undef box
#define box )hostile(
#undef hangup
#define hangup )hostile(

// what they take for functions
#undef min
#define min(a, b) )hostile(
#undef max
#define max(a, b) )hostile(
#undef check
#define check(condition) )hostile(
#undef assert
#define assert(condition) )hostile(
#undef refresh
#define refresh() )hostile(
#undef filter
#define filter() )hostile(
#undef delay
#define delay(time) )hostile(

// the C library's own, which may be macros
#undef stdin
#define stdin )hostile(
#undef stdout
#define stdout )hostile(
#undef stderr
#define stderr )hostile(

#include <leash/leash.hpp>

int main() { return leash::run({"sh", "-c", "exit 3"}, {}).status.code() == 3 ? 0 : 1; }
