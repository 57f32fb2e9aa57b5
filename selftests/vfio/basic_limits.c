// SPDX-License-Identifier: GPL-2.0
/*
 * Suite "limits": commands and bytes a second that an operator allows.  What is over a limit
 * waits in the guest's ring; nothing of it is lost, and a change of the limit lets it go.
 *
 * A quarter of the machine's own pace is a limit on any machine.
 */
#include <string.h>

#include "basic.h"

#define DEPTH		16
#define PACE_MS		500
#define LIMIT_MS	2000
/* A thread may have to wait for its CPU longer than the default of 20. */
#define BURST_MS	200

static const char * const limits[] = {
	"iops_max", "iops_read_max", "iops_write_max", "bps_max", "bps_read_max", "bps_write_max",
};

static void set(struct test *t, struct nvme *n, const char *name, long long val)
{
	int rc = nvme_sysfs_set(n, name, val);

	EXPECT(t, !rc, "%s=%lld: %s", name, val, strerror(-rc));
}

static void no_limits(struct test *t, struct nvme *n)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(limits); i++)
		set(t, n, limits[i], 0);
	set(t, n, "burst_ms", BURST_MS);
}

/**
 * struct stream - commands of one kind, as many as a queue takes
 * @opcode: IO_READ or IO_WRITE
 * @nlb:    blocks of each
 * @sent:   so far
 * @done:   completed of these
 */
struct stream {
	struct nvme_queue q;
	u8 opcode;
	u32 nlb;
	void *buf;
	unsigned int sent, done;
};

static bool stream_make(struct test *t, struct nvme *n, struct stream *s, u16 qid, u8 opcode,
			u32 nlb)
{
	*s = (struct stream){ .opcode = opcode, .nlb = nlb };
	s->buf = nvme_alloc(n, nlb * n->lba);
	return EXPECT(t, !nvme_create_pair(n, &s->q, qid, 2 * DEPTH, 2 * DEPTH, 0), "pair %u", qid);
}

/* Takes what came; brings new ones while @more.  Returns whether there was something. */
static bool stream_step(struct test *t, struct nvme *n, struct stream *s, bool more)
{
	unsigned int done = s->done, sent = s->sent;
	struct nvme_sqe sqe;
	struct nvme_cqe cqe;

	while (nvme_reap(n, &s->q, &cqe)) {
		EXPECT(t, !nvme_status(&cqe), "status %x", nvme_status(&cqe));
		s->done++;
	}
	while (more && s->sent - s->done < DEPTH) {
		sqe = cmd_rw(n, s->opcode, 0, s->nlb, NULL);
		nvme_set_prps(n, &sqe, s->buf, s->nlb * n->lba, s->q.list);
		nvme_queue_cmd(&s->q, &sqe);
		s->sent++;
	}
	if (s->sent != sent)
		nvme_ring(n, &s->q);
	return s->done != done;
}

/* Runs all streams for @ms; returns for how long it was, in ms. */
static u64 streams_run(struct test *t, struct nvme *n, struct stream *s, unsigned int nr, u64 ms)
{
	u64 start = now_ms();
	unsigned int i;
	bool any;

	while (now_ms() - start < ms && !t->failed) {
		for (any = false, i = 0; i < nr; i++)
			any |= stream_step(t, n, &s[i], true);
		if (!any)
			sleep_us(200);
	}
	return now_ms() - start;
}

static void streams_end(struct test *t, struct nvme *n, struct stream *s, unsigned int nr)
{
	u64 end = now_ms() + WAIT_MS;
	unsigned int i, left;

	do {
		for (left = 0, i = 0; i < nr; i++) {
			stream_step(t, n, &s[i], false);
			left += s[i].sent - s[i].done;
		}
		sleep_us(200);
	} while (left && now_ms() < end);
	EXPECT(t, !left, "%u did not come back", left);
	for (i = 0; i < nr; i++)
		EXPECT(t, !nvme_delete_pair(n, &s[i].q), "delete %u", i);
}

/* Completions of @s a second without a limit. */
static long long pace_of(struct test *t, struct nvme *n, struct stream *s)
{
	unsigned int done = s->done;
	u64 ms = streams_run(t, n, s, 1, PACE_MS);

	return (long long)(s->done - done) * 1000 / (long long)ms;
}

/*
 * Not above the limit, but for the burst.  Nor much below it while it was what the queues
 * waited for, @waited ms each: the machine may be slower now than when its pace was taken.
 */
static void expect_rate(struct test *t, const char *what, long long done, u64 ms, long long limit,
			long long waited)
{
	long long most = limit * (long long)(ms + BURST_MS) / 1000;

	diag("%s: %lld in %llu ms, limit %lld a second, waited %lld ms", what,
	     done, ms, limit, waited);
	EXPECT(t, done <= most + most / 32 + 1, "%s: more than %lld", what, most);
	EXPECT(t, waited >= 0 && waited <= (long long)ms + PACE_MS, "%s: waited for %lld ms", what,
	       waited);
	EXPECT(t, done >= limit * waited / 1000 / 2 - 1, "%s: too few", what);
}

static void commands_are_limited(struct test *t, struct nvme *n)
{
	long long waited, limit;
	struct stream s;
	unsigned int done;
	u64 ms;

	no_limits(t, n);
	if (!stream_make(t, n, &s, 1, IO_READ, 1))
		return;
	limit = pace_of(t, n, &s) / 4 + 1;
	waited = basic_stat(t, n, "throttled_ms");
	set(t, n, "iops_max", limit);
	done = s.done;
	ms = streams_run(t, n, &s, 1, LIMIT_MS);
	waited = basic_stat(t, n, "throttled_ms") - waited;
	/* What was under way when it was set is not counted. */
	expect_rate(t, "reads", (long long)s.done - done - DEPTH, ms, limit, waited);
	no_limits(t, n);
	streams_end(t, n, &s, 1);
}

static void bytes_are_limited(struct test *t, struct nvme *n)
{
	u32 bytes = 8 * nlb_4k(n) * n->lba;
	long long waited, limit;
	struct stream s;
	unsigned int done;
	u64 ms;

	no_limits(t, n);
	if (!stream_make(t, n, &s, 1, IO_WRITE, bytes / n->lba))
		return;
	limit = (pace_of(t, n, &s) / 4 + 1) * bytes;
	waited = basic_stat(t, n, "throttled_ms");
	set(t, n, "bps_write_max", limit);
	done = s.done;
	ms = streams_run(t, n, &s, 1, LIMIT_MS);
	waited = basic_stat(t, n, "throttled_ms") - waited;
	expect_rate(t, "bytes", ((long long)s.done - done - DEPTH) * bytes, ms, limit, waited);
	no_limits(t, n);
	streams_end(t, n, &s, 1);
}

/* A limit of writes is no matter of a queue that reads. */
static void reads_pass_writers_that_wait(struct test *t, struct nvme *n)
{
	struct stream s[2];
	u64 ms;

	if (n->nr_pairs < 2) {
		t->skipped = "one queue pair";
		return;
	}
	no_limits(t, n);
	if (!stream_make(t, n, &s[0], 1, IO_READ, 1) || !stream_make(t, n, &s[1], 2, IO_WRITE, 1))
		return;
	set(t, n, "iops_write_max", 1);
	ms = streams_run(t, n, s, 2, PACE_MS);
	EXPECT(t, s[1].done <= (ms + BURST_MS) / 1000 + 1, "%u writes at 1 a second", s[1].done);
	EXPECT(t, s[0].done, "no reads beside them");
	no_limits(t, n);
	streams_end(t, n, s, 2);
}

/* One limit for all queues, and none of them takes all of it. */
static void queues_share_a_limit(struct test *t, struct nvme *n)
{
	unsigned int before[2];
	struct stream s[2];
	long long waited, limit, a, b;
	u64 ms;

	if (n->nr_pairs < 2) {
		t->skipped = "one queue pair";
		return;
	}
	no_limits(t, n);
	if (!stream_make(t, n, &s[0], 1, IO_READ, 1) || !stream_make(t, n, &s[1], 2, IO_READ, 1))
		return;
	limit = pace_of(t, n, &s[0]) / 4 + 8;
	set(t, n, "iops_max", limit);
	streams_run(t, n, s, 2, PACE_MS);
	before[0] = s[0].done;
	before[1] = s[1].done;
	waited = basic_stat(t, n, "throttled_ms");
	ms = streams_run(t, n, s, 2, LIMIT_MS);
	a = s[0].done - before[0];
	b = s[1].done - before[1];
	waited = basic_stat(t, n, "throttled_ms") - waited;
	expect_rate(t, "both", a + b, ms, limit, waited / 2);
	EXPECT(t, a >= (a + b) / 8 && b >= (a + b) / 8, "%lld and %lld", a, b);
	no_limits(t, n);
	streams_end(t, n, s, 2);
}

/* Commands for hours: a change lets them go, and so does a reset of the controller. */
static void change_lets_go_who_waits(struct test *t, struct nvme *n)
{
	struct stream s;

	no_limits(t, n);
	if (!stream_make(t, n, &s, 1, IO_READ, 1))
		return;
	set(t, n, "bps_max", 1);
	streams_run(t, n, &s, 1, QUIET_MS);
	EXPECT(t, s.done <= 1, "%u at 1 byte a second", s.done);
	set(t, n, "bps_max", 0);
	streams_end(t, n, &s, 1);
}

static void reset_ends_who_waits(struct test *t, struct nvme *n)
{
	unsigned int round;
	struct stream s;

	for (round = 0; round < 4 && !t->failed; round++) {
		no_limits(t, n);
		if (!stream_make(t, n, &s, 1, IO_READ, 1))
			return;
		set(t, n, "bps_max", 1);
		streams_run(t, n, &s, 1, QUIET_MS / 4);
		if (round % 2)
			EXPECT(t, !nvme_delete_pair(n, &s.q), "delete");
		else
			EXPECT(t, !nvme_restart(n), "reset");
		no_limits(t, n);
		if (stream_make(t, n, &s, 1, IO_READ, 1)) {
			streams_run(t, n, &s, 1, QUIET_MS / 4);
			streams_end(t, n, &s, 1);
		}
		nvme_free_all(n);
	}
}

static void wrong_limits_are_refused(struct test *t, struct nvme *n)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(limits); i++) {
		EXPECT(t, nvme_sysfs_set(n, limits[i], 1LL << 51) == -ERANGE, "%s", limits[i]);
		EXPECT(t, nvme_sysfs_set(n, limits[i], -1) < 0, "%s: negative", limits[i]);
		EXPECT(t, !nvme_sysfs(n, limits[i]), "%s is not 0", limits[i]);
	}
	EXPECT(t, nvme_sysfs_set(n, "burst_ms", 0) == -ERANGE, "no burst at all");
	EXPECT(t, nvme_sysfs_set(n, "burst_ms", 10001) == -ERANGE, "burst of hours");
	EXPECT(t, nvme_sysfs(n, "burst_ms") == BURST_MS, "burst");
}

static void direct_mode_has_none(struct test *t, struct nvme *n)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(limits); i++)
		EXPECT(t, nvme_sysfs_set(n, limits[i], 1000) == -EOPNOTSUPP, "%s", limits[i]);
}

static struct test tests[] = {
	{ "commands_are_limited", commands_are_limited, TEST_GUARDED },
	{ "bytes_are_limited", bytes_are_limited, TEST_GUARDED },
	{ "reads_pass_writers_that_wait", reads_pass_writers_that_wait, TEST_GUARDED },
	{ "queues_share_a_limit", queues_share_a_limit, TEST_GUARDED },
	{ "change_lets_go_who_waits", change_lets_go_who_waits, TEST_GUARDED },
	{ "reset_ends_who_waits", reset_ends_who_waits, TEST_GUARDED | TEST_RESETS },
	{ "wrong_limits_are_refused", wrong_limits_are_refused, TEST_GUARDED },
	{ "direct_mode_has_none", direct_mode_has_none, TEST_DIRECT },
};

const struct suite suite_limits = { "limits", tests, ARRAY_SIZE(tests) };
