// SPDX-License-Identifier: GPL-2.0
/*
 * Suite "stats": the counters of a guarded instance in sysfs count what
 * Documentation/ABI/sysfs-lightiov says.
 */
#include <stdio.h>
#include <string.h>

#include "basic.h"

struct delta {
	const char *name;
	long long before;
};

long long basic_stat(struct test *t, struct nvme *n, const char *name)
{
	char path[64];
	long long val;

	snprintf(path, sizeof(path), "stats/%s", name);
	val = nvme_sysfs(n, path);
	EXPECT(t, val >= 0, "%s: %s", path, strerror(-val));
	return val;
}

/* Exactly @by more than before. */
static void grew(struct test *t, struct nvme *n, struct delta *d, long long by)
{
	long long now = basic_stat(t, n, d->name);

	EXPECT(t, now - d->before == by, "%s went from %lld to %lld, not by %lld", d->name,
	       d->before, now, by);
	d->before = now;
}

static struct delta begin(struct test *t, struct nvme *n, const char *name)
{
	return (struct delta){ name, basic_stat(t, n, name) };
}

static void commands_and_bytes(struct test *t, struct nvme *n)
{
	struct delta cr = begin(t, n, "commands_read"), br = begin(t, n, "bytes_read");
	struct delta cw = begin(t, n, "commands_write"), bw = begin(t, n, "bytes_write");
	struct delta cf = begin(t, n, "commands_flush"), done = begin(t, n, "completed");
	u8 *buf = nvme_alloc(n, 16 * SZ_4K);
	struct nvme_queue q;
	unsigned int i;

	if (!basic_queue(t, n, &q))
		return;
	for (i = 0; i < 7; i++)
		nvme_io(n, &q, IO_WRITE, 0, 2, buf);
	for (i = 0; i < 5; i++)
		nvme_io(n, &q, IO_READ, 0, 8, buf);
	for (i = 0; i < 3; i++)
		nvme_io(n, &q, IO_FLUSH, 0, 0, NULL);
	grew(t, n, &cr, 5);
	grew(t, n, &br, 5 * 8 * n->lba);
	grew(t, n, &cw, 7);
	grew(t, n, &bw, 7 * 2 * n->lba);
	grew(t, n, &cf, 3);
	grew(t, n, &done, 15);
	EXPECT(t, !basic_stat(t, n, "outstanding"), "something is outstanding");
}

static void refusals_by_reason(struct test *t, struct nvme *n)
{
	struct delta op = begin(t, n, "refused_opcode"), lba = begin(t, n, "refused_lba");
	struct delta ns = begin(t, n, "refused_nsid"), mem = begin(t, n, "refused_memory");
	struct delta prp = begin(t, n, "refused_prp"), field = begin(t, n, "refused_field");
	struct delta done = begin(t, n, "completed");
	u8 *buf = nvme_alloc(n, SZ_4K);
	struct nvme_queue q;
	struct nvme_sqe sqe;

	if (!basic_queue(t, n, &q))
		return;
	sqe = cmd_rw(n, 0x7f, 0, 1, buf);
	EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "opcode", SC_INVALID_OPCODE);
	sqe = cmd_rw(n, IO_READ, n->nsze, 1, buf);
	EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "LBA", SC_LBA_RANGE);
	EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "LBA", SC_LBA_RANGE);
	sqe = cmd_rw(n, IO_READ, 0, 1, buf);
	sqe.nsid = n->nsid + 1;
	EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "NSID", SC_INVALID_NS);
	sqe = cmd_rw(n, IO_READ, 0, 1, NULL);
	sqe.prp1 = 0x123456789000ULL;
	EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "memory", SC_DATA_TRANSFER);
	EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "memory", SC_DATA_TRANSFER);
	EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "memory", SC_DATA_TRANSFER);
	sqe = cmd_rw(n, IO_READ, 0, 1, buf);
	sqe.prp1 += 2;
	EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "PRP offset", SC_BAD_PRP_OFFSET);
	sqe = cmd_rw(n, IO_READ, 0, 1, buf);
	sqe.flags = 0x40;
	EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "SGL", SC_INVALID_FIELD);
	grew(t, n, &op, 1);
	grew(t, n, &lba, 2);
	grew(t, n, &ns, 1);
	grew(t, n, &mem, 3);
	grew(t, n, &prp, 1);
	grew(t, n, &field, 1);
	/* The hardware saw none of them. */
	grew(t, n, &done, 0);
}

static void held_back_counts(struct test *t, struct nvme *n)
{
	struct delta held = begin(t, n, "held_back");
	void *buf = nvme_alloc(n, SZ_4K);
	struct nvme_queue q;
	struct nvme_cqe cqe;
	unsigned int i, nr = 0;
	u64 end = now_ms() + WAIT_MS;

	if (!EXPECT(t, !nvme_create_pair(n, &q, 1, 64, 4, 0), "no pair"))
		return;
	for (i = 0; i < 20; i++) {
		struct nvme_sqe sqe = cmd_rw(n, IO_READ, 0, 1, buf);

		nvme_queue_cmd(&q, &sqe);
	}
	nvme_ring(n, &q);
	sleep_us(QUIET_MS * 1000);
	EXPECT(t, basic_stat(t, n, "held_back") > held.before, "held_back stays %lld",
	       held.before);
	while (nr < 20 && now_ms() < end)
		nr += nvme_reap(n, &q, &cqe);
	EXPECT(t, nr == 20, "%u of 20 came back", nr);
	EXPECT(t, !basic_stat(t, n, "outstanding"), "something is outstanding");
}

static void hardware_errors_count(struct test *t, struct nvme *n)
{
	struct delta err = begin(t, n, "errors");
	u8 *buf = nvme_alloc(n, SZ_4K);
	struct nvme_queue q;

	if (!(n->oncs & ONCS_COMPARE)) {
		t->skipped = "no command that fails at will";
		return;
	}
	if (!basic_queue(t, n, &q))
		return;
	EXPECT_SC(t, nvme_io(n, &q, IO_READ, 0, 1, buf), "read", SC_OK);
	buf[0] ^= 1;
	EXPECT_SC(t, nvme_io(n, &q, IO_COMPARE, 0, 1, buf), "compare", SC_COMPARE);
	EXPECT_SC(t, nvme_io(n, &q, IO_COMPARE, 0, 1, buf), "compare", SC_COMPARE);
	grew(t, n, &err, 2);
}

static void pinned_bytes_count(struct test *t, struct nvme *n)
{
	long long fresh, used;
	struct nvme_queue q;

	if (!EXPECT(t, !nvme_restart(n), "reset"))
		return;
	fresh = basic_stat(t, n, "pinned_bytes");
	if (!basic_queue(t, n, &q))
		return;
	EXPECT_SC(t, nvme_io(n, &q, IO_READ, 0, 1, n->v.mem + n->v.mem_len - SZ_4K), "read", SC_OK);
	used = basic_stat(t, n, "pinned_bytes");
	EXPECT(t, used > fresh || fresh >= (long long)n->v.mem_len, "%lld, was %lld", used, fresh);
}

static struct test tests[] = {
	{ "commands_and_bytes_are_counted", commands_and_bytes, TEST_GUARDED },
	{ "refusals_are_counted_by_reason", refusals_by_reason, TEST_GUARDED },
	{ "held_back_commands_are_counted", held_back_counts, TEST_GUARDED },
	{ "hardware_errors_are_counted", hardware_errors_count, TEST_GUARDED },
	{ "pinned_bytes_are_counted", pinned_bytes_count, TEST_GUARDED },
};

const struct suite suite_stats = { "stats", tests, ARRAY_SIZE(tests) };
