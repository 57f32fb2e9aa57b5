// SPDX-License-Identifier: GPL-2.0
/*
 * liov_many BDF DEVICE N [SECONDS [DEPTH [sleepers]]]: N guarded instances of one queue pair (or of
 * the type LIGHTIOV_TYPE, of which one is used) on equal ranges of DEVICE, a namespace of the
 * controller BDF, all open and all doing I/O at the same time.  WRITES all over DEVICE.
 *
 * Makes them and opens them through VFIO one after the other, then does the first I/O of each
 * at once; then DEPTH commands (4) of 4 KiB are kept outstanding on each for SECONDS
 * (5) or a little longer, a quarter of them writes, and every block read must be what
 * was last written to it; then all blocks are read once more.  Prints one line of JSON:
 * medians of the times for one instance, the host's memory for one, when it was open with
 * nothing but an admin queue (idle_kib) and with a queue pair and all that it pinned (kib), the
 * I/Os of all, of the one that got most and of the one that got least.
 *
 * With "sleepers" the I/O is followed by sleepers.c: all of them but one sleep in the
 * host, and whether that one still works is an error if not.
 *
 * Memory is what is free no more less what this program has got itself (its rings,
 * buffers, and what of them is pinned); of few instances it is too little to be seen
 * among what else comes and goes, and null below 100.
 *
 * Exit code: 0 all was right, 1 something was not.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/health.h"
#include "lib/sleepers.h"

#define BLOCK		4096
#define SPAN		16	/* blocks that each instance uses */
#define MAX_DEPTH	8
#define RING		32
#define MEM		(128U << 10)
#define HANG_MS		60000
#define MIN_IOS		16	/* of one instance, in the mean */

/**
 * struct one - an instance
 * @gen:   of each block, how often it was written
 * @block: of each outstanding command, which its CID is the index of; -1 if none
 * @write: whether it writes
 * @ios:   completed in the timed part
 */
struct one {
	char uuid[40];
	struct nvme n;
	struct nvme_queue q;
	u8 *buf;
	u32 gen[SPAN];
	int block[MAX_DEPTH];
	bool write[MAX_DEPTH];
	u32 next;
	unsigned long ios;
	unsigned int bad;
	double create_ms, open_ms, first_ms, remove_ms;	/* first: from the create on */
};

static double ms_since(const struct timespec *t)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - t->tv_sec) * 1e3 + (now.tv_nsec - t->tv_nsec) / 1e6;
}

static struct timespec start_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t;
}

static int put_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t len = -1;

	if (fd >= 0) {
		len = write(fd, text, strlen(text));
		close(fd);
	}
	if (len < 0)
		diag("%s: %s", path, strerror(errno));
	return len < 0 ? -errno : 0;
}

/* The sum of all lines that begin with @name, after blanks. */
static long read_field(const char *path, const char *name)
{
	char line[256];
	long value = 0;
	FILE *f = fopen(path, "r");

	while (f && fgets(line, sizeof(line), f)) {
		char *p = line + strspn(line, " ");

		if (!strncmp(p, name, strlen(name)))
			value += strtol(p + strlen(name), NULL, 10);
	}
	if (f)
		fclose(f);
	return value;
}

/* KiB of the host that are free, and that this program has. */
static long mem_free(void)
{
	unsigned int i;

	sync();
	/* What is freed by RCU comes late, and slabs in steps. */
	for (i = 0; i < 5; i++) {
		put_file("/proc/sys/vm/drop_caches", "3");
		sleep_us(200000);
	}
	/* What CPUs have set aside for themselves is free, too: pages. */
	return read_field("/proc/meminfo", "MemFree:") +
	       read_field("/proc/zoneinfo", "count:") * (getpagesize() / 1024);
}

static long mem_own(void)
{
	return read_field("/proc/self/status", "VmRSS:") +
	       read_field("/proc/self/status", "VmPTE:");
}

static u32 seed_of(struct one *o, int block)
{
	u32 who = strtoul(o->uuid + 24, NULL, 16);

	return who * 2654435761U + block * 40503U + o->gen[block];
}

static const char *type(void)
{
	return getenv("LIGHTIOV_TYPE") ?: "nvme-lightiov-1q";
}

static int make_mdev(struct one *o, unsigned int i, const char *bdf, const char *dev, u64 lbas)
{
	struct timespec t = start_clock();
	char path[256], text[128];
	int rc;

	snprintf(o->uuid, sizeof(o->uuid), "5ca1ab1e-0000-4000-8000-%012x", i + 1);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/mdev_supported_types/%s/create",
		 bdf, type());
	rc = put_file(path, o->uuid);
	if (rc)
		return rc;
	snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/lightiov/backing", o->uuid);
	snprintf(text, sizeof(text), "%s:%llu+%llu", dev, (unsigned long long)(i * lbas),
		 (unsigned long long)lbas);
	rc = put_file(path, text);
	o->create_ms = ms_since(&t);
	return rc;
}

static void submit(struct one *o, unsigned int k, int block, bool write)
{
	u32 per = BLOCK / o->n.lba;
	u8 *buf = o->buf + k * BLOCK;
	struct nvme_sqe sqe;

	o->block[k] = block;
	o->write[k] = write;
	if (write) {
		o->gen[block]++;
		fill_pattern(buf, BLOCK, seed_of(o, block));
	}
	sqe = cmd_rw(&o->n, write ? IO_WRITE : IO_READ, (u64)block * per, per, buf);
	o->q.next_cid = k;
	nvme_queue_cmd(&o->q, &sqe);
}

static unsigned int reap(struct one *o)
{
	unsigned int got = 0;
	struct nvme_cqe cqe;

	while (nvme_reap(&o->n, &o->q, &cqe)) {
		unsigned int k = cqe.cid;
		int block;

		if (k >= MAX_DEPTH || o->block[k] < 0) {
			o->bad++;
			continue;
		}
		block = o->block[k];
		o->block[k] = -1;
		got++;
		if (nvme_status(&cqe)) {
			if (o->bad++ < 3)
				diag("%s: status %x", o->uuid, nvme_status(&cqe));
		} else if (!o->write[k] && o->gen[block] &&
			   !check_pattern(o->buf + k * BLOCK, BLOCK, seed_of(o, block))) {
			if (o->bad++ < 3)
				diag("%s: block %d holds other data", o->uuid, block);
		}
	}
	return got;
}

static bool is_busy(struct one *o, int block)
{
	unsigned int k;

	for (k = 0; k < MAX_DEPTH; k++)
		if (o->block[k] == block)
			return true;
	return false;
}

static void refill(struct one *o, unsigned int depth)
{
	bool rang = false;
	unsigned int k;

	for (k = 0; k < depth; k++) {
		int block = o->next++ * 7 % SPAN;

		if (o->block[k] >= 0 || is_busy(o, block))
			continue;
		submit(o, k, block, !o->gen[block] || o->next % 4 == 0);
		rang = true;
	}
	if (rang)
		nvme_ring(&o->n, &o->q);
}

static int open_one(struct one *o)
{
	struct timespec t = start_clock();
	int rc = nvme_open_mem(&o->n, o->uuid, MEM);

	o->open_ms = ms_since(&t);
	return rc;
}

/* A queue pair, and its first I/O.  Closes it if that fails. */
static int first_io(struct one *o)
{
	struct timespec t = start_clock();
	u64 end;
	int rc;

	memset(o->block, 0xff, sizeof(o->block));
	rc = nvme_create_pair(&o->n, &o->q, 1, RING, RING, 1);
	o->buf = rc ? NULL : nvme_alloc(&o->n, MAX_DEPTH * BLOCK);
	if (!rc && !o->buf)
		rc = -ENOMEM;
	if (!rc) {
		submit(o, 0, 0, true);
		nvme_ring(&o->n, &o->q);
	}
	end = now_ms() + HANG_MS;
	while (!rc && !reap(o)) {
		if (now_ms() > end)
			rc = -ETIMEDOUT;
	}
	if (rc)
		nvme_close(&o->n);
	o->first_ms = o->create_ms + o->open_ms + ms_since(&t);
	return rc;
}

/*
 * All at once, each with up to @depth outstanding, for @secs, which is then how long it
 * was; then none with any.
 */
static int work(struct one *o, unsigned int n, double *secs, unsigned int depth)
{
	struct timespec t = start_clock();
	u64 last = now_ms();
	bool timed = true, busy;
	unsigned int i, k, got;
	unsigned long total = 0;

	do {
		busy = false;
		got = 0;
		for (i = 0; i < n; i++) {
			unsigned int mine = reap(&o[i]);

			got += mine;
			if (timed) {
				total += mine;
				o[i].ios += mine;
				refill(&o[i], depth);
			}
			for (k = 0; k < MAX_DEPTH; k++)
				busy |= o[i].block[k] >= 0;
		}
		/* However slow the machine is, nobody's part is so small that it tells nothing. */
		if (timed && ms_since(&t) >= *secs * 1e3 && total >= n * MIN_IOS) {
			*secs = ms_since(&t) / 1e3;
			timed = false;
		}
		if (got)
			last = now_ms();
		else if (now_ms() - last > HANG_MS)
			return -ETIMEDOUT;
	} while (timed || busy);
	return 0;
}

static void read_back(struct one *o)
{
	int block;

	for (block = 0; block < SPAN; block++) {
		u64 end = now_ms() + HANG_MS;

		if (!o->gen[block])
			continue;
		submit(o, 0, block, false);
		nvme_ring(&o->n, &o->q);
		while (!reap(o)) {
			if (now_ms() > end) {
				o->bad++;
				return;
			}
		}
	}
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Median of a double that lies @off bytes into each. */
static double median(struct one *o, unsigned int n, size_t off)
{
	double *v = malloc(n * sizeof(*v)), m;
	unsigned int i;

	for (i = 0; i < n; i++)
		v[i] = *(double *)((char *)&o[i] + off);
	qsort(v, n, sizeof(*v), by_value);
	m = n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
	free(v);
	return m;
}

static void remove_mdev(struct one *o)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/remove", o->uuid);
	if (put_file(path, "1"))
		o->bad++;
}

static void take_down(struct one *o)
{
	struct timespec t = start_clock();

	nvme_close(&o->n);
	remove_mdev(o);
	o->remove_ms = ms_since(&t);
}

/* Prints how many slept; returns whether that kept the last one from working. */
static bool others_sleep(struct one *o, unsigned int n)
{
	struct nvme **all = calloc(n, sizeof(*all));
	unsigned int i, asleep = 0;
	int rc = -ENOMEM;

	for (i = 0; all && i < n; i++)
		all[i] = &o[i].n;
	if (all)
		rc = sleepers_keep_waiting(all, n, &asleep);
	free(all);
	if (rc < 0)
		fprintf(stderr, "liov_many: sleepers: %s\n", strerror(-rc));
	else if (rc)
		fprintf(stderr, "liov_many: no answer while %u others sleep\n", asleep);
	if (asleep != n - 1)
		fprintf(stderr, "liov_many: %u of %u sleep\n", asleep, n - 1);
	printf("{\"kind\": \"sleepers\", \"asleep\": %u, \"answered\": %s}\n", asleep,
	       rc ? "false" : "true");
	return rc || asleep != n - 1;
}

/*
 * All of them: open, and then with a queue each.  *@idle and *@kib: what of the host's memory
 * they have then; 0 if all went well.
 */
static int bring_up(struct one *o, unsigned int n, const char *bdf, const char *dev, u64 lbas,
		    long *idle, long *kib)
{
	long own = mem_own(), was = mem_free();
	unsigned int i, up = 0, failed = n;
	int rc = 0;

	for (; up < n; up++) {
		rc = make_mdev(&o[up], up, bdf, dev, lbas) ?: open_one(&o[up]);
		if (rc) {
			failed = up;
			break;
		}
	}
	*idle = was - mem_free() - (mem_own() - own);
	for (i = 0; !rc && i < n; i++) {
		rc = first_io(&o[i]);
		if (rc)
			failed = i;
	}
	*kib = was - mem_free() - (mem_own() - own);
	if (!rc)
		return 0;
	fprintf(stderr, "liov_many: instance %u of %u: %s\n", failed + 1, n,
		strerror(rc < 0 ? -rc : EIO));
	/* It may be there, and is closed. */
	remove_mdev(&o[failed]);
	for (i = 0; i < up; i++) {
		if (i != failed)
			take_down(&o[i]);
	}
	return rc;
}

static u64 device_lbas(const char *dev)
{
	char path[128];
	u64 n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/block/%s/size", strrchr(dev, '/') + 1);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%llu", (unsigned long long *)&n) != 1)
		n = 0;
	if (f)
		fclose(f);
	return n;
}

int main(int argc, char **argv)
{
	unsigned int i, n, depth = argc > 5 ? atoi(argv[5]) : 4, bad = 0;
	unsigned long all = 0, min = ~0UL, max = 0;
	double secs = argc > 4 ? atof(argv[4]) : 5;
	long idle_kib, kib;
	struct one *o;
	u64 lbas;
	int rc = 0;

	if (argc < 4 || !strchr(argv[2], '/') || depth < 1 || depth > MAX_DEPTH) {
		fprintf(stderr, "usage: liov_many BDF DEVICE N [SECONDS [DEPTH [sleepers]]]\n");
		return 1;
	}
	n = atoi(argv[3]);
	/* Of 512 bytes, as /sys/block says; a range of whole 4 KiB. */
	lbas = n ? device_lbas(argv[2]) / n / 8 * 8 : 0;
	if (lbas < SPAN * 8) {
		fprintf(stderr, "liov_many: %s is too small for %u instances\n", argv[2], n);
		return 1;
	}
	o = calloc(n, sizeof(*o));
	if (!o)
		return 1;
	/* All of it is this program's before anything is counted. */
	memset(o, 1, n * sizeof(*o));
	memset(o, 0, n * sizeof(*o));
	/* The first of all pays for what is made once. */
	if (bring_up(o, 1, argv[1], argv[2], lbas, &idle_kib, &kib))
		return 1;
	take_down(&o[0]);
	memset(o, 0, sizeof(*o));
	if (bring_up(o, n, argv[1], argv[2], lbas, &idle_kib, &kib))
		return 1;
	rc = work(o, n, &secs, depth);
	for (i = 0; !rc && i < n; i++)
		read_back(&o[i]);
	if (!rc && argc > 6 && !strcmp(argv[6], "sleepers"))
		bad += others_sleep(o, n);
	for (i = 0; i < n; i++) {
		take_down(&o[i]);
		bad += o[i].bad;
		all += o[i].ios;
		min = o[i].ios < min ? o[i].ios : min;
		max = o[i].ios > max ? o[i].ios : max;
	}
	printf("{\"kind\": \"scale\", \"mode\": \"%s\", \"n\": %u, ",
	       strstr(type(), "shared") ? "shared" : "guarded", n);
	printf("\"depth\": %u, \"secs\": %.1f, ", depth, secs);
	printf("\"create_ms\": %.3f, ", median(o, n, offsetof(struct one, create_ms)));
	printf("\"open_ms\": %.3f, ", median(o, n, offsetof(struct one, open_ms)));
	printf("\"first_io_ms\": %.3f, ", median(o, n, offsetof(struct one, first_ms)));
	printf("\"remove_ms\": %.3f, ", median(o, n, offsetof(struct one, remove_ms)));
	if (n >= 100)
		printf("\"idle_kib\": %.1f, \"kib\": %.1f, ", (double)idle_kib / n,
		       (double)kib / n);
	else
		printf("\"idle_kib\": null, \"kib\": null, ");
	printf("\"iops\": %.0f, \"min_ios\": %lu, \"max_ios\": %lu, \"errors\": %u}\n",
	       all / secs, min, max, bad);
	if (rc)
		fprintf(stderr, "liov_many: no completion any more\n");
	return rc || bad;
}
