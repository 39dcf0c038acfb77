#define _GNU_SOURCE
#include "CBerthLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
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

const int berth_O_DIRECT = O_DIRECT;
const int berth_O_TMPFILE = O_TMPFILE;
const int berth_O_PATH = O_PATH;
const int berth_F_SETPIPE_SZ = F_SETPIPE_SZ;
const int berth_IPPROTO_MPTCP = IPPROTO_MPTCP;
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

int berth_accept4(int listener, int flags) { return accept4(listener, NULL, NULL, flags); }

int berth_eventfd(unsigned int initial, int flags) { return eventfd(initial, flags); }

int berth_eventfd_flags(void) { return EFD_CLOEXEC | EFD_NONBLOCK; }

int berth_memfd_create(const char *name, unsigned int flags) {
    return memfd_create(name, flags);
}

int berth_pipe2(int ends[2], int flags) { return pipe2(ends, flags); }

int berth_fallocate(int fd, int mode, int64_t offset, int64_t count) {
    return fallocate(fd, mode, offset, count);
}

int berth_block_device_size(int fd, uint64_t *byte_count) {
    return ioctl(fd, BLKGETSIZE64, byte_count);
}

pid_t berth_thread_id(void) { return gettid(); }

pid_t berth_fork(void) { return fork(); }

int berth_thread_set_name(pthread_t thread, const char *name) {
    return pthread_setname_np(thread, name);
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
