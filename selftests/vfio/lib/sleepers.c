// SPDX-License-Identifier: GPL-2.0
/*
 * Instances of which one work item each sleeps in the host for as long as their user
 * likes.  He gives them an admin queue in memory that is not there and answers to no page
 * fault (userfaultfd); nothing of it needs privileges beyond a device of his own.
 *
 * Called by liov_many.c and liov_cycle.c.  Single-threaded.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "admin.h"
#include "command.h"
#include "dma.h"
#include "sleepers.h"

/* Enough for all of them to fall asleep; it ends as soon as they have. */
#define ASLEEP_MS	10000

static int open_uffd(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	int fd = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	if (!ioctl(fd, UFFDIO_API, &api))
		return fd;
	close(fd);
	return -EOPNOTSUPP;
}

/* Its next admin command is where nobody answers. */
static int fall_asleep(struct nvme *n, int uffd)
{
	struct uffdio_register reg = {
		.range = { .start = (unsigned long)n->adm.sq, .len = n->page },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	if (ioctl(uffd, UFFDIO_REGISTER, &reg) || madvise(n->adm.sq, n->page, MADV_DONTNEED)) {
		diag("userfaultfd: %s", strerror(errno));
		return -errno;
	}
	return vfio_put(&n->v, BAR0, nvme_sq_db(n, 0), 4, (n->adm.tail + 1) % n->adm.sq_depth);
}

/* Page faults that wait for an answer. */
static unsigned int count_asleep(int uffd, unsigned int want)
{
	struct pollfd p = { .fd = uffd, .events = POLLIN };
	u64 end = now_ms() + ASLEEP_MS;
	struct uffd_msg msg;
	unsigned int n = 0;

	while (n < want && now_ms() < end) {
		poll(&p, 1, 100);
		while (read(uffd, &msg, sizeof(msg)) == sizeof(msg))
			n += msg.event == UFFD_EVENT_PAGEFAULT;
	}
	return n;
}

/**
 * sleeper_begin() - the work item of an instance sleeps, with the lock of its slow path
 * @n: instance, open
 *
 * Return: a file descriptor whose close wakes it, or -errno.
 */
int sleeper_begin(struct nvme *n)
{
	int uffd = open_uffd(), rc;

	if (uffd < 0)
		return uffd;
	rc = fall_asleep(n, uffd);
	if (!rc && count_asleep(uffd, 1) == 1)
		return uffd;
	close(uffd);
	return rc ?: -ETIMEDOUT;
}

/**
 * sleepers_keep_waiting() - does an instance work while all the others sleep?
 * @n:      instances, open; none but the last works as before after it
 * @nr:     their number
 * @asleep: out: so many did
 *
 * Return: 0 if the last one did; 1 if it did not answer; or -errno.
 */
int sleepers_keep_waiting(struct nvme *const *n, unsigned int nr, unsigned int *asleep)
{
	struct nvme_sqe sqe;
	unsigned int i;
	void *buf;
	int uffd, rc = 0;

	*asleep = 0;
	buf = nvme_alloc(n[nr - 1], SZ_4K);
	if (!buf)
		return -ENOMEM;
	sqe = cmd_identify(1, 0, nvme_dma(n[nr - 1], buf));
	uffd = open_uffd();
	if (uffd < 0)
		return uffd;
	for (i = 0; !rc && i < nr - 1; i++)
		rc = fall_asleep(n[i], uffd);
	if (!rc) {
		*asleep = count_asleep(uffd, nr - 1);
		rc = nvme_admin(n[nr - 1], &sqe, NULL) ? 1 : 0;
	}
	/* All of them find a page of zeroes. */
	close(uffd);
	return rc;
}
