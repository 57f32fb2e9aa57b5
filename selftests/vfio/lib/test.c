// SPDX-License-Identifier: GPL-2.0
/*
 * KTAP output: what is promised, whether it holds, and why not.  Counts the
 * results of one program; not for threads.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "test.h"

static unsigned int nr_run, nr_fail, nr_skip;

void diag(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("# ");
	vprintf(fmt, ap);
	printf("\n");
	va_end(ap);
	fflush(stdout);
}

bool test_expect(struct test *t, bool ok, const char *fmt, ...)
{
	va_list ap;

	if (ok)
		return true;
	t->failed = true;
	va_start(ap, fmt);
	printf("# ");
	vprintf(fmt, ap);
	printf("\n");
	va_end(ap);
	fflush(stdout);
	return false;
}

bool test_expect_sc(struct test *t, int got, const u16 *want, const char *where,
		    const char *what)
{
	unsigned int i;

	for (i = 0; want[i] != SC_END; i++)
		if (got == want[i] || (want[i] == SC_ANY_ERROR && got > 0))
			return true;
	t->failed = true;
	if (got < 0)
		diag("%s: %s: no answer (errno %d)", where, what, -got);
	else if (want[0] == SC_ANY_ERROR)
		diag("%s: %s: succeeded", where, what);
	else
		diag("%s: %s: status %03x, expected %03x%s", where, what, got, want[0],
		     want[1] == SC_END ? "" : " or others");
	return false;
}

void test_plan(unsigned int nr)
{
	printf("TAP version 13\n1..%u\n", nr);
	fflush(stdout);
}

void test_report(struct test *t)
{
	nr_run++;
	if (t->failed) {
		nr_fail++;
		printf("not ok %u %s\n", nr_run, t->name);
	} else if (t->skipped) {
		nr_skip++;
		printf("ok %u %s # SKIP %s\n", nr_run, t->name, t->skipped);
	} else {
		printf("ok %u %s\n", nr_run, t->name);
	}
	fflush(stdout);
}

int test_done(void)
{
	printf("# Totals: pass:%u fail:%u xfail:0 xpass:0 skip:%u error:0\n",
	       nr_run - nr_fail - nr_skip, nr_fail, nr_skip);
	if (nr_fail)
		return KSFT_FAIL;
	return nr_skip == nr_run ? KSFT_SKIP : KSFT_PASS;
}

int test_skip_all(const char *why)
{
	printf("TAP version 13\n1..0 # SKIP %s\n", why);
	return KSFT_SKIP;
}

const char *test_uuid(int argc, char **argv)
{
	const char *uuid = argc > 1 ? argv[1] : getenv("LIGHTIOV_UUID");

	return uuid && *uuid ? uuid : NULL;
}

u64 now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void sleep_us(unsigned int us)
{
	struct timespec ts = { us / 1000000, us % 1000000 * 1000L };

	nanosleep(&ts, NULL);
}
