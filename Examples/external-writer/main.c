// Writes the memory of a Berth endpoint from another process, so that the endpoint can find what was
// written: an example for programs that share memory with a guest, such as device back ends.
//
//     external-writer-example SOCKET [--start N] [--size N] [--rate BYTES/s] [--untracked]
//
// SOCKET is the path of the endpoint's object `external-writer`. The protocol is described in
// docs/wire/external-writer.md. Ends at SIGTERM or SIGINT, or when the endpoint goes away.
//
// What is written is what `guest-workload` writes with pattern=increment and one thread: pages in
// order, round after round, a stamp in the first word of each line of 64 bytes. The stamp is how
// often the page was written (upper half) and the number of the page in the memory (lower half).
//
// Licensed under the Apache License, Version 2.0; see the file LICENSE.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

// Older headers lack these; the numbers are the kernel's ABI.
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM (1 << 12)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

enum { HELLO = 1, ATTACH = 2, RUN = 3, PAUSE = 4, PAUSED = 5, ERROR = 6 };
enum { PAGE_BYTES = 4096, WORDS = PAGE_BYTES / 8, BATCH_PAGES = 64 };

// This program runs on little-endian machines, so that structures are messages as they are.
struct header { uint32_t type, byte_count; };
struct hello { char magic[8]; uint32_t version, reserved; uint64_t byte_count, offset; };
struct attach { struct header header; uint32_t version, flags; uint64_t address; };

static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("external-writer-example: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

static uint64_t number(const char *name, const char *text) {
    char *end = NULL;
    errno = 0;
    unsigned long long value = text ? strtoull(text, &end, 0) : 0;
    if (!text || end == text || *end || errno || strchr(text, '-'))
        fail("%s takes a number of bytes", name);
    return value;
}

// --- The connection ---

static int connect_to(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        fail("the path of the socket is too long");
    strcpy(address.sun_path, path);
    int socket_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket_fd < 0 || connect(socket_fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        fail("cannot connect to '%s': %s", path, strerror(errno));
    return socket_fd;
}

// Receives exactly so many bytes, and the descriptor that comes with them, if there is one.
// False if the endpoint has ended the connection.
static bool receive(int socket_fd, void *buffer, size_t count, int *descriptor) {
    char *position = buffer;
    while (count > 0) {
        union { struct cmsghdr header; char space[CMSG_SPACE(sizeof(int))]; } control;
        struct iovec vector = {position, count};
        struct msghdr message = {
            .msg_iov = &vector, .msg_iovlen = 1,
            .msg_control = control.space, .msg_controllen = sizeof(control.space),
        };
        ssize_t received = recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC);
        if (received < 0 && errno == EINTR)
            continue;
        if (received <= 0)
            return false;
        struct cmsghdr *item = CMSG_FIRSTHDR(&message);
        if (descriptor && item && item->cmsg_type == SCM_RIGHTS)
            memcpy(descriptor, CMSG_DATA(item), sizeof(int));
        position += received;
        count -= (size_t)received;
    }
    return true;
}

// Sends a message, with a descriptor unless that is -1. False if the endpoint is gone.
static bool send_message(int socket_fd, const void *bytes, size_t count, int descriptor) {
    union { struct cmsghdr header; char space[CMSG_SPACE(sizeof(int))]; } control = {0};
    struct iovec vector = {(void *)bytes, count};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (descriptor >= 0) {
        message.msg_control = control.space;
        message.msg_controllen = sizeof(control.space);
        struct cmsghdr *item = CMSG_FIRSTHDR(&message);
        item->cmsg_level = SOL_SOCKET;
        item->cmsg_type = SCM_RIGHTS;
        item->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(item), &descriptor, sizeof(int));
    }
    // Messages are so short that there is always room for all of them.
    return sendmsg(socket_fd, &message, MSG_NOSIGNAL) == (ssize_t)count;
}

// Passes on why the endpoint sends us away.
static void fail_with_error(int socket_fd, uint32_t byte_count) {
    char text[512] = "";
    if (byte_count < sizeof(text))
        receive(socket_fd, text, byte_count, NULL);
    fail("the endpoint says: %s", text);
}

// --- The memory ---

// Registers memory so that the kernel notes writes to it. Gives the userfaultfd, or -1.
static int watch_writes(void *memory, size_t byte_count) {
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    struct uffdio_api api = {
        .api = UFFD_API,
        .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM
                    | UFFD_FEATURE_WP_ASYNC,
    };
    struct uffdio_register request = {
        .range = {.start = (uintptr_t)memory, .len = byte_count},
        .mode = UFFDIO_REGISTER_MODE_WP,
    };
    if (fd >= 0 && ioctl(fd, UFFDIO_API, &api) == 0
        && ioctl(fd, UFFDIO_REGISTER, &request) == 0)
        return fd;
    fprintf(stderr, "external-writer-example: the endpoint cannot track this process: "
            "userfaultfd with asynchronous write protection: %s\n", strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

// Maps the memory that the endpoint offers and tells it where.
static uint64_t *attach(int socket_fd, bool tracked, uint64_t *byte_count) {
    struct header header;
    struct hello hello;
    int memory_fd = -1;
    if (!receive(socket_fd, &header, sizeof(header), &memory_fd))
        fail("the endpoint ended the connection");
    if (header.type == ERROR)
        fail_with_error(socket_fd, header.byte_count);
    if (header.type != HELLO || header.byte_count != sizeof(hello)
        || !receive(socket_fd, &hello, sizeof(hello), &memory_fd)
        || memcmp(hello.magic, "BERTHMEM", 8) != 0 || hello.version != 1 || memory_fd < 0)
        fail("this is not the socket of an external-writer");

    // A page is a page of the memory's file; more than it has can't be asked for.
    void *memory = mmap(NULL, hello.byte_count, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd,
                        (off_t)hello.offset);
    if (memory == MAP_FAILED)
        fail("cannot map %llu bytes: %s", (unsigned long long)hello.byte_count, strerror(errno));
    close(memory_fd);
    // A child's writes wouldn't be seen.
    madvise(memory, hello.byte_count, MADV_DONTFORK);

    int userfault_fd = tracked ? watch_writes(memory, hello.byte_count) : -1;
    struct attach message = {
        .header = {ATTACH, sizeof(message) - sizeof(struct header)},
        .version = 1,
        .flags = userfault_fd >= 0,
        .address = (uintptr_t)memory,
    };
    if (!send_message(socket_fd, &message, sizeof(message), userfault_fd))
        fail("the endpoint ended the connection");
    // The endpoint has its own descriptor of it now, which keeps the registration alive.
    if (userfault_fd >= 0)
        close(userfault_fd);
    *byte_count = hello.byte_count;
    return memory;
}

// --- Writing ---

struct slice {
    volatile uint64_t *memory;
    uint64_t first, end, next;  // pages
};

static uint32_t count_of(const struct slice *slice, uint64_t page) {
    return (uint32_t)(slice->memory[page * WORDS] >> 32);
}

// Goes on where the memory says that somebody stopped: the pages before have been written once more
// often than the others. A migration may have brought it.
static void find_position(struct slice *slice) {
    uint32_t count = count_of(slice, slice->first);
    uint64_t low = slice->first, high = slice->end;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (count_of(slice, middle) == count)
            low = middle + 1;
        else
            high = middle;
    }
    slice->next = low == slice->end ? slice->first : low;
}

static void write_page(struct slice *slice) {
    uint32_t count = count_of(slice, slice->next);
    // 0 is a page that was never written, 2^32 - 1 is reserved.
    count = count >= UINT32_MAX - 1 ? 1 : count + 1;
    uint64_t stamp = (uint64_t)count << 32 | (uint32_t)slice->next;
    volatile uint64_t *page = slice->memory + slice->next * WORDS;
    for (int word = 0; word < WORDS; word += 8)
        page[word] = stamp;
    if (++slice->next == slice->end)
        slice->next = slice->first;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

// Writes while the endpoint wants it, and gives the number of pages.
static uint64_t obey(int socket_fd, int signal_fd, struct slice *slice, uint64_t rate) {
    uint64_t written = 0;
    bool runs = false;
    double credit = 0, last = 0;
    struct pollfd requests[] = {{socket_fd, POLLIN, 0}, {signal_fd, POLLIN, 0}};
    for (;;) {
        // While writing only look; a batch takes some microseconds, so that a PAUSE is obeyed soon.
        bool has_credit = rate == 0 || credit >= PAGE_BYTES;
        if (poll(requests, 2, runs ? (has_credit ? 0 : 1) : -1) < 0 && errno != EINTR)
            fail("poll: %s", strerror(errno));
        if (requests[1].revents)
            return written;
        if (requests[0].revents) {
            struct header header;
            if (!receive(socket_fd, &header, sizeof(header), NULL))
                return written;
            if (header.type == RUN) {
                find_position(slice);
                runs = true;
                credit = 0;
                last = now();
            } else if (header.type == PAUSE) {
                struct header answer = {PAUSED, 0};
                runs = false;
                if (!send_message(socket_fd, &answer, sizeof(answer), -1))
                    return written;
            } else if (header.type == ERROR) {
                fail_with_error(socket_fd, header.byte_count);
            } else {
                fail("message of the unknown type %u", header.type);
            }
            continue;
        }
        if (!runs)
            continue;
        if (rate > 0) {
            double time = now();
            credit += (time - last) * (double)rate;
            last = time;
            // Time that was lost isn't made up for in a burst.
            if (credit > (double)rate / 10 + PAGE_BYTES)
                credit = (double)rate / 10 + PAGE_BYTES;
        }
        for (int i = 0; i < BATCH_PAGES && (rate == 0 || credit >= PAGE_BYTES); i++) {
            write_page(slice);
            written++;
            credit -= rate > 0 ? PAGE_BYTES : 0;
        }
    }
}

int main(int argc, char **argv) {
    const char *path = NULL;
    uint64_t start = 0, size = 0, rate = 0;
    bool tracked = true;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--untracked") == 0)
            tracked = false;
        else if (strcmp(argv[i], "--start") == 0)
            start = number("--start", argv[++i]);
        else if (strcmp(argv[i], "--size") == 0)
            size = number("--size", argv[++i]);
        else if (strcmp(argv[i], "--rate") == 0)
            rate = number("--rate", argv[++i]);
        else if (!path && argv[i][0] != '-')
            path = argv[i];
        else
            fail("unknown argument '%s'", argv[i]);
    }
    if (!path)
        fail("usage: SOCKET [--start N] [--size N] [--rate BYTES/s] [--untracked]");

    // Signals are waited for together with the endpoint, so that no page is left half written.
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
    if (signal_fd < 0)
        fail("signalfd: %s", strerror(errno));

    int socket_fd = connect_to(path);
    uint64_t byte_count = 0;
    struct slice slice = {.memory = attach(socket_fd, tracked, &byte_count)};
    uint64_t left = start < byte_count ? byte_count - start : 0;
    if (size == 0)
        size = left;
    if (start % PAGE_BYTES || size % PAGE_BYTES || size == 0 || size > left)
        fail("--start and --size must be whole pages within %llu bytes",
             (unsigned long long)byte_count);
    slice.first = start / PAGE_BYTES;
    slice.end = slice.first + size / PAGE_BYTES;

    uint64_t written = obey(socket_fd, signal_fd, &slice, rate);
    printf("process %d wrote %llu pages\n", (int)getpid(), (unsigned long long)written);
    return 0;
}
