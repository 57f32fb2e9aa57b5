// SPDX-License-Identifier: GPL-2.0
/* Runs all tests in the order in which they stand, KTAP version 1. */
#include <setjmp.h>

#include "harness.h"

unsigned long nr_checks;

static struct test *first, **last = &first;
static jmp_buf failed;

void test_register(struct test *t)
{
	*last = t;
	last = &t->next;
}

void test_fail(const char *file, int line, const char *what, u64 got, u64 want)
{
	printf("# %s:%d: %s: got %#llx, want %#llx\n", file, line, what, got, want);
	longjmp(failed, 1);
}

/* a function of its own, so that no variable of a caller can be lost by the jump */
static bool run_one(const struct test *t)
{
	if (setjmp(failed))
		return false;
	t->fn();
	return true;
}

int main(void)
{
	unsigned int n = 0, i = 0, fails = 0;
	struct test *t;

	/* a sanitizer's abort must not swallow what was printed */
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (t = first; t; t = t->next)
		n++;
	printf("KTAP version 1\n1..%u\n", n);
	for (t = first; t; t = t->next) {
		bool ok = run_one(t);

		i++;
		fails += !ok;
		printf("%s %u %s\n", ok ? "ok" : "not ok", i, t->name);
	}
	printf("# %lu checks\n", nr_checks);
	printf("# Totals: pass:%u fail:%u xfail:0 xpass:0 skip:0 error:0\n", n - fails, fails);
	return fails || !n;
}
