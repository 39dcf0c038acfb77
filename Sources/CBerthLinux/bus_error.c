#define _GNU_SOURCE
#include "CBerthLinux.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

// The one piece of logic in C: what runs in a signal handler may neither allocate nor lock.

#define RANGE_COUNT 256

struct bus_range {
    atomic_int state; // 0 free, 1 being filled in, 2 in use
    uintptr_t start;
    size_t count;
    size_t message_count;
    char message[4096 + 256];
};

static struct bus_range ranges[RANGE_COUNT];
static struct sigaction previous;
static atomic_int installed;

static void explain(int number, siginfo_t *info, void *context) {
    (void)number;
    (void)context;
    uintptr_t address = (uintptr_t)info->si_addr;
    if (info->si_code == BUS_ADRERR) {
        for (int i = 0; i < RANGE_COUNT; i++) {
            if (atomic_load(&ranges[i].state) != 2 || address - ranges[i].start >= ranges[i].count)
                continue;
            // What can't be written there can't be reported either.
            ssize_t count = write(STDERR_FILENO, ranges[i].message, ranges[i].message_count);
            (void)count;
            _exit(1);
        }
    }
    // Somebody else's: the access is repeated, and meets what was there before.
    sigaction(SIGBUS, &previous, NULL);
}

int berth_bus_error_explain(
    uintptr_t start, size_t count, const char *message, size_t message_count) {
    if (!atomic_exchange(&installed, 1)) {
        struct sigaction action = {.sa_sigaction = explain, .sa_flags = SA_SIGINFO | SA_ONSTACK};
        sigemptyset(&action.sa_mask);
        if (sigaction(SIGBUS, &action, &previous) < 0) {
            atomic_store(&installed, 0);
            return -1;
        }
    }
    for (int i = 0; i < RANGE_COUNT; i++) {
        int expected = 0;
        if (!atomic_compare_exchange_strong(&ranges[i].state, &expected, 1))
            continue;
        if (message_count > sizeof(ranges[i].message))
            message_count = sizeof(ranges[i].message);
        ranges[i].start = start;
        ranges[i].count = count;
        ranges[i].message_count = message_count;
        memcpy(ranges[i].message, message, message_count);
        atomic_store(&ranges[i].state, 2);
        return i;
    }
    return -1;
}

void berth_bus_error_forget(int slot) {
    if (slot >= 0 && slot < RANGE_COUNT)
        atomic_store(&ranges[slot].state, 0);
}
