#define _GNU_SOURCE
#include "CBerthLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/userfaultfd.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

// Debian 12's headers have these, older ones may not; the numbers are the kernel's ABI.
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM (1 << 12)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif
#ifndef PAGEMAP_SCAN
#define PAGE_IS_WRITTEN (1 << 1)
#define PAGE_IS_PRESENT (1 << 3)
#define PAGE_IS_SWAPPED (1 << 4)
#define PM_SCAN_WP_MATCHING (1 << 0)
#define PM_SCAN_CHECK_WPASYNC (1 << 1)
struct pm_scan_arg {
    uint64_t size;
    uint64_t flags;
    uint64_t start;
    uint64_t end;
    uint64_t walk_end;
    uint64_t vec;
    uint64_t vec_len;
    uint64_t max_pages;
    uint64_t category_inverted;
    uint64_t category_mask;
    uint64_t category_anyof_mask;
    uint64_t return_mask;
};
#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
#endif

const uint64_t berth_UFFD_FEATURE_PAGEFAULT_FLAG_WP = UFFD_FEATURE_PAGEFAULT_FLAG_WP;
const uint64_t berth_UFFD_FEATURE_WP_HUGETLBFS_SHMEM = UFFD_FEATURE_WP_HUGETLBFS_SHMEM;
const uint64_t berth_UFFD_FEATURE_WP_ASYNC = UFFD_FEATURE_WP_ASYNC;
const uint64_t berth_PAGE_IS_WRITTEN = PAGE_IS_WRITTEN;
const uint64_t berth_PAGE_IS_PRESENT = PAGE_IS_PRESENT;
const uint64_t berth_PAGE_IS_SWAPPED = PAGE_IS_SWAPPED;

const int berth_O_DIRECT = O_DIRECT;
const int berth_O_TMPFILE = O_TMPFILE;
const int berth_O_PATH = O_PATH;
const int berth_F_SETPIPE_SZ = F_SETPIPE_SZ;
const int berth_IPPROTO_MPTCP = IPPROTO_MPTCP;
int berth_start_writeback(int fd) { return sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE); }

const int berth_SEEK_DATA = SEEK_DATA;
const int berth_SEEK_HOLE = SEEK_HOLE;
const int berth_FALLOC_FL_KEEP_SIZE = FALLOC_FL_KEEP_SIZE;
const int berth_FALLOC_FL_PUNCH_HOLE = FALLOC_FL_PUNCH_HOLE;
const int berth_FALLOC_FL_ZERO_RANGE = FALLOC_FL_ZERO_RANGE;
const int berth_MADV_HUGEPAGE = MADV_HUGEPAGE;
const int berth_MADV_POPULATE_READ = MADV_POPULATE_READ;
const int berth_MADV_POPULATE_WRITE = MADV_POPULATE_WRITE;
const int berth_AF_VSOCK = AF_VSOCK;
const unsigned int berth_VMADDR_CID_ANY = VMADDR_CID_ANY;
const unsigned int berth_MFD_CLOEXEC = MFD_CLOEXEC;
const unsigned int berth_MFD_HUGETLB = MFD_HUGETLB;

int berth_userfault_open(void) {
    return syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
}

int berth_userfault_enable(int fd, uint64_t features, uint64_t *available) {
    struct uffdio_api api = {.api = UFFD_API, .features = features};
    int result = ioctl(fd, UFFDIO_API, &api);
    *available = api.features;
    return result;
}

int berth_userfault_register(int fd, uintptr_t start, size_t count) {
    struct uffdio_register request = {
        .range = {.start = start, .len = count},
        .mode = UFFDIO_REGISTER_MODE_WP,
    };
    return ioctl(fd, UFFDIO_REGISTER, &request);
}

int berth_userfault_unregister(int fd, uintptr_t start, size_t count) {
    struct uffdio_range range = {.start = start, .len = count};
    return ioctl(fd, UFFDIO_UNREGISTER, &range);
}

int berth_userfault_protect(int fd, uintptr_t start, size_t count, int protects) {
    struct uffdio_writeprotect request = {
        .range = {.start = start, .len = count},
        .mode = protects ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
    };
    return ioctl(fd, UFFDIO_WRITEPROTECT, &request);
}

ssize_t berth_userfault_read(int fd, uintptr_t *addresses, size_t capacity) {
    struct uffd_msg messages[16];
    if (capacity > sizeof(messages) / sizeof(messages[0]))
        capacity = sizeof(messages) / sizeof(messages[0]);
    ssize_t count = read(fd, messages, capacity * sizeof(messages[0]));
    if (count < 0)
        return count;
    ssize_t found = 0;
    for (size_t i = 0; i < count / sizeof(messages[0]); i++)
        if (messages[i].event == UFFD_EVENT_PAGEFAULT)
            addresses[found++] = messages[i].arg.pagefault.address;
    return found;
}

ssize_t berth_pagemap_scan(
    int pagemap, uint64_t start, uint64_t end, uint64_t categories, int rearms,
    struct berth_page_range *ranges, size_t capacity, uint64_t *walked) {
    struct pm_scan_arg request = {
        .size = sizeof(request),
        .flags = rearms ? PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC : 0,
        .start = start,
        .end = end,
        .vec = (uintptr_t)ranges,
        .vec_len = capacity,
        .category_anyof_mask = categories,
        .return_mask = categories,
    };
    ssize_t count = ioctl(pagemap, PAGEMAP_SCAN, &request);
    *walked = request.walk_end;
    return count;
}

int berth_probe_lease(int fd) {
    if (fcntl(fd, F_SETSIG, SIGURG) < 0)
        return -1;
    if (fcntl(fd, F_SETLEASE, F_WRLCK) < 0)
        return -1;
    return fcntl(fd, F_SETLEASE, F_UNLCK);
}

int berth_accept4(int listener, int flags) { return accept4(listener, NULL, NULL, flags); }

int berth_eventfd(unsigned int initial, int flags) { return eventfd(initial, flags); }

int berth_eventfd_flags(void) { return EFD_CLOEXEC | EFD_NONBLOCK; }

int berth_memfd_create(const char *name, unsigned int flags) {
    return memfd_create(name, flags);
}

int berth_fixed_memfd(const char *name, size_t size) {
    int file = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (file == -1)
        return -1;
    if (ftruncate(file, (off_t)size) == -1
        || fcntl(file, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == -1) {
        int error = errno;
        close(file);
        errno = error;
        return -1;
    }
    return file;
}

int berth_pipe2(int ends[2], int flags) { return pipe2(ends, flags); }

int berth_fallocate(int fd, int mode, int64_t offset, int64_t count) {
    return fallocate(fd, mode, offset, count);
}

int berth_block_device_size(int fd, uint64_t *byte_count) {
    return ioctl(fd, BLKGETSIZE64, byte_count);
}

int64_t berth_hugetlb_page_size(int fd) {
    struct statfs status;
    if (fstatfs(fd, &status) < 0)
        return -1;
    return status.f_type == HUGETLBFS_MAGIC ? status.f_bsize : 0;
}

static int set_lock(int fd, short type, off_t start, off_t count) {
    struct flock lock = {
        .l_type = type,
        .l_whence = SEEK_SET,
        .l_start = start,
        .l_len = count,
    };
    return fcntl(fd, F_OFD_SETLK, &lock);
}

int berth_lock_file_for_reading(int fd) { return set_lock(fd, F_RDLCK, 0, 0); }

int berth_lock_file_for_writing(int fd, int64_t offset) {
    return set_lock(fd, F_WRLCK, offset, 1);
}

int berth_unlock_file(int fd) { return set_lock(fd, F_UNLCK, 0, 0); }

int berth_clone_range(int target, uint64_t place, int source, uint64_t offset, uint64_t count) {
    struct file_clone_range range = {
        .src_fd = source,
        .src_offset = offset,
        .src_length = count,
        .dest_offset = place,
    };
    return ioctl(target, FICLONERANGE, &range);
}

ssize_t berth_extents(
    int fd, uint64_t offset, uint64_t count, int writes, struct berth_extent *extents,
    size_t capacity) {
    union {
        struct fiemap head;
        char room[sizeof(struct fiemap) + 64 * sizeof(struct fiemap_extent)];
    } map;
    memset(&map, 0, sizeof map);
    map.head.fm_start = offset;
    map.head.fm_length = count;
    map.head.fm_flags = writes ? FIEMAP_FLAG_SYNC : 0;
    map.head.fm_extent_count = capacity < 64 ? (uint32_t)capacity : 64;
    if (ioctl(fd, FS_IOC_FIEMAP, &map) < 0)
        return -1;
    for (uint32_t i = 0; i < map.head.fm_mapped_extents; i++) {
        extents[i].offset = map.head.fm_extents[i].fe_logical;
        extents[i].place = map.head.fm_extents[i].fe_physical;
        extents[i].count = map.head.fm_extents[i].fe_length;
        extents[i].flags = map.head.fm_extents[i].fe_flags;
    }
    return map.head.fm_mapped_extents;
}

int berth_watch_open(void) { return inotify_init1(IN_CLOEXEC | IN_NONBLOCK); }

int berth_watch_content(int watch, const char *path) {
    return inotify_add_watch(watch, path, IN_MODIFY);
}

int berth_watch_took_notice(int watch) {
    union {
        struct inotify_event event;
        char space[4096];
    } buffer;
    int found = 0;
    ssize_t count;
    while ((count = read(watch, &buffer, sizeof(buffer))) > 0) {
        for (ssize_t at = 0; at < count;) {
            struct inotify_event event;
            memcpy(&event, buffer.space + at, sizeof(event));
            // A queue that ran over counts as a change: it may have held one.
            found |= (event.mask & (IN_MODIFY | IN_Q_OVERFLOW)) != 0;
            at += sizeof(event) + event.len;
        }
    }
    return found;
}

pid_t berth_thread_id(void) { return gettid(); }

pid_t berth_fork(void) { return fork(); }

int berth_thread_set_slice(uint64_t nanoseconds) {
    // The kernel's struct sched_attr, first version; glibc has none.
    struct {
        uint32_t size;
        uint32_t policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime;
        uint64_t deadline;
        uint64_t period;
    } attributes = {
        .size = sizeof(attributes),
        .nice = getpriority(PRIO_PROCESS, 0),
        .runtime = nanoseconds,
    };
    return syscall(SYS_sched_setattr, 0, &attributes, 0);
}

int berth_thread_set_name(pthread_t thread, const char *name) {
    return pthread_setname_np(thread, name);
}

int berth_thread_get_cpus(unsigned long *mask, size_t byte_count) {
    return sched_getaffinity(0, byte_count, (cpu_set_t *)mask);
}

int berth_thread_set_cpus(const unsigned long *mask, size_t byte_count) {
    return sched_setaffinity(0, byte_count, (const cpu_set_t *)mask);
}

int berth_page_node(uintptr_t address) {
    void *page = (void *)address;
    int node = -1;
    // Without a list of nodes to move to, it only tells where the page is.
    if (syscall(SYS_move_pages, 0, 1UL, &page, NULL, &node, 0) < 0)
        return -1;
    return node;
}

int berth_spawn_close_from(posix_spawn_file_actions_t *actions, int lowest) {
    return posix_spawn_file_actions_addclosefrom_np(actions, lowest);
}

ssize_t berth_receive_descriptors(
    int socket, void *buffer, size_t count, int flags, int *descriptors, size_t capacity,
    size_t *received, int *truncated) {
    struct iovec vector = {.iov_base = buffer, .iov_len = count};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * BERTH_MAX_DESCRIPTORS)];
    } control;
    if (capacity > BERTH_MAX_DESCRIPTORS)
        capacity = BERTH_MAX_DESCRIPTORS;
    struct msghdr message = {
        .msg_iov = &vector,
        .msg_iovlen = 1,
        .msg_control = capacity > 0 ? control.space : NULL,
        .msg_controllen = capacity > 0 ? CMSG_SPACE(sizeof(int) * capacity) : 0,
    };
    *received = 0;
    *truncated = 0;
    ssize_t result = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
    if (result < 0)
        return result;
    *truncated = (message.msg_flags & MSG_CTRUNC) != 0;
    for (struct cmsghdr *item = CMSG_FIRSTHDR(&message); item != NULL;
         item = CMSG_NXTHDR(&message, item)) {
        if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS)
            continue;
        size_t present = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < present; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(item) + i * sizeof(int), sizeof(int));
            // CMSG_SPACE rounds up, so one more number than asked for may fit.
            if (*received < capacity) {
                descriptors[(*received)++] = fd;
            } else {
                close(fd);
                *truncated = 1;
            }
        }
    }
    return result;
}

ssize_t berth_send_descriptors(
    int socket, const void *buffer, size_t count, int flags, const int *descriptors,
    size_t descriptor_count) {
    struct iovec vector = {.iov_base = (void *)buffer, .iov_len = count};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * BERTH_MAX_DESCRIPTORS)];
    } control;
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (descriptor_count > BERTH_MAX_DESCRIPTORS) {
        errno = EINVAL;
        return -1;
    }
    if (descriptor_count > 0) {
        size_t byte_count = sizeof(int) * descriptor_count;
        memset(&control, 0, sizeof(control));
        message.msg_control = control.space;
        message.msg_controllen = CMSG_SPACE(byte_count);
        struct cmsghdr *item = CMSG_FIRSTHDR(&message);
        item->cmsg_level = SOL_SOCKET;
        item->cmsg_type = SCM_RIGHTS;
        item->cmsg_len = CMSG_LEN(byte_count);
        memcpy(CMSG_DATA(item), descriptors, byte_count);
    }
    return sendmsg(socket, &message, flags | MSG_NOSIGNAL);
}

socklen_t berth_vsock_address(struct sockaddr_storage *out, uint32_t cid, uint32_t port) {
    struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port};
    memset(out, 0, sizeof(*out));
    memcpy(out, &address, sizeof(address));
    return sizeof(address);
}

void berth_vsock_parts(const struct sockaddr_storage *address, uint32_t *cid, uint32_t *port) {
    struct sockaddr_vm parts;
    memcpy(&parts, address, sizeof(parts));
    *cid = parts.svm_cid;
    *port = parts.svm_port;
}

int berth_peer_credentials(int socket, pid_t *pid, uid_t *uid) {
    struct ucred credentials;
    socklen_t byte_count = sizeof(credentials);
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &byte_count) < 0)
        return -1;
    *pid = credentials.pid;
    *uid = credentials.uid;
    return 0;
}

int berth_wait_exited(int status) { return WIFEXITED(status); }

int berth_wait_exit_code(int status) { return WEXITSTATUS(status); }

int berth_wait_signal(int status) { return WTERMSIG(status); }
