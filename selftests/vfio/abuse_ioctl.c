// SPDX-License-Identifier: GPL-2.0
/*
 * Everything user space may pass to the device file: each ioctl with each index, count,
 * start, combination of flags and argsz, compared with what a model of vfio-pci's
 * rules says; each region's edges; what may be mapped, without KVM and with one.  Random
 * calls are in abuse_random.c.
 *
 * Buffers end where a page that cannot be touched begins, so that the kernel is seen
 * to read no byte more than argsz allows.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "abuse.h"

/* More than this many wrong answers say nothing new. */
#define MAX_WRONG	20

static const u32 odd_sizes[] = { 0, 1, 4, 7, 8, 15, 16, 19, 20, 23, 24, 31, 32, 33, 64, 4096,
				 0x7fffffff, 0xffffffff };

/* The last @len bytes before a page that is not there; zeroed. */
static void *before_the_edge(size_t len)
{
	static u8 *page;

	if (!page) {
		page = mmap(NULL, 3 * SZ_4K, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (page == MAP_FAILED || munmap(page + 2 * SZ_4K, SZ_4K))
			return NULL;
	}
	memset(page, 0, 2 * SZ_4K);
	return page + 2 * SZ_4K - len;
}

static int call(struct nvme *n, unsigned long cmd, void *arg)
{
	return ioctl(n->v.device, cmd, arg) ? -errno : 0;
}

/* ---- questions ---- */

/* argsz is all that counts; with less than @minsz there is no answer. */
static void question(struct test *t, struct nvme *n, unsigned long cmd, u32 minsz, u32 index,
		     int want, const char *what)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(odd_sizes) && !t->failed; i++) {
		u32 argsz = odd_sizes[i];
		u32 *arg = before_the_edge(minsz);
		int rc, expect = argsz < minsz ? -EINVAL : want;

		/* Its capabilities go behind it. */
		if (cmd == VFIO_DEVICE_GET_REGION_INFO && argsz > minsz)
			arg = before_the_edge(SZ_4K);
		arg[0] = argsz;
		if (cmd != VFIO_DEVICE_GET_INFO)
			arg[2] = index;
		rc = call(n, cmd, arg);
		EXPECT(t, rc == expect, "%s %u, argsz %u: %d instead of %d", what, index, argsz,
		       rc, expect);
	}
	EXPECT(t, call(n, cmd, NULL) == -EFAULT, "%s at NULL", what);
	EXPECT(t, call(n, cmd, (u8 *)before_the_edge(minsz) + 1) == -EFAULT,
	       "%s across the edge", what);
}

static u32 irq_count(struct nvme *n, u32 index)
{
	struct vfio_irq_info irq = { .argsz = sizeof(irq), .index = index };

	return ioctl(n->v.device, VFIO_DEVICE_GET_IRQ_INFO, &irq) ? 0 : irq.count;
}

static void questions(struct test *t, struct nvme *n)
{
	static const u32 beyond[] = { 9, 10, 255, 256, 0x7fffffff, 0x80000000, 0xffffffff };
	unsigned int i;

	question(t, n, VFIO_DEVICE_GET_INFO, 16, 0, 0, "GET_INFO");
	for (i = 0; i < VFIO_PCI_NUM_REGIONS; i++)
		question(t, n, VFIO_DEVICE_GET_REGION_INFO, 32, i, 0, "GET_REGION_INFO");
	for (i = 0; i < VFIO_PCI_NUM_IRQS; i++)
		question(t, n, VFIO_DEVICE_GET_IRQ_INFO, 16, i, 0, "GET_IRQ_INFO");
	for (i = 0; i < ARRAY_SIZE(beyond); i++) {
		question(t, n, VFIO_DEVICE_GET_REGION_INFO, 32, beyond[i], -EINVAL,
			 "GET_REGION_INFO");
		question(t, n, VFIO_DEVICE_GET_IRQ_INFO, 16, beyond[i], -EINVAL, "GET_IRQ_INFO");
	}
	EXPECT(t, irq_count(n, VFIO_PCI_INTX_IRQ_INDEX) == 0, "INTx");
	EXPECT(t, irq_count(n, VFIO_PCI_MSI_IRQ_INDEX) == 0, "MSI");
	EXPECT(t, irq_count(n, VFIO_PCI_MSIX_IRQ_INDEX) == n->v.nr_vectors, "MSI-X");
	EXPECT(t, irq_count(n, VFIO_PCI_ERR_IRQ_INDEX) == 1, "ERR");
	EXPECT(t, irq_count(n, VFIO_PCI_REQ_IRQ_INDEX) == 1, "REQ");
}

/* ---- VFIO_DEVICE_SET_IRQS ---- */

#define SET_MINSZ	20U

/* A call of it, and what is known of the single ones. */
struct set_irqs {
	u32 argsz, flags, index, start, count;
	bool has[VFIO_PCI_NUM_IRQS];
};

static u32 set_width(u32 flags)
{
	switch (flags & VFIO_IRQ_SET_DATA_TYPE_MASK) {
	case VFIO_IRQ_SET_DATA_BOOL:
		return 1;
	case VFIO_IRQ_SET_DATA_EVENTFD:
		return 4;
	default:
		return 0;
	}
}

/* What vfio-pci would say.  The data are one eventfd, again and again. */
static int set_expected(struct set_irqs *s, u32 nr)
{
	u32 type = s->flags & VFIO_IRQ_SET_DATA_TYPE_MASK;
	bool *has;

	if (s->index >= VFIO_PCI_NUM_IRQS || s->argsz < SET_MINSZ ||
	    s->count >= 0xffffffffU - s->start ||
	    s->flags & ~(VFIO_IRQ_SET_DATA_TYPE_MASK | VFIO_IRQ_SET_ACTION_TYPE_MASK) ||
	    s->start >= nr || s->start + s->count > nr)
		return -EINVAL;
	if (type != VFIO_IRQ_SET_DATA_NONE && type != VFIO_IRQ_SET_DATA_BOOL &&
	    type != VFIO_IRQ_SET_DATA_EVENTFD)
		return -EINVAL;
	if (s->argsz - SET_MINSZ < (u64)s->count * set_width(s->flags))
		return -EINVAL;
	if ((s->flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) != VFIO_IRQ_SET_ACTION_TRIGGER)
		return -ENOTTY;
	if (s->index == VFIO_PCI_MSIX_IRQ_INDEX)
		return 0;

	has = &s->has[s->index];
	if (type == VFIO_IRQ_SET_DATA_NONE && s->count)
		return *has ? 0 : -EINVAL;
	if (type == VFIO_IRQ_SET_DATA_NONE)
		*has = false;
	else if (!s->count)
		return -EINVAL;
	if (type == VFIO_IRQ_SET_DATA_EVENTFD)
		*has = true;
	return 0;
}

/* Exactly as many bytes as argsz says, as far as they are used. */
static int set_call(struct nvme *n, const struct set_irqs *s)
{
	u32 data = s->argsz > SET_MINSZ ? s->argsz - SET_MINSZ : 0, i;
	struct vfio_irq_set *set;

	if (data > 4 * VFIO_MAX_VECTORS)
		data = 4 * VFIO_MAX_VECTORS;
	set = before_the_edge(SET_MINSZ + data);
	set->argsz = s->argsz;
	set->flags = s->flags;
	set->index = s->index;
	set->start = s->start;
	set->count = s->count;
	for (i = 0; i + 4 <= data; i += 4)
		memcpy((u8 *)set + SET_MINSZ + i, &n->v.efd[0], 4);
	return call(n, VFIO_DEVICE_SET_IRQS, set);
}

static unsigned int set_one(struct test *t, struct nvme *n, struct set_irqs *s, u32 nr)
{
	int want = set_expected(s, nr);
	int rc = set_call(n, s);

	EXPECT(t, rc == want, "index %u start %#x count %#x flags %#x argsz %#x: %d instead of %d",
	       s->index, s->start, s->count, s->flags, s->argsz, rc, want);
	return rc != want;
}

static unsigned int set_all_sizes(struct test *t, struct nvme *n, struct set_irqs *s, u32 nr)
{
	u64 exact = SET_MINSZ + (u64)s->count * set_width(s->flags);
	const u32 argsz[] = { 0, SET_MINSZ - 1, SET_MINSZ, exact - 1, exact, 0xffffffff };
	unsigned int i, wrong = 0;

	for (i = 0; i < ARRAY_SIZE(argsz); i++) {
		s->argsz = argsz[i];
		wrong += set_one(t, n, s, nr);
	}
	return wrong;
}

static void every_set_irqs(struct test *t, struct nvme *n)
{
	static const u32 indexes[] = { 0, 1, 2, 3, 4, 5, 0xffffffff };
	unsigned int i, a, b, wrong = 0, calls = 0;
	struct set_irqs s = { 0 };
	u32 f;

	for (i = 0; i < ARRAY_SIZE(indexes); i++) {
		u32 nr = irq_count(n, indexes[i]);
		const u32 edge[] = { 0, 1, nr - 1, nr, nr + 1, 0x7fffffff, 0x80000000,
				     0xfffffffe, 0xffffffff };

		s.index = indexes[i];
		for (a = 0; a < ARRAY_SIZE(edge); a++) {
			for (b = 0; b < ARRAY_SIZE(edge) && wrong < MAX_WRONG; b++) {
				/* Every flag there is, and two that are not. */
				for (f = 0; f < 66; f++) {
					s.flags = f < 64 ? f : f == 64 ? 0x64 : 0x80000024;
					s.start = edge[a];
					s.count = edge[b];
					wrong += set_all_sizes(t, n, &s, nr);
					calls += 6;
				}
			}
		}
	}
	diag("%u calls", calls);
	EXPECT(t, !vfio_irqs_on(&n->v), "eventfds afterwards");
}

/* ---- the others ---- */

static void features(struct test *t, struct nvme *n)
{
	unsigned int i, f, id;

	for (id = 0; id < 64; id++) {
		for (f = 0; f < 16; f++) {
			for (i = 0; i < ARRAY_SIZE(odd_sizes); i++) {
				struct vfio_device_feature *feat = before_the_edge(64);
				int rc;

				feat->argsz = odd_sizes[i];
				feat->flags = (id < 63 ? id : 0xffff) | f << 16;
				rc = call(n, VFIO_DEVICE_FEATURE, feat);
				/* It has none; those of the core need something of it. */
				EXPECT(t, rc == -ENOTTY || rc == -EINVAL || rc == -EFAULT,
				       "feature %u flags %#x argsz %u: %d", id, f << 16,
				       odd_sizes[i], rc);
			}
		}
	}
}

/* As numbers, with every direction and size that a number may carry. */
static void other_numbers(struct test *t, struct nvme *n)
{
	static const u32 sizes[] = { 0, 4, 16, 20, 32, 64, 0x3fff };
	unsigned int nr, dir, i;

	for (nr = 0; nr < 256; nr++) {
		for (dir = 0; dir < 4; dir++) {
			for (i = 0; i < ARRAY_SIZE(sizes); i++) {
				unsigned int cmd = _IOC(dir, VFIO_TYPE, nr, sizes[i]);
				u32 *arg = before_the_edge(64);
				int rc;

				if (cmd == VFIO_DEVICE_GET_INFO ||
				    cmd == VFIO_DEVICE_GET_REGION_INFO ||
				    cmd == VFIO_DEVICE_GET_IRQ_INFO ||
				    cmd == VFIO_DEVICE_SET_IRQS || cmd == VFIO_DEVICE_RESET)
					continue;
				arg[0] = 64;
				rc = call(n, cmd, arg);
				if (!EXPECT(t, rc < 0, "ioctl %#x is taken", cmd))
					return;
			}
		}
	}
}

/* ---- regions ---- */

static void region_reads(struct test *t, struct nvme *n, u32 index, u8 *buf, size_t len)
{
	u64 size = index < VFIO_PCI_NUM_REGIONS ? n->v.region[index].size : 0;
	const u64 offs[] = { 0, 1, 2, 3, 7, size / 2 + 1, size - 9, size - 8, size - 7, size - 1,
			     size, size + 1, (1ULL << 40) - 8, (1ULL << 40) - 1 };
	static const size_t counts[] = { 0, 1, 2, 3, 5, 8, 9, 4097, 0x7ffff000 };
	unsigned int i, c;

	for (i = 0; i < ARRAY_SIZE(offs); i++) {
		for (c = 0; c < ARRAY_SIZE(counts); c++) {
			u64 off = offs[i] & ((1ULL << 40) - 1);
			ssize_t rc, want = -EINVAL;

			if (off < size)
				want = counts[c] < size - off ? counts[c] : size - off;
			if (counts[c] > len && want > (ssize_t)len)
				continue;
			rc = pread(n->v.device, buf, counts[c], (off_t)((u64)index << 40 | off));
			rc = rc < 0 ? -errno : rc;
			EXPECT(t, rc == want, "region %u + %#llx, %zu bytes: %zd instead of %zd",
			       index, off, counts[c], rc, want);
		}
	}
}

static void region_edges(struct test *t, struct nvme *n)
{
	static const u32 beyond[] = { 9, 10, 127, 128, 0x7fffff };
	size_t len = SZ_1M;
	u8 *buf = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int i;

	if (!EXPECT(t, buf != MAP_FAILED, "mmap"))
		return;
	for (i = 0; i < VFIO_PCI_NUM_REGIONS; i++)
		region_reads(t, n, i, buf, len);
	for (i = 0; i < ARRAY_SIZE(beyond); i++)
		region_reads(t, n, beyond[i], buf, len);
	EXPECT(t, pread(n->v.device, buf, 8, (off_t)-8LL) < 0, "a negative offset");
	EXPECT(t, pwrite(n->v.device, buf, 8, (off_t)(1ULL << 63)) < 0, "a negative offset");
	/* Not at the place the file happens to be at either. */
	lseek(n->v.device, 0, SEEK_SET);
	munmap(buf, len);
}

/* Every byte of what can be written, at every width; the device is reset afterwards. */
static void region_writes(struct test *t, struct nvme *n)
{
	static const u32 indexes[] = { BAR0, VFIO_PCI_BAR2_REGION_INDEX, CFG };
	static const size_t widths[] = { 1, 2, 3, 4, 5, 8, 16, 4096 };
	unsigned int i, w, pass;
	u8 data[4096];
	u64 off;

	for (pass = 0; pass < 2; pass++) {
		memset(data, pass ? 0xff : 0, sizeof(data));
		for (i = 0; i < ARRAY_SIZE(indexes); i++) {
			u64 size = n->v.region[indexes[i]].size;

			for (w = 0; w < ARRAY_SIZE(widths); w++) {
				for (off = 0; off < size; off += off < 0x120 ? 1 : size / 61 + 1) {
					u64 left = size - off;
					ssize_t want = widths[w] < left ? widths[w] : left;
					ssize_t rc = vfio_write(&n->v, indexes[i], off, data,
								widths[w]);

					EXPECT(t, rc == want,
					       "region %u + %#llx, %zu bytes: %zd", indexes[i],
					       off, widths[w], rc);
				}
			}
		}
	}
}

/* ---- mappings ---- */

static sigjmp_buf bus_error;

static void on_sigbus(int sig)
{
	siglongjmp(bus_error, sig);
}

/* Stores to every page; false on a bus error. */
static bool touch(u8 *p, size_t len)
{
	struct sigaction sa = { .sa_handler = on_sigbus }, old;
	bool ok = false;
	size_t off;

	sigaction(SIGBUS, &sa, &old);
	if (!sigsetjmp(bus_error, 1)) {
		for (off = 0; off < len; off += SZ_4K)
			WRITE_ONCE(*(u32 *)(p + off), 0);
		ok = true;
	}
	sigaction(SIGBUS, &old, NULL);
	return ok;
}

/* Only [@from, @to) of BAR0, and only shared. */
static void map_edges(struct test *t, struct nvme *n, u64 from, u64 to)
{
	u64 size = n->v.region[BAR0].size;
	const u64 offs[] = { 0, SZ_4K, from - SZ_4K, from, from + SZ_4K, to - SZ_4K, to,
			     to + SZ_4K, size - SZ_4K, size, (1ULL << 40) - SZ_4K,
			     (1ULL << 40) + from, 7ULL << 40, 9ULL << 40, 1ULL << 62 };
	const size_t lens[] = { 1, SZ_4K, 2 * SZ_4K, to - from, to - from + SZ_4K, size,
				1UL << 40 };
	static const int prots[] = { PROT_NONE, PROT_READ, PROT_WRITE, PROT_READ | PROT_WRITE,
				     PROT_READ | PROT_EXEC };
	unsigned int o, l, p, private;

	for (o = 0; o < ARRAY_SIZE(offs); o++) {
		for (l = 0; l < ARRAY_SIZE(lens); l++) {
			for (p = 0; p < ARRAY_SIZE(prots); p++) {
				for (private = 0; private < 2; private++) {
					u64 len = (lens[l] + SZ_4K - 1) & ~(SZ_4K - 1);
					bool want = !private && from < to && offs[o] >= from &&
						    offs[o] < to && len <= to - offs[o];
					void *va = mmap(NULL, lens[l], prots[p], private ?
							MAP_PRIVATE : MAP_SHARED, n->v.device,
							(off_t)offs[o]);
					bool got = va != MAP_FAILED;

					/* Some kernels run nothing from such a file. */
					if (want && (prots[p] & PROT_EXEC))
						want = got;
					EXPECT(t, got == want,
					       "offset %#llx length %#zx prot %u %s: %smapped",
					       offs[o], lens[l], prots[p],
					       private ? "private" : "shared", got ? "" : "not ");
					if (got && (prots[p] & PROT_WRITE))
						EXPECT(t, touch(va, len), "a bus error at %#llx",
						       offs[o]);
					if (got)
						munmap(va, len);
				}
			}
		}
	}
}

static void nothing_can_be_mapped(struct test *t, struct nvme *n)
{
	map_edges(t, n, nvme_sq_db(n, 1), nvme_sq_db(n, 1));
}

/* A VM that the group belongs to, so that the device is opened as QEMU does. */
static int open_under_kvm(struct nvme *n, int *vm, int *dev)
{
	struct kvm_create_device cd = { .type = KVM_DEV_TYPE_VFIO };
	struct kvm_device_attr attr = {
		.group = KVM_DEV_VFIO_FILE,
		.attr = KVM_DEV_VFIO_FILE_ADD,
		.addr = (unsigned long)&n->v.group,
	};
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	*dev = -1;
	*vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);
	if (kvm >= 0)
		close(kvm);
	if (*vm < 0 || ioctl(*vm, KVM_CREATE_DEVICE, &cd))
		return -ENODEV;
	*dev = cd.fd;
	vfio_close_device(&n->v);
	if (ioctl(*dev, KVM_SET_DEVICE_ATTR, &attr))
		return -errno;
	return vfio_open_device(&n->v, n->uuid);
}

static void doorbells_of_a_vm(struct test *t, struct nvme *n)
{
	u64 from = nvme_sq_db(n, 1), to = nvme_sq_db(n, n->nr_pairs + 1);
	size_t len = to - from;
	u8 *va = MAP_FAILED, *to_va, *moved;
	int vm, dev, rc;

	rc = open_under_kvm(n, &vm, &dev);
	if (rc == -ENODEV) {
		t->skipped = "no KVM";
	} else if (EXPECT(t, !rc, "the device cannot be opened with a VM (%d)", rc)) {
		/* A VM would stand still. */
		EXPECT(t, irq_count(n, VFIO_PCI_ERR_IRQ_INDEX) == 0, "ERR is offered to a VM");
		map_edges(t, n, from, to);
		va = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, n->v.device,
			  (off_t)from);
		if (EXPECT(t, va != MAP_FAILED && touch(va, len), "the doorbells")) {
			EXPECT(t, mremap(va, len, len + SZ_4K, MREMAP_MAYMOVE) == MAP_FAILED,
			       "it grows");
			/* What is left of it after a hole is still what it was. */
			munmap(va, SZ_4K);
			EXPECT(t, touch(va + SZ_4K, len - SZ_4K), "its end");
			va += SZ_4K;
			len -= SZ_4K;
			to_va = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			moved = mremap(va, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to_va);
			if (EXPECT(t, moved == to_va && touch(moved, len), "moved"))
				va = moved;
			EXPECT(t, !vfio_reset(&n->v) && touch(va, len), "after a reset");
		}
	}
	vfio_close_device(&n->v);
	/* Pages stay as long as they are mapped, longer than the file descriptor. */
	if (va != MAP_FAILED) {
		EXPECT(t, touch(va, len), "after close()");
		munmap(va, len);
	}
	if (dev >= 0)
		close(dev);
	if (vm >= 0)
		close(vm);
	EXPECT(t, !vfio_open_device(&n->v, n->uuid), "the device cannot be opened again");
}

static struct test tests[] = {
	{ "questions_with_odd_sizes_and_indexes", questions },
	{ "set_irqs_in_every_combination_is_as_vfio_pci", every_set_irqs },
	{ "device_features_are_refused", features },
	{ "other_ioctl_numbers_are_refused", other_numbers },
	{ "reads_at_every_region_s_edges", region_edges },
	{ "writes_everywhere_at_every_width", region_writes, TEST_RESETS },
	{ "nothing_is_mapped_without_kvm", nothing_can_be_mapped },
	{ "only_io_doorbells_are_mapped_under_kvm", doorbells_of_a_vm, TEST_RESETS },
};

const struct suite suite_ioctl = { "ioctl", tests, ARRAY_SIZE(tests) };
