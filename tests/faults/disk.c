/* A disk that fails when it is told to: loaded before libc (LD_PRELOAD), it counts the operations on files below one
 * folder and makes a chosen one fail. `tests/faults/harness.py` arms it. Until then it does nothing. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum fault { NONE, KILL, FULL, IO_ERROR };

static char folder[4096];
static enum fault fault;
static long chosen; /* number of the operation that fails; 0: none does, they are only counted */
static long count;

/* Arms the disk in this process. */
void faulty_disk_arm(const char *below, int kind, long number) {
	strncpy(folder, below, sizeof folder - 1);
	fault = (enum fault)kind;
	chosen = number;
	count = 0;
}

long faulty_disk_count(void) { return count; }

static int concerns(const char *path) { return folder[0] && strncmp(path, folder, strlen(folder)) == 0; }

static int concerns_descriptor(int descriptor) {
	char link[64], path[4096];
	if (!folder[0]) return 0;
	snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
	ssize_t length = readlink(link, path, sizeof path - 1);
	if (length <= 0) return 0;
	path[length] = 0;
	return concerns(path);
}

/* Counts an operation; whether it is to fail. A full disk stays full. */
static int fails(void) {
	count++;
	return chosen && (count == chosen || (fault == FULL && count > chosen));
}

static int fail(void) {
	if (fault == KILL) raise(SIGKILL);
	errno = fault == FULL ? ENOSPC : EIO;
	return -1;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int descriptor, const void *data, size_t size) {
	static __typeof__(&write) next;
	if (!next) next = NEXT(write);
	if (concerns_descriptor(descriptor) && fails()) {
		/* The first half still reaches the file: a torn write. */
		if (fault != IO_ERROR && count == chosen && size > 1) next(descriptor, data, size / 2);
		return fail();
	}
	return next(descriptor, data, size);
}

ssize_t writev(int descriptor, const struct iovec *parts, int number) {
	static __typeof__(&writev) next;
	if (!next) next = NEXT(writev);
	if (concerns_descriptor(descriptor) && fails()) return fail();
	return next(descriptor, parts, number);
}

int fsync(int descriptor) {
	static __typeof__(&fsync) next;
	if (!next) next = NEXT(fsync);
	if (concerns_descriptor(descriptor) && fails() && fault != FULL) return fail();
	return next(descriptor);
}

int ftruncate(int descriptor, off_t length) {
	static __typeof__(&ftruncate) next;
	if (!next) next = NEXT(ftruncate);
	if (concerns_descriptor(descriptor) && fails()) return fail();
	return next(descriptor, length);
}

int ftruncate64(int descriptor, off64_t length) {
	static __typeof__(&ftruncate64) next;
	if (!next) next = NEXT(ftruncate64);
	if (concerns_descriptor(descriptor) && fails()) return fail();
	return next(descriptor, length);
}

static int opens(const char *path, int flags) { return (flags & (O_CREAT | O_TRUNC)) && concerns(path) && fails(); }

#define OPEN(name)                                                                                                     \
	int name(const char *path, int flags, ...) {                                                                       \
		static __typeof__(&name) next;                                                                                 \
		if (!next) next = NEXT(name);                                                                                  \
		va_list rest;                                                                                                  \
		va_start(rest, flags);                                                                                         \
		mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;                                        \
		va_end(rest);                                                                                                  \
		return opens(path, flags) ? fail() : next(path, flags, mode);                                                  \
	}
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                                                   \
	int name(int at, const char *path, int flags, ...) {                                                               \
		static __typeof__(&name) next;                                                                                 \
		if (!next) next = NEXT(name);                                                                                  \
		va_list rest;                                                                                                  \
		va_start(rest, flags);                                                                                         \
		mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;                                        \
		va_end(rest);                                                                                                  \
		return opens(path, flags) ? fail() : next(at, path, flags, mode);                                              \
	}
OPENAT(openat)
OPENAT(openat64)

int rename(const char *from, const char *to) {
	static __typeof__(&rename) next;
	if (!next) next = NEXT(rename);
	if (concerns(to) && fails()) return fail();
	return next(from, to);
}

int mkdir(const char *path, mode_t mode) {
	static __typeof__(&mkdir) next;
	if (!next) next = NEXT(mkdir);
	if (concerns(path) && fails()) return fail();
	return next(path, mode);
}

/* Removing frees room: it is a moment to be killed at, and never finds the disk full. */
int unlink(const char *path) {
	static __typeof__(&unlink) next;
	if (!next) next = NEXT(unlink);
	if (concerns(path) && fails() && fault != FULL) return fail();
	return next(path);
}

int unlinkat(int at, const char *path, int flags) {
	static __typeof__(&unlinkat) next;
	if (!next) next = NEXT(unlinkat);
	if (concerns_descriptor(at) && fails() && fault != FULL) return fail();
	return next(at, path, flags);
}
