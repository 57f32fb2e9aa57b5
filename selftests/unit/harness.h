/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Assertions and KTAP output of the unit tests.  One TEST() is one KTAP test; a
 * failed check ends it, tells where, and the run goes on with the next.
 */
#ifndef _LIOV_HARNESS_H
#define _LIOV_HARNESS_H

#include <stdio.h>

#include "shim.h"

struct test {
	const char *name;
	void (*fn)(void);
	struct test *next;
};

extern unsigned long nr_checks;
void test_register(struct test *t);
void test_fail(const char *file, int line, const char *what, u64 got, u64 want)
	__attribute__((noreturn));

#define TEST(id) \
	static void id(void); \
	static struct test test_##id = { .name = #id, .fn = id }; \
	__attribute__((constructor)) static void reg_##id(void) \
	{ \
		test_register(&test_##id); \
	} \
	static void id(void)

#define EXPECT_EQ(got, want) \
	do { \
		u64 _got = (u64)(got), _want = (u64)(want); \
		nr_checks++; \
		if (_got != _want) \
			test_fail(__FILE__, __LINE__, #got " == " #want, _got, _want); \
	} while (0)
#define EXPECT(cond) EXPECT_EQ(!!(cond), 1)
#define EXPECT_MEM(got, want, len) EXPECT_EQ(memcmp(got, want, len), 0)

/* all of [p, p + len) is zero */
static inline bool all_zero(const void *p, size_t len)
{
	const u8 *b = p;

	while (len--)
		if (*b++)
			return false;
	return true;
}

#define DNR(status) ((status) | NVME_STATUS_DNR)

#endif /* _LIOV_HARNESS_H */
