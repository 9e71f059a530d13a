/* tests/unit/agent/io/own_network.h - a network namespace for one test, without a child process. */
#ifndef TW_TESTS_OWN_NETWORK_H
#define TW_TESTS_OWN_NETWORK_H

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* This thread moves to a network of its own whose loopback has the MTU; -1: not allowed to. Returns the way
 * back. */
static inline int enter_own_network(int mtu)
{
    struct ifreq rq = { .ifr_name = "lo" };
    int back = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), fd;

    if (back < 0 || unshare(CLONE_NEWNET) < 0) {
        close(back);
        return -1;
    }
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    rq.ifr_mtu = mtu;
    assert_int_equal(ioctl(fd, SIOCSIFMTU, &rq), 0);
    rq.ifr_flags = IFF_UP;
    assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &rq), 0);
    close(fd);
    return back;
}

static inline void leave_own_network(int back)
{
    assert_int_equal(setns(back, CLONE_NEWNET), 0);
    close(back);
}

#endif
