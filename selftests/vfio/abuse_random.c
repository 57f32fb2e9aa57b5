// SPDX-License-Identifier: GPL-2.0
/*
 * Random calls on the device file: ioctls, reads, writes, mappings, from two threads at
 * once.  Nothing is expected of any of them, but of the device afterwards.
 *
 * LIGHTIOV_CALLS=N (2000) of them, LIGHTIOV_SEED=N (printed).  What they store into
 * registers may enable the controller on rings anywhere in this process's own memory.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "abuse.h"

#define THREADS		2

/**
 * struct caller - one thread of them
 * @calls: still to do
 * @done:  by kind
 */
struct caller {
	pthread_t thread;
	struct nvme *n;
	u64 seed;
	unsigned long calls;
	unsigned long done[4], answered;
	u8 *buf;
};

/* xorshift64* */
static u64 any(struct caller *c)
{
	c->seed ^= c->seed >> 12;
	c->seed ^= c->seed << 25;
	c->seed ^= c->seed >> 27;
	return c->seed * 0x2545f4914f6cdd1dULL;
}

static u32 below(struct caller *c, u32 n)
{
	return (any(c) >> 32) % n;
}

/* A number that means something, or is near one that does, or is anything. */
static u32 odd(struct caller *c)
{
	static const u32 near[] = { 0, 1, 4, 5, 8, 9, 16, 17, 20, 32, 64, 4096, 0x7fffffff,
				    0x80000000, 0xffffffff };

	switch (below(c, 4)) {
	case 0:
		return any(c);
	case 1:
		return below(c, 6);
	default:
		return near[below(c, ARRAY_SIZE(near))] + below(c, 3) - 1;
	}
}

/* The place of a structure in the buffer, now and then one that is not there. */
static void *place(struct caller *c, size_t len)
{
	switch (below(c, 16)) {
	case 0:
		return NULL;
	case 1:
		return c->buf + SZ_1M - below(c, len);
	case 2:
		return c->buf + below(c, 4096);
	default:
		return c->buf + SZ_1M - len;
	}
}

static bool is_there(struct caller *c, const void *p, size_t len)
{
	return (const u8 *)p >= c->buf && (const u8 *)p + len <= c->buf + SZ_1M;
}

static int random_set_irqs(struct caller *c)
{
	u32 data = below(c, 24) * 4, i;
	struct vfio_irq_set *set = place(c, sizeof(*set) + data);

	if (is_there(c, set, sizeof(*set) + data)) {
		set->argsz = below(c, 4) ? sizeof(*set) + data : odd(c);
		set->flags = below(c, 4) ? VFIO_IRQ_SET_ACTION_TRIGGER | 1U << below(c, 3) : odd(c);
		set->index = below(c, 4) ? 2 + below(c, 3) : odd(c);
		set->start = below(c, 2) ? below(c, 4) : odd(c);
		set->count = below(c, 2) ? below(c, 4) : odd(c);
		for (i = 0; i < data; i += 4) {
			int fd = below(c, 2) ? c->n->v.efd[0] : (int)odd(c);

			/* Not the standard streams, nor the device itself. */
			memcpy((u8 *)set->data + i, &fd, 4);
		}
	}
	return ioctl(c->n->v.device, VFIO_DEVICE_SET_IRQS, set);
}

static int random_ioctl(struct caller *c)
{
	static const unsigned long known[] = {
		VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_REGION_INFO, VFIO_DEVICE_GET_IRQ_INFO,
		VFIO_DEVICE_FEATURE,
	};
	unsigned long cmd;
	u32 *arg;
	int i;

	switch (below(c, 256)) {
	case 0:
		return ioctl(c->n->v.device, VFIO_DEVICE_RESET);
	case 1 ... 127:
		return random_set_irqs(c);
	case 128 ... 223:
		cmd = known[below(c, ARRAY_SIZE(known))];
		break;
	default:
		/* Not one that changes what the file descriptor is. */
		cmd = _IOC(below(c, 4), VFIO_TYPE, VFIO_BASE + 21 + below(c, 120), below(c, 64));
		break;
	}
	arg = place(c, 64);
	for (i = 0; is_there(c, arg, 64) && i < 16; i++)
		arg[i] = odd(c);
	return ioctl(c->n->v.device, cmd, arg);
}

static u64 random_offset(struct caller *c, size_t *len)
{
	static const u32 regions[] = { BAR0, VFIO_PCI_BAR2_REGION_INDEX, CFG };
	u32 index = below(c, 8) ? regions[below(c, 3)] : odd(c);
	u64 size = index < VFIO_PCI_NUM_REGIONS ? c->n->v.region[index].size : 0;
	u64 off;

	switch (below(c, 4)) {
	case 0:
		off = size + below(c, 32) - 16;
		break;
	case 1:
		off = below(c, 0x100);
		break;
	default:
		off = size ? any(c) % size : odd(c);
		break;
	}
	/* A long one takes a while. */
	*len = below(c, 128) ? 1 + below(c, 8) : odd(c);
	if (below(c, 2))
		off &= ~3ULL;
	return (u64)index << 40 | (off & ((1ULL << 40) - 1));
}

static ssize_t random_read(struct caller *c)
{
	size_t len;
	u64 off = random_offset(c, &len);

	return pread(c->n->v.device, place(c, len < SZ_1M ? len + 1 : SZ_1M), len, (off_t)off);
}

static ssize_t random_write(struct caller *c)
{
	size_t len;
	u64 off = random_offset(c, &len), at;
	u8 *p = place(c, len < SZ_1M ? len + 1 : SZ_1M);

	if (is_there(c, p, 8)) {
		/* An address now and then, so that what is enabled finds rings. */
		at = below(c, 4) ? any(c) : c->n->v.iova + below(c, 256) * SZ_4K;
		if (!below(c, 4))
			at = CC_EN | CC_IOSQES | CC_IOCQES;
		memcpy(p, &at, 8);
	}
	return pwrite(c->n->v.device, p, len, (off_t)off);
}

static int random_map(struct caller *c)
{
	size_t len;
	u64 off = random_offset(c, &len) & ~(SZ_4K - 1);
	void *p = mmap(NULL, len ? len : 1, below(c, 8), below(c, 2) ? MAP_SHARED : MAP_PRIVATE,
		       c->n->v.device, (off_t)off);

	if (p == MAP_FAILED)
		return -1;
	munmap(p, len ? len : 1);
	return 0;
}

static void *run(void *data)
{
	struct caller *c = data;
	unsigned int kind;
	ssize_t rc;

	for (; c->calls; c->calls--) {
		kind = below(c, 16);
		if (kind < 6) {
			kind = 0;
			rc = random_ioctl(c);
		} else if (kind < 10) {
			kind = 1;
			rc = random_read(c);
		} else if (kind < 15) {
			kind = 2;
			rc = random_write(c);
		} else {
			kind = 3;
			rc = random_map(c);
		}
		c->done[kind]++;
		c->answered += rc >= 0;
	}
	return NULL;
}

static unsigned long number(const char *name, unsigned long def)
{
	const char *val = getenv(name);

	return val && *val ? strtoul(val, NULL, 0) : def;
}

static void random_calls(struct test *t, struct nvme *n)
{
	unsigned long calls = number("LIGHTIOV_CALLS", 2000);
	u64 seed = number("LIGHTIOV_SEED", time(NULL) * 1000003UL + getpid());
	static struct caller c[THREADS];
	u64 start = now_ms();
	unsigned int i;

	diag("%lu calls, LIGHTIOV_SEED=%llu", calls, seed);
	for (i = 0; i < THREADS; i++) {
		/* What is behind it cannot be touched. */
		u8 *buf = mmap(NULL, SZ_1M + SZ_4K, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (!EXPECT(t, buf != MAP_FAILED && !munmap(buf + SZ_1M, SZ_4K), "mmap"))
			return;
		c[i] = (struct caller){
			.n = n, .buf = buf, .calls = calls / THREADS,
			.seed = (seed + i + 1) * 0x9e3779b97f4a7c15ULL | 1,
		};
	}
	for (i = 0; i < THREADS; i++)
		if (pthread_create(&c[i].thread, NULL, run, &c[i]))
			run(&c[i]);
	for (i = 0; i < THREADS; i++) {
		if (c[i].thread)
			pthread_join(c[i].thread, NULL);
		diag("%lu ioctls, %lu reads, %lu writes, %lu mappings; %lu succeeded",
		     c[i].done[0], c[i].done[1], c[i].done[2], c[i].done[3], c[i].answered);
		munmap(c[i].buf, SZ_1M);
	}
	diag("it took %llu ms", now_ms() - start);
	vfio_irqs_off(&n->v);
	EXPECT(t, !vfio_irqs_on(&n->v), "eventfds afterwards");
	EXPECT(t, !vfio_reset(&n->v), "a reset afterwards");
}

static struct test tests[] = {
	{ "device_survives_random_calls", random_calls, TEST_RESETS },
};

const struct suite suite_random = { "random", tests, ARRAY_SIZE(tests) };
