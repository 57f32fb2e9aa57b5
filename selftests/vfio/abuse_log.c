// SPDX-License-Identifier: GPL-2.0
/*
 * What a guest or a VFIO user can do again and again, and each time the host's kernel
 * has something to say: a line a second at most, of the module's or of VFIO's.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "abuse.h"
#include "lib/memlock.h"

#define FLOOD_MS	3500
#define FLOOD_IOVA	0x680000000ULL
#define FLOOD_LEN	(8 * SZ_1M)

/* Once; what it does is refused for want of memory to pin. */
typedef int (*flood_fn)(struct nvme *n, struct nvme_queue *q, unsigned int i);

static int flood_rings(struct nvme *n, struct nvme_queue *q, unsigned int i)
{
	struct nvme_sqe sqe = cmd_create_cq(2, i % 2 ? 16 : 1024,
					    FLOOD_IOVA + i * 5 % 64 * SZ_4K, 0);

	return nvme_admin(n, &sqe, NULL);
}

static int flood_reads(struct nvme *n, struct nvme_queue *q, unsigned int i)
{
	struct nvme_sqe sqe = cmd_rw(n, IO_READ, 0, 1, NULL);

	sqe.prp1 = FLOOD_IOVA + i * 37 % (FLOOD_LEN / SZ_4K) * SZ_4K;
	return nvme_cmd(n, q, &sqe);
}

/* In turn, so that none hides behind the other's limit. */
static int flood_both(struct nvme *n, struct nvme_queue *q, unsigned int i)
{
	return i % 2 ? flood_rings(n, q, i / 2) : flood_reads(n, q, i / 2);
}

static int flood_windows(struct nvme *n, struct nvme_queue *q, unsigned int i)
{
	u64 bus;

	return nvme_mailbox(n, LIGHTIOV_CMD_MAP, FLOOD_IOVA + i % 64 * SZ_4K,
			    i % 2 ? SZ_4K : SZ_1M, &bus);
}

static void flood(struct test *t, struct nvme *n, struct nvme_queue *q, flood_fn fn)
{
	u64 start = now_ms(), secs;
	unsigned int i, vfio, ours;
	int log[2];

	log[0] = klog_open();
	log[1] = klog_open();
	if (!EXPECT(t, log[0] >= 0 && log[1] >= 0, "/dev/kmsg"))
		return;
	for (i = 0; now_ms() - start < FLOOD_MS; i++)
		if (!EXPECT(t, fn(n, q, i) > 0, "try %u did not fail", i))
			break;
	secs = (now_ms() - start) / 1000;
	vfio = klog_lines(log[0], "RLIMIT_MEMLOCK");
	ours = klog_lines(log[1], "lightiov ");
	diag("%u tries in %llu s: %u lines of VFIO's, %u of the module's", i, secs, vfio, ours);
	EXPECT(t, i > 2 * (secs + 2), "too few to see anything");
	EXPECT(t, vfio && vfio <= secs + 1, "%u lines of VFIO's in %llu s", vfio, secs);
	EXPECT(t, ours && ours <= secs + 1, "%u lines of the module's in %llu s", ours, secs);
	close(log[0]);
	close(log[1]);
}

static void at_the_memlock_limit(struct test *t, struct nvme *n)
{
	static const flood_fn fns[] = { flood_rings, flood_reads, flood_both };
	struct nvme_queue q;
	unsigned int i;
	void *va;
	int rc;

	if (!n->direct && !EXPECT(t, !nvme_create_pair(n, &q, 1, 16, 16, 0), "no pair"))
		return;
	va = mmap(NULL, FLOOD_LEN, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (!EXPECT(t, va != MAP_FAILED, "mmap"))
		return;
	if (!set_ipc_lock(false)) {
		t->skipped = "cannot give up CAP_IPC_LOCK";
		goto out;
	}
	rc = vfio_dma_map(&n->v, va, FLOOD_IOVA, FLOOD_LEN);
	set_ipc_lock(true);
	if (!EXPECT(t, !rc, "VFIO_IOMMU_MAP_DMA (%d)", rc))
		goto out;
	limit_locked(locked_bytes());
	if (n->direct)
		flood(t, n, NULL, flood_windows);
	for (i = 0; !n->direct && i < ARRAY_SIZE(fns); i++) {
		flood(t, n, &q, fns[i]);
		/* A line each is allowed at the beginning. */
		sleep_us(1100000);
	}
	limit_locked(~0UL);
	sleep_us(1100000);
	rc = vfio_dma_unmap(&n->v, FLOOD_IOVA, FLOOD_LEN);
	EXPECT(t, !rc, "VFIO_IOMMU_UNMAP_DMA (%d)", rc);
out:
	munmap(va, FLOOD_LEN);
}

static struct test tests[] = {
	{ "memlock_limit_does_not_flood_the_log", at_the_memlock_limit, TEST_RESETS },
};

const struct suite suite_log = { "log", tests, ARRAY_SIZE(tests) };
