/*
 * Preloaded into a command under test, for two purposes, alone or together.
 *
 * CRASH_LOG: every call that changes a file or a folder below CRASH_ROOT is appended to this file,
 * in the order in which the calls took effect, with its data; so are syncs, and what is written to
 * standard output. tests/crash/recorder.py reads the log, tests/crash/replay.py makes of it what a
 * disk may hold after a power failure. Calls that the replay has no model for are logged as '?'.
 *
 * CRASH_FAULT, CRASH_AT=N: the N-th of these calls, counted over all threads, goes wrong.
 *   before      the process is killed before the call
 *   during      it is killed when half of the data is written, or when the call has had its effect
 *   error       the call fails with CRASH_ERRNO and has no effect
 * CRASH_ONLY restricts the count to classes of calls: w(rite), s(ync), n(ames), a(nswer on stdout).
 *
 * Writes through a shared mapping and raw system calls are not seen, and modes, times and owners
 * are not looked at. The replay finds out: what it rebuilds from the whole log must equal the real files.
 */
#define _GNU_SOURCE
#define _LARGEFILE64_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PATH_BYTES 4200
#define MAX_PARTS 1024
#define HALF (-1)
#define REAL(name)                                                         \
    ({                                                                     \
        static __typeof__(&name) found;                                    \
        if (!found) found = (__typeof__(&name))dlsym(RTLD_NEXT, #name);    \
        found;                                                             \
    })

struct header {
    char op;
    char pad[3];
    uint32_t path_bytes, other_bytes, zero;
    uint64_t inode, offset, length;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_BYTES];
static size_t root_bytes;
static int log_fd = -1, fault_errno;
static long fault_at, seen;
static bool active;
static const char *fault = "", *only = "";

__attribute__((constructor)) static void start(void) {
    const char *r = getenv("CRASH_ROOT"), *l = getenv("CRASH_LOG"), *at = getenv("CRASH_AT");
    if (!r) return;
    snprintf(root, sizeof root, "%s", r);
    root_bytes = strlen(root);
    if (l) log_fd = syscall(SYS_openat, AT_FDCWD, l, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (at) {
        fault_at = atol(at);
        fault = getenv("CRASH_FAULT");
        if (getenv("CRASH_ERRNO")) fault_errno = atoi(getenv("CRASH_ERRNO"));
        if (getenv("CRASH_ONLY")) only = getenv("CRASH_ONLY");
    }
    active = true;
}

static bool inside(const char *path) {
    return !strncmp(path, root, root_bytes) && (!path[root_bytes] || path[root_bytes] == '/');
}

static bool path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = syscall(SYS_readlink, link, path, PATH_BYTES - 1);
    if (n < 0) return false;
    path[n] = 0;
    return inside(path);
}

static bool path_at(int folder, const char *name, char *path) {
    char base[PATH_BYTES] = "";
    if (name[0] == '/') {
        snprintf(path, PATH_BYTES, "%s", name);
    } else {
        if (folder != AT_FDCWD) path_of(folder, base);
        else if (!getcwd(base, sizeof base)) return false;
        snprintf(path, PATH_BYTES, "%.2000s/%.2000s", base, name);
    }
    return inside(path);
}

static uint64_t inode_of(int fd) {
    struct stat status;
    return fstat(fd, &status) ? 0 : status.st_ino;
}

static void put(const void *data, size_t n) {
    const char *at = data;
    while (n) {
        ssize_t done = syscall(SYS_write, log_fd, at, n);
        if (done <= 0) _exit(99);
        at += done;
        n -= done;
    }
}

/* Keeps the records of several processes apart; `lock` does so for threads. */
static void lock_log(short type) {
    struct flock range = {.l_type = type, .l_whence = SEEK_SET};
    while (syscall(SYS_fcntl, log_fd, F_SETLKW, &range) && errno == EINTR) {}
}

static void record(char op, uint64_t inode, uint64_t offset, uint64_t length, const char *path,
                   const char *other, const struct iovec *parts) {
    if (log_fd < 0) return;
    struct header header = {op, {0}, strlen(path), strlen(other), 0, inode, offset, length};
    lock_log(F_WRLCK);
    put(&header, sizeof header);
    put(path, header.path_bytes);
    put(other, header.other_bytes);
    for (size_t left = parts ? length : 0; left; parts++) {
        size_t n = parts->iov_len < left ? parts->iov_len : left;
        put(parts->iov_base, n);
        left -= n;
    }
    lock_log(F_UNLCK);
}

static void die(void) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

/* Counts a call. 0: go on; HALF: do half of it and die; else the errno to fail with. */
static int step(char class, const char *path) {
    if (!fault_at || (*only && !strchr(only, class)) || ++seen != fault_at) return 0;
    char what[2] = {class, 0};
    record('F', 0, fault_at, 0, path, what, NULL);
    if (!strcmp(fault, "before")) die();
    return strcmp(fault, "during") ? fault_errno : HALF;
}

/* Wraps a call that is done or not done: no data. */
#define CALL(class, path, call, ok, ...)                  \
    ({                                                    \
        pthread_mutex_lock(&lock);                        \
        int wrong_ = step(class, path);                   \
        __typeof__(call) result_;                         \
        if (wrong_ > 0) {                                 \
            result_ = ok ? -1 : wrong_;                   \
            errno = wrong_;                               \
        } else {                                          \
            result_ = call;                               \
            int errno_ = errno;                           \
            if (!result_) { __VA_ARGS__; }                \
            if (wrong_ == HALF) die();                    \
            errno = errno_;                               \
        }                                                 \
        pthread_mutex_unlock(&lock);                      \
        result_;                                          \
    })

/* ---- data ---- */

static size_t total(const struct iovec *parts, int count) {
    size_t sum = 0;
    for (int i = 0; i < count; i++) sum += parts[i].iov_len;
    return sum;
}

/* All ways to write; offset -1 is the file's position. */
static ssize_t write_parts(int fd, const struct iovec *parts, int count, off64_t offset) {
    char path[PATH_BYTES];
    bool answer = fd == STDOUT_FILENO;
    if (!active || (!path_of(fd, path) && !answer) || count > MAX_PARTS)
        return offset < 0 ? REAL(writev)(fd, parts, count) : REAL(pwritev64)(fd, parts, count, offset);
    pthread_mutex_lock(&lock);
    int wrong = step(answer ? 'a' : 'w', path);
    if (wrong > 0) {
        pthread_mutex_unlock(&lock);
        errno = wrong;
        return -1;
    }
    struct iovec half[MAX_PARTS];
    if (wrong == HALF) {
        size_t left = total(parts, count) / 2;
        int i = 0;
        for (; i < count && left; i++) {
            half[i] = parts[i];
            if (half[i].iov_len > left) half[i].iov_len = left;
            left -= half[i].iov_len;
        }
        parts = half;
        count = i;
    }
    int flags = fcntl(fd, F_GETFL);
    off64_t at = offset;
    if (at < 0 && !answer) at = lseek64(fd, 0, flags & O_APPEND ? SEEK_END : SEEK_CUR);
    ssize_t n = offset < 0 ? REAL(writev)(fd, parts, count) : REAL(pwritev64)(fd, parts, count, offset);
    int saved = errno;
    if (n > 0 && answer) record('A', 0, 0, n, "", "", parts);
    else if (n > 0) record(flags & O_DSYNC ? 'W' : 'w', inode_of(fd), at, n, path, "", parts);
    if (wrong == HALF) die();
    pthread_mutex_unlock(&lock);
    errno = saved;
    return n;
}

#define ONE(data, n) (&(struct iovec){(void *)(data), (n)})
ssize_t write(int fd, const void *data, size_t n) { return write_parts(fd, ONE(data, n), 1, -1); }
ssize_t writev(int fd, const struct iovec *v, int c) { return write_parts(fd, v, c, -1); }
ssize_t pwrite(int fd, const void *data, size_t n, off_t o) { return write_parts(fd, ONE(data, n), 1, o); }
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t o) { return write_parts(fd, ONE(data, n), 1, o); }
ssize_t pwritev(int fd, const struct iovec *v, int c, off_t o) { return write_parts(fd, v, c, o); }
ssize_t pwritev64(int fd, const struct iovec *v, int c, off64_t o) { return write_parts(fd, v, c, o); }
ssize_t pwritev2(int fd, const struct iovec *v, int c, off_t o, int f) {
    if (f) errno = EOPNOTSUPP;
    return f ? -1 : write_parts(fd, v, c, o);
}
ssize_t pwritev64v2(int fd, const struct iovec *v, int c, off64_t o, int f) { return pwritev2(fd, v, c, o, f); }

ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t n, unsigned flags) {
    char path[PATH_BYTES];
    if (!active || !path_of(out, path)) return REAL(copy_file_range)(in, from, out, to, n, flags);
    pthread_mutex_lock(&lock);
    int wrong = step('w', path);
    if (wrong > 0) {
        pthread_mutex_unlock(&lock);
        errno = wrong;
        return -1;
    }
    off64_t at = to ? *to : lseek64(out, 0, SEEK_CUR);
    ssize_t done = REAL(copy_file_range)(in, from, out, to, wrong == HALF && n > 1 ? n / 2 : n, flags);
    int saved = errno;
    char *copy = done > 0 ? malloc(done) : NULL;
    if (copy) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", out);
        int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
        bool read_back = pread64(fd, copy, done, at) == done;
        close(fd);
        path_of(out, path);
        record(read_back ? 'w' : '?', inode_of(out), at, done, path, "", ONE(copy, done));
        free(copy);
    }
    if (wrong == HALF) die();
    pthread_mutex_unlock(&lock);
    errno = saved;
    return done;
}

static int resize(int fd, off64_t n) {
    char path[PATH_BYTES];
    if (!active || !path_of(fd, path)) return REAL(ftruncate64)(fd, n);
    return CALL('w', path, REAL(ftruncate64)(fd, n), true, record('t', inode_of(fd), n, 0, path, "", NULL));
}
int ftruncate64(int fd, off64_t n) { return resize(fd, n); }
int ftruncate(int fd, off_t n) { return resize(fd, n); }

static int allocate(int fd, int mode, off64_t offset, off64_t n, bool posix) {
    char path[PATH_BYTES];
    char op = mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE) ? 'z' : 'e';
    if (mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE)) op = '?';
    if (op == 'e' && mode & FALLOC_FL_KEEP_SIZE) op = 'k';
    if (!active || !path_of(fd, path))
        return posix ? REAL(posix_fallocate64)(fd, offset, n) : REAL(fallocate64)(fd, mode, offset, n);
    if (posix)
        return CALL('w', path, REAL(posix_fallocate64)(fd, offset, n), false,
                    record('e', inode_of(fd), offset, n, path, "", NULL));
    return CALL('w', path, REAL(fallocate64)(fd, mode, offset, n), true,
                record(op, inode_of(fd), offset, n, path, "", NULL));
}
int fallocate(int fd, int mode, off_t o, off_t n) { return allocate(fd, mode, o, n, false); }
int fallocate64(int fd, int mode, off64_t o, off64_t n) { return allocate(fd, mode, o, n, false); }
int posix_fallocate(int fd, off_t o, off_t n) { return allocate(fd, 0, o, n, true); }
int posix_fallocate64(int fd, off64_t o, off64_t n) { return allocate(fd, 0, o, n, true); }

/* ---- syncs ---- */

int fsync(int fd) {
    char path[PATH_BYTES];
    if (!active || !path_of(fd, path)) return REAL(fsync)(fd);
    return CALL('s', path, REAL(fsync)(fd), true, record('s', inode_of(fd), 0, 0, path, "", NULL));
}
int fdatasync(int fd) {
    char path[PATH_BYTES];
    if (!active || !path_of(fd, path)) return REAL(fdatasync)(fd);
    return CALL('s', path, REAL(fdatasync)(fd), true, record('s', inode_of(fd), 0, 0, path, "", NULL));
}

int syncfs(int fd) {
    char path[PATH_BYTES];
    if (!active || !path_of(fd, path)) return REAL(syncfs)(fd);
    return CALL('s', path, REAL(syncfs)(fd), true, record('S', 0, 0, 0, path, "", NULL));
}

/* ---- names ---- */

static int open_at(int folder, const char *name, int flags, mode_t mode) {
    char path[PATH_BYTES];
    if (!active || !(flags & (O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY))) || !path_at(folder, name, path))
        return REAL(openat64)(folder, name, flags, mode);
    pthread_mutex_lock(&lock);
    bool there = !syscall(SYS_faccessat, AT_FDCWD, path, F_OK);
    int wrong = there ? 0 : step('n', path), fd = -1;
    if (wrong <= 0) {
        fd = REAL(openat64)(folder, name, flags, mode);
        int saved = errno;
        bool tmpfile = (flags & O_TMPFILE) == O_TMPFILE;
        if (fd >= 0 && (!there || tmpfile)) record(tmpfile ? '?' : 'c', inode_of(fd), 0, 0, path, "", NULL);
        else if (fd >= 0 && flags & O_TRUNC) record('t', inode_of(fd), 0, 0, path, "", NULL);
        if (wrong == HALF) die();
        errno = saved;
    } else errno = wrong;
    pthread_mutex_unlock(&lock);
    return fd;
}
#define MODE(last) ({ va_list a_; va_start(a_, last); mode_t m_ = last & (O_CREAT | O_TMPFILE) ? va_arg(a_, mode_t) : 0; va_end(a_); m_; })
int open(const char *p, int flags, ...) { return open_at(AT_FDCWD, p, flags, MODE(flags)); }
int open64(const char *p, int flags, ...) { return open_at(AT_FDCWD, p, flags, MODE(flags)); }
int openat(int d, const char *p, int flags, ...) { return open_at(d, p, flags, MODE(flags)); }
int openat64(int d, const char *p, int flags, ...) { return open_at(d, p, flags, MODE(flags)); }
int creat(const char *p, mode_t mode) { return open_at(AT_FDCWD, p, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *p, mode_t mode) { return open_at(AT_FDCWD, p, O_CREAT | O_WRONLY | O_TRUNC, mode); }

static int rename_at(int a, const char *from, int b, const char *to, unsigned flags) {
    char path[PATH_BYTES], other[PATH_BYTES];
    bool here = active && path_at(a, from, path);
    if (!((active && path_at(b, to, other)) || here)) return REAL(renameat2)(a, from, b, to, flags);
    return CALL('n', other, REAL(renameat2)(a, from, b, to, flags), true,
                record(flags & RENAME_EXCHANGE || !here ? '?' : 'r', 0, 0, 0, path, other, NULL));
}
int rename(const char *from, const char *to) { return rename_at(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int a, const char *from, int b, const char *to) { return rename_at(a, from, b, to, 0); }
int renameat2(int a, const char *from, int b, const char *to, unsigned f) { return rename_at(a, from, b, to, f); }

int linkat(int a, const char *from, int b, const char *to, int flags) {
    char path[PATH_BYTES], other[PATH_BYTES];
    if (!active || !path_at(b, to, other)) return REAL(linkat)(a, from, b, to, flags);
    bool here = path_at(a, from, path);
    return CALL('n', other, REAL(linkat)(a, from, b, to, flags), true,
                record(here ? 'l' : '?', 0, 0, 0, path, other, NULL));
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int symlinkat(const char *text, int d, const char *to) {
    char path[PATH_BYTES];
    if (!active || !path_at(d, to, path)) return REAL(symlinkat)(text, d, to);
    return CALL('n', path, REAL(symlinkat)(text, d, to), true, record('y', 0, 0, 0, path, text, NULL));
}
int symlink(const char *text, const char *to) { return symlinkat(text, AT_FDCWD, to); }

int unlinkat(int d, const char *name, int flags) {
    char path[PATH_BYTES];
    if (!active || !path_at(d, name, path)) return REAL(unlinkat)(d, name, flags);
    return CALL('n', path, REAL(unlinkat)(d, name, flags), true, record('u', 0, 0, 0, path, "", NULL));
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }

int mkdirat(int d, const char *name, mode_t mode) {
    char path[PATH_BYTES];
    if (!active || !path_at(d, name, path)) return REAL(mkdirat)(d, name, mode);
    return CALL('n', path, REAL(mkdirat)(d, name, mode), true, record('m', 0, 0, 0, path, "", NULL));
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

/* ---- what has no model ---- */

static void unmodelled(int fd) {
    char path[PATH_BYTES];
    if (!active || !path_of(fd, path)) return;
    pthread_mutex_lock(&lock);
    record('?', 0, 0, 0, path, "", NULL);
    pthread_mutex_unlock(&lock);
}
ssize_t sendfile64(int out, int in, off64_t *offset, size_t n) { unmodelled(out); return REAL(sendfile64)(out, in, offset, n); }
ssize_t sendfile(int out, int in, off_t *offset, size_t n) { return sendfile64(out, in, offset, n); }
ssize_t splice(int in, off64_t *from, int out, off64_t *to, size_t n, unsigned f) { unmodelled(out); return REAL(splice)(in, from, out, to, n, f); }
int ioctl(int fd, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    int done = REAL(ioctl)(fd, request, argument), saved = errno;
    if (done == 0 && (request == FICLONE || request == FICLONERANGE)) unmodelled(fd);
    errno = saved;
    return done;
}
