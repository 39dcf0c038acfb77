// Linux calls and constants that `import Glibc` cannot see. No logic: each function is one call,
// or the packing and unpacking of one structure. Failures are -1 with errno, as in libc.

#ifndef BERTH_LINUX_H
#define BERTH_LINUX_H

#include <pthread.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

// Constants that glibc only shows under _GNU_SOURCE, or that it does not have yet.
extern const int berth_O_DIRECT;
extern const int berth_O_TMPFILE;
extern const int berth_O_PATH;
extern const int berth_F_SETPIPE_SZ;
extern const int berth_IPPROTO_MPTCP;
/// Has the kernel begin to write to the disk what the page cache has of a file.
int berth_start_writeback(int fd);

extern const int berth_SEEK_DATA;
extern const int berth_SEEK_HOLE;
extern const int berth_FALLOC_FL_KEEP_SIZE;
extern const int berth_FALLOC_FL_PUNCH_HOLE;
extern const int berth_FALLOC_FL_ZERO_RANGE;
extern const int berth_MADV_HUGEPAGE;
extern const int berth_MADV_POPULATE_READ;
extern const int berth_MADV_POPULATE_WRITE;
extern const int berth_AF_VSOCK;
extern const unsigned int berth_VMADDR_CID_ANY;
extern const unsigned int berth_MFD_CLOEXEC;
extern const unsigned int berth_MFD_HUGETLB;

extern const uint64_t berth_UFFD_FEATURE_PAGEFAULT_FLAG_WP;
extern const uint64_t berth_UFFD_FEATURE_WP_HUGETLBFS_SHMEM;
extern const uint64_t berth_UFFD_FEATURE_WP_ASYNC;
extern const uint64_t berth_PAGE_IS_WRITTEN;
extern const uint64_t berth_PAGE_IS_PRESENT;
extern const uint64_t berth_PAGE_IS_SWAPPED;

// userfaultfd(2), write protection only. `start` and `count` are whole host pages.
int berth_userfault_open(void);
int berth_userfault_enable(int fd, uint64_t features, uint64_t *available);
int berth_userfault_register(int fd, uintptr_t start, size_t count);
int berth_userfault_unregister(int fd, uintptr_t start, size_t count);
int berth_userfault_protect(int fd, uintptr_t start, size_t count, int protects);
// Reads events of faults; their addresses go to `addresses`. Gives their number.
ssize_t berth_userfault_read(int fd, uintptr_t *addresses, size_t capacity);

// A range of pages from PAGEMAP_SCAN (Linux 6.7), with the layout of the kernel's page_region.
struct berth_page_range {
    uint64_t start;
    uint64_t end;
    uint64_t categories;
};
// Finds pages that have any of `categories`; with `rearms` those are write-protected again in the
// same step, which needs a userfaultfd with WP_ASYNC. Gives the number of ranges; `*walked` becomes
// the address at which it stopped.
ssize_t berth_pagemap_scan(
    int pagemap, uint64_t start, uint64_t end, uint64_t categories, int rearms,
    struct berth_page_range *ranges, size_t capacity, uint64_t *walked);

// Sending without copying (MSG_ZEROCOPY). A completion is a range of sends, counted from 0 for each
// socket, whose memory the kernel has let go of. Gives 1, or 0 for some other message.
extern const int berth_MSG_ZEROCOPY;
int berth_zero_copy_enable(int fd);
int berth_zero_copy_completion(int fd, uint32_t *first, uint32_t *last, int *copied);

// A lease that only holds if nobody else has the file open (F_SETLEASE), taken and given back. Who
// opens the file just then makes the kernel send a signal: SIGURG, which is ignored, not SIGIO.
int berth_probe_lease(int fd);

// Descriptors.
int berth_accept4(int listener, int flags);
int berth_eventfd(unsigned int initial, int flags);
int berth_eventfd_flags(void);
int berth_memfd_create(const char *name, unsigned int flags);

// A file in memory of this size, which it keeps: writes behind it fail.
int berth_fixed_memfd(const char *name, size_t size);
int berth_pipe2(int ends[2], int flags);
int berth_fallocate(int fd, int mode, int64_t offset, int64_t count);
int berth_block_device_size(int fd, uint64_t *byte_count);
// The size of the pages of a hugetlbfs file or hugetlb memfd; 0 for any other file.
int64_t berth_hugetlb_page_size(int fd);

// Locks of the open file (F_OFD_SETLK), at once or not at all: for reading on all of it, which others
// may hold, too; for writing on the byte at `offset`.
int berth_lock_file_for_reading(int fd);
int berth_lock_file_for_writing(int fd, int64_t offset);
int berth_unlock_file(int fd);
// Shares the blocks of a part of one file with another on the same file system (FICLONERANGE).
int berth_clone_range(int target, uint64_t place, int source, uint64_t offset, uint64_t count);
// An extent of a file from FS_IOC_FIEMAP: where it begins in the file and on the device, in bytes.
struct berth_extent {
    uint64_t offset;
    uint64_t place;
    uint64_t count;
    uint32_t flags;
};
// Finds extents of `count` bytes from `offset` on; with `writes` what is in memory is written to the
// disk first. Gives their number, at most 64 and at most `capacity`.
ssize_t berth_extents(
    int fd, uint64_t offset, uint64_t count, int writes, struct berth_extent *extents,
    size_t capacity);

// inotify(7), for changes of the content of one file. `took_notice` is 1 if there was one among the
// events that were waiting, which are gone then.
int berth_watch_open(void);
int berth_watch_content(int watch, const char *path);
int berth_watch_took_notice(int watch);

// Has a process that touches memory which the kernel can't provide (SIGBUS) end with a message on
// standard error, if the address is in the range. Gives a slot for `forget`, or -1 if all are taken:
// the process then ends without a word.
int berth_bus_error_explain(
    uintptr_t start, size_t count, const char *message, size_t message_count);
void berth_bus_error_forget(int slot);

// Threads and children.
pid_t berth_thread_id(void);
pid_t berth_fork(void);
// Asks the scheduler for short turns of the calling thread, and so for turns soon after it wakes.
int berth_thread_set_slice(uint64_t nanoseconds);
int berth_thread_set_name(pthread_t thread, const char *name);
// The CPUs that the calling thread may run on: bit n of the mask is CPU n, `byte_count` whole words.
int berth_thread_get_cpus(unsigned long *mask, size_t byte_count);
int berth_thread_set_cpus(const unsigned long *mask, size_t byte_count);
// The NUMA node that has the page at an address; negative if no page is there. Unlike get_mempolicy
// with MPOL_F_ADDR it doesn't bring the page in.
int berth_page_node(uintptr_t address);
int berth_spawn_close_from(posix_spawn_file_actions_t *actions, int lowest);

// SCM_RIGHTS. `descriptors` has room for `capacity` (at most BERTH_MAX_DESCRIPTORS) numbers;
// `truncated` becomes 1 if the kernel had to drop some.
#define BERTH_MAX_DESCRIPTORS 16
ssize_t berth_receive_descriptors(
    int socket, void *buffer, size_t count, int flags, int *descriptors, size_t capacity,
    size_t *received, int *truncated);
ssize_t berth_send_descriptors(
    int socket, const void *buffer, size_t count, int flags, const int *descriptors,
    size_t descriptor_count);

// sockaddr_vm.
socklen_t berth_vsock_address(struct sockaddr_storage *out, uint32_t cid, uint32_t port);
void berth_vsock_parts(const struct sockaddr_storage *address, uint32_t *cid, uint32_t *port);

// SO_PEERCRED; `pid` is 0 where the peer lives in another pid namespace.
int berth_peer_credentials(int socket, pid_t *pid, uid_t *uid);

// Digests with instructions that only some processors have; `is_fast` says whether this one does, and
// only then the others may be called. CRC32C goes on from the checksum of the bytes before, 0 at the
// beginning. BLAKE3 takes whole pages of 4096 bytes and gives 32 bytes for each.
int berth_crc32c_is_fast(void);
uint32_t berth_crc32c(uint32_t crc, const void *bytes, size_t count);
int berth_blake3_is_fast(void);
void berth_blake3_pages(const void *pages, size_t count, uint8_t *digests);

// Wait status macros.
int berth_wait_exited(int status);
int berth_wait_exit_code(int status);
int berth_wait_signal(int status);

#endif
