/* A layer between a program and the C library, loaded by LD_PRELOAD, that makes the n-th change of a file go wrong.

   A change is a call that makes, writes, cuts, renames, removes or syncs something below one folder. All others pass
   untouched. The layer is armed by the environment, or from within by `faults_arm`:

     FAULTS_FOLDER  absolute path, links resolved
     FAULTS_MODE    what happens at the n-th change:
                      count   nothing
                      kill    SIGKILL before it
                      half    SIGKILL after it; of a write, only the first half has reached the disk
                      power   as `kill`, and what was written and not synced is cut off: the machine lost its power
                      full    the n-th write is short; it and all later ones find the disk full (ENOSPC)
                      broken  it and all later writes and syncs fail with EIO
     FAULTS_AT      n, from 1
     FAULTS_LOG     a file outside the folder that gets a line for each change

   stdio of the C library writes without passing here, hence fopen, fwrite, fflush and fclose are covered too. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))next(#name))
#define UNSYNCED 256

enum mode { COUNT, KILL, HALF, POWER, FULL, BROKEN };
enum what { CHANGE, WRITE, SYNC, REMOVE };

static const char *const names[] = {"count", "kill", "half", "power", "full", "broken"};

static char folder[PATH_MAX];
static enum mode mode;
static long at, changes;
static int log_file = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Files with bytes that a loss of power would take: their size when they were last synced. */
static struct { dev_t device; ino_t inode; off_t size; int file; } unsynced[UNSYNCED];
static int unsynced_count;

static void *next(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}

void faults_arm(const char *where, const char *how, long number, const char *log) {
    changes = 0;
    at = number;
    for (mode = BROKEN; mode > COUNT && strcmp(how, names[mode]); mode--) {}
    log_file = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    snprintf(folder, sizeof folder, "%s", where);
}

__attribute__((constructor)) static void arm_by_environment(void) {
    const char *where = getenv("FAULTS_FOLDER"), *how = getenv("FAULTS_MODE"), *number = getenv("FAULTS_AT");
    const char *log = getenv("FAULTS_LOG");
    if (where && how && number && log) faults_arm(where, how, atol(number), log);
}

static int below(const char *path) {
    size_t length = strlen(folder);
    return length && !strncmp(path, folder, length) && (path[length] == '/' || !path[length]);
}

static int path_of(int file, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = 0;
    return length > 0;
}

static int watched(int file) {
    char path[PATH_MAX];
    if (!folder[0]) return 0;
    int error = errno, found = path_of(file, path) && below(path);
    errno = error;
    return found;
}

static int watched_path(int base, const char *path) {
    char whole[2 * PATH_MAX + 2], start[PATH_MAX];
    if (!folder[0] || !path) return 0;
    if (path[0] == '/') return below(path);
    int error = errno, found = base == AT_FDCWD ? getcwd(start, sizeof start) != NULL : path_of(base, start);
    snprintf(whole, sizeof whole, "%s/%s", start, path);
    errno = error;
    return found && below(whole);
}

static void remember_unsynced(int file, off_t size) {
    struct stat status;
    char link[64];
    if (mode != POWER || fstat(file, &status) || !S_ISREG(status.st_mode)) return;
    for (int i = 0; i < unsynced_count; i++)
        if (unsynced[i].device == status.st_dev && unsynced[i].inode == status.st_ino) {
            if (size >= 0 && size < unsynced[i].size) unsynced[i].size = size;
            return;
        }
    if (unsynced_count == UNSYNCED) abort();
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    unsynced[unsynced_count].device = status.st_dev;
    unsynced[unsynced_count].inode = status.st_ino;
    unsynced[unsynced_count].size = size < 0 ? status.st_size : size;
    /* Opened anew: a duplicate would share a lock that the program holds on the file. */
    unsynced[unsynced_count++].file = (int)syscall(SYS_openat, AT_FDCWD, link, O_WRONLY | O_CLOEXEC);
}

static void forget_unsynced(int file) {
    struct stat status;
    if (mode != POWER || fstat(file, &status)) return;
    for (int i = 0; i < unsynced_count; i++)
        if (unsynced[i].device == status.st_dev && unsynced[i].inode == status.st_ino) {
            syscall(SYS_close, unsynced[i].file);
            unsynced[i] = unsynced[--unsynced_count];
            return;
        }
}

static void die(void) {
    for (int i = 0; mode == POWER && i < unsynced_count; i++)
        if (syscall(SYS_ftruncate, unsynced[i].file, unsynced[i].size)) abort();
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* One change: counts and logs it. Returns what is to become of it: */
enum fate { PASS, SHORT, FAIL, LAST };

static enum fate change(enum what kind, const char *call, int file, const char *path) {
    char name[PATH_MAX], line[PATH_MAX + 64];
    int error = errno;
    pthread_mutex_lock(&lock);
    long number = ++changes;
    if (!path) path = path_of(file, name) ? name : "?";
    int length = snprintf(line, sizeof line, "%ld %s %s\n", number, call, path);
    syscall(SYS_write, log_file, line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1);
    if (number == at && (mode == KILL || mode == POWER)) die();
    pthread_mutex_unlock(&lock);
    errno = error;
    if (mode == HALF && number == at) return LAST;
    if (mode == FULL && number >= at && (kind == CHANGE || kind == WRITE)) {
        errno = ENOSPC;
        return number == at && kind == WRITE ? SHORT : FAIL;
    }
    if (mode == BROKEN && number >= at && (kind == WRITE || kind == SYNC)) {
        errno = EIO;
        return FAIL;
    }
    return PASS;
}

#define PASS_OR(kind, call, file, path, is_watched, real, failed)                 \
    do {                                                                          \
        if (!(is_watched)) return real;                                           \
        enum fate fate = change(kind, call, file, path);                          \
        if (fate == FAIL || fate == SHORT) return failed;                         \
        __typeof__(real) done = real;                                             \
        if (fate == LAST) die();                                                  \
        return done;                                                              \
    } while (0)

/* Opening: a change if it may make or empty the file. */

static int opened(int base, const char *path, int flags, mode_t permissions, const char *call) {
    int changing = (flags & (O_CREAT | O_TRUNC)) && watched_path(base, path);
    enum fate fate = changing ? change(CHANGE, call, -1, path) : PASS;
    if (fate == FAIL || fate == SHORT) return -1;
    int file = (int)syscall(SYS_openat, base, path, flags, permissions);
    if (changing && file >= 0 && (flags & O_TRUNC)) remember_unsynced(file, 0);
    if (fate == LAST) die();
    return file;
}

#define PERMISSIONS(flags)                                  \
    mode_t permissions = 0;                                 \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {                \
        va_list rest;                                       \
        va_start(rest, flags);                              \
        permissions = (mode_t)va_arg(rest, int);            \
        va_end(rest);                                       \
    }

int open(const char *path, int flags, ...) {
    PERMISSIONS(flags)
    return opened(AT_FDCWD, path, flags, permissions, "open");
}
int open64(const char *path, int flags, ...) {
    PERMISSIONS(flags)
    return opened(AT_FDCWD, path, flags, permissions, "open");
}
int openat(int base, const char *path, int flags, ...) {
    PERMISSIONS(flags)
    return opened(base, path, flags, permissions, "open");
}
int openat64(int base, const char *path, int flags, ...) {
    PERMISSIONS(flags)
    return opened(base, path, flags, permissions, "open");
}
int creat(const char *path, mode_t permissions) {
    return opened(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, permissions, "open");
}

/* Writing. */

static ssize_t written(int file, const void *bytes, size_t size, off_t place) {
    return place < 0 ? syscall(SYS_write, file, bytes, size) : syscall(SYS_pwrite64, file, bytes, size, place);
}

static ssize_t write_watched(int file, const void *bytes, size_t size, off_t place, const char *call) {
    if (!watched(file)) return written(file, bytes, size, place);
    enum fate fate = change(WRITE, call, file, NULL);
    if (fate == FAIL || (fate == SHORT && size < 2)) return -1;
    remember_unsynced(file, -1);
    ssize_t done = written(file, bytes, fate == PASS ? size : size / 2, place);
    if (fate == LAST) die();
    return done;
}

ssize_t write(int file, const void *bytes, size_t size) { return write_watched(file, bytes, size, -1, "write"); }
ssize_t pwrite(int file, const void *bytes, size_t size, off_t place) {
    return write_watched(file, bytes, size, place, "pwrite");
}
ssize_t pwrite64(int file, const void *bytes, size_t size, off64_t place) {
    return write_watched(file, bytes, size, place, "pwrite");
}
ssize_t writev(int file, const struct iovec *parts, int count) {
    if (!watched(file)) return syscall(SYS_writev, file, parts, count);
    for (int i = 0; i < count; i++)  /* one part at a time: a short write is allowed */
        if (parts[i].iov_len) return write_watched(file, parts[i].iov_base, parts[i].iov_len, -1, "writev");
    return 0;
}
ssize_t sendfile(int to, int from, off_t *place, size_t size) {
    if (!watched(to)) return syscall(SYS_sendfile, to, from, place, size);
    enum fate fate = change(WRITE, "sendfile", to, NULL);
    if (fate == FAIL || (fate == SHORT && size < 2)) return -1;
    remember_unsynced(to, -1);
    ssize_t done = syscall(SYS_sendfile, to, from, place, fate == PASS ? size : size / 2);
    if (fate == LAST) die();
    return done;
}
ssize_t sendfile64(int to, int from, off64_t *place, size_t size) { return sendfile(to, from, place, size); }

static int cut(int file, off_t size) {
    if (!watched(file)) return (int)syscall(SYS_ftruncate, file, size);
    enum fate fate = change(WRITE, "ftruncate", file, NULL);
    if (fate == FAIL || fate == SHORT) return -1;
    remember_unsynced(file, size);
    int done = (int)syscall(SYS_ftruncate, file, size);
    if (fate == LAST) die();
    return done;
}
int ftruncate(int file, off_t size) { return cut(file, size); }
int ftruncate64(int file, off64_t size) { return cut(file, size); }

/* Stdio. What a killed process had in its buffers is lost, as it would be. */

static FILE *stream_opened(const char *path, const char *how, FILE *(*real)(const char *, const char *)) {
    int changing = strpbrk(how, "wa") && watched_path(AT_FDCWD, path);
    enum fate fate = changing ? change(CHANGE, "fopen", -1, path) : PASS;
    if (fate == FAIL || fate == SHORT) return NULL;
    FILE *stream = real(path, how);
    if (changing && stream && strchr(how, 'w')) remember_unsynced(fileno(stream), 0);
    if (fate == LAST) die();
    return stream;
}
FILE *fopen(const char *path, const char *how) { return stream_opened(path, how, NEXT(fopen)); }
FILE *fopen64(const char *path, const char *how) { return stream_opened(path, how, NEXT(fopen64)); }

size_t fwrite(const void *bytes, size_t size, size_t count, FILE *stream) {
    if (!watched(fileno(stream))) return NEXT(fwrite)(bytes, size, count, stream);
    enum fate fate = change(WRITE, "fwrite", fileno(stream), NULL);
    if (fate == FAIL) return 0;
    remember_unsynced(fileno(stream), -1);
    if (fate == PASS) return NEXT(fwrite)(bytes, size, count, stream);
    size_t half = NEXT(fwrite)(bytes, 1, size * count / 2, stream);
    NEXT(fflush)(stream);
    if (fate == LAST) die();
    errno = ENOSPC;
    return size ? half / size : 0;
}
int fflush(FILE *stream) {
    PASS_OR(WRITE, "fflush", fileno(stream), NULL, stream && watched(fileno(stream)), NEXT(fflush)(stream), EOF);
}
int fclose(FILE *stream) {
    if (!watched(fileno(stream))) return NEXT(fclose)(stream);
    enum fate fate = change(WRITE, "fclose", fileno(stream), NULL);
    int done = NEXT(fclose)(stream);  /* closed in any case */
    if (fate == LAST) die();
    if (fate != PASS) errno = mode == FULL ? ENOSPC : EIO;
    return fate == PASS ? done : EOF;
}

/* Syncing. */

static int synced(int file, long number, const char *call) {
    if (!watched(file)) return (int)syscall(number, file);
    enum fate fate = change(SYNC, call, file, NULL);
    if (fate == FAIL) return -1;
    int done = (int)syscall(number, file);
    if (!done) forget_unsynced(file);
    if (fate == LAST) die();
    return done;
}
int fsync(int file) { return synced(file, SYS_fsync, "fsync"); }
int fdatasync(int file) { return synced(file, SYS_fdatasync, "fdatasync"); }

/* Names. */

int mkdir(const char *path, mode_t permissions) {
    PASS_OR(CHANGE, "mkdir", -1, path, watched_path(AT_FDCWD, path), NEXT(mkdir)(path, permissions), -1);
}
int mkdirat(int base, const char *path, mode_t permissions) {
    PASS_OR(CHANGE, "mkdir", -1, path, watched_path(base, path), NEXT(mkdirat)(base, path, permissions), -1);
}
int link(const char *from, const char *to) {
    PASS_OR(CHANGE, "link", -1, to, watched_path(AT_FDCWD, to), NEXT(link)(from, to), -1);
}
int linkat(int from_base, const char *from, int to_base, const char *to, int flags) {
    PASS_OR(CHANGE, "link", -1, to, watched_path(to_base, to), NEXT(linkat)(from_base, from, to_base, to, flags), -1);
}
int symlink(const char *target, const char *path) {
    PASS_OR(CHANGE, "symlink", -1, path, watched_path(AT_FDCWD, path), NEXT(symlink)(target, path), -1);
}
int rename(const char *from, const char *to) {
    PASS_OR(REMOVE, "rename", -1, to, watched_path(AT_FDCWD, to), NEXT(rename)(from, to), -1);
}
int renameat(int from_base, const char *from, int to_base, const char *to) {
    PASS_OR(REMOVE, "rename", -1, to, watched_path(to_base, to), NEXT(renameat)(from_base, from, to_base, to), -1);
}
int renameat2(int from_base, const char *from, int to_base, const char *to, unsigned flags) {
    PASS_OR(REMOVE, "rename", -1, to, watched_path(to_base, to),
            NEXT(renameat2)(from_base, from, to_base, to, flags), -1);
}
int unlink(const char *path) {
    PASS_OR(REMOVE, "unlink", -1, path, watched_path(AT_FDCWD, path), NEXT(unlink)(path), -1);
}
int unlinkat(int base, const char *path, int flags) {
    PASS_OR(REMOVE, "unlink", -1, path, watched_path(base, path), NEXT(unlinkat)(base, path, flags), -1);
}
int rmdir(const char *path) {
    PASS_OR(REMOVE, "rmdir", -1, path, watched_path(AT_FDCWD, path), NEXT(rmdir)(path), -1);
}
int remove(const char *path) {
    PASS_OR(REMOVE, "remove", -1, path, watched_path(AT_FDCWD, path), NEXT(remove)(path), -1);
}
