// The functions of the C library that are steps, defined in the executable: the dynamic linker finds these before the
// library's, also for Foundation and libcurl. Each counts, then calls the library's.
#define _GNU_SOURCE
#include "CMortal.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_long steps, last;

void mortal_die_at(long step) {
  atomic_store(&last, step);
  atomic_store(&steps, 0);
}

long mortal_steps(void) { return atomic_load(&steps); }

static void step(void) {
  if (atomic_fetch_add(&steps, 1) + 1 == atomic_load(&last)) kill(getpid(), SIGKILL);
}

// Pipes, terminals and the events of the dispatch library are none of the client's business.
static void step_of_file(int descriptor) {
  struct stat found;
  if (fstat(descriptor, &found) == 0 && (S_ISREG(found.st_mode) || S_ISDIR(found.st_mode))) step();
}

#define LIBRARY(name) __typeof__(name) *name##_of_library = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define PATHS(name, parameters, arguments) \
  int name parameters { \
    LIBRARY(name); \
    step(); \
    return name##_of_library arguments; \
  }
#define DESCRIPTOR(result, name, parameters, arguments) \
  result name parameters { \
    LIBRARY(name); \
    step_of_file(descriptor); \
    return name##_of_library arguments; \
  }
#define SOCKET(name, parameters, arguments) \
  ssize_t name parameters { \
    LIBRARY(name); \
    step(); \
    return name##_of_library arguments; \
  }
#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    LIBRARY(name); \
    va_list more; \
    va_start(more, flags); \
    unsigned mode = flags & O_CREAT ? va_arg(more, unsigned) : 0; \
    va_end(more); \
    if (flags & (O_CREAT | O_TRUNC)) step(); \
    return name##_of_library(path, flags, mode); \
  }

OPEN(open)
OPEN(open64)
PATHS(rename, (const char *from, const char *to), (from, to))
PATHS(unlink, (const char *path), (path))
PATHS(remove, (const char *path), (path))
PATHS(rmdir, (const char *path), (path))
PATHS(mkdir, (const char *path, mode_t mode), (path, mode))
DESCRIPTOR(ssize_t, write, (int descriptor, const void *data, size_t count), (descriptor, data, count))
DESCRIPTOR(int, fsync, (int descriptor), (descriptor))
DESCRIPTOR(int, flock, (int descriptor, int operation), (descriptor, operation))
DESCRIPTOR(int, ftruncate, (int descriptor, off_t length), (descriptor, length))
DESCRIPTOR(int, ftruncate64, (int descriptor, off64_t length), (descriptor, length))
SOCKET(send, (int descriptor, const void *data, size_t count, int flags), (descriptor, data, count, flags))
SOCKET(recv, (int descriptor, void *data, size_t count, int flags), (descriptor, data, count, flags))
